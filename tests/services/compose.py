"""docker-compose.yml as it is read, and its parts as they run without Docker."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OWN = {name: service for name, service in SERVICES.items() if "build" in service}
RUNNERS = {name: service for name, service in OWN.items() if service["command"][1] == "run"}
MOUNTED = "/run/secrets/"


def filled_in(text: str, variables: Mapping[str, str] | None = None) -> str:
    """A text of the file as Docker reads it with these variables; each has a default."""
    given = variables or {}
    return re.sub(r"\$\{(\w+):-([^}]*)\}", lambda found: given.get(found[1], found[2]), text)


def command(service: str, **variables: str) -> list[str]:
    """The words of a service's command."""
    return [filled_in(word, variables) for word in SERVICES[service]["command"]]


@dataclass(frozen=True)
class Desk:
    """What a container would have, without one: a folder with its secrets, and the address of its database."""

    folder: Path
    database: str

    def words(self, service: str, *more: str, **variables: str) -> list[str]:
        """A service's command here, less the program's name; ``more`` follow."""
        return [*(self._here(word) for word in command(service, **variables)[1:]), *more]

    def environment(self, service: str) -> dict[str, str]:
        """A service's variables here."""
        given = {name: self._here(value) for name, value in SERVICES[service]["environment"].items()}
        given["HPSEARCH_STORAGE"] = self.database
        return given

    def health_check(self, service: str, container: str, here: str) -> list[str]:
        """The command of a service's health check, with what stands ``here`` for what it names in the container."""
        kind, *words = SERVICES[service]["healthcheck"]["test"]
        assert kind == "CMD"
        return [self._here(word).replace(container, here) for word in words]

    def _here(self, text: str) -> str:
        return text.replace(MOUNTED, f"{self.folder / 'secrets'}{os.sep}")
