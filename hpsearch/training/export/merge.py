"""The merge job: an adapter is added into its base in 16 bits, and the saved model is loaded again and compared.

Merged models that were the base, or no longer the tuned one, are known of every library (unsloth#1352, #3045, #2374):
the LoRA part may be lost, added twice, or too small for the number format. So it is checked, not trusted.
"""

from __future__ import annotations

import gc
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from PIL import Image, ImageDraw
from safetensors import SafetensorError

from hpsearch import sdk
from hpsearch.data.progress import ProgressReporter
from hpsearch.errors import UsageError
from hpsearch.execution.adapter_card import AdapterCard
from hpsearch.execution.files import require_space
from hpsearch.execution.job import Job
from hpsearch.execution.model_export import (
    MODEL_CARD,
    SUMMARY,
    WORK,
    MergedModel,
    MergeRequest,
    Reading,
    adapter_digest,
    made_by_merge,
    public_settings,
    refuse_adapter,
    refuse_strange,
)
from hpsearch.execution.output_folder import filling, finish, place, refuse_file, working
from hpsearch.training.evaluate.scores import autocast
from hpsearch.training.export.model_card import write_model_card
from hpsearch.training.machine.device import free_memory
from hpsearch.training.models.chat import Chat
from hpsearch.training.models.serving import forget_prediction, keep_video, write_image_areas
from hpsearch.training.predict import Reader, base_of, load_reader, picture_of

# Distance from the adapter as a share of the way to the base, in logits: rounding to 16 bits is some hundredths of it,
# and more of a faint adapter; in 32 bits there is none, and any difference is an error.
MOST_APART = {"bf16": 0.5, "fp16": 0.5, "fp32": 0.01}
TOKENS = 64  # of a reading that is compared
DRAWN = ("hpsearch", "0123456789", "The quick brown fox")  # texts that are drawn where no picture is given
VOCABULARY = "tokenizer.model"

Outputs = list[tuple[torch.Tensor, str]]  # of each picture the logits at the end of the question, and the text


def merge(job: Job) -> None:
    """Merge the job's adapter; its summary is in merge.json, here and in the job's folder.

    Raises:
        UsageError: there is no such adapter, no space, or the merged model is not the tuned one; nothing is left then.
    """
    progress = ProgressReporter("load the base and the adapter")
    request = MergeRequest.from_settings(job.settings)
    target = Path(request.output_dir)
    refuse_adapter(Path(request.lora_dir))
    refuse_file(target)
    with filling(target):
        merged = _interrupted_before(request, target)
        if merged is None:
            refuse_strange(target, request.force)
            with working(target / WORK) as work:
                merged = _merge(request, work, progress)
                place(work, target, SUMMARY, made_by_merge(target))
    (Path(job.output_dir) / SUMMARY).write_text(merged.to_json(), encoding="utf-8")
    sdk.finish(apart=merged.apart)


def _interrupted_before(request: MergeRequest, target: Path) -> MergedModel | None:
    """Finish this merge where it was complete and was interrupted while it was put in its place."""
    if not finish(target, SUMMARY):
        return None
    merged = MergedModel.from_json((target / SUMMARY).read_text(encoding="utf-8"))
    same = (merged.adapter, merged.precision) == (adapter_digest(Path(request.lora_dir)), request.precision)
    return merged if same and not request.force else None


def _merge(request: MergeRequest, work: Path, progress: ProgressReporter) -> MergedModel:
    """Merge, save to ``work``, load again and compare."""
    reader = _load_tuned(request)
    pictures = _pictures(request.pictures)
    model = reader.loaded.model
    needed = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    require_space(work, needed, "a merged model", "free some space, or name another --output-dir")
    progress.phase("read with both")
    base_name = str(model.peft_config["default"].base_model_name_or_path)
    tuned = _outputs(reader, pictures)
    with model.disable_adapter():
        base = _outputs(reader, pictures)
    if all(torch.equal(own[0], other[0]) for own, other in zip(tuned, base, strict=True)):
        raise UsageError(
            f"an adapter changes what its base answers, but that of {request.lora_dir} changes nothing",
            "train it, or name another --lora-dir",
        )
    progress.phase("merge and save")
    _save(reader, work, request)
    del reader, model
    gc.collect()
    free_memory()
    progress.phase("read with the merged model")
    merged_reader = load_reader(work, load_in_4bit=False, precision=request.precision)
    outputs = _outputs(replace(merged_reader, max_new_tokens=TOKENS), pictures)
    logits, tuned_logits, base_logits = (torch.stack([pair[0] for pair in pairs]) for pairs in (outputs, tuned, base))
    apart = float((logits - tuned_logits).norm() / (base_logits - tuned_logits).norm())
    _refuse_apart(apart, request.precision)
    texts = [[text for _, text in pairs] for pairs in (base, tuned, outputs)]
    merged = MergedModel(
        base=base_name,
        family=merged_reader.loaded.model.config.model_type,
        precision=request.precision,
        apart=apart,
        bytes=sum(path.stat().st_size for path in work.rglob("*") if path.is_file()),
        tokens=int(AdapterCard.find(work).settings.get("max_seq_length") or 0),
        readings=tuple(Reading(*row) for row in zip((name for name, _ in pictures), *texts, strict=True)),
        files=tuple(sorted({MODEL_CARD, *(path.name for path in work.iterdir())})),
        adapter=adapter_digest(Path(request.lora_dir)),
        origin=request.origin,
    )
    write_model_card(work, merged, Path(request.output_dir).name)
    (work / SUMMARY).write_text(merged.to_json(), encoding="utf-8")
    mode = (work / SUMMARY).stat().st_mode
    for path in work.iterdir():  # weights are written for their owner alone: who may read the summary may read all
        path.chmod(mode)
    return merged


