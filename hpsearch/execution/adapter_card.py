"""An adapter's card: ``hpsearch.json`` beside its weights, and in a merged model. It holds how pictures were sized,
what the model was asked, and where its base is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpsearch.execution.job import ADAPTER_CARD


@dataclass(frozen=True)
class AdapterCard:
    """``base`` is a Hub id or a folder, ``settings`` those of the fine-tune, ``versions`` those of its libraries. What
    the file lacks is empty; its other keys (``study``, ``trial``, ``family`` ...) are in ``others``."""

    base: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    others: Mapping[str, Any] = field(default_factory=dict)

    @staticmethod
    def read(folder: Path) -> AdapterCard:
        """Read the card in ``folder``.

        Raises:
            OSError: there is none that can be read.
            ValueError: it is not a JSON object.
        """
        values = json.loads((folder / ADAPTER_CARD).read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise ValueError("it is not a JSON object")
        base, settings, versions = (values.pop(name, None) for name in ("base", "settings", "versions"))
        settings, versions = (value if isinstance(value, dict) else {} for value in (settings, versions))
        return AdapterCard(str(base or ""), settings, versions, values)

    @staticmethod
    def find(folder: Path) -> AdapterCard:
        """Read the card in ``folder``; an empty one where there is none that can be read."""
        try:
            return AdapterCard.read(folder)
        except (OSError, ValueError):
            return AdapterCard()

    def write(self, folder: Path) -> None:
        """Write the card into ``folder``, which is made where it is missing."""
        values = {**self.others, "base": self.base, "settings": self.settings, "versions": self.versions}
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(values, indent=1, sort_keys=True, ensure_ascii=False)
        (folder / ADAPTER_CARD).write_text(text + "\n", encoding="utf-8")
