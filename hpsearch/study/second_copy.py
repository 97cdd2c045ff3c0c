"""A second copy of a study in its folder, so that the folder alone is enough to make the study again (rebuild.py).

study.json holds the study and trial.json, in the folder of each attempt, the trial, both as the storage has them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from optuna import Study
from optuna.trial import FrozenTrial, TrialState

from hpsearch.errors import UsageError
from hpsearch.execution.files import make_folder, read_object, replace_file, write_json
from hpsearch.execution.names import JOB_FILE
from hpsearch.study import attributes as attrs
from hpsearch.study.folders import StudyFolders
from hpsearch.study.storage.changes import trial_from_json, trial_to_json

STUDY_FILE = "study.json"
TRIAL_FILE = "trial.json"
_ATTEMPT = re.compile(r"attempt-(\d+)")


def write_study(study: Study, folders: StudyFolders) -> None:
    """Write what the storage holds of the study beside its trials, unless it is written already."""
    kept = {name: value for name, value in study.user_attrs.items() if name != attrs.EPOCH}
    values = {"study": study.study_name, "attributes": kept}
    if study_values(folders) != json.loads(json.dumps(values)):
        write_json(folders.root / STUDY_FILE, values)


def restore_folder(study: Study, folders: StudyFolders) -> bool:
    """Make the study's folder again if it was removed or moved away under its run; returns True if it was."""
    if folders.marker:
        return False
    with suppress(UsageError):  # the launch that follows says what is wrong
        folders.claim(study.user_attrs[attrs.ID])
        write_study(study, folders)
    return True


def write_trial(folder: Path, trial: FrozenTrial) -> None:
    """Write a trial, as the storage has it now, into its attempt's folder; durably once it has ended. What cannot be
    written ends no run: it is the second copy."""
    text = json.dumps({"number": trial.number, **trial_to_json(trial)})
    with suppress(OSError):
        make_folder(folder)
        replace_file(str(folder / TRIAL_FILE), text.encode(), durable=trial.state.is_finished())


def study_values(folders: StudyFolders) -> dict[str, Any]:
    """Read what ``write_study`` wrote; nothing where it is missing or damaged."""
    values = read_object(folders.root / STUDY_FILE)
    attributes = values.get("attributes")
    return values if isinstance(attributes, dict) and attrs.DEFINITION in attributes else {}


def last_trial(folders: StudyFolders) -> int:
    """Return the greatest number among the folders of launched trials; -1 where there is none."""
    return max((root for root, _, _ in attempts(folders)), default=-1)


def require_no_more(folders: StudyFolders, stored: int, remedy: str) -> None:
    """Refuse to go on with a storage that has fewer trials than the folder: their results would be overwritten.

    Raises:
        UsageError: it has; the message has numbers.
    """
    if (last := last_trial(folders)) >= stored:
        has = f"the storage has {stored} trials of the study, but {folders.root} holds trial {last}"
        raise UsageError(
            f"a storage has all trials that the study's folder holds, but it is older: {has}",
            f"{remedy}, or move the folder away",
        )


def read_trial(folder: Path) -> tuple[int, FrozenTrial] | None:
    """Read what ``write_trial`` wrote; None where it is missing or damaged."""
    try:
        values = read_object(folder / TRIAL_FILE)
        trial = trial_from_json(values)
        if trial.state is TrialState.WAITING:
            return None
        return int(values["number"]), trial
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def attempts(folders: StudyFolders) -> Iterator[tuple[int, int, Path]]:
    """Yield number, attempt and folder of each attempt that was launched."""
    for path in folders.root.glob("trial_*"):
        number = path.name.removeprefix("trial_")
        if not number.isdecimal():
            continue
        if _is_launched(path):
            yield int(number), 1, path
        for below in path.glob("attempt-*"):
            attempt = _ATTEMPT.fullmatch(below.name)
            if attempt and _is_launched(below):
                yield int(number), int(attempt[1]), below


def _is_launched(folder: Path) -> bool:
    return (folder / TRIAL_FILE).is_file() or (folder / JOB_FILE).is_file()
