"""The merge job: an adapter is added into its base in 16 bits, and what was saved is read again and compared.

Merged models that were the base, or no longer the tuned one, are known of every library (unsloth#1352, #3045, #2374):
the LoRA part may be lost, added twice, or too small for the number format. So it is looked at, not trusted.
"""

from __future__ import annotations

import gc
import json
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
from hpsearch.execution.files import require_space
from hpsearch.execution.job import ADAPTER_CARD, Job
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
from hpsearch.training.evaluate.scores import computing
from hpsearch.training.export.model_card import write_model_card
from hpsearch.training.machine.device import free_memory
from hpsearch.training.models.chat import Chat
from hpsearch.training.models.serving import forget_prediction, keep_video, name_areas
from hpsearch.training.predict import Reader, base_of, load_reader, picture_of

# Of the way from the adapter to the base, in logits: rounding to 16 bits is some hundredths of it, and more of a faint
# adapter; in 32 bits there is none, and what is off is wrong.
MOST_APART = {"bf16": 0.5, "fp16": 0.5, "fp32": 0.01}
TOKENS = 64  # of a reading that is compared
DRAWN = ("hpsearch", "0123456789", "The quick brown fox")  # texts that are drawn where no picture is given
VOCABULARY = "tokenizer.model"


def merge(job: Job) -> None:
    """Merge the job's adapter; its summary is in merge.json, here and in the job's folder.

    Raises:
        UsageError: there is no such adapter, no room, or the merged model is not the tuned one; nothing is left then.
    """
    progress = ProgressReporter("load the base and the adapter")
    wanted = MergeRequest.from_settings(job.settings)
    target = Path(wanted.output_dir)
    refuse_adapter(Path(wanted.lora_dir))
    refuse_file(target)
    with filling(target):
        found = _interrupted_before(wanted, target)
        if found is None:
            refuse_strange(target, wanted.force)
            with working(target / WORK) as work:
                found = _merge(wanted, work, progress)
                place(work, target, SUMMARY, made_by_merge(target))
    (Path(job.output_dir) / SUMMARY).write_text(found.to_json(), encoding="utf-8")
    sdk.finish(apart=found.apart)


def _interrupted_before(wanted: MergeRequest, target: Path) -> MergedModel | None:
    """This merge, where it was whole and broken off while it was put in its place."""
    if not finish(target, SUMMARY):
        return None
    found = MergedModel.from_json((target / SUMMARY).read_text(encoding="utf-8"))
    same = (found.adapter, found.precision) == (adapter_digest(Path(wanted.lora_dir)), wanted.precision)
    return found if same and not wanted.force else None


def _merge(wanted: MergeRequest, work: Path, progress: ProgressReporter) -> MergedModel:
    """Merge, save, read again and compare; what is saved is in ``work``."""
    reader = _tuned_reader(wanted)
    pictures = _pictures(wanted.pictures)
    needed = sum(each.numel() * each.element_size() for each in reader.loaded.model.parameters())
    require_space(work, needed, "a merged model", "free some space, or name another --output-dir")
    progress.phase("read with both")
    base_name = str(reader.loaded.model.peft_config["default"].base_model_name_or_path)
    tuned = _seen(reader, pictures)
    with reader.loaded.model.disable_adapter():
        base = _seen(reader, pictures)
    _refuse_idle(tuned, base, wanted)
    progress.phase("merge and save")
    _save(reader, work, wanted)
    del reader
    gc.collect()
    free_memory()
    progress.phase("read with the merged model")
    merged_reader = load_reader(work, load_in_4bit=False, precision=wanted.precision)
    merged = _seen(replace(merged_reader, max_new_tokens=TOKENS), pictures)
    apart = _apart(tuned, base, merged)
    most = MOST_APART[wanted.precision]
    if not apart <= most:
        raise UsageError(
            f"a merged model answers as the adapter does, but this one is {apart:.2f} of the way from it to the "
            f"base (at most {most} is allowed in {wanted.precision})",
            ("an adapter this faint may need --precision fp32; else " if wanted.precision != "fp32" else "")
            + "serve the adapter itself beside its base",
        )
    family = merged_reader.loaded.model.config.model_type
    found = _summary(wanted, base_name, family, apart, work, pictures, (base, tuned, merged))
    write_model_card(work, found, Path(wanted.output_dir).name)
    (work / SUMMARY).write_text(found.to_json(), encoding="utf-8")
    _let_read(work)
    return found


def _tuned_reader(wanted: MergeRequest) -> Reader:
    family = base_of(wanted.lora_dir).family
    if wanted.precision not in family.precisions:
        raise UsageError(
            f"a model of the family {family.name} is computed in {' or '.join(family.precisions)}, but --precision is "
            f"{wanted.precision}, in which it overflows",
            "leave --precision out",
        )
    try:
        reader = load_reader(wanted.lora_dir, load_in_4bit=False, precision=wanted.precision)
    except SafetensorError as error:
        what = f"weights must be whole, but those of {wanted.lora_dir} or its base are not: {error}"
        raise UsageError(what, "copy them again") from error
    if not isinstance(reader.loaded.model, PeftModel):
        raise UsageError(f"merge needs an adapter, but {wanted.lora_dir} is a whole model", "mend --lora-dir")
    _refuse_tied(reader.loaded.model)
    return replace(reader, max_new_tokens=TOKENS)


Seen = list[tuple[torch.Tensor, str]]  # of each picture the logits at the end of the question, and the text


