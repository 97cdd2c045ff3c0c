"""How the endings of trials are told to a person: a word, a group, and what to do about a failure."""

from __future__ import annotations

from dataclasses import dataclass

from hpsearch.execution.outcome import Cause


@dataclass(frozen=True)
class Ending:
    """``group`` is "complete", "pruned", "failed", "interrupted" or "open"; ``remedy`` is "" where nothing is wrong."""

    word: str
    group: str
    remedy: str = ""


ENDINGS: dict[str, Ending] = {
    Cause.OK.value: Ending("completed", "complete"),
    Cause.PRUNED.value: Ending("pruned", "pruned"),
    Cause.DIVERGED.value: Ending(
        "diverged",
        "failed",
        "The loss or the metric was not a finite number. Lower the top of the learning_rate range, lengthen the "
        "warm-up, or lower max_grad_norm.",
    ),
    Cause.CUDA_OOM.value: Ending(
        "out of GPU memory",
        "failed",
        "Lower per_device_train_batch_size and raise gradient_accumulation_steps by the same factor, set "
        "gradient_checkpointing, or lower the top of lora_r.",
    ),
    # Told as out of GPU memory, without having been launched
    "not_tried": Ending(
        "not tried, for want of GPU memory",
        "failed",
        "It was sure to run out of GPU memory, by what earlier trials took of it, and cost no time. Nothing is to be "
        "done; to try larger ones, use a GPU with more memory, and a smaller range to be asked for fewer of them.",
    ),
    Cause.INVALID.value: Ending(
        "refused settings",
        "failed",
        "The program does not accept this combination of settings. Narrow the search space so that none suggests it.",
    ),
    Cause.TIMEOUT.value: Ending(
        "over its time limit",
        "failed",
        "Raise trial_timeout_s, or lower the top of num_train_epochs or whatever else makes a trial long.",
    ),
    Cause.STALLED.value: Ending(
        "stopped reporting",
        "failed",
        "Nothing was reported for stall_timeout_s. See the end of the trial's log; raise the limit if it was slow.",
    ),
    Cause.HOST_OOM.value: Ending(
        "out of host memory",
        "failed",
        "The kernel ended it for memory. Run fewer trials at once, or on a machine with more memory.",
    ),
    Cause.CRASH.value: Ending(
        "crashed", "failed", "The program ended with an error. Its last lines are in the trial's log.txt."
    ),
    Cause.SIGNAL.value: Ending(
        "killed by a signal", "failed", "Someone or something else on the machine ended it; see the machine's own log."
    ),
    Cause.PROTOCOL.value: Ending(
        "did not report the objective",
        "failed",
        "The program must report the objective's metric before it ends, with hpsearch.sdk.finish or a final line.",
    ),
    Cause.LAUNCH.value: Ending(
        "could not be started", "failed", "Check that the command exists and may be run, and that the disk is not full."
    ),
    Cause.INTERRUPTED.value: Ending("interrupted", "interrupted", "It is run again when the study is resumed."),
    Cause.LOST.value: Ending(
        "lost with its runner",
        "interrupted",
        "The runner or the machine died; it is run again when the study is resumed.",
    ),
    # What a study of another script has, where no cause of ours was written
    "not_finite": Ending(
        "value not finite", "failed", "The script told Optuna inf or nan as the value; such a trial never ranks."
    ),
    "failed": Ending("failed", "failed", "The script that ran this trial kept no reason; see its own log."),
    "running": Ending("running", "open"),
    "waiting": Ending("waiting", "open"),
}


def ending(cause: str) -> Ending:
    """The ending of that name."""
    return ENDINGS[cause]
