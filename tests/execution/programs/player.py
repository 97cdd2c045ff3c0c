"""A trial that plays what its settings say: a list of lines to send and of things to do."""

import os
import signal
import sys
from pathlib import Path

from hpsearch import sdk


def main() -> None:
    """Play the script of the job."""
    job = sdk.job()
    assert job is not None
    for act in job.settings["script"]:
        if act == "ask":
            if sdk.should_prune():
                return
        elif act == "hang":
            signal.pause()
        elif isinstance(act, int):
            sys.exit(act)
        elif isinstance(act, str):
            raise RuntimeError(act)
        elif "step" in act:
            sdk.report(**{name: float(value) if name != "step" else value for name, value in act.items()})
        elif "progress" in act:
            sdk.progress(**act["progress"])
        elif "fault" in act:
            sdk.fault(act["fault"], act["message"])
        elif "raw" in act:
            with Path(os.environ["HPSEARCH_REPORT"]).open("w") as channel:
                channel.write(act["raw"] + "\n")
        else:
            sdk.finish(**act)


if __name__ == "__main__":
    main()
