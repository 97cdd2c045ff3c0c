"""The card of a merged model: README.md, with metadata for the Hub at its head, and the study's facts as its text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hpsearch.execution.model_export import MODEL_CARD, AdapterOrigin, MergedModel
from hpsearch.execution.outcome import Cause
from hpsearch.execution.temporary import temporary_folder
from hpsearch.settings import TrainSettings

TASK = "image-text-to-text"
TAGS = ("hpsearch", "ocr", "lora")
PRIVATE_DATA = "private"  # the head's name for data that is not on the Hub
SPLITS = {"eval": "validation", "holdout": "holdout"}  # by the beginning of their metrics' names
ROWS = ("train", "validation", "holdout")
FIGURES = {"cer": "CER", "wer": "WER"}
SIZING = ("longest_edge", "max_pixels", "pan_and_scan")


def write_model_card(folder: Path, merged: MergedModel, name: str) -> None:
    """Write README.md for the merged model in ``folder``, under its ``name``."""
    from huggingface_hub import ModelCard

    text = "\n\n".join(block.strip() for block in _blocks(merged, name) if block.strip())
    ModelCard(f"---\n{_head(merged.origin, name).to_yaml()}\n---\n\n{text}\n").save(folder / MODEL_CARD)


def renew_model_card(folder: Path, before: MergedModel, merged: MergedModel, name: str) -> None:
    """Write it again after more was made of the model, unless somebody has changed it since ``before``.

    An untouched card is known by its bytes: if its sentences change, cards of earlier releases stay as they are.
    """
    with temporary_folder() as other:
        write_model_card(other, before, name)
        ours = (other / MODEL_CARD).read_bytes()
    if (folder / MODEL_CARD).read_bytes() == ours:
        write_model_card(folder, merged, name)
    else:
        print(f"{folder / MODEL_CARD} has been changed, and is left as it is")


def _head(origin: AdapterOrigin, name: str) -> Any:
    from huggingface_hub import ModelCardData

    measured = _measured(origin) or None
    return ModelCardData(
        model_name=name if measured else None,
        base_model=origin.base if origin.on_hub else None,
        base_model_relation="finetune" if origin.on_hub else None,  # of a whole model, which the merged one is
        library_name="transformers",
        pipeline_tag=TASK,
        tags=list(TAGS),
        datasets=[origin.data] if origin.data_on_hub else None,
        metrics=["cer"] if measured else None,
        eval_results=measured,
    )


def _measured(origin: AdapterOrigin) -> list[Any]:
    """Return the CER on the rows that nothing was chosen by; an empty list where it is not known."""
    from huggingface_hub import EvalResult

    cer = origin.metrics.get("holdout_cer")
    if cer is None:
        return []
    return [
        EvalResult(
            task_type=TASK,
            dataset_type=origin.data if origin.data_on_hub else PRIVATE_DATA,
            dataset_name=origin.data or PRIVATE_DATA,
            dataset_split=str(origin.settings.get("holdout_split") or "holdout"),
            metric_type="cer",
            metric_name="CER",
            metric_value=cer,
        )
    ]


def _blocks(merged: MergedModel, name: str) -> Iterator[str]:
    origin = merged.origin
    base = f"`{origin.base}`" if origin.base else "its base"
    yield f"# {name}"
    yield (
        f"{base}, tuned with LoRA to read text from pictures and merged into one model, by hpsearch. The adapter was "
        f"merged in {merged.precision}; what was saved was loaded again and compared with it."
    )
    yield _scores(origin)
    yield from _search(origin)
    yield _settings(origin)
    yield _data(origin)
    yield from _use(merged)
    versions = ", ".join(f"{package} {version}" for package, version in sorted(origin.versions.items()))
    yield f"## Versions\n\n{versions}" if versions else ""


def _scores(origin: AdapterOrigin) -> str:
    rows = []
    for prefix, split in SPLITS.items():
        for key, figure in FIGURES.items():
            tuned, before = (values.get(f"{prefix}_{key}") for values in (origin.metrics, origin.untuned))
            if tuned is not None:
                rows.append((f"{figure}, {split}", _shown(tuned), "" if before is None else _shown(before)))
    if not rows:
        return ""
    chosen = "The settings were chosen by the validation rows; the holdout rows were never searched on. "
    return (
        "## Scores\n\n"
        + _table(("", "this model's adapter", "untuned base"), rows)
        + f"\n\n{chosen if origin.tried else ''}CER and WER are all errors over all characters or words of the "
        "references. They are of the adapter before it was merged."
    )


def _search(origin: AdapterOrigin) -> Iterator[str]:
    if not origin.study:
        return
    endings = {cause: "completed" if cause == Cause.OK.value else cause.replace("_", " ") for cause in origin.trials}
    ended = ", ".join(f"{count} {endings[cause]}" for cause, count in origin.trials.items())
    which = f"; this is trial {origin.trial}" if origin.trial is not None else ""
    yield f"## Search\n\nStudy `{origin.study}`: {sum(origin.trials.values())} trials ({ended or 'none known'}){which}."
    if origin.tried:
        rows = [
            (f"`{name}`", _range(values), _shown(origin.settings.get(name))) for name, values in origin.tried.items()
        ]
        yield _table(("searched", "tried", "here"), rows)


def _range(values: Sequence[Any]) -> str:
    numbers = [value for value in values if isinstance(value, (int, float)) and not isinstance(value, bool)]
    if len(numbers) == len(values) > 4:
        return f"{_shown(values[0])} to {_shown(values[-1])}"
    return ", ".join(map(_shown, values))


def _settings(origin: AdapterOrigin) -> str:
    """Write a table of the settings that are not the defaults, and of those that were searched."""
    fields = TrainSettings.model_fields
    rows = [
        (f"`{name}`", _shown(value))
        for name, value in sorted(origin.settings.items())
        if name in fields and name not in ("model_name", "input_data", "instruction")
        if name in origin.tried or value != fields[name].default
    ]
    return f"## Settings of the fine-tune\n\nWhat is not the default.\n\n{_table(('', ''), rows)}" if rows else ""


def _data(origin: AdapterOrigin) -> str:
    if not origin.data and not origin.rows:
        return ""
    place = "on the Hub" if origin.data_on_hub else "not published with this model"
    rows = sorted(origin.rows.items(), key=lambda row: ROWS.index(row[0]) if row[0] in ROWS else len(ROWS))
    counts = ", ".join(f"{count:,} {split}" for split, count in rows)
    return f"## Data\n\n`{origin.data or 'unnamed'}` ({place}){f': {counts} rows' if counts else ''}."


def _use(merged: MergedModel) -> Iterator[str]:
    settings = merged.origin.settings
    yield "## Use"
    if settings.get("instruction"):
        yield "It was trained with this instruction beside each picture, and should be asked the same:\n\n" + _fenced(
            str(settings["instruction"])
        )
    sizing = ", ".join(f"{name} {_shown(settings[name])}" for name in SIZING if settings.get(name))
    how = f" ({sizing})" if sizing else ""
    yield f"Pictures are sized by the processor that is saved here{how}. Decoding was greedy."
    length = f" --max-model-len {merged.tokens}" if merged.tokens else ""
    lines = [
        f"vllm serve FOLDER{length} --limit-mm-per-prompt '{{\"image\": 1}}'",
        "transformers serve FOLDER --port 8000",
        "hpsearch ocr page.png --model FOLDER",
        *(
            f"llama-server -m FOLDER/{gguf.model.name} --mmproj FOLDER/{gguf.mmproj.name} {gguf.serving(merged.tokens)}"
            for gguf in merged.gguf
        ),
    ]
    yield "With FOLDER for this model's folder or Hub id:\n\n" + _fenced("\n".join(lines))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    escaped = ([cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows)
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *escaped))


def _fenced(text: str) -> str:
    """Write a block of code that no text inside can end."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"


def _shown(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "on", False: "off", None: "none"}[value]
    return f"{value:.4g}" if isinstance(value, float) else str(value)
