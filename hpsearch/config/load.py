"""Loading a study's definition: finding its files, in the working folder or among the shipped ones, and laying its
layers over each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hpsearch.config.definition import StudyDefinition
from hpsearch.config.json import load_json
from hpsearch.config.layers import Layer, MergedLayers, file_layer, origins_of, set_layer
from hpsearch.config.names import check_study_name, resolved
from hpsearch.config.parse import DEFAULT_SPACE, KNOWN_KEYS, OBJECT_KEYS, SCHEMA_KEY
from hpsearch.config.problems import JsonPath, Origin, did_you_mean, nearest_names, show
from hpsearch.config.setting_rules import without_idle
from hpsearch.errors import UsageError

_PACKAGE = Path(__file__).resolve().parent.parent
# In a checkout, folders in studies/ are the results of searches.
_PATTERNS = {"studies": "*.json", "search_spaces": "**/*.json"}


def load_definition(
    name: str,
    config: Path | None = None,
    search_space: Path | None = None,
    options: Mapping[str, Any] | None = None,
    sets: Sequence[str] = (),
    stored: Mapping[str, Any] | None = None,
) -> StudyDefinition:
    """Load the resolved definition of the study ``name``.

    ``options`` are flat values given on the command line (None: not given), ``sets`` the texts of --set. Relative paths
    are relative to the file that names them, or to the working folder. ``stored`` is the definition kept with the
    study: it is used where there is no file.

    Raises:
        UsageError: a file is missing or unreadable, or a layer or the whole breaks a rule.
    """
    check_study_name(name)
    merged = MergedLayers()
    path = find_study(name, config)
    if path is None and stored is not None:
        origin = Origin(f"the definition stored with {name}", is_file=False)
        merged.add(Layer(dict(stored), origins_of(stored, origin)))
    else:
        layers = file_layers(path) if path is not None else []
        if not layers or layers[-1].values.get("command") is None:  # a command has no default space
            space = {key: own.model_dump(mode="json", exclude_none=True) for key, own in DEFAULT_SPACE.items()}
            origin = Origin("the default search space", is_file=False)
            merged.add(Layer({"search_space": space}, {("search_space",): origin}))
        for layer in layers:
            merged.add(layer)
    if search_space is not None:
        merged.add(space_layer(find_space(search_space, Path())))
    _add_options(merged, options or {}, sets)
    return StudyDefinition.from_flat(merged.values, origins=merged.origins)


def load_settings(
    config: Path | None = None,
    options: Mapping[str, Any] | None = None,
    sets: Sequence[str] = (),
    study: str | None = None,
) -> StudyDefinition:
    """Load the settings of one fine-tune, as a definition that need not search anything.

    ``config`` may be a study's best config, which holds every setting, those without effect too. ``study`` names a
    definition whose default configuration is the lowest layer.

    Raises:
        UsageError: as for ``load_definition``, or there is no such study.
    """
    merged = MergedLayers()
    if study is not None:
        if find_study(study, None) is None:
            remedy = did_you_mean(study, defined_names()) or "name one that ships, or give its file with --config"
            raise UsageError(f"no definition is named {show(study)}", remedy)
        definition = load_definition(study)
        values = best_config_values(definition.best_config({}, definition.seed))
        origin = Origin(f"the default configuration of {study}", is_file=False)
        merged.add(Layer(values, origins_of(values, origin)))
    if config is not None:
        merged.add(file_layer(best_config_values(load_json(config)), config))
    _add_options(merged, options or {}, sets)
    return StudyDefinition.from_flat(merged.values, origins=merged.origins, searching=False)


def best_config_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a best config as flat values: without settings that have no effect, the seed beside a command's
    settings."""
    kept = without_idle(values)
    own = kept.get("settings")
    if isinstance(own, Mapping) and "seed" in own:
        kept |= {"seed": own["seed"], "settings": {name: value for name, value in own.items() if name != "seed"}}
    return kept


def _add_options(merged: MergedLayers, options: Mapping[str, Any], sets: Sequence[str]) -> None:
    given = {name: value for name, value in options.items() if value is not None}
    for name in given:
        if name not in KNOWN_KEYS:
            raise UsageError(f"{show(name)} is not a known key of a definition", nearest_names(name, KNOWN_KEYS))
    origins: dict[JsonPath, Origin] = {(name,): Origin(f"--{name.replace('_', '-')}", is_file=False) for name in given}
    merged.add(Layer(given, origins))
    layer = set_layer(sets, merged.values)
    named = layer.values.get("search_space")
    if isinstance(named, str):
        merged.add(space_layer(find_space(Path(named), Path())))
        layer = Layer({name: value for name, value in layer.values.items() if name != "search_space"}, layer.origins)
    merged.add(layer)


