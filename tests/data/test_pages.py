"""PAGE-XML and ALTO-XML: what is read of them, and that pieces are cut where they say."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from hpsearch.data.pages.crop import KINDS, PageCrop, augmented, cut, paper, pieces, shrunk
from hpsearch.data.pages.layout import Page, Unreadable
from hpsearch.data.pages.read import Pictures, fitted, read_page
from tests.made_pages import ALTO_NAMESPACES, PAGE_VERSIONS, UNITS, MadePage, alto, made_page, page_xml

PAGE_START = (
    '<PcGts xmlns="http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15">'
    '<Page imageFilename="a.png" imageWidth="100" imageHeight="100">'
)
PAGE_END = "</Page></PcGts>"
CORNERS = '<Coords points="0,0 50,0 50,9 0,9"/>'


@pytest.fixture(scope="module")
def made() -> MadePage:
    return made_page(7, lines=7, regions=2, size=(600, 500))


def read(text: str, folder: Path) -> Page:
    file = folder / "page.xml"
    file.write_text(text, encoding="utf-8")
    page = read_page(file)
    assert page is not None
    return page


def region(name: str, inner: str = "", more: str = "") -> str:
    return f'<TextRegion id="{name}"{more}>{CORNERS}{inner}</TextRegion>'


def line(text: str, more: str = "", name: str = "") -> str:
    return f'<TextLine id="{name or text}"{more}>{CORNERS}<TextEquiv><Unicode>{text}</Unicode></TextEquiv></TextLine>'


def check_against(page: Page, made: MadePage) -> None:
    """Every line of the page has the pixels that were drawn for it, and the text; around it is the paper's colour."""
    page, turned = fitted(page, made.picture)
    assert turned
    found = {piece.id: piece for piece in pieces(page, ("line",))}
    lines = [each for region in made.regions for each in region.lines]
    assert [piece.text for piece in found.values()] == [piece.text for piece in lines]
    for one in lines:
        outline = found[one.id].outline
        assert outline is not None
        cut_out = cut(made.picture, found[one.id])
        assert cut_out is not None
        across, down = zip(*one.outline, strict=True)
        whole = np.asarray(made.picture.crop((min(across), min(down), max(across) + 1, max(down) + 1)))
        assert np.asarray(cut_out).shape == whole.shape
        inside = Image.new("L", cut_out.size, 0)
        corners = [(x - min(across), y - min(down)) for x, y in one.outline]
        ImageDraw.Draw(inside).polygon(corners, fill=1, outline=1)
        expected = np.where(np.asarray(inside)[:, :, None] > 0, whole, (250, 246, 235))
        assert np.array_equal(np.asarray(cut_out), expected if len(outline) == len(one.outline) else whole)


@pytest.mark.parametrize("version", PAGE_VERSIONS)
def test_every_version_of_page_gives_the_lines_pixel_by_pixel(version: str, made: MadePage, tmp_path: Path) -> None:
    check_against(read(page_xml(made, "a.png", version), tmp_path), made)


@pytest.mark.parametrize("version", ALTO_NAMESPACES)
def test_every_version_of_alto_gives_the_lines_pixel_by_pixel(version: int, made: MadePage, tmp_path: Path) -> None:
    check_against(read(alto(made, "a.png", version), tmp_path), made)


@pytest.mark.parametrize("unit", UNITS)
def test_units_of_alto_become_pixels(unit: str, made: MadePage, tmp_path: Path) -> None:
    text = alto(made, "C:\\scans\\a.png", unit=unit, polygons=False)
    page, _ = fitted(read(text, tmp_path), made.picture)
    drawn = [each for region in made.regions for each in region.lines]
    for one, piece in zip(drawn, pieces(page, ("line",)), strict=True):
        across, down = zip(*one.outline, strict=True)
        assert piece.outline is not None
        part = cut(made.picture, piece)
        off = 2 if unit == "mm10" else 0  # the page's own size is written in whole tenths
        assert abs(part.width - (max(across) + 1 - min(across))) <= off
        assert abs(part.height - (max(down) + 1 - min(down))) <= off