def _refuse_apart(apart: float, precision: str) -> None:
    most = MOST_APART[precision]
    if not apart <= most:
        raise UsageError(
            f"a merged model answers as the adapter does, but this one is {apart:.2f} of the way from it to the "
            f"base (at most {most} is allowed in {precision})",
            ("an adapter this faint may need --precision fp32; else " if precision != "fp32" else "")
            + "serve the adapter itself beside its base",
        )


def _load_tuned(request: MergeRequest) -> Reader:
    family = base_of(request.lora_dir).family
    if request.precision not in family.precisions:
        raise UsageError(
            f"a model of the family {family.name} is computed in {' or '.join(family.precisions)}, but --precision is "
            f"{request.precision}, in which it overflows",
            "leave --precision out",
        )
    try:
        reader = load_reader(request.lora_dir, load_in_4bit=False, precision=request.precision)
    except SafetensorError as error:
        what = f"weights must be whole, but those of {request.lora_dir} or its base are not: {error}"
        raise UsageError(what, "copy them again") from error
    model = reader.loaded.model
    if not isinstance(model, PeftModel):
        raise UsageError(f"merge needs an adapter, but {request.lora_dir} is a whole model", "fix --lora-dir")
    # A weight that is used in two places would be changed in both.
    ends = {name.rpartition(".")[2] for name in model.base_model.targeted_module_names} & {"lm_head", "embed_tokens"}
    if ends and model.config.get_text_config().tie_word_embeddings:
        raise UsageError(
            f"an adapter is merged into weights of its own, but this one adapts {' and '.join(sorted(ends))}, which is "
            "one weight with the other end of the model (tie_word_embeddings)",
            "serve the adapter beside its base, or train one without it",
        )
    return replace(reader, max_new_tokens=TOKENS)


def _pictures(paths: Sequence[str]) -> list[tuple[str, Any]]:
    """Open the pictures at ``paths``, or draw some texts. Returns them with their names."""
    if paths:
        return [(path, picture_of(path)) for path in paths]
    pictures = []
    for text in DRAWN:
        picture = Image.new("RGB", (320, 64), "white")
        ImageDraw.Draw(picture).text((12, 16), text, fill="black", font_size=28)
        pictures.append((f"drawn: {text}", picture))
    return pictures


@torch.no_grad()
def _outputs(reader: Reader, pictures: Sequence[tuple[str, Any]]) -> Outputs:
    loaded = reader.loaded
    question = Chat(loaded.processor, reader.prompt).question
    outputs = []
    for _, picture in pictures:
        inputs = loaded.processor(
            text=[question], images=[[picture]], return_tensors="pt", add_special_tokens=False
        ).to(loaded.device)
        with autocast(loaded):
            logits: torch.Tensor = loaded.model(**inputs).logits[0, -1].float().cpu()
        outputs.append((logits, reader.read([picture])[0]))
    return outputs


def _save(reader: Reader, folder: Path, request: MergeRequest) -> None:
    """Save the merged model in its number format, its processor with the chat template, and its card."""
    model = reader.loaded.model.merge_and_unload()
    base = Path(str(model.config._name_or_path))  # where it was loaded from
    forget_prediction(model.config)
    model.save_pretrained(folder)
    reader.loaded.processor.save_pretrained(folder)
    # The base's sentencepiece model, which transformers does not save and llama.cpp's converter reads.
    if (base / VOCABULARY).is_file() and not (folder / VOCABULARY).exists():
        shutil.copyfile(base / VOCABULARY, folder / VOCABULARY)
    keep_video(base, folder)
    write_image_areas(folder)
    card = AdapterCard.find(Path(request.lora_dir))
    if card.settings:
        # Without this machine's paths, as it may be published. It is no revision of the Hub's, and not in 4 bits,
        # whatever its base was.
        settings = public_settings(card.settings, request.origin.base, request.origin.data)
        settings |= {"model_revision": None, "load_in_4bit": False}
        replace(card, base=request.origin.base, settings=settings).write(folder)
    if not any((folder / name).is_file() for name in ("chat_template.jinja", "chat_template.json")):
        raise UsageError(
            f"a served model needs a chat template, but {request.lora_dir} and its base have none", "add one there"
        )
