"""The sections of the check: functions that yield rows, in one list."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from gpu.jobs import Bench, Failed, OutOfTime, Timeline, memory_in_use, required, why
from gpu.remains import GIB, look_again, memory_back
from gpu.shapes import SHAPES
from gpu.table import Row
from gpu.work import ANSWER_TOKENS, FULL, LARGE_BATCH, NARROW, TINY, Load, Plan, Ready, build, make_ready, trial
from hpsearch.execution.executors.local import LocalExecutor
from hpsearch.execution.job import Event, Outcome
from hpsearch.execution.outcome import Cause
from hpsearch.settings import TrainSettings
from hpsearch.training.schedule import Pace, afford, steps_of

# The study for which the share of judging is reckoned.
TYPICAL, TYPICAL_EPOCHS = {"train": 1000, "validation": 100, "holdout": 40}, 3
DEFAULT_EVALUATIONS = 20
BATCH = 4  # the effective batch that is divided into passes


def tiny(bench: Bench, plan: Plan) -> Iterator[Row]:
    """Each backend with tiny models of each family: the whole recipe, with the evaluations of a real study."""
    shapes = ("qwen3_vl-tiny",) if plan.quick else ("qwen3_vl-tiny", "gemma3-tiny")
    for backend, reason in plan.backends.items():
        if reason:
            yield Row("tiny", backend, "skipped", reason)
            continue
        for shape in shapes:
            ready = make_ready(bench, shape, backend, TINY).with_settings(
                num_train_epochs=5, eval_samples=8, evaluations=4 if plan.quick else DEFAULT_EVALUATIONS
            )
            timeline = required(trial(bench, ready, "tiny"))
            found = timeline.outcome.metrics
            yield from _times("tiny", ready.name, timeline)
            share = found["eval_seconds"] / (found["eval_seconds"] + found["train_seconds"])
            yield Row("tiny", f"{ready.name}: share of the evaluations", f"{share:.0%}", "the final ones included")


def _times(section: str, name: str, timeline: Timeline) -> Iterator[Row]:
    found = timeline.outcome.metrics
    start = timeline.phases["load"] - timeline.launched
    yield Row(section, f"{name}: start", f"{start:.1f} s", "from the launch to the recipe")
    yield Row(section, f"{name}: load", f"{timeline.between('load', 'train'):.1f} s", "libraries, base, LoRA, trainer")
    yield Row(section, f"{name}: step", f"{1 / found['it_per_s']:.3g} s", "forward, backward, optimiser; warm-up too")
    yield Row(section, f"{name}: peak memory", f"{found['peak_memory_bytes'] / GIB:.2f} GiB", "torch's own count")


def weights(bench: Bench, plan: Plan) -> Iterator[Row]:
    """Whether every token of an effective batch weighs the same however it is divided, and whether the backends see
    the same base."""
    bases = {}
    for backend, reason in plan.backends.items():
        if reason:
            yield Row("weights", backend, "skipped", reason)
            continue
        ready = make_ready(bench, "qwen3_vl-tiny", backend, TINY)
        bases[backend] = json.loads((ready.prepared / "prepared.json").read_text())["base"]["eval_loss"]
        whole, parts = (_loss_in_passes(bench, ready, rows) for rows in (BATCH, 1))
        text = f"eval_loss {whole:.4f} in passes of {BATCH} rows, {parts:.4f} in passes of one; answers of 4 lengths"
        yield Row("weights", f"{backend}: passes make a difference of", f"{abs(parts / whole - 1):.2%}", text)
    if len(bases) > 1:
        first, second = bases.values()
        text = "eval_loss of the untuned base: " + ", ".join(f"{name} {loss:.4f}" for name, loss in bases.items())
        yield Row("weights", "backends make a difference of", f"{abs(second / first - 1):.2%}", text)


def _loss_in_passes(bench: Bench, ready: Ready, rows: int) -> float:
    """What a short training ends at, with so many rows in a pass."""
    divided = ready.with_settings(
        per_device_train_batch_size=rows,
        gradient_accumulation_steps=BATCH // rows,
        learning_rate=1e-2,
        max_steps=8,
        evaluations=1,
    )
    return float(required(trial(bench, divided, f"passes-{rows}")).outcome.metrics["eval_loss"])


def faults(bench: Bench, plan: Plan) -> Iterator[Row]:
    """Real texts of real failures, and the cause that each is taken for."""
    target = bench.folder / "faults.json"
    required(bench.run(bench.program("faults", "gpu.faults", str(target))))
    for each in json.loads(target.read_text()):
        verdict = each["cause"] or ("not classified" if each["type"] else "not reached")
        yield Row("out of memory", each["way"], verdict, f"{each['type']}: {each['said']}"[:160])


def between_trials(bench: Bench, plan: Plan) -> Iterator[Row]:
    """What a search does between the last step of one trial and the first of the next."""
    ready = make_ready(bench, "qwen3_vl-tiny", "hf", TINY).with_settings(num_train_epochs=1, evaluations=1)

    def stop(executor: LocalExecutor, event: Event, timeline: Timeline) -> None:
        if "train" in timeline.phases:
            executor.stop(timeline_id, 0.0)

    timeline_id = f"second-{ready.name}"
    executor = LocalExecutor()
    try:
        first = required(trial(bench, ready, "first", executor=executor))
        second = trial(bench, ready, "second", executor=executor, watch=stop)
    finally:
        executor.close()
    if "train" not in second.phases:
        raise Failed(why(second.outcome))
    judged, saved = first.between("final evaluation", "save"), first.ended - first.phases["save"]
    started = second.phases["load"] - second.launched
    text = f"final judging {judged:.1f} s, save and exit {saved:.1f} s, start {started:.1f} s, "
    text += f"load {second.between('load', 'train'):.1f} s"
    whole = second.phases["train"] - first.phases["final evaluation"]
    yield Row("between trials", "last step to the next first", f"{whole:.1f} s", text)


def shaped(shape: str, load: Load = FULL) -> Callable[[Bench, Plan], Iterator[Row]]:
    """A section for a model of a published shape."""

    def section(bench: Bench, plan: Plan) -> Iterator[Row]:
        if load is FULL and (plan.cpu or plan.quick):
            yield Row(shape, "all", "skipped", "needs CUDA" if plan.cpu else "--quick")
            return
        try:
            yield from _shaped(bench, plan, shape, load)
        finally:  # tens of gigabytes
            shutil.rmtree(bench.folder / "models" / shape, ignore_errors=True)

    return section


def _shaped(bench: Bench, plan: Plan, shape: str, load: Load) -> Iterator[Row]:
    folder, seconds = build(bench, shape)
    size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    yield Row(shape, "random weights written", f"{seconds:.0f} s", f"{size / 1e9:.1f} GB, {SHAPES[shape][0]}")
    share = bench.left_s / max(sum(not reason for reason in plan.backends.values()), 1)
    for backend, reason in plan.backends.items():
        if reason:
            yield Row(shape, backend, "skipped", reason)
            continue
        part = replace(bench, deadline=min(bench.deadline, time.monotonic() + share))
        try:
            yield from _trained(part, shape, backend, plan, load)
        except OutOfTime:
            yield Row(shape, backend, "cut", f"its {share:.0f} s were used up")
        except Failed as error:
            yield Row(shape, backend, "failed", str(error))


def _trained(bench: Bench, shape: str, backend: str, plan: Plan, load: Load) -> Iterator[Row]:
    ready = make_ready(bench, shape, backend, load, load_in_4bit=plan.four_bits)
    timeline = required(trial(bench, ready, "full"))
    name = f"{backend}, {'4 bits' if plan.four_bits else '16 bits' if not plan.cpu else '32 bits'}"
    yield from _times(shape, name, timeline)
    yield from _judging(shape, name, timeline.outcome.metrics, load)
    if load is FULL:
        yield from _too_large(bench, shape, name, ready)


def _judging(shape: str, name: str, found: Mapping[str, float], load: Load) -> Iterator[Row]:
    """What an evaluation costs, and its share of a typical study."""
    judged = (
        min(load.settings["eval_samples"], load.rows["validation"]) + load.rows["validation"] + load.rows["holdout"]
    )
    each = found["eval_seconds"] / judged * ANSWER_TOKENS / load.generated
    yield Row(
        shape,
        f"{name}: judging a row",
        f"{each:.2f} s",
        f"at most; reckoned for {ANSWER_TOKENS} tokens from {load.generated}",
    )
    settings = TrainSettings(gradient_accumulation_steps=1, num_train_epochs=TYPICAL_EPOCHS)
    sized = afford(
        settings,
        Pace(1 / found["it_per_s"], 0.0, each, settings.eval_batch_size),
        steps_of(settings, TYPICAL["train"]),
        TYPICAL,
    )
    remark = (
        f"at most, of {TYPICAL_EPOCHS} epochs of {TYPICAL['train']} rows: {sized.rows} rows at every {sized.stride}. "
        f"evaluation, {sized.final} of each set at the end"
    )
    yield Row(shape, f"{name}: share of judging, as sized", f"{sized.share:.0%}", remark)


def _too_large(bench: Bench, shape: str, name: str, ready: Ready) -> Iterator[Row]:
    """A batch that no GPU holds: how far the trial backs off, what it ends as, and whether its memory comes back."""
    before = memory_in_use(bench)
    large = ready.with_settings(
        effective_batch_size=LARGE_BATCH,
        per_device_train_batch_size=LARGE_BATCH,
        gradient_checkpointing=False,
        max_steps=1,
    )
    outcome = trial(bench, large, "large").outcome
    yield Row(shape, f"{name}: batch of {LARGE_BATCH}", _backed_off(outcome), outcome.message[:160])
    yield Row(shape, f"{name}: memory after it", *look_again(bench, before, outcome.cause.value))


def _backed_off(outcome: Outcome) -> str:
    """What a batch too large was made into."""
    if outcome.cause is Cause.CUDA_OOM:
        return "cuda_oom, whatever was given up"
    if outcome.cause is not Cause.OK:
        return f"{outcome.cause.value} (ok or cuda_oom expected)"
    found = outcome.metrics
    if not found["oom_backoffs"]:
        return "ok: it fitted"
    recomputed = ", activations recomputed" if found["activations_recomputed"] else ""
    return f"ok after {found['oom_backoffs']:.0f} back-offs: {found['micro_batch_size']:.0f} rows in a pass{recomputed}"


@dataclass(frozen=True)
class Section:
    """A part of the check, and its share of the whole time, in 0..1."""

    name: str
    rows: Callable[[Bench, Plan], Iterator[Row]]
    share: float


# The shares make one. Adding a section is an entry here.
SECTIONS = (
    Section("tiny", tiny, 0.13),
    Section("weights", weights, 0.08),
    Section("faults", faults, 0.03),
    Section("memory", memory_back, 0.11),
    Section("between", between_trials, 0.05),
    Section("narrow", shaped("qwen3_vl-narrow", NARROW), 0.06),
    Section("gemma3-12b", shaped("gemma3-12b"), 0.27),
    Section("qwen3_vl-8b", shaped("qwen3_vl-8b"), 0.27),
)