def test_text_of_paragraphs_and_of_the_page_is_its_lines(made: MadePage, tmp_path: Path) -> None:
    page = read(page_xml(made, "a.png"), tmp_path)
    found = list(pieces(page, KINDS))
    assert [piece.kind for piece in found] == ["line"] * 4 + ["paragraph"] + ["line"] * 3 + ["paragraph", "page"]
    paragraphs = ["\n".join(line.text for line in region.lines) for region in made.regions]
    assert [piece.text for piece in found if piece.kind == "paragraph"] == paragraphs
    assert found[-1].text == "\n\n".join(paragraphs) and found[-1].outline is None


@pytest.mark.parametrize(
    ("inner", "order"),
    [
        (region("a", line("1")) + region("b", line("2")), "12"),
        (
            '<ReadingOrder><OrderedGroup id="g"><RegionRefIndexed index="5" regionRef="a"/>'
            '<RegionRefIndexed index="2" regionRef="b"/></OrderedGroup></ReadingOrder>'
            + region("a", line("1")) + region("b", line("2")),
            "21",
        ),
        (  # groups in groups; what is not listed stays behind what it follows
            '<ReadingOrder><UnorderedGroup id="g"><OrderedGroup id="h"><RegionRefIndexed index="0" regionRef="c"/>'
            '</OrderedGroup><RegionRef regionRef="a"/></UnorderedGroup></ReadingOrder>'
            + region("a", line("1")) + region("b", line("2")) + region("c", line("3")),
            "312",
        ),
        (  # as Transkribus writes it, of regions and of lines
            region("a", line("1"), ' custom="readingOrder {index:1;}"')
            + region("b", line("3", ' custom="readingOrder {index:1;} structure {type:x;}"')
                     + line("2", ' custom="readingOrder {index:0;}"'), ' custom="readingOrder {index:0;}"'),
            "231",
        ),
        (region("a", line("2", ' index="1"') + line("1", ' index="0"')), "12"),
        (region("a", line("1") + region("b", line("2"))) + region("c", line("3")), "123"),
        (f'<TableRegion id="t">{CORNERS}{region("a", line("1"))}</TableRegion>' + region("b", line("2")), "12"),
    ],
)  # fmt: skip
def test_regions_and_lines_are_read_in_their_order(inner: str, order: str, tmp_path: Path) -> None:
    page = read(PAGE_START + inner + PAGE_END, tmp_path)
    assert "".join(piece.text for piece in pieces(page, ("line",))) == order


@pytest.mark.parametrize(
    ("inner", "text"),
    [
        ("<TextEquiv><Unicode> so </Unicode></TextEquiv>", "so"),
        (
            '<TextEquiv index="1"><Unicode>second</Unicode></TextEquiv>'
            '<TextEquiv index="0"><Unicode>first</Unicode></TextEquiv>',
            "first",
        ),
        (
            '<Word id="w1"><TextEquiv><Unicode>two</Unicode></TextEquiv></Word>'
            '<Word id="w2"><Glyph id="g1"><TextEquiv><Unicode>w</Unicode></TextEquiv></Glyph>'
            '<Glyph id="g2"><TextEquiv><Unicode>o</Unicode></TextEquiv></Glyph></Word>',
            "two wo",
        ),
        ("<TextEquiv><Unicode>a<!-- note -->b &amp; c</Unicode></TextEquiv>", "ab & c"),
        ("<TextEquiv><PlainText>x</PlainText><Unicode/></TextEquiv>", ""),
        (
            '<Word id="w"><TextEquiv><Unicode>word</Unicode></TextEquiv></Word>'
            "<TextEquiv><Unicode> </Unicode></TextEquiv>",
            "word",
        ),
        ("", ""),
    ],
)
def test_a_lines_text_is_the_best_that_is_there(inner: str, text: str, tmp_path: Path) -> None:
    page = read(PAGE_START + region("a", f'<TextLine id="l">{CORNERS}{inner}</TextLine>') + PAGE_END, tmp_path)
    (found,) = pieces(page, ("line",))
    assert (found.text, found.fault) == (text, "" if text else "it has no text")


