"""``python -m hpsearch.training.doctor``: reads a ``DoctorQuestion`` from standard input, and writes what it finds."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hpsearch.errors import UsageError
from hpsearch.execution.doctor_question import DoctorQuestion, Fact, Finding, red
from hpsearch.training.doctor.checks import CHECKS


def main() -> None:
    """Answer the question, check by check."""
    question = DoctorQuestion.from_json(sys.stdin.read())
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)  # whatever the libraries print is not an answer
    warnings.simplefilter("ignore")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    for name in question.checks:
        _say(channel, {"begin": name})
        found, worked = _ask(name, question)
        for each in found:
            _say(channel, _line(each))
        _say(channel, {"end": name})
        if not worked:
            question = replace(question, failed=(*question.failed, name))
    channel.flush()
    os._exit(0)  # nothing is left to be written; taking torch apart would cost a second


def _ask(name: str, question: DoctorQuestion) -> tuple[list[Finding | Fact], bool]:
    """What a check finds, and whether it could be made to its end."""
    try:
        return list(CHECKS[name](question)), True
    except UsageError as error:
        return [red(name, error.what, error.remedy)], False
    except Exception as error:  # noqa: BLE001 - a check that fails is a finding, and the next one goes on
        said = f"{type(error).__name__}: {error}".splitlines()[0][:300]
        return [red(name, f"this check failed: {said}", "mend what it says, then run hpsearch doctor again")], False


def _line(found: Finding | Fact) -> Mapping[str, Any]:
    if isinstance(found, Fact):
        return {"fact": found.name, "value": found.value}
    return {"finding": found.to_json()}


def _say(channel: Any, message: Mapping[str, Any]) -> None:
    channel.write(json.dumps(message) + "\n")


if __name__ == "__main__":
    main()
