"""`hpsearch score`: the predictions of an evaluation under another normalisation, with a page to look at."""

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

WORST, CONFUSIONS, EMPTY = 24, 30, 50  # shown on the page; the output file has all samples
PICTURE_EDGE = 640  # pixels of a picture on the page
SHOWN_CHARACTERS = 1000


@dataclass(frozen=True)
class RecordedSample:
    """A sample: its label and prediction, and the ``figures`` that were written for it."""

    picture: str
    label: str
    prediction: str
    document: str
    figures: Mapping[str, Any]


@dataclass(frozen=True)
class Evaluation:
    """A file of predictions, of hpsearch or of another program with the same keys: its samples that have a prediction,
    the number of those without (``unanswered``), and its overall figures."""

    samples: Sequence[RecordedSample]
    unanswered: int
    figures: Mapping[str, Any]
    model: str


@dataclass(frozen=True)
class RescoreResult:
    """The report that was written, and every normalisation's figures."""

    report: dict[str, Any]
    all: Mapping[str, Overall]


@dataclass(frozen=True)
class ShownSample:
    """A sample on the page, its texts in pieces that are alike or differ."""

    name: str
    picture: str
    rate: float
    label: tuple[TextRun, ...]
    prediction: tuple[TextRun, ...]


def score_file(source: Path, target: Path, page: Path, normalization: str) -> RescoreResult:
    """Score the predictions of ``source`` under a normalisation and beside it under each other one; write ``target``
    and ``page``.

    Raises:
        UsageError: ``source`` is no evaluation.
    """
    evaluation = read_evaluation(source)
    documents = [sample.document for sample in evaluation.samples]
    scores = {
        name: [score(sample.label, sample.prediction, name) for sample in evaluation.samples] for name in NORMALIZATIONS
    }
    whole = {name: overall(rows, documents) for name, rows in scores.items()}
    report = _report(evaluation, scores[normalization], whole, normalization)
    for file in (target, page):
        file.parent.mkdir(parents=True, exist_ok=True)
    write_json(target, report)
    write_text(page, _page(evaluation, scores[normalization], whole, normalization, source))
    return RescoreResult(report, whole)


def read_evaluation(path: Path) -> Evaluation:
    """Read a file of predictions.

    Raises:
        UsageError: it is not there, or no evaluation, or has no prediction.
    """
    try:
        report = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "name the output of an evaluation") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is no JSON: {error}", "name the output of an evaluation") from error
    rows = report.get("samples") if isinstance(report, dict) else None
    if not isinstance(rows, list):
        raise UsageError(
            f'an evaluation has "samples", a list, but {path} has none', "name the output of `hpsearch evaluate`"
        )
    samples = [_sample(row, f"{path}#/samples/{number}") for number, row in enumerate(rows)]
    answered = [sample for sample in samples if sample is not None]
    if not answered:
        raise UsageError(f"scores need predictions, but no sample of {path} has one", "evaluate again")
    figures = {key: value for key, value in report.items() if key.startswith("overall_")}
    return Evaluation(answered, len(samples) - len(answered), figures, str(report.get("model_name", "")))


def _sample(row: Any, place: str) -> RecordedSample | None:
    if not isinstance(row, dict) or not all(isinstance(row.get(key), str) for key in ("label", "prediction")):
        raise UsageError(f'a sample has the texts "label" and "prediction", but {place} has not', "correct it there")
    if row.get("error"):
        return None
    picture = str(row.get("image_path", place))
    label, prediction = (row[key].encode("utf-8", "replace").decode("utf-8") for key in ("label", "prediction"))
    figures = {key: value for key, value in row.items() if key.endswith("_score")}
    return RecordedSample(picture, label, prediction, str(row.get("document") or picture), figures)


def _report(
    evaluation: Evaluation, scores: Sequence[PredictionScore], whole: Mapping[str, Overall], normalization: str
) -> dict[str, Any]:
    """Return the evaluation's keys with the new figures, and the recorded ones beside them."""
    return {
        **figures_of(whole[normalization]),
        "total_samples": len(scores),
        "failed_samples": evaluation.unanswered,
        "timestamp": datetime.now().astimezone().isoformat(timespec="seconds"),
        "model_name": evaluation.model,
        "normalization": normalization,
        "recorded": dict(evaluation.figures),
        "by_normalization": {name: figures_of(figures) for name, figures in whole.items()},
        "samples": [
            {
                "image_path": sample.picture,
                "label": sample.label,
                "prediction": sample.prediction,
                "cer_score": round(scored.characters.rate, 6),
                "f1_score": round(scored.overlap.f1, 6),
                "wer_score": round(scored.words.rate, 6),
                "recorded": dict(sample.figures),
            }
            for sample, scored in zip(evaluation.samples, scores, strict=True)
        ],
    }


def _page(
    evaluation: Evaluation,
    scores: Sequence[PredictionScore],
    whole: Mapping[str, Overall],
    normalization: str,
    source: Path,
) -> str:
    samples = evaluation.samples
    pairs = [(sample.label, sample.prediction) for sample in samples]
    ranked = sorted(zip(samples, scores, strict=True), key=lambda pair: -pair[1].characters.errors)
    empty = [sample.picture for sample in samples if not sample.prediction.strip() and sample.label.strip()]
    counts = confusions([pair for pair in pairs if pair[1].strip()], normalization)
    worst = [(sample, scored) for sample, scored in ranked[:WORST] if scored.characters.errors]
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
            "confusions": counts[:CONFUSIONS],
            "kinds_of_confusions": len(counts),
            "scripts": by_script(pairs, normalization),
            "lengths": by_length(scores),
            "worst": [_shown(sample, scored, source.parent) for sample, scored in worst],
        },
    )


def _shown(sample: RecordedSample, scored: PredictionScore, folder: Path) -> ShownSample:
    from PIL import Image

    texts = (sample.label, sample.prediction)
    short = (text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…" for text in texts)
    label, prediction, _ = align(*short)
    try:
        picture = thumbnail(open_image((folder / sample.picture).read_bytes()), PICTURE_EDGE)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        picture = ""
    return ShownSample(sample.picture, picture, scored.characters.rate, label, prediction)
