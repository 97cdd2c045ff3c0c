"""Text of others is never markup, a formula or an escape sequence: a hostile study through every output.

The same study is made twice, with harmless words and with a corpus of attacks in their places; what is read out of the
two must have the same structure.
"""

from __future__ import annotations

import csv
import json
import math
import shlex
import unicodedata
from collections.abc import Callable
from functools import partial
from itertools import cycle
from pathlib import Path

import optuna
import pytest
from markdown_it import MarkdownIt
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from hpsearch.report.analyze import analyze_study, compare_studies
from hpsearch.report.note import study_note, trial_note
from hpsearch.report.study import SECTIONS
from hpsearch.report.summary import summarize
from hpsearch.report.text import csv_cell, plot_label, script_json, terminal_text, visible, visible_lines
from hpsearch.study import attributes as attrs
from tests.report.pages import Page, read_page, rendered
from tests.report.sample_studies import PREPARED, write_predictions

CANARY = "document.documentElement.dataset.active=1"
CORPUS = (
    f"<script>{CANARY}</script>",
    f'"><img src=x onerror="{CANARY}">',
    f"</script><script>{CANARY}</script>",
    f"</style><svg onload={CANARY}>",
    f'<a href="javascript:{CANARY}">link</a>',
    f"' onmouseover='{CANARY}",
    f"<b>bold</b><iframe srcdoc='<script>{CANARY}</script>'>",
    "<b>b</b><a href='https://example.org'>x</a>",  # short enough for a label
    "=cmd|'/c calc'!A1",
    "+1+1",
    "@SUM(A1:A9)",
    "-2+3",
    "\t=1+1",
    "\x1b[2J\x1b[31mred",
    "\x1b]8;;https://example.org\x07link\x1b]8;;\x07",
    "\u202egnp.exe\u2066",
    "nul \x00 and bell \x07",
    "half a \ud800 pair",
    "[red]rich[/red] [link=https://example.org]x[/link]",
    "{{ 7 * 7 }}{% raw %}",
    "%{customdata} ${expression} $\\alpha$",
    "--><!-- ]]>",
    "&lt;script&gt; &amp;#60;",
    "line\nbreak\r\nand\u2028separator",
)


def hostile_study(words: Callable[[], str]) -> optuna.Study:
    """A study with a word of ``words`` in every place that takes text."""
    study = optuna.create_study(study_name=words(), storage=optuna.storages.InMemoryStorage())
    definition = {words(): words(), "objective": {"metric": words(), "direction": "minimize"}, "instruction": words()}
    study.set_user_attr(attrs.DEFINITION, definition | {"search_space": {words(): words()}})
    study.set_user_attr(attrs.PREPARED, PREPARED | {"fingerprint": words(), "versions": {words(): words()}})
    names = [f"{words()} {number}" for number in range(8)]
    choices = tuple(f"{words()} {number}" for number in range(12))
    for number in range(24):
        study.add_trial(hostile_trial(number, names, choices, words))
    return study


def hostile_trial(number: int, names: list[str], choices: tuple[str, ...], words: Callable[[], str]) -> FrozenTrial:
    """One trial; every third has failed with a message."""
    params = {name: math.sin(place + number) ** 2 for place, name in enumerate(names)}
    distributions = {name: FloatDistribution(0, 1) for name in names} | {"choice": CategoricalDistribution(choices)}
    failed = number % 3 == 2
    own = {
        attrs.OUTCOME: "crash" if failed else "ok",
        attrs.MESSAGE: words(),
        attrs.METRICS: {words(): 0.5},
        attrs.FOLDER: f"trial_{number}",
        attrs.DURATION: 1.0,
    }
    return create_trial(
        state=TrialState.FAIL if failed else TrialState.COMPLETE,
        value=None if failed else 0.1 + number / 50,
        params=params | {"choice": choices[number % len(choices)]},
        distributions=distributions,
        user_attrs=own,
        intermediate_values={1: 0.5, 2: 0.4},
    )


def named_study(name: str) -> optuna.Study:
    """A study of one trial."""
    study = optuna.create_study(study_name=name, storage=optuna.storages.InMemoryStorage())
    study.add_trial(create_trial(value=0.5, params={name: 0.5}, distributions={name: FloatDistribution(0, 1)}))
    return study


def harmless() -> Callable[[], str]:
    numbers = iter(range(10_000))
    return lambda: f"word{next(numbers)}"


def attacks() -> Callable[[], str]:
    corpus = cycle(CORPUS)
    numbers = iter(range(10_000))
    return lambda: f"{next(corpus)}{next(numbers)}"


