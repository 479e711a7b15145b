"""The rendered book, read as files: complete, without dead links, and with nothing fetched from elsewhere."""

import io
import re
import runpy
import subprocess
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import matplotlib.image
import pytest
from bs4 import BeautifulSoup

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("files")]  # each page is read once

ROOT = Path(__file__).resolve().parents[1]
HTML = ROOT / "_build/html"
CHAPTERS = sorted(f"notebooks/{path.stem}" for path in (ROOT / "notebooks").glob("*.ipynb"))
PAGES = sorted(path for path in HTML.rglob("*.html") if "_static" not in path.parts)

needs_html = pytest.mark.skipif(not (HTML / "index.html").exists(), reason="NO RENDERED BOOK: run `make html` first")
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(HTML).as_posix())


@cache
def soup(page):
    return BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")


@cache
def anchors(page):
    return {element.get("id") for element in soup(page).find_all(id=True)}


def fetched(page):
    """Addresses that a browser fetches by itself when it shows the page."""
    for element in soup(page).find_all(["script", "img", "iframe", "source", "video", "audio", "embed"]):
        yield element.get("src")
    for element in soup(page).find_all("link", rel=True):
        if set(element["rel"]) & {"stylesheet", "preload", "prefetch", "preconnect", "modulepreload", "icon"}:
            yield element.get("href")


@needs_html
def test_there_is_a_first_page_and_one_for_each_entry_of_the_contents():
    entries = re.findall(r"(?:root|file): (\S+)", (ROOT / "_toc.yml").read_text(encoding="utf-8"))
    assert [entry for entry in ["index", *entries] if not (HTML / f"{entry}.html").exists()] == []


@needs_html
@each_page
def test_a_page_fetches_nothing_from_elsewhere(page):
    assert [address for address in fetched(page) if address and re.match(r"(https?:)?//", address)] == []


@needs_html
def test_no_style_sheet_fetches_anything_from_elsewhere():
    remote = re.compile(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//")
    assert [sheet for sheet in HTML.rglob("*.css") if remote.search(sheet.read_text(encoding="utf-8"))] == []


@needs_html
@each_page
def test_every_link_inside_the_book_leads_somewhere(page):
    dead = []
    addresses = [element["href"] for element in soup(page).find_all(["a", "link"], href=True)]
    for address in {*addresses, *filter(None, fetched(page))}:
        parts = urlsplit(address)
        if parts.scheme or parts.netloc:
            continue
        target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
        found = target.exists() and (
            not parts.fragment or target.suffix != ".html" or unquote(parts.fragment) in anchors(target)
        )
        if not found:
            dead.append(address)
    assert dead == []


@needs_html
@each_page
def test_every_picture_has_alt_text(page):
    assert [str(image)[:200] for image in soup(page).find_all("img") if not image.get("alt")] == []


@needs_html
@each_page
def test_no_page_shows_the_source_of_a_table(page):
    assert [str(one)[:200] for one in soup(page).find_all("p") if one.text.startswith("|")] == []


@needs_html
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_can_be_downloaded_and_launched_where_there_is_something_to_launch(chapter):
    page = HTML / f"{chapter}.html"
    links = [element["href"] for element in soup(page).find_all("a", href=True)]
    assert any(link.endswith(f"{Path(chapter).name}.ipynb") and (page.parent / link).exists() for link in links)
    address = re.search(r"^repository: .*url: \"(.*?)\"", (ROOT / "_config.yml").read_text(encoding="utf-8"), re.M)
    launchers = [link for link in links if re.match("https://(mybinder|colab)", link)]
    assert len(launchers) == (2 if address.group(1) else 0)


@needs_html
@each_page
def test_a_page_names_its_language(page):
    root = soup(page).html
    assert root is None or root.get("lang") == "en" or soup(page).find("meta", attrs={"http-equiv": "Refresh"})


@needs_html
def test_one_page_holds_the_figure_of_each_chapter_and_each_chapter_marks_it():
    cards = soup(HTML / "book/figures.html").select(".mm-kept")
    links = [card.find("a")["href"] for card in cards]
    assert [re.sub(r"^\.\./|\.html.*$", "", link) for link in links] == CHAPTERS
    assert all(card.find("img")["alt"] for card in cards)
    marks = {
        chapter: len(soup(HTML / f"{chapter}.html").select("p.mm-takeaway + .tag_takeaway")) for chapter in CHAPTERS
    }
    assert marks == dict.fromkeys(CHAPTERS, 1)


@needs_html
def test_the_icons_that_a_page_names_are_there_and_few_others():
    named = {name for page in PAGES for icon in soup(page).select("i.fa-solid, i.fas") for name in icon["class"]}
    script = (HTML / "_static/scripts/fontawesome.js").read_text(encoding="utf-8")
    icons = {name.removeprefix("fa-") for name in named if name.startswith("fa-")} - {"solid", "lg"}
    assert icons and [name for name in icons if not re.search(rf'[{{,]"?{name}"?:\[', script)] == []
    assert len(script) < 150_000


# ---- the repository


def repository_files():
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listed.returncode:
        pytest.skip("NOT A GIT CHECKOUT: the files of the repository cannot be listed")
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def test_the_repository_stays_under_30_megabytes():
    assert sum(path.stat().st_size for path in repository_files()) < 30_000_000


def test_no_file_names_a_path_of_one_machine_or_a_package_registry():
    hosts = ["pypi" + ".org", "pythonhosted" + ".org", "anaconda" + ".org", "download.pytorch" + ".org"]
    forbidden = re.compile("|".join([r"(?<![\w.~-])/(home|Users|root|work)/\w", *map(re.escape, [str(ROOT), *hosts])]))
    found = []
    for path in repository_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(ROOT)}: {match.group()}" for match in forbidden.finditer(text)]
    assert found == []


def test_the_picture_of_the_readme_is_the_one_that_the_first_chapter_has_stored():
    script = runpy.run_path(str(ROOT / "book/opening.py"))
    assert script["PICTURE"].read_text(encoding="utf-8") == script["opening"]() + "\n", "run book/opening.py"


def test_the_picture_of_a_shared_link_is_drawn_from_the_same_chapter_and_has_the_size_that_the_pages_say():
    script = runpy.run_path(str(ROOT / "book/opening.py"))
    stored, drawn = (
        matplotlib.image.imread(io.BytesIO(one)) for one in (script["SHARED"].read_bytes(), script["shared"]())
    )
    assert stored.shape[:2] == (630, 1200)
    assert abs(stored[..., :3] - drawn[..., :3]).mean() < 0.01, "run book/opening.py"


@needs_html
@each_page
def test_a_page_names_the_picture_that_a_shared_link_shows(page):
    named = soup(page).find("meta", property="og:image")
    if soup(page).find("article") is None or named is None:
        pytest.skip("no page of the book's own")
    address = named["content"]
    assert address.startswith("http") or (page.parent / address).resolve() == HTML / "_static/share.png"
    assert (HTML / "_static/share.png").read_bytes() == (ROOT / "book/_static/share.png").read_bytes()