@pytest.mark.parametrize(
    ("strings", "text"),
    [
        ('<String CONTENT="a"/><SP/><String CONTENT="b"/>', "a b"),
        ('<String CONTENT="a"/><String CONTENT="b"/>', "a b"),
        ('<String CONTENT="a"/><SP/><String CONTENT="b"/><String CONTENT=","/>', "a b,"),
        ('<String CONTENT="漢"/><String CONTENT="字"/>', "漢字"),
        ('<String CONTENT="나는"/><String CONTENT="학교에"/>', "나는 학교에"),
        ('<String CONTENT="hyphe" SUBS_CONTENT="hyphenated"/><HYP CONTENT="&#173;"/>', "hyphe-"),
        ('<String CONTENT="hyphe"/><HYP CONTENT="-"/>', "hyphe-"),
    ],
)
def test_strings_of_alto_become_the_line_as_it_is_printed(strings: str, text: str, tmp_path: Path) -> None:
    page = read(
        f'<alto xmlns="{ALTO_NAMESPACES[3]}"><Layout><Page WIDTH="100" HEIGHT="100"><PrintSpace><TextBlock ID="b">'
        f'<TextLine HPOS="1" VPOS="1" WIDTH="9" HEIGHT="9">{strings}</TextLine></TextBlock></PrintSpace></Page>'
        "</Layout></alto>",
        tmp_path,
    )
    assert [piece.text for piece in pieces(page, ("line",))] == [text]


@pytest.mark.parametrize(
    ("order", "blocks", "read_as"),
    [
        ("", ("a", "b", "c"), "abc"),
        ("", ("a:c", "b", "c:b"), "acb"),
        ("", ("a:b", "b:a"), "ab"),
        ("", ("a", "a", "b"), "aab"),
        ('<ReadingOrder><OrderedGroup ID="g"><ElementRef ID="x" REF="c"/><ElementRef ID="y" REF="l-a b"/>'
         "</OrderedGroup></ReadingOrder>", ("a", "b", "c"), "cab"),
    ],
)  # fmt: skip
def test_blocks_of_alto_are_read_in_their_order(
    order: str, blocks: tuple[str, ...], read_as: str, tmp_path: Path
) -> None:
    made = ""
    for each in blocks:
        name, _, following = each.partition(":")
        after = f' IDNEXT="{following}"' if following else ""
        inner = f'<TextLine ID="l-{name}"><String CONTENT="{name}" HPOS="1" VPOS="1" WIDTH="9" HEIGHT="9"/></TextLine>'
        made += (
            f'<ComposedBlock ID="of-{name}"><TextBlock ID="{name}">{inner}</TextBlock></ComposedBlock>'
            if (not following)
            else f'<TextBlock ID="{name}"{after}>{inner}</TextBlock>'
        )
    text = (
        f'<alto xmlns="{ALTO_NAMESPACES[4]}">{order}<Layout><Page WIDTH="100" HEIGHT="100"><PrintSpace>{made}'
        "</PrintSpace><TopMargin/></Page></Layout></alto>"
    )
    page = read(text, tmp_path)
    assert "".join(piece.text for piece in pieces(page, ("line",))) == read_as
    assert all(not piece.fault for piece in pieces(page, ("line",)))