def made(folder: Path, words: Callable[[], str]) -> tuple[Path, str]:
    """Analyse and compare a study; the folder of the outputs, and what the terminal shows."""
    study = hostile_study(words)
    texts = [(f"{words()}1", f"{words()}2") for _ in CORPUS]
    write_predictions(folder / "study" / "trial_0", texts)
    result = analyze_study(study, study_dir=folder / "study", output_dir=folder / "out", top=30, png=False)
    others = [named_study(words()) for _ in CORPUS]
    both = compare_studies([study, *others], output_dir=folder / "out", png=False)
    return folder / "out", "\n".join([*result.lines(200), *both.lines(200), *result.notes, *both.notes])


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Outputs of the study full of attacks."""
    return made(tmp_path_factory.mktemp("hostile"), attacks())


@pytest.fixture(scope="module")
def ordinary(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Outputs of the same study with harmless words."""
    return made(tmp_path_factory.mktemp("ordinary"), harmless())


def command_text(verb: str, study: str) -> str:
    return shlex.join(("hpsearch", verb, "--study", study))


def page(folder: Path, name: str) -> Page:
    return read_page((folder / name).read_text(encoding="utf-8"))


def dangerous(text: str) -> list[str]:
    """Characters that no output may hold."""
    return [
        f"U+{ord(character):04X}" for character in text
        if character in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u2028\u2029\ufeff"
        or (unicodedata.category(character) in ("Cc", "Cs") and character not in "\n\t")
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["index.html", "comparison.html", "pages.html"])
def test_no_attack_becomes_an_element(hostile: tuple[Path, str], ordinary: tuple[Path, str], name: str) -> None:
    attacked, plain = page(hostile[0], name), page(ordinary[0], name)
    for mark in ("ins", "del", "mark", "span", "div"):  # as many as characters differ, and as lines and words are read
        attacked.elements.pop(mark, None), plain.elements.pop(mark, None)
    assert attacked.elements == plain.elements
    assert {(tag, key) for tag, key, _ in attacked.attributes} == {(tag, key) for tag, key, _ in plain.attributes}
    assert attacked.unclosed == []


@pytest.mark.parametrize("name", ["index.html", "comparison.html", "pages.html"])
def test_attacks_stand_in_the_page_as_text(hostile: tuple[Path, str], name: str) -> None:
    html = (hostile[0] / name).read_text(encoding="utf-8")
    before_scripts = html[: html.index("<script")]
    assert dangerous(before_scripts) == []
    assert "&lt;script&gt;" in before_scripts
    if name == "pages.html":  # in blocks of 16 characters
        assert "⟨U+001B⟩" in page(hostile[0], name).text and "⟨U+202E⟩" in page(hostile[0], name).text
        return
    assert f"<script>{CANARY}</script>" in page(hostile[0], name).text
    assert "⟨U+001B⟩[2J" in page(hostile[0], name).text
    assert "⟨U+202E⟩gnp.exe" in page(hostile[0], name).text


@pytest.mark.parametrize("name", ["index.html", "comparison.html"])
def test_figures_hold_no_markup_of_plotly(hostile: tuple[Path, str], name: str) -> None:
    drawings = json.loads(page(hostile[0], name).scripts[0])
    labels = text_of(drawings["figures"])
    assert any("&lt;" in label for label in labels)
    assert not [label for label in labels if "<" in label.replace("<br>", "")]
    assert not [label for label in labels if dangerous(label)]


@pytest.mark.parametrize("name", ["index.html", "comparison.html", "pages.html"])
def test_no_attack_becomes_active_in_a_browser(
    hostile: tuple[Path, str], name: str, chromium: str, tmp_path: Path
) -> None:
    document = read_page(rendered(chromium, (hostile[0] / name).as_uri(), tmp_path / "profile"))
    static = page(hostile[0], name)
    assert ("html", "data-drawn", "true") in document.attributes
    assert not [item for item in document.attributes if item[1] == "data-active"]
    assert not [item for item in document.attributes if item[1].startswith("on")]
    for tag in ("script", "img", "iframe", "a", "b", "i", "object", "link"):
        assert document.elements[tag] == static.elements[tag], tag
    links = {value for tag, key, value in document.attributes if tag == "a" and key == "href"}
    assert all(link.startswith("#") for link in links - {"pages.html"})
    assert name != "index.html" or links == {"pages.html", *(f"#{key}" for key, _ in SECTIONS)}


