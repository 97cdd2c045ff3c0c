"""Installed versions and what metadata requires of them, looked up without importing anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpsearch.execution.versions import misfits, requirements_of, version_of, versions_of

NEEDS = ("old<2", "new>=1,!=3", "absent", "apple>=1; sys_platform == 'nowhere'", "extra-one>=5; extra == 'more'")


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Metadata of packages, as pip leaves it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    for name, version, needs in (
        ("caller", "1", NEEDS),
        ("old", "2.5", ()),
        ("new", "3rc1", ()),
        ("extra_one", "4", ()),
    ):
        info = tmp_path / f"{name}-{version}.dist-info"
        info.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", "Provides-Extra: more"]
        (info / "METADATA").write_text("\n".join([*lines, *(f"Requires-Dist: {need}" for need in needs), ""]))


def test_versions_are_read_and_missing_packages_have_none() -> None:
    assert (version_of("old"), version_of("absent")) == ("2.5", None)
    assert versions_of(["old", "absent", "new"]) == {"old": "2.5", "new": "3rc1"}


def test_requirements_are_those_of_this_machine_and_of_the_extra_asked_for() -> None:
    assert requirements_of("caller") == ["old<2", "new!=3,>=1", "absent"]
    assert requirements_of("caller", "more") == ["extra-one>=5"]
    assert requirements_of("absent") == []


def test_what_is_missing_or_outside_its_range_is_a_misfit_with_the_part_that_is_not_met() -> None:
    wrong = {misfit.name: misfit for misfit in misfits(requirements_of("caller") + requirements_of("caller", "more"))}
    assert list(wrong) == ["old", "absent", "extra-one"]  # a release candidate is in the range
    assert (wrong["old"].installed, wrong["old"].unmet, wrong["extra-one"].ranges) == ("2.5", "<2", ">=5")
    assert str(wrong["old"]) == "old 2.5 (<2 wanted)"
    assert str(wrong["absent"]) == "absent is missing (any version wanted)"
    assert not list(misfits(NEEDS[3:4]))  # for another machine