def test_blocks_of_alto_need_no_ids(tmp_path: Path) -> None:
    string = '<TextBlock><TextLine><String CONTENT="{}" HPOS="1" VPOS="1" WIDTH="9" HEIGHT="9"/></TextLine></TextBlock>'
    blocks = "".join(string.format(text) for text in "abc")
    space = f'<Page WIDTH="100" HEIGHT="100"><PrintSpace>{blocks}</PrintSpace></Page>'
    page = read(f'<alto xmlns="{ALTO_NAMESPACES[2]}"><Layout>{space}</Layout></alto>', tmp_path)
    assert [piece.text for piece in pieces(page, ("line",))] == ["a", "b", "c"]


def test_a_line_with_a_baseline_alone_lies_between_its_neighbours(tmp_path: Path) -> None:
    lines = "".join(
        f'<TextLine id="l{at}"><Baseline points="10,{at} 90,{at}"/>'
        "<TextEquiv><Unicode>x</Unicode></TextEquiv></TextLine>"
        for at in (30, 50, 71)
    )
    found = list(pieces(read(PAGE_START + region("a", lines) + PAGE_END, tmp_path), ("line",)))
    assert next(piece.outline for piece in found) == ((10, 15), (90, 15), (90, 35), (10, 35))
    single = region(
        "a", '<TextLine id="l"><Baseline points="1,3 9,3"/><TextEquiv><Unicode>x</Unicode></TextEquiv></TextLine>'
    )
    (alone,) = pieces(read(PAGE_START + single + PAGE_END, tmp_path), ("line",))
    assert alone.fault == "nothing says where it is"


TURNS = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, -90: Image.Transpose.ROTATE_270}


def turned_page(made: MadePage, degrees: int) -> MadePage:
    """The page as it is when it was scanned in another way: to be turned clockwise by so many degrees."""
    width, height = made.picture.size

    def moved(points: Any) -> list[tuple[int, int]]:
        ways = {90: lambda x, y: (y, width - 1 - x), 180: lambda x, y: (width - 1 - x, height - 1 - y),
                -90: lambda x, y: (height - 1 - y, x)}  # fmt: skip
        return [ways[degrees](x, y) for x, y in points]

    regions = tuple(
        replace(
            region,
            outline=moved(region.outline),
            lines=tuple(replace(one, outline=moved(one.outline), baseline=moved(one.baseline)) for one in region.lines),
        )
        for region in made.regions
    )
    return MadePage(made.picture.transpose(TURNS[degrees]), regions)


SAID = ("PAGE", "PAGE's page", "PAGE's text", "ALTO", "ALTO's page", "baseline")


# A baseline that runs to the left is that of Arabic, not of text that is upside down.
@pytest.mark.parametrize(
    ("said", "degrees"), [(said, turn) for said in SAID for turn in TURNS if (said, turn) != ("baseline", 180)]
)
def test_text_that_is_turned_is_cut_upright(said: str, degrees: int, made: MadePage, tmp_path: Path) -> None:
    aside = turned_page(made, degrees)
    if said.startswith("ALTO"):
        where = "<Page " if said == "ALTO's page" else "<TextBlock "
        text = alto(aside, "a.png").replace(where, f'{where}ROTATION="{degrees}" ')
    else:
        start, name = {
            "PAGE": ("<TextRegion ", "orientation"),
            "PAGE's page": ("<Page ", "orientation"),
            "PAGE's text": ("<TextRegion ", 'orientation="2" readingOrientation'),
            "baseline": ("<none ", ""),
        }[said]
        text = page_xml(aside, "a.png").replace(start, f'{start}{name}="{degrees}" ')
    page, _ = fitted(read(text, tmp_path), aside.picture)
    straight, _ = fitted(read(page_xml(made, "a.png"), tmp_path), made.picture)
    kinds = KINDS if said.endswith("page") else KINDS[:2]
    for one, other in zip(pieces(page, kinds), pieces(straight, kinds), strict=True):
        assert one.text == other.text
        found, wanted = cut(aside.picture, one), cut(made.picture, other)
        assert found.size == wanted.size
        assert (np.asarray(found) != np.asarray(wanted)).mean() < 0.01  # of slanted edges, which are drawn otherwise


