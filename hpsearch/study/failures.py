"""Which values of settings failures go with, as the study's own trials show.

A value explains failures if at least ``LEAST`` configurations failed with it and none succeeded, and at least as many
succeeded without it. Only settings with choices have such values: of a range, few trials have the same one. A fault
of the machine shows nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hpsearch.execution.outcome import Cause
from hpsearch.study import attributes as attrs
from hpsearch.study.records import cause_of

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

LEAST = 2
# Endings by a program that does not do what it should. Divergence and device memory depend on numbers more than on
# choices, and have models of their own (gp_sampler.py, memory_gate.py).
FAILED = frozenset({Cause.CRASH, Cause.LAUNCH, Cause.TIMEOUT, Cause.STALLED, Cause.PROTOCOL, Cause.INVALID})
# The program did its work, as well as its configuration allowed.
WORKED = frozenset({Cause.OK, Cause.PRUNED})

Values = Mapping[str, Collection[Any]]


@dataclass(frozen=True)
class FailingValue:
    """A value of a setting that explains failures. ``failed`` holds the first attempts' numbers of the configurations
    with it, ``alike`` the other values with which the same ones failed; ``without`` counts the configurations that
    failed and that ended without it."""

    name: str
    value: Any
    failed: frozenset[int]
    without: tuple[int, int]
    alike: tuple[str, ...] = ()

    @property
    def setting(self) -> str:
        """The setting and its value, as NAME=VALUE."""
        return _shown(self.name, self.value)

    @property
    def text(self) -> str:
        """The finding in words."""
        shown = " or ".join([self.setting, *self.alike])
        failed, ended = self.without
        rest = f"{failed} of {ended} times without it" if failed else "never without it"
        return f"{shown} failed {len(self.failed)} of {len(self.failed)} times, and {rest}"


class Failures:
    """The failing values of one study, kept while its trials come and end; all of it follows from the stored trials."""

    def __init__(self, trials: Sequence[FrozenTrial] = ()) -> None:
        self._count = 0
        self._open: list[int] = []
        self._worked: set[int] = set()  # configurations, by the number of the first attempt
        self._failed: set[int] = set()
        self._with: dict[tuple[str, str], tuple[Any, set[int]]] = {}  # by setting and value
        self.update(trials)

    def update(self, trials: Sequence[FrozenTrial]) -> Failures:
        """Read what has changed in ``trials``, all of the study's in order of number."""
        changed = [trials[number] for number in (*self._open, *range(self._count, len(trials)))]
        self._count = len(trials)
        self._open = [trial.number for trial in changed if not trial.state.is_finished()]
        for trial in changed:
            cause, root = cause_of(trial), trial.user_attrs.get(attrs.ROOT)
            root = root if isinstance(root, int) else trial.number  # reports read what others wrote, too
            if not trial.state.is_finished() or cause not in FAILED | WORKED or attrs.NOT_TRIED in trial.user_attrs:
                continue
            (self._failed if cause in FAILED else self._worked).add(root)
            for name, value in trial.params.items():
                if hasattr(trial.distributions[name], "choices"):
                    self._with.setdefault((name, repr(value)), (value, set()))[1].add(root)
        self._failed -= self._worked  # a retry succeeded
        return self

    @property
    def explained(self) -> tuple[FailingValue, ...]:
        """The values that explain failures, the one of most failures first; of several that explain the same failures
        only the first, as more trials of the others may show that they are innocent."""
        if len(self._failed) < LEAST or len(self._worked) < LEAST:
            return ()
        suspects = [
            (name, value, frozenset(roots))
            for (name, _), (value, roots) in self._with.items()
            if len(roots) >= LEAST and roots <= self._failed
        ]
        values: list[FailingValue] = []
        covered: set[int] = set()
        for name, value, roots in sorted(suspects, key=lambda suspect: -len(suspect[2])):
            if not roots <= covered:
                same = [_shown(other, its) for other, its, theirs in suspects if theirs == roots and other != name]
                failed = len(self._failed) - len(roots)
                values.append(FailingValue(name, value, roots, (failed, failed + len(self._worked)), tuple(same)))
                covered |= roots
        return tuple(values)

    def explain(self, roots: Iterable[int]) -> bool:
        """Return True if each of these configurations, by the number of its first attempt, has a failing value."""
        explained = self.explained
        return all(any(root in value.failed for value in explained) for root in roots)

    def avoided(self) -> Values:
        """Return the failing values by setting: what a sampler is not to propose."""
        values: dict[str, list[Any]] = {}
        for failing in self.explained:
            values.setdefault(failing.name, []).append(failing.value)
        return values


def _shown(name: str, value: Any) -> str:
    return f"{name}={str(value).lower() if isinstance(value, bool) else value}"
