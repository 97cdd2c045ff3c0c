"""What a tuned model was taught with: its folder says so, where it is on this machine."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from hpsearch.errors import UsageError
from hpsearch.execution.job import ADAPTER_CARD


@dataclass(frozen=True)
class Taught:
    """The instruction that it was taught to follow, and the limit in tokens for its answers; None where that is not
    known. ``card`` is the file that says so."""

    instruction: str | None = None
    max_tokens: int | None = None
    card: Path | None = None


def taught(model_name: str, folder: Path | None) -> Taught:
    """What is known of the model in ``folder``, or else of that in the folder called as the model is on its server.

    Raises:
        UsageError: a folder was given, and is none of a model that hpsearch made.
    """
    place = Path(model_name) if folder is None else folder
    card = place.expanduser() / ADAPTER_CARD
    try:
        settings = json.loads(card.read_text(encoding="utf-8"))["settings"]
        instruction, tokens = settings.get("instruction"), settings.get("max_new_tokens")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        if folder is None:
            return Taught()
        raise UsageError(
            f"--model-dir must be an adapter's folder or a merged model's, but {card} cannot be read: {error}",
            "name another folder, or say --instruction",
        ) from error
    return Taught(str(instruction) if instruction else None, int(tokens) if tokens else None, card)