@pytest.mark.parametrize(
    ("text", "turn"), [("down the margin", 3), ("1925 - 1930", 3), ("縦書きです", 0), ("ᠮᠣᠩᠭᠣᠯ", 0), ("2 縦書き", 0)]
)
def test_a_line_that_runs_downwards_is_turned_unless_its_script_is_written_so(
    text: str, turn: int, tmp_path: Path
) -> None:
    lines = "".join(
        f'<TextLine id="l{at}"><Baseline points="{at},10 {at},90"/>'
        f"<TextEquiv><Unicode>{text}</Unicode></TextEquiv></TextLine>"
        for at in (30, 50)
    )
    found = list(pieces(read(PAGE_START + region("a", lines) + PAGE_END, tmp_path), KINDS[:2]))
    assert {piece.turn for piece in found} == {turn}
    if turn:  # its letters stand on the baseline's right
        assert found[0].outline == ((45, 10), (45, 90), (25, 90), (25, 10))


def test_what_a_region_stands_in_says_how_it_is_turned_and_itself_says_it_better(tmp_path: Path) -> None:
    table = f'<TableRegion id="t" orientation="90">{CORNERS}{region("a", line("x"))}'
    inner = region("b", line("y") + region("c", line("z")), ' orientation="180"') + region(
        "d", line("w"), ' orientation="0"'
    )
    page = read(PAGE_START + table + inner + "</TableRegion>" + PAGE_END, tmp_path)
    assert {piece.text: piece.turn for piece in pieces(page, ("line",))} == {"x": 1, "y": 2, "z": 2, "w": 0}


def test_what_is_said_to_stand_upright_does_whatever_its_baseline(tmp_path: Path) -> None:
    up = '<TextLine id="l"><Baseline points="9,90 9,10"/><TextEquiv><Unicode>x</Unicode></TextEquiv></TextLine>'
    page = read(PAGE_START + region("a", up, ' orientation="0"') + region("b", up) + PAGE_END, tmp_path)
    assert [piece.turn for piece in pieces(page, ("paragraph",))] == [0, 1]


def test_a_page_is_turned_as_all_its_regions_are(tmp_path: Path) -> None:
    aside, upright = region("a", line("x"), ' orientation="90"'), region("b", line("y"))
    for inner, turn in ((aside, 1), (aside + aside, 1), (aside + upright, 0)):
        (whole,) = pieces(read(PAGE_START + inner + PAGE_END, tmp_path), ("page",))
        assert whole.turn == turn


def test_a_narrow_letter_with_a_steep_baseline_stands(tmp_path: Path) -> None:
    one = '<TextLine id="l"><Coords points="40,40 60,40 60,84 40,84"/><Baseline points="48,86 50,83"/>'
    text = PAGE_START + region("a", f"{one}<TextEquiv><Unicode>I</Unicode></TextEquiv></TextLine>") + PAGE_END
    assert [piece.turn for piece in pieces(read(text, tmp_path), ("line",))] == [0]


def test_a_short_line_with_a_steep_baseline_stands(tmp_path: Path) -> None:
    one = (
        f'<TextLine id="l">{CORNERS}<Baseline points="3,9 4,2"/><TextEquiv><Unicode>i</Unicode></TextEquiv></TextLine>'
    )
    (found,) = pieces(read(PAGE_START + region("a", one) + PAGE_END, tmp_path), ("line",))
    assert found.turn == 0


