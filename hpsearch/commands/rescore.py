"""Scoring predictions anew, under another normalisation, with a page to look at: `hpsearch score`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from hpsearch.commands.answers import figures_of
from hpsearch.commands.scores import Overall, PredictionScore, by_length, by_script, confusions, overall, score
from hpsearch.data.images import open_image, thumbnail
from hpsearch.data.metrics import NORMALIZATIONS
from hpsearch.errors import UsageError
from hpsearch.execution.files import write_json, write_text
from hpsearch.report.html import render_page
from hpsearch.report.samples import TextRun, align

# Predictions that an evaluation has written: hpsearch's own, or another program's with the same keys.


@dataclass(frozen=True)
class RecordedSample:
    """A sample: what it reads, what was predicted, and the ``figures`` that were written for it."""

    picture: str
    label: str
    prediction: str
    document: str
    figures: Mapping[str, Any]


@dataclass(frozen=True)
class Evaluation:
    """A file: its samples that have a prediction, how many have none (``unanswered``), and its overall figures."""

    samples: Sequence[RecordedSample]
    unanswered: int
    figures: Mapping[str, Any]
    model: str


def read_evaluation(path: Path) -> Evaluation:
    """Read a file of predictions.

    Raises:
        UsageError: it is not there, or no evaluation, or has no prediction.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "name the output of an evaluation") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is no JSON: {error}", "name the output of an evaluation") from error
    rows = found.get("samples") if isinstance(found, dict) else None
    if not isinstance(rows, list):
        raise UsageError(
            f'an evaluation has "samples", a list, but {path} has none', "name the output of `hpsearch evaluate`"
        )
    samples = [_sample(row, f"{path}#/samples/{number}") for number, row in enumerate(rows)]
    answered = [each for each in samples if each is not None]
    if not answered:
        raise UsageError(f"scores need predictions, but no sample of {path} has one", "evaluate again")
    figures = {key: value for key, value in found.items() if key.startswith("overall_")}
    return Evaluation(answered, len(samples) - len(answered), figures, str(found.get("model_name", "")))


def _sample(row: Any, where: str) -> RecordedSample | None:
    if not isinstance(row, dict) or not all(isinstance(row.get(key), str) for key in ("label", "prediction")):
        raise UsageError(f'a sample has the texts "label" and "prediction", but {where} has not', "mend it there")
    if row.get("error"):
        return None
    picture = str(row.get("image_path", where))
    label, prediction = (row[key].encode("utf-8", "replace").decode("utf-8") for key in ("label", "prediction"))
    figures = {key: value for key, value in row.items() if key.endswith("_score")}
    return RecordedSample(picture, label, prediction, str(row.get("document") or picture), figures)


WORST, CONFUSIONS, EMPTY = 24, 30, 50  # shown on the page; the output file has all samples
PICTURE_EDGE = 640  # pixels of a picture on the page
SHOWN_CHARACTERS = 1000


@dataclass(frozen=True)
class RescoreResult:
    """What came of it: the report that was written, and every normalisation's figures."""

    report: dict[str, Any]
    all: Mapping[str, Overall]


def score_file(source: Path, target: Path, page: Path, normalization: str) -> RescoreResult:
    """Score the predictions of ``source`` under a normalisation and beside it under each other one; write ``target``
    and ``page``.

    Raises:
        UsageError: ``source`` is no evaluation.
    """
    evaluation = read_evaluation(source)
    documents = [each.document for each in evaluation.samples]
    scores = {name: _scores(evaluation, name) for name in NORMALIZATIONS}
    whole = {name: overall(some, documents) for name, some in scores.items()}
    report = _report(evaluation, scores[normalization], whole, normalization)
    for file in (target, page):
        file.parent.mkdir(parents=True, exist_ok=True)
    write_json(target, report)
    write_text(page, _page(evaluation, scores[normalization], whole, normalization, source))
    return RescoreResult(report, whole)


def _scores(evaluation: Evaluation, normalization: str) -> list[PredictionScore]:
    return [score(each.label, each.prediction, normalization) for each in evaluation.samples]


def _report(
    evaluation: Evaluation, scores: Sequence[PredictionScore], whole: Mapping[str, Overall], normalization: str
) -> dict[str, Any]:
    """The evaluation's keys with the new figures, and what was there before beside them."""
    return {
        **figures_of(whole[normalization]),
        "total_samples": len(scores),
        "failed_samples": evaluation.unanswered,
        "timestamp": datetime.now().astimezone().isoformat(timespec="seconds"),
        "model_name": evaluation.model,
        "normalization": normalization,
        "recorded": dict(evaluation.figures),
        "by_normalization": {name: figures_of(each) for name, each in whole.items()},
        "samples": [
            {
                "image_path": one.picture,
                "label": one.label,
                "prediction": one.prediction,
                "cer_score": round(each.characters.rate, 6),
                "f1_score": round(each.overlap.f1, 6),
                "wer_score": round(each.words.rate, 6),
                "recorded": dict(one.figures),
            }
            for one, each in zip(evaluation.samples, scores, strict=True)
        ],
    }


@dataclass(frozen=True)
class ShownSample:
    """A sample on the page, its texts in pieces that are alike or differ."""

    name: str
    picture: str
    rate: float
    label: tuple[TextRun, ...]
    prediction: tuple[TextRun, ...]


def _page(
    evaluation: Evaluation,
    scores: Sequence[PredictionScore],
    whole: Mapping[str, Overall],
    normalization: str,
    source: Path,
) -> str:
    pairs = [(each.label, each.prediction) for each in evaluation.samples]
    ranked = sorted(zip(evaluation.samples, scores, strict=True), key=lambda pair: -pair[1].characters.errors)
    empty = [each.picture for each in evaluation.samples if not each.prediction.strip() and each.label.strip()]
    found = confusions([pair for pair in pairs if pair[1].strip()], normalization)
    return render_page(
        "score.html.j2",
        (),
        {
            "name": source.name,
            "model": evaluation.model,
            "normalization": normalization,
            "recorded": evaluation.figures,
            "whole": whole,
            "total": len(scores),
            "unanswered": evaluation.unanswered,
            "empty": empty[:EMPTY],
            "empties": len(empty),
            "confusions": found[:CONFUSIONS],
            "kinds_of_confusions": len(found),
            "scripts": by_script(pairs, normalization),
            "lengths": by_length(scores),
            "worst": [_shown(one, each, source.parent) for one, each in ranked[:WORST] if each.characters.errors],
        },
    )


def _shown(sample: RecordedSample, scored: PredictionScore, beside: Path) -> ShownSample:
    label, prediction, _ = align(_cut(sample.label), _cut(sample.prediction))
    return ShownSample(sample.picture, _picture(beside / sample.picture), scored.characters.rate, label, prediction)


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"


def _picture(path: Path) -> str:
    """A small picture as a data URL; "" where there is none to be had."""
    from PIL import Image

    try:
        return thumbnail(open_image(path.read_bytes()), PICTURE_EDGE)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return ""