def _refuse_tied(model: Any) -> None:
    """Refuse an adapter of a weight that stands in two places, and would be changed in both."""
    ends = {name.rpartition(".")[2] for name in model.base_model.targeted_module_names} & {"lm_head", "embed_tokens"}
    if ends and model.config.get_text_config().tie_word_embeddings:
        raise UsageError(
            f"an adapter is merged into weights of its own, but this one adapts {' and '.join(sorted(ends))}, which is "
            "one weight with the other end of the model (tie_word_embeddings)",
            "serve the adapter beside its base, or train one without it",
        )


def _pictures(named: Sequence[str]) -> list[tuple[str, Any]]:
    if named:
        return [(name, picture_of(name)) for name in named]
    return [(f"drawn: {text}", _drawn(text)) for text in DRAWN]


def _drawn(text: str) -> Any:
    picture = Image.new("RGB", (320, 64), "white")
    ImageDraw.Draw(picture).text((12, 16), text, fill="black", font_size=28)
    return picture


def _seen(reader: Reader, pictures: Sequence[tuple[str, Any]]) -> Seen:
    """What a model makes of the pictures."""
    return [(_logits(reader, picture), reader.read([picture])[0]) for _, picture in pictures]


@torch.no_grad()
def _logits(reader: Reader, picture: Any) -> torch.Tensor:
    """The logits of the first token of the answer."""
    loaded = reader.loaded
    question = Chat(loaded.processor, reader.prompt).question
    inputs = loaded.processor(text=[question], images=[[picture]], return_tensors="pt", add_special_tokens=False).to(
        loaded.device
    )
    with computing(loaded):
        logits: torch.Tensor = loaded.model(**inputs).logits[0, -1].float().cpu()
    return logits


def _refuse_idle(tuned: Seen, base: Seen, wanted: MergeRequest) -> None:
    if all(torch.equal(one[0], other[0]) for one, other in zip(tuned, base, strict=True)):
        raise UsageError(
            f"an adapter changes what its base answers, but that of {wanted.lora_dir} changes nothing",
            "train it, or name another --lora-dir",
        )


def _apart(tuned: Seen, base: Seen, merged: Seen) -> float:
    """How far the merged model is from the tuned one, of how far the base is."""
    whole = [torch.stack([logits for logits, _ in each]) for each in (tuned, base, merged)]
    return float((whole[2] - whole[0]).norm() / (whole[1] - whole[0]).norm())


def _save(reader: Reader, folder: Path, wanted: MergeRequest) -> None:
    """The merged model in its number format, its processor with the chat template, and how pictures are sized."""
    model = reader.loaded.model.merge_and_unload()
    base = Path(str(model.config._name_or_path))  # where it was loaded from
    forget_prediction(model.config)
    model.save_pretrained(folder)
    reader.loaded.processor.save_pretrained(folder)
    _keep_vocabulary(base, folder)
    keep_video(base, folder)
    name_areas(folder)
    _save_card(wanted, folder)
    if not any((folder / name).is_file() for name in ("chat_template.jinja", "chat_template.json")):
        raise UsageError(
            f"a served model needs a chat template, but {wanted.lora_dir} and its base have none", "add one there"
        )


def _keep_vocabulary(base: Path, folder: Path) -> None:
    """Copy the base's sentencepiece model, which transformers does not save and llama.cpp's converter reads."""
    if (base / VOCABULARY).is_file() and not (folder / VOCABULARY).exists():
        shutil.copyfile(base / VOCABULARY, folder / VOCABULARY)


def _save_card(wanted: MergeRequest, folder: Path) -> None:
    """What whoever reads with the model must know, without this machine's paths: a merged model may be published. It
    is no revision of the Hub's, and not in 4 bits, whatever its base was."""
    try:
        card = json.loads((Path(wanted.lora_dir) / ADAPTER_CARD).read_text(encoding="utf-8"))
        settings = public_settings(card["settings"], wanted.origin.base, wanted.origin.data)
    except (OSError, ValueError, KeyError, TypeError):
        return
    settings |= {"model_revision": None, "load_in_4bit": False}
    card |= {"base": wanted.origin.base, "settings": settings}
    (folder / ADAPTER_CARD).write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _summary(
    wanted: MergeRequest,
    base: str,
    family: str,
    apart: float,
    work: Path,
    pictures: Sequence[Any],
    seen: Sequence[Seen],
) -> MergedModel:
    names = [name for name, _ in pictures]
    texts = [[text for _, text in each] for each in seen]
    readings = tuple(Reading(*each) for each in zip(names, *texts, strict=True))
    size = sum(path.stat().st_size for path in work.rglob("*") if path.is_file())
    files = tuple(sorted({MODEL_CARD, *(path.name for path in work.iterdir())}))
    digest = adapter_digest(Path(wanted.lora_dir))
    tokens = _tokens(work)
    return MergedModel(base, family, wanted.precision, apart, size, tokens, readings, files, digest, wanted.origin)


def _tokens(folder: Path) -> int:
    """The limit for image, question and answer that the adapter was trained with; 0 where it is not known."""
    try:
        settings = json.loads((folder / ADAPTER_CARD).read_text(encoding="utf-8"))["settings"]
        return int(settings.get("max_seq_length") or 0)
    except (OSError, ValueError, KeyError):
        return 0


def _let_read(work: Path) -> None:
    """Let who may read the summary read all of it: weights are written for their owner alone."""
    mode = (work / SUMMARY).stat().st_mode
    for path in work.iterdir():
        path.chmod(mode)