@pytest.mark.parametrize("name", ["trials.csv", "comparison.csv"])
def test_no_cell_is_a_formula(hostile: tuple[Path, str], name: str) -> None:
    with (hostile[0] / name).open(encoding="utf-8", newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    text = [cell for cell in cells if not is_number(cell)]
    assert any(cell.startswith(("'=cmd", "'+1")) for cell in text)
    assert not [cell for cell in text if cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))]
    assert not [cell for cell in cells if dangerous(cell)]


@pytest.mark.parametrize("name", ["report.json", "comparison.json"])
def test_json_keeps_the_text_as_it_was(hostile: tuple[Path, str], name: str) -> None:
    text = (hostile[0] / name).read_text(encoding="utf-8")
    assert text.isascii() and dangerous(text) == []
    record = json.loads(text)
    names = [record["study"]] if name == "report.json" else [study["study"] for study in record["studies"]]
    assert names[0] == f"{CORPUS[0]}0"
    assert all(name.startswith(CORPUS) for name in names)


def test_the_terminal_gets_no_escape_sequence_and_no_markup(hostile: tuple[Path, str]) -> None:
    assert dangerous(hostile[1]) == []
    assert "<script>" in hostile[1]


def test_no_attack_is_markdown_in_a_note(tmp_path: Path) -> None:
    kinds = []
    for name, words in (("hostile", attacks()), ("ordinary", harmless())):
        summary = summarize(hostile_study(words))
        write_predictions(tmp_path / name / "trial_0")
        notes = [study_note(summary, partial(command_text, study=summary.name), tmp_path / name, "/report")]
        notes += [trial_note(row, summary, tmp_path / name) for row in summary.rows]
        assert [note for note in notes if dangerous(note)] == []
        tokens = [token for note in notes for token in MarkdownIt("commonmark").enable("table").parse(note)]
        inner = [child for token in tokens for child in token.children or ()]
        kinds.append([token.type for token in (*tokens, *inner) if token.type != "text_special"])
        assert [child.attrs for child in inner if child.type == "link_open"] == [{"href": "/report"}]
        text = " ".join(child.content for child in inner if child.type in ("text", "text_special"))
        assert "://" not in text.replace(":// ", "") and "@" not in text.replace("@ ", "")
    assert not {"html_inline", "html_block", "image"} & set(kinds[0])
    assert [kind for kind in kinds[0] if kind != "text"] == [kind for kind in kinds[1] if kind != "text"]


def test_rich_markup_is_text(tmp_path: Path) -> None:
    study = optuna.create_study(study_name="[red]name[/red]")
    result = analyze_study(study, study_dir=None, output_dir=tmp_path, png=False)
    assert "[red]name[/red]" in "\n".join(result.lines())


@pytest.mark.parametrize("attack", CORPUS, ids=range(len(CORPUS)))
def test_escapers(attack: str) -> None:
    assert dangerous(visible(attack)) == [] and "\n" not in visible(attack)
    assert dangerous(visible_lines(attack)) == []
    assert not set("<>") & set(plot_label(attack))
    assert json.loads(script_json(attack)) == attack
    assert not set("<>&") & set(script_json(attack))
    assert not str(csv_cell(attack)).startswith(("=", "+", "-", "@"))


def test_a_terminal_gets_colours_of_a_log_and_no_other_escape() -> None:
    for attack in (
        "\x1b]0;title\x07",
        "\x1b]52;c;cm0=\x1b\\",
        "\x1b[2J",
        "\x1b[6n",
        "\x1bc",
        "\x9b2J",
        "\x08",
        "\x1b[5",
    ):
        shown = terminal_text(f"a{attack}b\tc\r\n")
        assert not {"\x1b", "\x07", "\x08", "\x9b"} & set(shown)
        assert shown.startswith("a") and shown.endswith("b\tc\r\n")
    assert terminal_text("\x1b[1;31mred\x1b[0m\n") == "\x1b[1;31mred\x1b[0m\n\x1b[0m"


def test_scripts_that_need_joiners_and_marks_keep_them() -> None:
    for text in ("می‌خواهم", "क्‍ष", "👩‍👩‍👧", "ଓଡ଼ିଆ", "עברית", "中文　全角"):
        assert visible(text) == text


def test_numbers_stay_numbers_in_a_spreadsheet() -> None:
    assert [csv_cell(value) for value in (-1.5, 3, None, True, "-")] == [-1.5, 3, "", "True", "'-"]


def text_of(value: object) -> list[str]:
    """Every text in a JSON value, keys not counted."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [text for item in value for text in text_of(item)] if isinstance(value, list) else []


def is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
