"""What is examined: a machine, and where one is named, a study that is to run on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from hpsearch.config.definition import StudyDefinition
from hpsearch.execution.gpu import Driver
from hpsearch.study.folders import StudyFolders
from hpsearch.study.options import RunOptions


@dataclass(frozen=True)
class Patient:
    """What the checks look at.

    ``options`` say where storage and folders are. ``study`` and ``definition`` are those of the study, if one is meant;
    ``complaint`` is why a study that is meant could not be resolved. ``facts`` come from the training side.
    ``timeout_s`` is what one look at something foreign may take, in seconds.
    """

    options: RunOptions
    driver: Driver
    study: str = ""
    definition: StudyDefinition | None = None
    complaint: tuple[str, str] | None = None
    timeout_s: float = 60.0
    facts: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def settings(self) -> dict[str, Any] | None:
        """The default configuration's settings, where the built-in training runs it."""
        if self.definition is None or self.definition.command is not None:
            return None
        return self.definition.trial_settings({}, self.definition.seed)

    def values(self, name: str) -> list[Any]:
        """Every value that a setting may have in the study; none without one."""
        if self.settings is None or self.definition is None:
            return []
        return self.definition.searched_values().get(name) or [self.settings.get(name)]

    @property
    def folders(self) -> StudyFolders:
        """Where the study's files go."""
        return StudyFolders(self.options.base_output_dir / self.study, self.study)
