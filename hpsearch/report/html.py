"""One HTML file that works offline: escaped templates, plotly.js inside, and a policy that forbids the rest.

Every value that a template prints passes ``visible_lines`` and HTML escaping, so that no template can forget it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from hpsearch.execution.units import duration_text
from hpsearch.report.figures.style import PALETTES, Figure
from hpsearch.report.text import number_text, script_json, value_text, visible_lines


def render_page(template: str, figures: Sequence[Figure], values: Mapping[str, Any], script: str = "page.js") -> str:
    """Fill ``template`` (a file of hpsearch/assets/report) with ``values`` and the drawn ``figures``. ``script`` is the
    page's own; page.js draws the figures, and a page without figures needs none."""
    drawn = {
        figure.key: figure.spec() | {"narrow": figure.narrow, "turned": figure.turned}
        for figure in figures
        if figure.drawn
    }
    own, plotly = _asset(script) if drawn or script != "page.js" else "", plotly_script() if drawn else ""
    drawings = script_json({"figures": drawn, "palettes": PALETTES}) if drawn else ""
    return (
        _environment()
        .get_template(template)
        .render(
            **values,
            figures=figures,
            policy=_policy([text for text in (plotly, own) if text]),
            css=Markup(_asset("page.css")),  # noqa: S704  our own files, and JSON without < > &
            script=Markup(own),  # noqa: S704
            plotly=Markup(plotly),  # noqa: S704
            drawings=Markup(drawings),  # noqa: S704
        )
    )


@cache
def plotly_script() -> str:
    """Return plotly.js as the plotly package ships it."""
    path = resources.files("plotly") / "package_data" / "plotly.min.js"
    return path.read_text(encoding="utf-8").replace("\r", "")


def _policy(scripts: Sequence[str]) -> str:
    """Return a content policy that allows these scripts and nothing else; nothing is loaded from anywhere.

    plotly.js sets styles inline and makes its PNGs from data: and blob: images.
    """
    digests = (base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode() for script in scripts)
    hashes = " ".join(f"'sha256-{digest}'" for digest in digests) or "'none'"
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def _asset(name: str) -> str:
    folder = resources.files("hpsearch") / "assets" / "report"
    return (folder / name).read_text(encoding="utf-8")


def _environment() -> jinja2.Environment:
    def shown(value: Any) -> Any:
        return visible_lines(value) if isinstance(value, str) and not isinstance(value, Markup) else value

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_asset),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number_text, "duration": duration_text, "value": value_text}
    return environment
