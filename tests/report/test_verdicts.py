"""Verdicts on planted studies: each rule, with rows that hold what it is about, and beside it rows that do not."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

from hpsearch.report.analyze import analyze_study, compare_studies
from hpsearch.report.claims import StudyVerdict
from hpsearch.report.compare import verdict
from hpsearch.report.study import cards
from hpsearch.report.summary import StudySummary, summarize
from hpsearch.report.terminal import render, summary_tables
from hpsearch.report.verdicts import FEWEST_FOR_EFFECT, no_effect
from hpsearch.study import attributes as attrs
from tests.report.sample_studies import DEFINITION, PREPARED, foreign_study

LINE = "the quick brown fox jumps over it"  # 33 characters
ROWS = 60
SPACE = {"learning_rate": FloatDistribution(1e-5, 1e-3, log=True), "lora_r": CategoricalDistribution((4, 8, 16))}
Reader = Callable[[int], str]


def reading(errors: int, every: int = 1) -> Reader:
    """Read a line with that many wrong characters in every n-th row, one more in a fifth of those."""

    def read(row: int) -> str:
        wrong = 0 if row % every else errors + (row % 5 == 0)
        return f"{row:02} " + "#" * wrong + LINE[wrong:]

    return read


def planted(folder: Path | None, readers: Sequence[Reader], **given: Any) -> StudySummary:
    """Return the summary of a planted study."""
    return summarize(planted_study(folder, readers, **given), study_dir=folder)


def planted_study(
    folder: Path | None,
    readers: Sequence[Reader],
    base: Reader | None = None,
    splits: Sequence[str] = ("validation", "holdout"),
    values: Sequence[float] = (),
) -> optuna.Study:
    """Return a study with a trial for each reader, the first the default; files of predictions if there is a folder.
    ``values`` are recorded instead of the validation rows' scores."""
    base = base or reading(20)
    study = optuna.create_study(study_name="planted", storage=optuna.storages.InMemoryStorage())
    study.set_user_attr(attrs.DEFINITION, DEFINITION)
    study.set_user_attr(attrs.PREPARED, PREPARED | {"base": _scores(base, splits)})
    if folder:
        _write(folder / "base_predictions.jsonl", base, splits)
    for number, reader in enumerate(readers):
        metrics = _scores(reader, splits)
        rate = 1e-5 * 10 ** (2 * (number + 1) / (len(readers) + 1))
        study.add_trial(
            create_trial(
                value=values[number] if values else metrics["eval_cer"],
                params={"learning_rate": rate, "lora_r": 8},
                distributions=SPACE,
                user_attrs={attrs.METRICS: metrics, attrs.SEED: number, attrs.IS_DEFAULT: number == 0},
            )
        )
        if folder:
            _write(folder / f"trial_{number}" / "predictions.jsonl", reader, splits)
    return study


def _edits(reader: Reader, row: int) -> tuple[int, int]:
    from hpsearch.data.metrics import character_edits

    edits = character_edits(f"{row:02} {LINE}", reader(row))
    return edits.errors, edits.length


def _scores(reader: Reader, splits: Sequence[str]) -> dict[str, float]:
    errors, characters = (sum(counts) for counts in zip(*(_edits(reader, row) for row in range(ROWS)), strict=True))
    names = {"validation": "eval_cer", "holdout": "holdout_cer"}
    return {names[split]: errors / characters for split in splits}


