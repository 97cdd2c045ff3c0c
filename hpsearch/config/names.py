"""Names that become folders, placeholders or variables."""

from __future__ import annotations

import re

from hpsearch.config.problems import show
from hpsearch.errors import UsageError

_STUDY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_DATABASE, _COMPARISON = "hpsearch.db", "comparison"  # what lies beside the studies' folders
_PARAMETER = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,127}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,255}")


def check_study_name(name: str) -> str:
    """The name, if a study may have it: it names a folder, and storages and reports show it.

    Raises:
        UsageError: it is not 1 to 128 letters, digits, ``.``, ``_`` and ``-``, beginning with a letter or digit, or
            it holds ``..``.
    """
    if _is_taken(name):
        raise UsageError(f"hpsearch keeps files of its own under the name {name}", "choose another name for the study")
    if not is_study_name(name):
        raise UsageError(
            "a study's name is 1 to 128 letters, digits, '.', '_' and '-', begins with a letter or digit "
            f"and holds no '..', but is {show(name)}",
            "choose such a name, for example gemma-ocr_2",
        )
    return name


def is_study_name(name: str) -> bool:
    """Whether a study of ours may have this name."""
    return isinstance(name, str) and _STUDY.fullmatch(name) is not None and ".." not in name and not _is_taken(name)


def _is_taken(name: str) -> bool:
    return name == _COMPARISON or name.startswith(_DATABASE)  # and the files beside the database


def is_parameter_name(name: str) -> bool:
    """Whether a setting of one's own program may have this name (it becomes a placeholder)."""
    return _PARAMETER.fullmatch(name) is not None


def is_variable_name(name: str) -> bool:
    """Whether an environment variable may have this name."""
    return _VARIABLE.fullmatch(name) is not None
