"""The pages that tests make are what the official schemas want. These come from the package index, inside packages that
are not imported."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from lxml import etree

from tests.made_pages import alto, made_page, page_xml

SCHEMAS = {
    "page": ("ocrd", "ocrd_validators/page.xsd"),
    "alto": ("htrflow", "htrflow/serialization/schemas/alto-4-4.xsd"),
}


def schema(kind: str) -> etree.XMLSchema:
    package, path = SCHEMAS[kind]
    file = Path(sys.prefix, "schemas", path)
    if not file.is_file():
        pytest.skip(f"needs the schema in {package}: pip install --no-deps --target {sys.prefix}/schemas {package}")
    text = file.read_text(encoding="utf-8")
    # What is on another server and holds for blocks that are not used here.
    text = re.sub(r'<xsd:import[^>]*/>|<xsd:attributeGroup ref="xlink.*?</xsd:attributeGroup>', "", text, flags=re.S)
    return etree.XMLSchema(etree.fromstring(text.encode()))


@pytest.mark.parametrize("kind", SCHEMAS)
@pytest.mark.parametrize("regions", [1, 3])
def test_made_pages_are_valid(kind: str, regions: int) -> None:
    page = made_page(3, regions=regions)
    text = page_xml(page, "a.png", order=["r0"]) if kind == "page" else alto(page, "a.png")
    official = schema(kind)
    assert official.validate(etree.fromstring(text.encode())), official.error_log
