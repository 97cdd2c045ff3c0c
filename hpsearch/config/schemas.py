"""JSON schemas for editors, made from the models; ``python -m hpsearch.config.schemas [--check]`` writes them and
docs/settings.md.

They describe the flat format, so that an editor completes names and marks wrong values. Rules between values (low <=
high, a step that divides) are beyond them: ``hpsearch validate`` has those.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import models_json_schema

from hpsearch import settings as model
from hpsearch.config.fields import StudyFields
from hpsearch.config.parameters import Parameter
from hpsearch.config.parse import SCHEMA_KEY
from hpsearch.config.problems import show
from hpsearch.config.setting_rules import DECIDED_BY, defaults, schemas, takes
from hpsearch.settings import TrainSettings

# docs/settings.md, made from the settings' own model.

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "settings.md"

_HEAD = """# Settings of a fine-tune

Every setting of the built-in training: fixed beside `search_space` in a definition, searched inside it, or given to
`hpsearch train` as an option (`lora_r` is `--lora-r`). One that the model, backend or device cannot honour is refused
before the first trial, never ignored. This page is made from the code: `python -m hpsearch.config.schemas`.
"""


def page() -> str:
    """The page's text."""
    parts = [_HEAD]
    for title, names in _groups():
        rows = [f"| `{name}` | {_takes(name)} | {_default(name)} | {_meaning(name)} |" for name in names]
        parts.append(
            "\n".join([f"## {title}", "", "| name | takes | default | meaning |", "|---|---|---|---|", *rows]) + "\n"
        )
    pairs = [f"- `{first}`, where it is not null, instead of `{second}`" for first, second in DECIDED_BY.items()]
    together = "One name decides, so giving both in one place is refused; a later layer's name wins:"
    parts.append("\n".join(["## Two names of one thing", "", together, "", *pairs]) + "\n")
    return "\n".join(parts)


def _groups() -> list[tuple[str, list[str]]]:
    """The settings under the headings they have in the code (comments on lines of their own)."""
    groups: list[tuple[str, list[str]]] = []
    for line in inspect.getsource(model.TrainSettings).splitlines():
        heading = re.fullmatch(r"    # (\w+)", line)
        name = re.match(r"    (\w+): ", line)
        if heading:
            groups.append((heading[1], []))
        elif name and name[1] in model.setting_names():
            groups[-1][1].append(name[1])
    return groups


def _takes(name: str) -> str:
    return takes(name).replace("|", "\\|")


def _default(name: str) -> str:
    return f"`{show(defaults()[name])}`"


def _meaning(name: str) -> str:
    return str(schemas()[name]["description"]).replace("|", "\\|")


FOLDER = Path(__file__).resolve().parent.parent / "assets" / "schemas"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TEMPLATE = "#/$defs/{model}"


def study_schema() -> dict[str, Any]:
    """The schema of a flat definition."""
    definitions, space = _definitions_and_space()
    study = definitions.pop("StudyFields")["properties"]
    settings = definitions.pop("TrainSettings")["properties"]
    study["pruner"] = _or_type_alone(study["pruner"], definitions["PrunerSettings"])
    own = {"search_space": {"anyOf": [space, _SPACE_PATH]}, "settings": _COMMAND_SETTINGS}
    return {
        "$schema": _DIALECT,
        "title": "hpsearch study",
        "description": "What a study searches, what it fixes, and how the search goes.",
        "type": "object",
        "properties": {SCHEMA_KEY: {"type": "string"}, **own, **settings, **study},
        "additionalProperties": False,
        "$defs": definitions,
    }


def space_schema() -> dict[str, Any]:
    """The schema of a search space's file: an object of ranges, or a flat definition with search_space inside."""
    study = study_schema()
    space = _definitions_and_space()[1]
    bare = {**space, "properties": {SCHEMA_KEY: {"type": "string"}, **space["properties"]}}
    flat = {
        "type": "object",
        "properties": study["properties"],
        "additionalProperties": False,
        "required": ["search_space"],
    }
    return {
        "$schema": _DIALECT,
        "title": "hpsearch search space",
        "description": "Ranges by setting; or a definition with them inside search_space, whose settings come along.",
        "if": {"required": ["search_space"]},
        "then": flat,
        "else": bare,
        "$defs": study["$defs"],
    }


def main(arguments: Sequence[str]) -> int:
    """Write what is made from the models, or with ``--check`` say which files differ from it; the exit code."""
    if list(arguments) not in ([], ["--check"]):
        print("usage: python -m hpsearch.config.schemas [--check]", file=sys.stderr)
        return 2
    schemas = {"study": study_schema(), "search_space": space_schema()}
    texts = {FOLDER / f"{name}.schema.json": json.dumps(schema, indent=2) + "\n" for name, schema in schemas.items()}
    return _write_or_check({**texts, PAGE: page()}, check=bool(arguments))


def _write_or_check(files: Mapping[Path, str], *, check: bool) -> int:
    stale = [path for path, text in files.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        if check:
            remedy = "run python -m hpsearch.config.schemas and commit it"
            print(f"{path} is not what the models give; {remedy}", file=sys.stderr)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files[path], encoding="utf-8")
            print(f"written: {path}")
    return 1 if check and stale else 0


_SPACE_PATH = {"type": "string", "description": "A file of ranges, relative to this one, or the name of a shipped one."}
_COMMAND_SETTINGS = {
    "type": "object",
    "description": "Fixed values of a command's own settings.",
    "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
}


def _definitions_and_space() -> tuple[dict[str, Any], dict[str, Any]]:
    """The models' schemas by name, and the schema of a search space."""
    adapter: TypeAdapter[Any] = TypeAdapter(Parameter)
    parameter = adapter.json_schema(ref_template=_TEMPLATE)
    definitions = parameter.pop("$defs")
    models = [(StudyFields, "validation"), (TrainSettings, "validation")]
    _, rest = models_json_schema(models, ref_template=_TEMPLATE)  # type: ignore[arg-type]
    definitions |= rest["$defs"] | {"Parameter": parameter}
    reference = {"$ref": "#/$defs/Parameter"}
    names = dict.fromkeys(TrainSettings.model_fields, reference)
    space = {
        "type": "object",
        "description": "What is searched: a range for each setting.",
        "properties": names,
        "additionalProperties": reference,
    }
    return definitions, space


def _or_type_alone(pruner: dict[str, Any], model: dict[str, Any]) -> dict[str, Any]:
    """The pruner as an object, or its type alone as a text."""
    rest = {name: value for name, value in pruner.items() if name != "$ref"}
    short = {"enum": model["properties"]["type"]["enum"]}
    return {**rest, "anyOf": [{"$ref": pruner["$ref"]}, short]}


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