def test_a_text_that_is_not_parted_into_lines_is_a_paragraph_and_no_line(tmp_path: Path) -> None:
    page = read(PAGE_START + region("a", "<TextEquiv><Unicode>x\ny</Unicode></TextEquiv>") + PAGE_END, tmp_path)
    line_, paragraph, whole = pieces(page, KINDS)
    assert line_.fault == "its region's text is not divided into lines"
    assert (paragraph.text, paragraph.fault, whole.text) == ("x\ny", "", "x\ny")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("<PcGts><Page", "it is no well-formed XML"),
        ("", "it is no well-formed XML"),
        ("<PcGts/>", "it has no Page"),
        ("<alto><Layout/></alto>", "it has not one Page"),
        (
            PAGE_START + '<TextRegion id="a"><Coords points="1,2 3"/></TextRegion>' + PAGE_END,
            "its points are not pairs",
        ),
        (
            PAGE_START + '<TextRegion id="a"><Coords points="NaN,2"/></TextRegion>' + PAGE_END,
            "its points are not pairs",
        ),
        (PAGE_START.replace('"100"', '"wide"') + PAGE_END, "its imageWidth is no number"),
        (
            PAGE_START + '<TextRegion id="a"><Coords points="0,0 1e400,9 3,3"/></TextRegion>' + PAGE_END,
            "beyond any picture",
        ),
        (PAGE_START.replace('"100"', '"1e999"') + PAGE_END, "its imageWidth lies beyond any picture"),
    ],
)
def test_what_is_no_page_is_refused(text: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match=re.escape(why)):
        read(text, tmp_path)


def test_xml_of_other_kinds_is_none(tmp_path: Path) -> None:
    (tmp_path / "mets.xml").write_text('<mets xmlns="http://www.loc.gov/METS/"/>')
    assert read_page(tmp_path / "mets.xml") is None


def test_what_a_file_names_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    entities = f'<!DOCTYPE x [<!ENTITY e SYSTEM "{tmp_path}/secret"><!ENTITY f "aaaa">]>'
    text = entities + PAGE_START + region("a", line("x&f;y", name="l")) + PAGE_END
    (found,) = pieces(read(text, tmp_path), ("line",))
    assert found.text == "xaaaay"
    with pytest.raises(Unreadable, match="Entity 'e' not defined"):
        read(text.replace("&f;", "&e;"), tmp_path)


def test_entities_that_blow_up_are_refused(tmp_path: Path) -> None:
    bomb = "".join(f'<!ENTITY e{at} "{f"&e{at - 1};" * 10}">' for at in range(1, 12))
    text = f'<!DOCTYPE x [<!ENTITY e0 "ha">{bomb}]>' + PAGE_START + region("a", line("&e11;", name="l")) + PAGE_END
    with pytest.raises(Unreadable, match="no well-formed XML"):
        read(text, tmp_path)


@pytest.mark.parametrize(
    ("named", "there", "found"),
    [
        ("a.png", ["a.png", "b/a.png"], "a.png"),
        ("a.tif", ["a.jpg"], "a.jpg"),
        ("C:\\scans\\A.PNG", ["a.png"], "a.png"),
        ("/etc/a.png", ["../images/a.png"], "../images/a.png"),
        ("", ["page.jpeg"], "page.jpeg"),
        ("other.png", ["page.png"], "page.png"),
        ("M\u00e4dchen.png", ["Ma\u0308dchen.png"], "Ma\u0308dchen.png"),
        ("a%20b.png", ["a b.png"], "a b.png"),
        ("p.png", ["P.PNG", "p.png"], "p.png"),
        ("a.png", ["a.txt"], "there is no picture of it: a.png"),
        ("a.png", ["x/a.png", "y/a.png"], "several pictures may be meant"),
    ],
)
def test_a_picture_is_found_by_its_name_near_the_page(named: str, there: list[str], found: str, tmp_path: Path) -> None:
    folder = tmp_path / "pages"
    files = [folder / each if not each.startswith("..") else tmp_path / each[3:] for each in there]
    pictures, page = Pictures(files), Page(named, None, ())
    if found in there:
        assert pictures.of(page, folder / "page.xml") == files[there.index(found)]
    else:
        with pytest.raises(Unreadable, match=re.escape(found)):
            pictures.of(page, folder / "page.xml")


