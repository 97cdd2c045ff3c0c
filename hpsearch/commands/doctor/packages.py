"""hpsearch's own packages: what its metadata asks for, what is installed, and how it is put right."""

from __future__ import annotations

import json
import platform
import shlex
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution, version
from pathlib import Path
from urllib.parse import unquote, urlparse

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from hpsearch.commands.doctor.machine import DoctorContext
from hpsearch.execution.doctor_question import Finding, ok, red, warning


def python(patient: DoctorContext) -> Iterator[Finding]:
    """The interpreter's version."""
    own = _own()
    wanted = str(own.metadata["Requires-Python"] or "") if own else ""
    found = f"{platform.python_version()} ({sys.executable})"
    if wanted and not SpecifierSet(wanted).contains(platform.python_version(), prereleases=True):
        remedy = f"make the environment with a Python {wanted}: python3.12 -m venv .venv"
        yield red("python", f"{found}, but hpsearch needs {wanted}", remedy)
    else:
        yield ok("python", found)


def packages(patient: DoctorContext) -> Iterator[Finding]:
    """The searching side's packages, in their ranges."""
    own = _own()
    if own is None:
        yield warning("hpsearch", "runs from a folder without being installed: versions cannot be compared")
        return
    wrong = [text for text in map(_misfit, _asked(own, "")) if text]
    if wrong:
        yield red("hpsearch", ", ".join(wrong), install_command(""))
    else:
        yield ok("hpsearch", f"{own.version}, and the packages it searches with are in their ranges")


def training_requirements() -> tuple[str, ...]:
    """What hpsearch's metadata asks of the training side; nothing where it is not installed."""
    own = _own()
    return tuple(map(str, _asked(own, "train"))) if own else ()


def pip_command(python: str = sys.executable) -> str:
    """The pip of this interpreter: the plain word where it is the one that a shell finds."""
    found = shutil.which("pip")
    if found and Path(found).parent == Path(python).parent:
        return "pip"
    return f"{shlex.quote(python)} -m pip"


def install_command(extra: str, python: str = sys.executable) -> str:
    """The command that installs hpsearch with an extra: from its checkout where it is one, in the tested versions."""
    own, end = _own(), f"[{extra}]" if extra else ""
    checkout = _checkout(own) if own else None
    if checkout is None:
        return f"{pip_command(python)} install {shlex.quote(f'hpsearch{end}')}"
    tested = f"-c {shlex.quote(str(checkout / 'constraints.txt'))} " if (checkout / "constraints.txt").is_file() else ""
    return f"{pip_command(python)} install {tested}-e {shlex.quote(f'{checkout}{end}')}"


def _own() -> Distribution | None:
    try:
        return distribution("hpsearch")
    except PackageNotFoundError:
        return None


def _checkout(own: Distribution) -> Path | None:
    """The folder that an editable installation leads to."""
    try:
        origin = json.loads(own.read_text("direct_url.json") or "{}")
    except ValueError:
        return None
    if not origin.get("dir_info", {}).get("editable"):
        return None
    return Path(unquote(urlparse(origin["url"]).path))


def _asked(own: Distribution, extra: str) -> list[Requirement]:
    found = []
    for text in own.requires or []:
        requirement = Requirement(text)
        marker = requirement.marker
        if (marker is None) != bool(extra) and (marker is None or marker.evaluate({"extra": extra})):
            requirement.marker = None
            found.append(requirement)
    return found


def _misfit(requirement: Requirement) -> str:
    try:
        found = version(requirement.name)
    except PackageNotFoundError:
        return f"{requirement.name} is missing ({requirement.specifier} wanted)"
    if requirement.specifier.contains(found, prereleases=True):
        return ""
    return f"{requirement.name} {found} ({requirement.specifier} wanted)"
