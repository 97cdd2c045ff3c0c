"""What a trial's process is started with."""

from __future__ import annotations

from pathlib import Path

from hpsearch.config.definition import StudyDefinition
from hpsearch.study.folders import StudyFolders
from hpsearch.study.jobs import JobMaker


def test_the_key_of_wandb_is_passed_only_where_it_is_used(tmp_path: Path) -> None:
    def environment(report_to: str) -> dict[str, str]:
        definition = StudyDefinition.from_flat({"input_data": "x.json", "report_to": report_to})
        source = {"WANDB_API_KEY": "secret", "WANDB_PROJECT": "pages"}
        return JobMaker(definition, StudyFolders(tmp_path, "s"), source).trial(0, 0, 1, {}, 0).environment

    assert environment("wandb").items() >= {"WANDB_API_KEY": "secret", "WANDB_PROJECT": "pages"}.items()
    assert not {name for name in environment("none") if name.startswith("WANDB")}