class TestFitting:
    def picture(self, size: tuple[int, int], orientation: int = 1) -> Any:
        picture = Image.new("RGB", size)
        picture.getexif()[0x0112] = orientation
        return picture

    def test_points_follow_a_picture_of_another_size(self) -> None:
        page = Page("a", (200.0, 100.0), (), in_pixels=True)
        _, turned = fitted(page, self.picture((100, 50)))
        assert turned

    @pytest.mark.parametrize(
        ("size", "stored", "orientation", "turned"),
        [
            ((50, 100), (100, 50), 6, True),  # transcribed as it is shown
            ((100, 50), (100, 50), 6, False),  # transcribed as it is stored
            ((100, 100), (100, 100), 6, True),
            ((100, 50), (100, 50), 3, True),
        ],
    )
    def test_a_picture_is_turned_as_the_transcribed_one_was(
        self, size: tuple[float, float], stored: tuple[int, int], orientation: int, turned: bool
    ) -> None:
        assert fitted(Page("a", size, ()), self.picture(stored, orientation))[1] is turned

    def test_a_picture_of_several_pages_is_refused(self, tmp_path: Path) -> None:
        first, second = self.picture((10, 10)), self.picture((10, 10))
        first.save(tmp_path / "a.tif", save_all=True, append_images=[second])
        with Image.open(tmp_path / "a.tif") as both, pytest.raises(Unreadable, match="several pages: 2"):
            fitted(Page("a", (10.0, 10.0), ()), both)

    def test_a_picture_of_another_shape_is_refused(self) -> None:
        with pytest.raises(Unreadable, match="another shape: 100x50 there, 50x50 pixels here"):
            fitted(Page("a", (100.0, 50.0), ()), self.picture((50, 50)))

    def test_unknown_units_are_refused(self) -> None:
        with pytest.raises(Unreadable, match="how many of them the page has"):
            fitted(Page("a", None, (), in_pixels=False), self.picture((50, 50)))


class TestCutting:
    def test_what_is_beside_the_picture_is_not_cut(self) -> None:
        picture = Image.new("RGB", (20, 20), "white")
        assert cut(picture, PageCrop("line", "l", "text", ((30, 30), (40, 30), (40, 40)))) is None
        assert cut(picture, PageCrop("line", "l", "text", ((0, 0), (1, 0), (1, 19)))) is None
        part = cut(picture, PageCrop("line", "l", "text", ((-5, -5), (9, -5), (9, 9), (-5, 9))))
        assert part.size == (10, 10)

    def test_the_paper_is_the_usual_colour(self) -> None:
        picture = Image.new("RGB", (10, 10), (200, 190, 180))
        picture.paste((0, 0, 0), (0, 0, 4, 10))
        assert paper(picture) == (200, 190, 180)

    def test_a_longest_edge_makes_smaller_and_never_larger(self) -> None:
        picture = Image.new("RGB", (400, 100))
        assert shrunk(picture, 200).size == (200, 50)
        assert shrunk(picture, 900).size == (400, 100)


class TestAugmentation:
    def test_a_copy_differs_and_is_made_again_by_its_name(self) -> None:
        picture = made_page(1, lines=2, size=(300, 220)).picture
        copies = [augmented(picture, 3407, "page", copy) for copy in range(20)]
        again = [augmented(picture, 3407, "page", copy) for copy in range(20)]
        assert all(np.array_equal(one, other) for one, other in zip(copies, again, strict=True))
        assert len({copy.tobytes() for copy in copies} | {picture.tobytes()}) == 21
        assert {copy.mode for copy in copies} == {"RGB"}

    def test_ink_stays_darker_than_paper(self) -> None:
        picture = Image.new("RGB", (200, 40), "white")
        picture.paste((0, 0, 0), (60, 10, 140, 30))
        for copy in range(20):
            made = augmented(picture, copy).convert("L")
            width, height = made.size
            assert made.getpixel((width // 2, height // 2)) < 90 < made.getpixel((width // 2, 2))
