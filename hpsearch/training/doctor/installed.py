"""What is installed beside this interpreter, from metadata alone: nothing is imported, so nothing can break."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version


@dataclass(frozen=True)
class Misfit:
    """A requirement that is not met: the package's name, the part of what is asked that is not met, and what is there
    (None: nothing)."""

    name: str
    wanted: str
    found: str | None

    def __str__(self) -> str:
        return f"{self.name} {self.found or 'is missing'} ({self.wanted or 'any version'} wanted)"


def version_of(name: str) -> str | None:
    """The installed version of a package, or None."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def is_importable(module: str) -> bool:
    """Whether a module could be imported, as far as that can be said without doing it."""
    return importlib.util.find_spec(module) is not None


def misfits(requirements: Iterable[str], *, extra: str = "") -> Iterator[Misfit]:
    """The requirements that what is installed does not meet. Those for other machines or other extras are left out.

    Raises:
        ImportError: the package ``packaging``, which reads requirements, is missing.
    """
    from packaging.requirements import Requirement

    for text in requirements:
        wanted = Requirement(text)
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": extra}):
            continue
        found = version_of(wanted.name)
        broken = [each for each in wanted.specifier if found is None or not each.contains(found, prereleases=True)]
        if found is None or broken:
            yield Misfit(wanted.name, ",".join(sorted(map(str, broken))), found)


def asked_by(package: str) -> list[str]:
    """What a package's own metadata asks for, without its extras."""
    return [text for text in requires(package) or [] if "extra ==" not in text]
