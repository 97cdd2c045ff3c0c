"""Sample studies as fixtures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from hpsearch.study import attributes as attrs
from tests.report.sample_studies import sample_study, write_predictions


@pytest.fixture(autouse=True, scope="session")
def quiet_optuna() -> Iterator[None]:
    """Optuna's log is not what these tests look at."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield


@pytest.fixture
def study() -> optuna.Study:
    """Forty trials as hpsearch leaves them."""
    return sample_study()


@pytest.fixture
def study_dir(tmp_path: Path, study: optuna.Study) -> Path:
    """The folder of that study, with sample predictions of the best trial."""
    folder = tmp_path / "studies" / study.study_name
    best = min(
        (trial for trial in study.trials if trial.state == TrialState.COMPLETE), key=lambda trial: trial.value or 9
    )
    write_predictions(folder / best.user_attrs[attrs.FOLDER])
    return folder
