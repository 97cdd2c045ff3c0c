"""Versions of the packages beside this interpreter, from metadata alone: nothing is imported, so nothing can break."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version


@dataclass(frozen=True)
class Misfit:
    """A requirement that is not met: the package's name, the ranges asked for, the part of them that is not met, and
    the version installed (None: not installed)."""

    name: str
    ranges: str
    unmet: str
    installed: str | None

    def __str__(self) -> str:
        return f"{self.name} {self.installed or 'is missing'} ({self.unmet or 'any version'} wanted)"


def version_of(package: str) -> str | None:
    """Return the installed version of a package, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def versions_of(packages: Iterable[str]) -> dict[str, str]:
    """Return the installed versions by package; without those that are not installed."""
    return {package: found for package in packages if (found := version_of(package)) is not None}


def requirements_of(package: str, extra: str = "") -> list[str]:
    """Return what an installed package requires on this machine by its own metadata, with no extra, or what ``extra``
    adds to that. Empty where the package is not installed.

    Raises:
        ImportError: the package ``packaging``, which reads requirements, is missing.
    """
    from packaging.requirements import Requirement  # inside, because a caller reports where it is missing

    def applies(requirement: Requirement, extra: str) -> bool:
        return requirement.marker is None or requirement.marker.evaluate({"extra": extra})

    try:
        requirements = [Requirement(text) for text in requires(package) or ()]
    except PackageNotFoundError:
        return []
    chosen = [item for item in requirements if applies(item, extra) and not (extra and applies(item, ""))]
    for requirement in chosen:
        requirement.marker = None
    return list(map(str, chosen))


def misfits(requirements: Iterable[str]) -> Iterator[Misfit]:
    """Yield the requirements that the installed packages do not meet. Those for other machines are left out.

    Raises:
        ImportError: the package ``packaging`` is missing.
    """
    from packaging.requirements import Requirement

    for text in requirements:
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        installed = version_of(requirement.name)
        unmet = [
            part
            for part in requirement.specifier
            if installed is None or not part.contains(installed, prereleases=True)
        ]
        if installed is None or unmet:
            yield Misfit(requirement.name, str(requirement.specifier), ",".join(sorted(map(str, unmet))), installed)
