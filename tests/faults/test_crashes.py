"""The study is whole after a death at any point; ``make faults`` tries all points, and each later in a run too."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.crashes import crashed, undisturbed
from tests.faults.history import configurations

# After each of these a run has something else to put right.
UNLIKE = (
    *("folder-claimed", "study-opened", "lost-told", "before-launch", "launched", "report-read", "prune-decided"),
    *("stop-sent", "end-read", "end-told", "results-written", "best-staged", "file-written"),
    *("after-study-user-attr", "before-trial", "after-trial", "before-state", "after-state"),
)


@pytest.mark.parametrize("point", UNLIKE)
def test_after_a_death_one_plain_run_makes_the_study_whole(tmp_path: Path, point: str) -> None:
    assert crashed(tmp_path / "a", point, 1) == []


def test_a_study_goes_on_with_the_configurations_of_an_undisturbed_one(tmp_path: Path) -> None:
    wanted = undisturbed(tmp_path / "undisturbed")
    for number, (point, count) in enumerate((("answered", 4), ("after-state", 3), ("results-written", 2))):
        assert crashed(tmp_path / str(number), point, count) == []
        assert configurations(tmp_path / str(number)) == wanted
