"""prepared.json on the searching side: typed, and read from files that older releases wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import optuna
import pytest

from hpsearch.study import attributes as attrs
from hpsearch.study.preparation import PreparedInfo

WHOLE: dict[str, Any] = {
    "fingerprint": "a",
    "model_fingerprint": "b",
    "backend": "hf",
    "backend_reason": "no GPU",
    "device": "cpu",
    "precision": "fp32",
    "resolved": {"final_samples": 64},
    "versions": {"torch": "2.13.0"},
    "rows": {"train": 5},
    "base": {"eval_cer": 0.5},
    "lines": [["model", "tiny"]],
    "warnings": ["slow"],
    "figures": {"bytes": {"adapter": 7}, "evaluations": 3},
    "stamp": "only the training reads this",
}


def test_it_has_what_the_file_says_and_keeps_the_rest_for_the_storage(tmp_path: Path) -> None:
    (tmp_path / "prepared.json").write_text(json.dumps(WHOLE))
    info = PreparedInfo.read(tmp_path / "prepared.json")
    assert all(getattr(info, key) == value for key, value in WHOLE.items() if key != "stamp")
    assert (info.adapter_bytes, info.evaluations) == (7, 3)
    study = optuna.create_study()
    study.set_user_attr(attrs.PREPARED, info.values)
    assert study.user_attrs[attrs.PREPARED] == WHOLE
    assert PreparedInfo.stored(study) == info


@pytest.mark.parametrize("key", WHOLE)
def test_a_key_that_an_older_release_did_not_write_has_a_default(key: str) -> None:
    info = PreparedInfo.from_json({name: value for name, value in WHOLE.items() if name != key})
    if key != "stamp":
        assert getattr(info, key) == getattr(PreparedInfo(), key)
    assert info.adapter_bytes in (7, 0) and info.evaluations in (3, None)


@pytest.mark.parametrize("values", [None, [1, 2], "text", {}])
def test_where_no_prepare_job_has_run_it_is_empty(values: object) -> None:
    assert PreparedInfo.from_json(values) == PreparedInfo()
