"""JSON schemas for editors and docs/settings.md, made from the models by ``python -m hpsearch.config.schemas
[--check]``.

The schemas describe the flat format, so that an editor completes names and marks wrong values. Rules between values
(low <= high, a step that divides) are beyond them: ``hpsearch validate`` has those.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import models_json_schema

from hpsearch.config.fields import StudyFields
from hpsearch.config.parameters import Parameter
from hpsearch.config.parse import SCHEMA_KEY
from hpsearch.config.problems import show
from hpsearch.config.setting_rules import DECIDED_BY, defaults, schemas, takes
from hpsearch.settings import TrainSettings, setting_names

_PACKAGE = Path(__file__).resolve().parent.parent
PAGE = _PACKAGE.parent / "docs" / "settings.md"
FOLDER = _PACKAGE / "assets" / "schemas"

_HEAD = """# Settings of a fine-tune

Every setting of the built-in training: fixed beside `search_space` in a definition, searched inside it, or given to
`hpsearch train` as an option (`lora_r` is `--lora-r`). One that the model, backend or device cannot honour is refused
before the first trial, never ignored. This page is made from the code: `python -m hpsearch.config.schemas`.
"""

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TEMPLATE = "#/$defs/{model}"
_SPACE_PATH = {"type": "string", "description": "A file of ranges, relative to this one, or the name of a shipped one."}
_COMMAND_SETTINGS = {
    "type": "object",
    "description": "Fixed values of a command's own settings.",
    "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
}


def main(arguments: Sequence[str]) -> int:
    """Write the generated files, or with ``--check`` name those that differ from the models. Returns the exit code."""
    if list(arguments) not in ([], ["--check"]):
        print("usage: python -m hpsearch.config.schemas [--check]", file=sys.stderr)
        return 2
    check = bool(arguments)
    files = {PAGE: page()}
    for name, schema in (("study", study_schema()), ("search_space", space_schema())):
        files[FOLDER / f"{name}.schema.json"] = json.dumps(schema, indent=2) + "\n"
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


def page() -> str:
    """Return the text of docs/settings.md."""
    parts = [_HEAD]
    for title, names in _groups():
        lines = [f"## {title}", "", "| name | takes | default | meaning |", "|---|---|---|---|"]
        for name in names:
            values, meaning = (text.replace("|", "\\|") for text in (takes(name), str(schemas()[name]["description"])))
            lines.append(f"| `{name}` | {values} | `{show(defaults()[name])}` | {meaning} |")
        parts.append("\n".join(lines) + "\n")
    pairs = [f"- `{first}`, where it is not null, instead of `{second}`" for first, second in DECIDED_BY.items()]
    together = "One name decides, so giving both in one place is refused; a later layer's name wins:"
    parts.append("\n".join(["## Two names of one thing", "", together, "", *pairs]) + "\n")
    return "\n".join(parts)


def _groups() -> list[tuple[str, list[str]]]:
    """Return the settings under their headings in the code (comments on lines of their own)."""
    groups: list[tuple[str, list[str]]] = []
    for line in inspect.getsource(TrainSettings).splitlines():
        heading = re.fullmatch(r"    # (\w+)", line)
        name = re.match(r"    (\w+): ", line)
        if heading:
            groups.append((heading[1], []))
        elif name and name[1] in setting_names():
            groups[-1][1].append(name[1])
    return groups


def study_schema() -> dict[str, Any]:
    """Return the schema of a flat definition."""
    definitions, space = _definitions_and_space()
    study = definitions.pop("StudyFields")["properties"]
    settings = definitions.pop("TrainSettings")["properties"]
    pruner = study["pruner"]  # an object, or its type alone as a text
    type_alone = {"enum": definitions["PrunerSettings"]["properties"]["type"]["enum"]}
    rest = {name: value for name, value in pruner.items() if name != "$ref"}
    study["pruner"] = {**rest, "default": pruner["default"]["type"], "anyOf": [{"$ref": pruner["$ref"]}, type_alone]}
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
    """Return the schema of a search space's file: an object of ranges, or a flat definition with search_space
    inside."""
    study = study_schema()
    space = _definitions_and_space()[1]
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
        "else": {**space, "properties": {SCHEMA_KEY: {"type": "string"}, **space["properties"]}},
        "$defs": study["$defs"],
    }


def _definitions_and_space() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the models' schemas by name, and the schema of a search space."""
    adapter: TypeAdapter[Any] = TypeAdapter(Parameter)
    parameter = adapter.json_schema(ref_template=_TEMPLATE)
    definitions = parameter.pop("$defs")
    models = [(StudyFields, "validation"), (TrainSettings, "validation")]
    _, rest = models_json_schema(models, ref_template=_TEMPLATE)  # type: ignore[arg-type]
    definitions |= rest["$defs"] | {"Parameter": parameter}
    reference = {"$ref": "#/$defs/Parameter"}
    space = {
        "type": "object",
        "description": "What is searched: a range for each setting.",
        "properties": dict.fromkeys(TrainSettings.model_fields, reference),
        "additionalProperties": reference,
    }
    return definitions, space


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
