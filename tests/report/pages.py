"""Reading a made page as a browser would: its elements, its text, and what becomes of it in Chromium."""

from __future__ import annotations

import subprocess
from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

VOID = {"meta", "br", "img", "link", "input", "base"}


@dataclass
class Page(HTMLParser):
    """Elements, attributes, headings and text of a page; ``unclosed`` are elements without an end."""

    elements: Counter[str] = field(default_factory=Counter)
    attributes: list[tuple[str, str, str]] = field(default_factory=list)
    headings: list[str] = field(default_factory=list)
    text: str = ""
    unclosed: list[str] = field(default_factory=list)
    scripts: list[str] = field(default_factory=list)
    policy: str = ""

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if dict(attrs).get("http-equiv") == "Content-Security-Policy":
            self.policy = dict(attrs)["content"] or ""
        if tag not in VOID:
            self.unclosed.append(tag)
        if tag in ("h1", "h2", "h3"):
            self.headings.append(f"{'#' * int(tag[1])} ")
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        if self.unclosed and self.unclosed[-1] == tag:
            self.unclosed.pop()

    def handle_data(self, data: str) -> None:
        inside = self.unclosed[-1] if self.unclosed else ""
        if inside == "script":
            self.scripts[-1] += data
        elif inside != "style":
            self.text += data
        if inside in ("h1", "h2", "h3"):
            self.headings[-1] += data


def read_page(html: str) -> Page:
    """Parse a page."""
    page = Page()
    page.feed(html)
    page.close()
    return page


def rendered(chromium: str, address: str, profile: Path) -> str:
    """The document after its scripts ran, in a Chromium that reaches no network but this machine's own."""
    flags = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run")
    offline = ("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--proxy-server=127.0.0.1:9")
    argv = (chromium, *flags, *offline, f"--user-data-dir={profile}", "--virtual-time-budget=20000", "--dump-dom")
    done = subprocess.run((*argv, address), capture_output=True, timeout=120, check=True)
    return done.stdout.decode("utf-8", "replace")
