"""Finding definitions and search spaces: in the working folder, then among those that ship with hpsearch."""

from __future__ import annotations

from pathlib import Path

from hpsearch.config.problems import did_you_mean, nearest_names, show
from hpsearch.errors import UsageError

_PACKAGE = Path(__file__).resolve().parent.parent
# In a checkout, folders in studies/ are what searches left.
_PATTERNS = {"studies": "*.json", "search_spaces": "**/*.json"}


def shipped_folder(kind: str) -> Path:
    """The folder of shipped ``studies`` or ``search_spaces``: the installed package's, or the repository's."""
    packaged = _PACKAGE / "assets" / kind
    return packaged if packaged.is_dir() else _PACKAGE.parent / kind


def shipped_names(kind: str) -> list[str]:
    """Names of the shipped ``studies`` or ``search_spaces``, such as gemma-ocr or chandra/default."""
    folder = shipped_folder(kind)
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.glob(_PATTERNS[kind]))


def find_study(name: str, config: Path | None) -> Path | None:
    """The definition file: ``config``, else studies/NAME.json here, else the shipped one, else None.

    Raises:
        UsageError: ``config`` is given and is no file.
    """
    if config is not None:
        found = _existing([config]) or _shipped("studies", config)
        if found is None:
            raise _not_found("definition", config, "studies")
        return found
    return _existing([Path("studies") / f"{name}.json"]) or _shipped("studies", Path(name))


def default_instead(name: str, config: Path | None) -> str:
    """That the study ``name`` has no definition file, and which one may be meant; empty where it has one."""
    if find_study(name, config) is not None:
        return ""
    known = {*shipped_names("studies"), *(path.stem for path in Path("studies").glob("*.json"))}
    return f"no definition is named {show(name)}, so the default one is used; {did_you_mean(name, known)}".rstrip("; ")


def find_space(wanted: Path, base: Path) -> Path:
    """A search space's file: a path relative to ``base``, search_spaces/ there, or the name of a shipped one.

    Raises:
        UsageError: there is none.
    """
    found = _existing([base / wanted, base / f"{wanted}.json", base / "search_spaces" / f"{wanted}.json"])
    found = found or _shipped("search_spaces", wanted)
    if found is None:
        raise _not_found("search space", wanted, "search_spaces")
    return found


def _existing(candidates: list[Path]) -> Path | None:
    return next((path for path in candidates if _is_file(path)), None)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _shipped(kind: str, wanted: Path) -> Path | None:
    """A shipped file by its name, with or without .json; never a path that leads out of the folder."""
    if wanted.is_absolute() or ".." in wanted.parts:
        return None
    folder = shipped_folder(kind)
    return _existing([folder / f"{wanted}.json", folder / wanted])


def _not_found(what: str, wanted: Path, kind: str) -> UsageError:
    names = shipped_names(kind)
    return UsageError(
        f"there is no {what} {show(str(wanted))}", "name a file or a shipped one; " + nearest_names(str(wanted), names)
    )
