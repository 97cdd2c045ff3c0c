"""Every error hpsearch raises on purpose, and the exit code each one ends the command with.

    HpsearchError            1  an internal or unforeseen error
    ├── UsageError           2  bad arguments, definition, search space or data; nothing was started
    ├── StorageError         3  the storage cannot be used (missing, full, read-only, corrupt, wrong schema)
    ├── TooManyFailures      4  nothing useful to continue: trials keep failing, or none succeeded
    ├── JobFailed            4  a job that is not a trial failed: preparing, a fine-tune outside a search, a set-up
    ├── StudyOwned           5  another live runner holds the study's lease
    └── DefinitionChanged    6  the definition differs from the one stored with the study

130, 143, 129 and 138 (SIGINT, SIGTERM, SIGHUP, SIGUSR1) are not errors: a command that was asked to stop ends with one,
and ``Interrupted`` carries it there.
The command line prints one line, ``hpsearch: error[<code>]: <what>; <remedy>``, and a traceback only with ``--debug``.
"""

from __future__ import annotations


class HpsearchError(Exception):
    """Base of the tree. ``what`` states the rule and the values, ``remedy`` how to fix it."""

    exit_code = 1

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(what, remedy)
        self.what = what
        self.remedy = remedy

    def __str__(self) -> str:
        if not self.remedy:
            return self.what
        return self.what + ("" if self.what.endswith("\n") else "; ") + self.remedy


class UsageError(HpsearchError):
    """Bad arguments, definition, search space or data: nothing was started and nothing was written."""

    exit_code = 2


class StorageError(HpsearchError):
    """The storage cannot be used. Nothing that was acknowledged is lost."""

    exit_code = 3


class TooManyFailures(HpsearchError):
    """Trials keep failing with one cause, or nothing succeeded: continuing would only spend time."""

    exit_code = 4


class JobFailed(HpsearchError):
    """The job that prepares a study, a fine-tune outside a search, or making a training environment failed."""

    exit_code = 4


class StudyOwned(HpsearchError):
    """Another live runner holds the study's lease."""

    exit_code = 5


class DefinitionChanged(HpsearchError):
    """The definition was changed where an existing study must keep it; no trial was made."""

    exit_code = 6


class Interrupted(Exception):
    """The work was stopped on request: by a signal (``exit_code`` is 128 + its number), or by a time limit (0)."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code