def file_layers(path: Path) -> list[Layer]:
    """Read a definition's file as layers: the fixed values of the search space's file that it names, if any, and the
    definition.

    Raises:
        UsageError: a file cannot be found or read.
    """
    layer = file_layer(load_json(path), path)
    named = layer.values.get("search_space")
    if not isinstance(named, str):
        return [layer]
    space = space_layer(find_space(Path(named), path.parent))
    values = space.values if layer.values.get("command") is not None else resolved(space.values, space.base)
    beside = {name: value for name, value in values.items() if name not in ("search_space", SCHEMA_KEY)}
    origins = {place: origin for place, origin in space.origins.items() if place[0] == "search_space"}
    whole = {**layer.values, "search_space": values["search_space"]}
    return [Layer(beside, space.origins), Layer(whole, {**layer.origins, **origins}, path.parent)]


def space_layer(path: Path) -> Layer:
    """Read a search space's file as a layer: a bare object of ranges, or a flat definition with search_space inside.

    Raises:
        UsageError: the file cannot be read, or has no search space.
    """
    values = load_json(path)
    if is_bare_space(values):
        space = {name: value for name, value in values.items() if name != SCHEMA_KEY}
        origins: dict[JsonPath, Origin] = {("search_space", name): Origin(str(path), (name,)) for name in space}
        return Layer({"search_space": space}, {("search_space",): Origin(str(path)), **origins}, path.parent)
    if not isinstance(values.get("search_space"), Mapping):
        raise UsageError(
            f"a search space's file is an object of ranges, or has one in search_space; {path} has neither",
            'write {"learning_rate": {"type": "loguniform", "low": 1e-05, "high": 0.0005}}',
        )
    return file_layer(values, path)


def is_bare_space(values: Mapping[str, Any]) -> bool:
    """Return whether a file's object is a search space itself, not a definition."""
    inner = [value for name, value in values.items() if name != SCHEMA_KEY]
    return bool(inner) and not set(values) & OBJECT_KEYS and all(isinstance(value, Mapping) for value in inner)


def shipped_folder(kind: str) -> Path:
    """Return the folder of shipped ``studies`` or ``search_spaces``: the installed package's, or the repository's."""
    packaged = _PACKAGE / "assets" / kind
    return packaged if packaged.is_dir() else _PACKAGE.parent / kind


def shipped_names(kind: str) -> list[str]:
    """List the names of the shipped ``studies`` or ``search_spaces``, such as gemma-ocr or chandra/default."""
    folder = shipped_folder(kind)
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.glob(_PATTERNS[kind]))


def find_study(name: str, config: Path | None) -> Path | None:
    """Find the definition file: ``config``, else studies/NAME.json here, else the shipped one, else None.

    Raises:
        UsageError: ``config`` is given and is no file.
    """
    if config is None:
        return _existing([Path("studies") / f"{name}.json"]) or _shipped("studies", Path(name))
    path = _existing([config]) or _shipped("studies", config)
    if path is None:
        raise _not_found("definition", config, "studies")
    return path


def defined_names() -> list[str]:
    """List the names of studies that have a definition's file, in the working folder or among the shipped ones."""
    return sorted({*shipped_names("studies"), *(path.stem for path in Path("studies").glob("*.json"))})


def find_space(wanted: Path, base: Path) -> Path:
    """Find a search space's file: a path relative to ``base``, search_spaces/ there, or the name of a shipped one.

    Raises:
        UsageError: there is none.
    """
    candidates = [base / wanted, base / f"{wanted}.json", base / "search_spaces" / f"{wanted}.json"]
    path = _existing(candidates) or _shipped("search_spaces", wanted)
    if path is None:
        raise _not_found("search space", wanted, "search_spaces")
    return path


def _existing(candidates: list[Path]) -> Path | None:
    for path in candidates:
        try:
            if path.is_file():
                return path
        except (OSError, ValueError):
            continue
    return None


def _shipped(kind: str, wanted: Path) -> Path | None:
    """Find a shipped file by its name, with or without .json; never a path that leads out of the folder."""
    if wanted.is_absolute() or ".." in wanted.parts:
        return None
    folder = shipped_folder(kind)
    return _existing([folder / f"{wanted}.json", folder / wanted])


def _not_found(what: str, wanted: Path, kind: str) -> UsageError:
    names = shipped_names(kind)
    return UsageError(
        f"there is no {what} {show(str(wanted))}", "name a file or a shipped one; " + nearest_names(str(wanted), names)
    )