def _write(path: Path, reader: Reader, splits: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        {"split": split, "id": row, "reference": f"{row:02} {LINE}", "prediction": reader(row)}
        for split in splits
        for row in range(ROWS)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def by_key(summary: StudySummary) -> dict[str, StudyVerdict]:
    return {verdict.key: verdict for verdict in summary.verdicts}


def all_text(summary: StudySummary) -> str:
    lines = [line for card in cards(summary) for line in card.gains]
    return "\n".join([*lines, *(verdict.text for verdict in summary.verdicts), *render(summary_tables(summary), 300)])


def test_better_than_base_beyond_the_interval_is_good_and_earns_the_green_card(tmp_path: Path) -> None:
    summary = planted(tmp_path, [reading(8), reading(2)])
    base, default = by_key(summary)["against_base"], by_key(summary)["against_default"]
    assert summary.verdicts[0] == base and base.kind == default.kind == "good"
    assert base.figures["low"] > 0 and base.figures["of"] == "seeds and documents"
    assert "is better than the untuned base: CER 0.06111 against 0.5611, better by 0.5000 (95 %:" in base.text
    assert cards(summary)[-1].is_proven
    first = render(summary_tables(summary), 200)[0]
    assert first.startswith("good ") and "untuned base" in first


def test_worse_than_base_on_held_out_rows_is_bad_whatever_validation_rows_say(tmp_path: Path) -> None:
    summary = planted(tmp_path, [reading(25), reading(26)], values=(0.30, 0.31))
    assert summary.base and summary.base.value and summary.best and summary.best.value
    assert summary.best.value < summary.base.value and summary.best.holdout > summary.base.holdout  # type: ignore[operator]
    base = by_key(summary)["against_base"]
    assert base.kind == "bad" and base.figures["high"] > 0 and "may be luck" in base.text
    far = by_key(planted(tmp_path / "far", [lambda _: "?" * 80], values=(0.3,)))["against_base"]
    assert far.kind == "bad" and far.figures["high"] < 0 and "luck" not in far.text
    assert "worse than the untuned base" in base.text
    assert "better than the untuned base" not in all_text(summary) and "better base" not in all_text(summary)
    assert not cards(summary)[-1].is_proven
    assert "+" not in next(line for line in render(summary_tables(summary), 300) if line.startswith("│ best"))


def test_what_cannot_be_told_from_base_and_default_earns_nothing(tmp_path: Path) -> None:
    summary = planted(tmp_path, [reading(4), reading(4, every=1)], base=reading(5), values=(0.2, 0.1))
    verdicts = by_key(summary)
    assert (
        verdicts["against_base"].kind == "warning"
        and "cannot be told from the untuned base" in summary.verdicts[0].text
    )
    assert verdicts["against_default"].kind == "warning"
    assert not cards(summary)[-1].is_proven


def test_without_rows_a_comparison_has_no_interval_and_says_so() -> None:
    better, worse = planted(None, [reading(8)]), planted(None, [reading(25)])
    assert [by_key(one)["against_base"].kind for one in (better, worse)] == ["note", "bad"]
    assert "No interval: no rows were recorded" in by_key(better)["against_base"].text
    assert by_key(better)["no_rows"].text.startswith("Scores have no interval")
    assert not cards(better)[-1].is_proven


def test_repeats_give_programs_without_rows_an_interval_over_seeds_alone() -> None:
    study = optuna.create_study(study_name="own")
    study.set_user_attr(attrs.DEFINITION, {"command": ["./own"], "objective": {"metric": "score"}})
    rates = (1e-4, 1e-4, 1e-4, 1e-4, 1e-5, 2e-4)
    for seed, value in enumerate((0.20, 0.22, 0.19, 0.21, 0.90, 0.205)):
        own = {attrs.SEED: seed, attrs.METRICS: {}}
        params = {"learning_rate": rates[seed], "lora_r": 8}
        study.add_trial(create_trial(value=value, params=params, distributions=SPACE, user_attrs=own))
    summary = summarize(study)
    verdicts = by_key(summary)
    assert "over seeds alone" in verdicts["no_rows"].text and "the program recorded no rows" in verdicts["no_rows"].text
    assert verdicts["ties"].figures == {"trials": [5], "compared": 2}  # neither the repeats, nor what is far off
    assert "report holdout_score" in verdicts["no_heldout"].text


def test_rows_of_another_score_are_not_believed(tmp_path: Path) -> None:
    study = planted_study(tmp_path, [reading(8)])
    _write(tmp_path / "base_predictions.jsonl", reading(1), ("validation", "holdout"))
    summary = summarize(study, study_dir=tmp_path)
    assert summary.evidence is not None and summary.evidence.heldout["base"].low is None
    assert "No interval: its rows give another score (0.03" in by_key(summary)["against_base"].text


def test_without_held_out_rows_nothing_is_claimed(tmp_path: Path) -> None:
    summary = planted(tmp_path, [reading(8), reading(2)], splits=("validation",))
    verdicts = by_key(summary)
    assert "no proof" in verdicts["against_base"].text and verdicts["against_base"].kind == "note"
    assert verdicts["no_heldout"].kind == "warning" and "val_ratio" in verdicts["no_heldout"].text
    worse = by_key(planted(tmp_path, [reading(25)], splits=("validation",)))
    assert worse["against_base"].kind == "bad" and "higher learning rates" in worse["against_base"].text


def test_ties_are_named_and_a_trial_far_behind_is_not(tmp_path: Path) -> None:
    summary = planted(tmp_path, [reading(20), reading(3), reading(3), reading(4)])
    tie = by_key(summary)["ties"]
    assert tie.figures == {"trials": [2, 3], "compared": 3}
    assert "Trials 2 and 3 cannot be told from the best one on 60 validation documents" in tie.text
    assert "Trial 2 had exactly its score" in tie.text
    assert "ties" not in by_key(planted(tmp_path, [reading(20), reading(1)]))


def test_too_few_rows_say_how_many_it_takes(tmp_path: Path) -> None:
    few = by_key(planted(tmp_path, [reading(8, every=4)]))
    assert few["validation_too_few"].figures["needed"] > 60 and "val_ratio" in few["validation_too_few"].text
    assert few["heldout_too_few"].kind == "warning"
    assert "validation_too_few" not in by_key(planted(tmp_path, [reading(8)]))


@pytest.mark.parametrize(
    ("key", "reader", "kind"),
    [
        ("identical", lambda _: "sssa", "bad"),
        ("empty", lambda row: "" if row % 20 == 0 else f"{row:02} {LINE}", "warning"),
        ("repeats", lambda row: "ab" * 400 if row % 2 else f"{row:02} {LINE}", "bad"),
        ("too_long", lambda row: f"{row:02} {LINE}" + " and more of it, invented" * 4, "bad"),
        ("insertions", lambda row: f"{row:02} {LINE} xyz", "warning"),
    ],
)
def test_bad_predictions_are_an_alarm(key: str, reader: Reader, kind: str, tmp_path: Path) -> None:
    found = by_key(planted(tmp_path, [reader]))[key]
    assert found.kind == kind, found
    usual = by_key(planted(tmp_path / "usual", [reading(3)]))
    assert usual["insertions"].kind == "note"
    assert not {"identical", "empty", "repeats", "too_long"} & set(usual)
    if key == "insertions":
        assert "(the untuned base: " in found.text


def test_the_best_at_an_end_of_its_range_says_which_way() -> None:
    def found(*rates: float) -> dict[str, StudyVerdict]:
        study = optuna.create_study()
        for number, rate in enumerate(rates):
            params = {"learning_rate": rate, "lora_r": (4, 8, 16)[number % 3]}
            study.add_trial(create_trial(value=1.0 - number / 10, params=params, distributions=SPACE))
        return {str(one.figures["parameter"]): one for one in summarize(study).verdicts if one.key == "edge"}

    upper = found(2e-5, 3e-5, 4e-5, 5e-5, 6e-5, 9.9e-4)
    assert upper["learning_rate"].figures["end"] == "upper" and "widen it upwards" in upper["learning_rate"].text
    assert upper["lora_r"].figures == {"parameter": "lora_r", "value": 16, "end": "upper"}
    assert "downwards" in found(9e-4, 3e-5, 4e-5, 5e-5, 1.01e-5)["learning_rate"].text
    assert found(9e-4, 3e-5, 4e-5, 5e-5, 1e-4) == {}
    assert found(2e-5, 9.9e-4) == {}  # too few trials to say


def test_still_falling_and_the_cost_of_pruning() -> None:
    def verdicts(curve: Sequence[float], stopped: Mapping[int, float]) -> dict[str, StudyVerdict]:
        study = optuna.create_study()
        study.add_trial(create_trial(value=curve[-1], intermediate_values=dict(enumerate(curve, 1))))
        cut = {attrs.OUTCOME: "pruned"}
        for step, value in stopped.items():
            steps = {step: value}
            study.add_trial(
                create_trial(state=TrialState.PRUNED, value=value, intermediate_values=steps, user_attrs=cut)
            )
        return {one.key: one for one in summarize(study).verdicts}

    falling = verdicts([0.9, 0.6, 0.4, 0.2], {1: 0.8, 2: 0.9})
    assert "0.4000 at evaluation 3, 0.2000 at the last" in falling["still_falling"].text
    assert falling["pruning_cost"].figures == {"pruned": 2, "ahead": 1}
    flat = verdicts([0.9, 0.4, 0.201, 0.2], {2: 0.9})
    assert "still_falling" not in flat and "probably cost nothing" in flat["pruning_cost"].text
    assert "pruning_cost" not in verdicts([0.3], {})


def test_settings_without_effect_are_named_only_after_enough_trials(tmp_path: Path) -> None:
    shares = {"learning_rate": 0.985, "lora_r": 0.015}
    many = planted(None, [reading(3)] * FEWEST_FOR_EFFECT, values=[0.1 + n / 100 for n in range(FEWEST_FOR_EFFECT)])
    [idle] = no_effect(many, shares)
    assert idle.figures == {"parameters": ["lora_r"]} and "fix them" in idle.text
    assert no_effect(many, "too few") == () == no_effect(planted(None, [reading(3)]), shares)


def test_a_confirmation_comes_first_with_its_claim() -> None:
    study = foreign_study()
    study.set_user_attr(attrs.PREPARED, {"base": {"holdout_value": 0.9}})
    held = {"value": 0.5, "low": 0.4, "high": 0.6}
    values = {"winner": {"trial": 3, "params": {}}, "set": [{"trial": 3}, {"trial": 5}], "seeds": [1, 2, 3]}
    study.set_user_attr(attrs.CONFIRMED, values | {"heldout": held})
    first = summarize(study).verdicts[0]
    assert first.key == "confirmed" and first.kind == "good"
    assert "trial 3, one of 2 that cannot be told apart" in first.text and "0.5000 (95 %: 0.4 to 0.6)" in first.text
    study.set_user_attr(attrs.CONFIRMED, values | {"heldout": None, "heldout_why": "no rows are held out"})
    none = summarize(study).verdicts[0]
    assert none.kind == "note" and none.text.endswith("Nothing is claimed of other rows: no rows are held out.")
    study.set_user_attr(attrs.CONFIRMED, {"winner": 3, "heldout": "x"})  # written by others
    assert "confirmed" not in by_key(summarize(study))


def test_page_json_and_comparison_have_verdicts_and_intervals(tmp_path: Path) -> None:
    folder = tmp_path / "studies" / "planted"
    study = planted_study(folder, [reading(8), reading(2)])
    report = analyze_study(study, study_dir=folder, output_dir=tmp_path / "report", png=False).report
    html = report.read_text(encoding="utf-8")
    assert html.index('class="is-good"') < html.index('id="scores"') < html.index('class="score best proven"')
    assert "held out, 95 % over seeds and documents: " in html
    record = json.loads((tmp_path / "report" / "report.json").read_text(encoding="utf-8"))
    assert record["verdicts"][0]["key"] == "against_base" and record["verdicts"][0]["kind"] == "good"
    best = record["evidence"]["heldout"]["best"]
    assert best["low"] < best["value"] < best["high"] and best["trial"] == 1 and best["documents"] == ROWS
    assert set(record["evidence"]["heldout"]) == {"base", "default", "best"}
    assert set(record["evidence"]["validation"]) >= {"base", "default", "best", "0", "1"}


def test_a_comparison_says_if_held_out_rows_tell_the_studies_apart(tmp_path: Path) -> None:
    other = planted_study(tmp_path / "other", [reading(8)])
    for readers, expected in (([reading(8), reading(2)], "better than"), ([reading(8), reading(8)], "cannot be told")):
        study = planted_study(tmp_path / "planted", readers)
        folders = {"planted": tmp_path / "planted"}
        sentences = verdict(
            [summarize(study, study_dir=folders["planted"]), summarize(other, study_dir=tmp_path / "other")]
        )
        assert any("held-out rows" in sentence and expected in sentence for sentence in sentences), sentences
    result = compare_studies([study], output_dir=tmp_path / "compared", png=False, folders=folders)
    assert "planted: On held-out rows, which chose nothing, the best trial is better than the untuned base" in " ".join(
        result.lines(400)
    )
