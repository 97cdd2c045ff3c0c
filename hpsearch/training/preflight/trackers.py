"""Whether what report_to names can be sent to."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from netrc import NetrcParseError, netrc
from pathlib import Path
from urllib.parse import urlsplit

from hpsearch.errors import UsageError


def check_tracker(report_to: str) -> None:
    """Refuse a tracker whose library is not installed.

    Raises:
        UsageError: saying which.
    """
    if report_to != "none" and importlib.util.find_spec(report_to) is None:
        raise UsageError(f"report_to {report_to} needs {report_to}, which is not installed", f"pip install {report_to}")


def without_key(report_to: str, environment: Mapping[str, str]) -> list[str]:
    """A warning where Weights & Biases would ask for a key and none is to be found where it is usually kept."""
    offline = environment.get("WANDB_MODE") in ("offline", "disabled", "dryrun")
    if report_to != "wandb" or offline or environment.get("WANDB_API_KEY") or _in_netrc(environment):
        return []
    return [
        "report_to wandb will send nothing without a key: `wandb login`, set WANDB_API_KEY, or WANDB_MODE=offline to "
        "send the runs later"
    ]


def _in_netrc(environment: Mapping[str, str]) -> bool:
    """Whether the file that `wandb login` writes to knows the service."""
    host = urlsplit(environment.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname
    try:
        known = netrc(environment.get("NETRC") or Path.home() / ".netrc").hosts
    except (OSError, NetrcParseError):
        return False
    return host in known
