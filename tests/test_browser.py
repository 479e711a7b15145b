"""The rendered book in a real browser: headless Chromium, spoken to over its DevTools protocol.

Each page is opened twice, from a web server and from a file. The first is then made narrower and darker, as a reader
might: on a desk, a tablet and a phone, in the light and in the dark. What the browser met is kept, and every test reads
some of it: a page is visited once, however many questions there are.
"""

import itertools
import json
import math
import os
import pickle
import re
import shutil
import subprocess
import threading
import time
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from urllib.request import Request, urlopen

import pytest
import websocket

ROOT = Path(__file__).resolve().parents[1]
HTML = ROOT / "_build/html"
ENTRIES = re.findall(r"(?:root|file): (\S+)", (ROOT / "_toc.yml").read_text(encoding="utf-8"))
PAGES = [f"{entry}.html" for entry in [*ENTRIES, "search", "genindex", "prf-prf"]]
SIZES = {"desk": 1280, "tablet": 820, "phone": 390}
SCHEMES = ("light", "dark")
# There and back: between two views one thing changes, the width or the colours.
VIEWS = [(size, "light") for size in SIZES] + [(size, "dark") for size in reversed(SIZES)]
CHROMIUM = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --disable-dev-shm-usage --no-first-run
--disable-background-networking --disable-component-update --disable-sync --remote-debugging-port=0""".split()

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="NO CHROMIUM FOUND: the book was not looked at in a browser"),
    pytest.mark.skipif(not (HTML / "index.html").exists(), reason="NO RENDERED BOOK: run `make html` first"),
]
# What is asked of a page is asked in one process: another would have to visit it again.
each_page = pytest.mark.parametrize("page", [pytest.param(one, marks=pytest.mark.xdist_group(one)) for one in PAGES])


# Five frames: what waits for a frame to fit itself to the page, and for another to be measured, has done so.
SETTLED = (
    "new Promise(done => { let n = 0; const next = () => ++n > 5 ? done(true) : requestAnimationFrame(next); next(); })"
)

# Colours and columns come to rest at once, where they end anyway: a reader waits half a second, six views a page.
AT_REST = """document.head.insertAdjacentHTML('beforeend',
    '<style>*, *::before, *::after { transition: none !important; animation: none !important }</style>')"""


class Tab:
    """One browser tab. `events` is everything that the browser reports while it shows the page."""

    def __init__(self, address):
        self.socket = websocket.create_connection(address, suppress_origin=True, timeout=60)
        self.numbers = itertools.count(1)
        self.events = []

    def ask(self, method, **parameters):
        number = next(self.numbers)
        self.socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while (message := self.receive()).get("id") != number:
            pass
        assert "error" not in message, message
        return message["result"]

    def receive(self):
        message = json.loads(self.socket.recv())
        if "method" in message:
            self.events.append(message)
        return message

    def show(self, page, width, scheme):
        """Returns when the page has loaded and every formula is typeset."""
        for domain in ["Page", "Runtime", "Network", "Log"]:
            self.ask(f"{domain}.enable")
        self.resize(width, scheme)
        self.ask("Network.setCacheDisabled", cacheDisabled=True)  # every page is the first that a reader opens
        self.ask("Page.navigate", url=page)
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.receive()
        self.run(f"Promise.all([window.MathJax?.startup?.promise, document.fonts.ready]).then(() => {SETTLED})")

    def resize(self, width, scheme):
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        self.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def run(self, script):
        answer = self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def about(self, method):
        return [event["params"] for event in self.events if event["method"] == method]

    def requests(self):
        return [sent["request"]["url"] for sent in self.about("Network.requestWillBeSent")]

    def bytes(self):
        """What came over the wire, head lines included; our server compresses nothing."""
        return sum(done["encodedDataLength"] for done in self.about("Network.loadingFinished"))

    def complaints(self):
        for event in self.events:
            about = event["params"]
            if event["method"] == "Runtime.exceptionThrown":
                yield about["exceptionDetails"]
            if event["method"] == "Runtime.consoleAPICalled" and about["type"] in ("error", "assert"):
                yield about["args"]
            if event["method"] == "Log.entryAdded" and about["entry"]["level"] == "error":
                yield about["entry"]


@pytest.fixture(scope="module")
def devtools(tmp_path_factory):
    """A running Chromium; yields the address where it takes orders."""
    profile = tmp_path_factory.mktemp("profile")
    browser = subprocess.Popen([CHROMIUM, *FLAGS, f"--user-data-dir={profile}"], stderr=subprocess.DEVNULL)
    try:
        port_file = profile / "DevToolsActivePort"  # Chromium picks a free port and writes it here
        deadline = time.monotonic() + 60
        while not (port_file.exists() and "\n" in port_file.read_text()):
            assert browser.poll() is None and time.monotonic() < deadline, "Chromium did not start"
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port_file.read_text().split()[0]}/json"
    finally:
        browser.terminate()
        browser.wait(timeout=30)


@contextmanager
def new_tab(devtools):
    with urlopen(Request(f"{devtools}/new", method="PUT")) as answer:
        target = json.load(answer)
    tab = Tab(target["webSocketDebuggerUrl"])
    try:
        yield tab
    finally:
        tab.socket.close()
        urlopen(f"{devtools}/close/{target['id']}").close()


@pytest.fixture
def show(devtools):
    """A function that shows a page in a tab of its own."""
    with ExitStack() as after:

        def show(page, width=1280, scheme="light"):
            tab = after.enter_context(new_tab(devtools))
            tab.show(page, width, scheme)
            return tab

        yield show


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def site():
    """The book behind a web server; yields the address of its folder."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=HTML)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


FAINT = r"""(() => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const luminance = (colours) => {    // of colours painted over one another, whatever way they are written
    for (const colour of colours) {
      canvas.fillStyle = colour;
      canvas.fillRect(0, 0, 1, 1);
    }
    const {data} = canvas.getImageData(0, 0, 1, 1);
    return [0.2126, 0.7152, 0.0722].reduce((sum, weight, place) => {
      const part = data[place] / 255;
      return sum + weight * (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    }, 0);
  };
  const contrast = (under, colour) => {
    const levels = [luminance(under), luminance([...under, colour])];
    return (Math.max(...levels) + 0.05) / (Math.min(...levels) + 0.05);
  };
  const known = new Map();            // a page has thousands of words and a few dozen pairs of colours
  const grounds = new Map([[null, ["white"]]]);
  const ground = (element) => {
    if (!grounds.has(element)) {
      const [under, colour] = [ground(element.parentElement), getComputedStyle(element).backgroundColor];
      grounds.set(element, colour === "rgba(0, 0, 0, 0)" ? under : [...under, colour]);
    }
    return grounds.get(element);
  };
  const faint = new Set();
  const texts = document.createTreeWalker(document.querySelector("article") ?? document.body, NodeFilter.SHOW_TEXT);
  for (let text = texts.nextNode(); text; text = texts.nextNode()) {
    const element = text.parentElement;
    if (!text.data.trim() || !element.checkVisibility() || element.closest("mjx-assistive-mml")) continue;
    const [under, colour] = [ground(element), getComputedStyle(element).color];
    const pair = `${under} under ${colour}`;
    if (!known.has(pair)) known.set(pair, contrast(under, colour));
    if (known.get(pair) < 4.5) faint.add(`${known.get(pair).toFixed(1)} ${element.outerHTML.slice(0, 80)}`);
  }
  return [...faint];
})()"""

# Which words look like three before them: in the same letters, in boxes that paint and are placed alike.
ALIKE = """(() => {
  const plain = {backgroundColor: "rgba(0, 0, 0, 0)", backgroundImage: "none", opacity: "1", position: "static",
    zIndex: "auto", filter: "none", textShadow: "none"};
  const boxes = new Map([[null, ""]]);
  const box = (element) => {          // what it and those around it paint, as far as they paint anything
    if (!boxes.has(element)) {
      const style = getComputedStyle(element), own = Object.keys(plain).filter((name) => style[name] !== plain[name]);
      boxes.set(element, box(element.parentElement) + own.map((name) => `${name} ${style[name]};`).join(""));
    }
    return boxes.get(element);
  };
  const times = new Map(), spoken = new Set(), texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) if (texts.currentNode.data.trim()) spoken.add(texts.currentNode.parentElement);
  return [...spoken].filter((element) => {
    const {color, fontSize, fontWeight} = getComputedStyle(element), short = element.textContent.trim().length < 2;
    const shows = element.checkVisibility({visibilityProperty: true});
    const looks = [box(element), color, fontSize, fontWeight, short, shows].join();
    times.set(looks, (times.get(looks) ?? 0) + 1);
    return times.get(looks) > 3;
  });
})()"""

# Code and formulas are plain words meanwhile: what else they are other tests have read, and axe-core would take ten
# times as long over their thousands of parts. Most of what is left is contrast, which FAINT reads of every word: here
# it is read once more, of three words of each look.
AXE = f"""(() => {{
  const formal = [...document.querySelectorAll(".highlight pre, mjx-container")];
  const whole = formal.map((one) => [one, [...one.childNodes]]);
  for (const one of formal) one.replaceChildren(one.textContent);
  const alike = {ALIKE};
  for (const one of alike) one.toggleAttribute("data-alike", true);
  axe.configure({{rules: [{{id: "color-contrast", selector: ":not([data-alike])"}}]}});
  const back = () => {{               // for the next view
    for (const [one, parts] of whole) one.replaceChildren(...parts);
    for (const one of alike) one.toggleAttribute("data-alike", false);
  }};
  return axe.run(document, {{resultTypes: ["violations"], preload: false}})
    .finally(back).then(({{violations}}) => violations
    .filter(({{impact}}) => ["serious", "critical"].includes(impact))
    .map(({{id, nodes}}) => `${{id}}, ${{nodes.length}} times, first ${{nodes[0].html}}`));
}})()"""


def outlines(selector):
    return f"[...document.querySelectorAll('{selector}')].map(element => element.outerHTML.slice(0, 160))"


# Of the page as it was loaded.
ONCE = {
    "raw_formulas": outlines(".math:not(:has(mjx-container))"),
    "broken_formulas": outlines("mjx-merror, merror"),
    "silent_formulas": outlines("mjx-container:not(:has(math))"),
    "dead_widgets": outlines("div.mmalign-widget > img"),
    "nameless_images": outlines('img:not([alt]), img[alt=""]'),
}
# In one colour scheme.
COLOURED = {
    "grounds": "[...document.querySelectorAll('.cell_output img')].map(e => getComputedStyle(e).backgroundColor)",
    "theme": "document.documentElement.dataset.theme",
    "faint": FAINT,
}
# At one width. A box may scroll only where it shows that it does.
SIZED = {
    "width": "document.documentElement.scrollWidth",
    "too_wide": """document.documentElement.scrollWidth > innerWidth && [...document.querySelectorAll('.bd-article *')]
        .filter(element => element.getBoundingClientRect().right > innerWidth + 1)
        .map(element => element.outerHTML.slice(0, 120)).slice(0, 5)""",
    "cut": """[...document.querySelectorAll('.bd-article :is(mjx-math, div.math, pre, table, .output, figure)')]
        .filter(e => e.checkVisibility() && e.clientWidth !== undefined && !e.closest('.mm-scrolls'))
        .map(e => [e, e.matches('mjx-math') ? e.getBoundingClientRect().right
            - (e.closest('div.math, p, li, td, th, dd, figcaption') ?? document.body).getBoundingClientRect().right
            : e.querySelector('.mm-scrolls') ? 0 : e.scrollWidth - e.clientWidth])
        .filter(([, over]) => over > 1)
        .map(([e, over]) => `${over | 0} px: ${e.outerHTML.slice(0, 160)}`)""",
    "scrolling": outlines(".mm-scrolls"),
    "columns": r"""[...document.querySelectorAll('.cell_output pre')]
        .flatMap(printed => printed.textContent.split('\n')).filter(line => /\S {2,}\S/.test(line))""",
    "long_lines": """[...document.querySelectorAll('.bd-article section > p')].flatMap(words => {
        const lines = Math.round(words.clientHeight / parseFloat(getComputedStyle(words).lineHeight));
        const plain = !words.querySelector('mjx-container') && words.textContent.length;
        return plain && lines > 2 && plain / lines > 82 ? [`${plain / lines}: ${words.textContent.slice(0, 60)}`] : [];
    })""",
}
# Fingers and eyes, on a phone. A link inside a sentence may be as high as its line (WCAG 2.5.8).
PHONE = {
    "small_targets": """[...document.querySelectorAll('.bd-article :is(button, input, select, summary, [tabindex="0"]),'
            + '.bd-header-article :is(button, a), .prev-next-area a')]
        .filter(e => e.checkVisibility({visibilityProperty: true}))
        .filter(e => !e.matches('.copybtn, .mm-scrolls, pre, table, mjx-container'))
        .map(e => [e, (e.closest('label') ?? e).getBoundingClientRect()])
        .filter(([, box]) => box.height && Math.min(box.height, box.width) < 39.5)
        .map(([e, box]) => `${box.width | 0} x ${box.height | 0}: ${e.outerHTML.slice(0, 120)}`)""",
    "towers": """[...document.querySelectorAll('.bd-article table:not(.mm-cards) tr')]
        .filter(e => e.checkVisibility() && e.cells.length > 2 && e.offsetHeight > 200 && e.closest('table').tHead)
        .map(e => `${e.offsetHeight} px: ${e.textContent.slice(0, 80)}`)""",
    "nameless_cells": """[...document.querySelectorAll('.bd-article .mm-cards tbody tr')]
        .filter(e => e.checkVisibility()).map(e => [...e.cells].filter(cell => cell.checkVisibility()))
        .filter(cells => cells.filter(cell => !cell.dataset.label).length > 1
            || cells.some(cell => !cell.textContent.trim() && !cell.querySelector('img, svg')))
        .map(cells => cells.map(cell => `${cell.dataset.label}: ${cell.textContent.slice(0, 20)}`).join('; '))""",
    "small_words": """(async () => {
        const found = [];
        const tell = (pixels, where, words) => pixels < 8.95 && words.trim()
            && found.push(`${pixels.toFixed(1)} px: ${words.trim().slice(0, 30)} in ${where}`);
        for (const words of document.querySelectorAll('.bd-article .mmalign-alignment svg text')) {
            tell(parseFloat(getComputedStyle(words).fontSize) * words.getScreenCTM().a, 'a widget', words.textContent);
        }
        for (const image of document.querySelectorAll('.cell_output img')) {
            image.loading = 'eager';
            await image.decode().catch(() => {});
            const address = image.currentSrc;
            if (!address.endsWith('.svg')) { found.push(`no vectors: ${image.alt.slice(0, 60)}`); continue; }
            const picture = new DOMParser().parseFromString(await (await fetch(address)).text(), 'image/svg+xml');
            const scale = image.clientWidth / picture.documentElement.viewBox.baseVal.width;
            for (const words of picture.querySelectorAll('text')) {   // indices may be smaller
                const sizes = [words, ...words.querySelectorAll('tspan')].map(part =>
                    /font(?:-size)?: [^;]*?([\\d.]+)px/.exec(part.getAttribute('style') ?? '')?.[1] ?? 0);
                tell(Math.max(...sizes) * scale || 99, address.slice(-30), words.textContent);
            }
        }
        return found.slice(0, 8);
    })()""",
}


def axe_core():
    """The script of axe-core, which a Python package brings along; the package itself is never imported."""
    package = find_spec("axe_playwright_python")
    return (Path(package.origin).parent / "axe.min.js").read_text(encoding="utf-8") if package else None


def met(tab, home):
    """What a browser says of a page that it has shown."""
    own = (home, "data:", "blob:")
    return {
        "bytes": tab.bytes(),
        "elsewhere": [address for address in tab.requests() if not address.startswith(own)],
        "complaints": list(tab.complaints()),
    }


@pytest.fixture(scope="session")
def seen(tmp_path_factory):
    """The folder where processes that share the pages leave what they have met."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "seen"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def look(devtools, site, seen):
    """A function that shows a page once, in every view, and says what the browser met there."""

    @cache
    def look(page):
        path = seen / page.replace("/", " ")
        if not path.exists():
            draft = path.with_suffix(f".{os.getpid()}")
            draft.write_bytes(pickle.dumps(visited(devtools, site, page)))
            draft.replace(path)
        return SimpleNamespace(**pickle.loads(path.read_bytes()))

    return look


def visited(devtools, site, page):
    """What a browser met on a page, in every view."""
    axe = axe_core()
    ask = lambda tab, questions: {name: tab.run(script) for name, script in questions.items()}  # noqa: E731
    with new_tab(devtools) as tab:
        tab.show(f"{HTML.as_uri()}/{page}", SIZES["phone"], "dark")
        found = {"file": ask(tab, ONCE) | met(tab, HTML.as_uri())}
    with new_tab(devtools) as tab:
        tab.show(f"{site}/{page}", SIZES["desk"], "light")
        found |= ask(tab, ONCE) | {"views": {}, "axe": {} if axe else None}
        opened = tab.bytes()  # by a reader who does not resize the window, and so needs one twin of each figure
        tab.run(AT_REST)
        tab.run(axe or "")
        for size, scheme in VIEWS:
            tab.resize(SIZES[size], scheme)
            tab.run(SETTLED)
            view = found["views"][size, scheme] = ask(tab, SIZED)
            if size != "tablet":
                view |= ask(tab, COLOURED)
            if (size, scheme) == ("phone", "dark"):
                found |= ask(tab, PHONE)
            if axe and (size, scheme) in (("desk", "light"), ("phone", "dark")):
                found["axe"][scheme] = tab.run(AXE)
        return found | met(tab, site) | {"bytes": opened}


def in_views(page, name):
    """What is wrong, by the view in which it is; nothing where nothing is."""
    return {f"{size}, {scheme}": view[name] for (size, scheme), view in page.views.items() if view.get(name)}


# ---- every page


@each_page
def test_a_page_shows_without_an_error_or_a_request_elsewhere(look, page):
    assert look(page).elsewhere == look(page).file["elsewhere"] == []
    assert look(page).complaints == look(page).file["complaints"] == []


@each_page
def test_every_formula_is_typeset_and_can_be_spoken(look, page):
    for seen in (vars(look(page)), look(page).file):
        assert seen["raw_formulas"] == []
        assert seen["broken_formulas"] == []
        assert seen["silent_formulas"] == [], "a screen reader needs MathML beside each formula"


@each_page
def test_every_picture_has_alt_text_and_every_widget_draws_itself(look, page):
    for seen in (vars(look(page)), look(page).file):
        assert seen["nameless_images"] == []
        assert seen["dead_widgets"] == []


@each_page
def test_nothing_is_cut_or_hidden_sideways_in_any_view(look, page):
    for (size, scheme), view in look(page).views.items():
        assert view["width"] <= SIZES[size], (size, scheme, view["too_wide"])
    assert in_views(look(page), "cut") == {}
    assert not {view for view in in_views(look(page), "scrolling") if view.startswith("desk")}, "a desk has room"


@each_page
def test_what_cells_print_in_columns_is_a_table(look, page):
    assert in_views(look(page), "columns") == {}


@each_page
def test_lines_of_prose_are_as_long_as_an_eye_follows(look, page):
    assert in_views(look(page), "long_lines") == {}


@each_page
def test_all_text_can_be_read_in_the_light_and_in_the_dark(look, page):
    assert {(scheme, view["theme"]) for (_, scheme), view in look(page).views.items() if "theme" in view} == {
        (scheme, scheme) for scheme in SCHEMES
    }
    assert in_views(look(page), "faint") == {}, "WCAG asks for a contrast of 4.5"


@each_page
def test_on_a_phone_fingers_find_what_they_press(look, page):
    assert look(page).small_targets == []


@each_page
def test_on_a_phone_words_in_pictures_are_9_pixels_or_more(look, page):
    assert look(page).small_words == []


@each_page
def test_on_a_phone_no_table_stacks_its_words_and_no_card_has_a_name_without_a_value(look, page):
    assert look(page).towers == look(page).nameless_cells == []


@each_page
def test_axe_core_finds_nothing_serious(look, page):
    if look(page).axe is None:
        pytest.skip("NO AXE-CORE FOUND: `make` installs it, see Makefile")
    assert look(page).axe == {scheme: [] for scheme in SCHEMES}


@each_page
def test_figures_keep_their_white_ground_in_the_dark(look, page):
    assert set(look(page).views["phone", "dark"]["grounds"]) <= {"rgb(255, 255, 255)"}


def test_the_table_in_the_readme_is_what_was_measured(look):
    seen = [look(page) for page in PAGES]
    if seen[0].axe is None:
        pytest.skip("NO AXE-CORE FOUND: `make` installs it, see Makefile")
    count = lambda name: sum(len(getattr(one, name)) + len(one.file.get(name, ())) for one in seen)  # noqa: E731
    largest = max(max(one.bytes, one.file["bytes"]) for one in seen)
    assert largest < 4e6
    rows = {
        "the largest page, with all that it loads": f"under {math.ceil(largest / 1e6)} MB",
        "requests to another origin": count("elsewhere"),
        "errors in the console": count("complaints"),
        "serious or critical findings of axe-core, in the light and in the dark": sum(
            len(found) for one in seen for found in one.axe.values()
        ),
        "images without alt text": count("nameless_images"),
        "formulas, lines of code, outputs and tables cut sideways, at 1280, 820 and 390 pixels": sum(
            len(in_views(one, "cut")) for one in seen
        ),
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    (ROOT / "_build/measured.md").write_text(table + "\n", encoding="utf-8")
    assert table in (ROOT / "README.md").read_text(encoding="utf-8"), f"README.md should say\n{table}"


# ---- what a reader does


@pytest.mark.parametrize("way", ["http", "file"])
def test_the_search_finds_a_word(show, site, way):
    home = site if way == "http" else HTML.as_uri()
    tab = show(f"{home}/search.html?q=transport")
    found = "document.querySelectorAll('#search-results li').length"
    deadline = time.monotonic() + 30
    while not tab.run(found) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert tab.run(found) > 0
    assert list(tab.complaints()) == []


def test_the_switch_in_the_header_changes_the_colours(show, site):
    tab = show(f"{site}/{PAGES[0]}")
    theme, ground = COLOURED["theme"], "getComputedStyle(document.body).backgroundColor"
    seen = set()
    for _ in range(3):  # light, dark, as the system says
        seen.add((tab.run(theme), tab.run(ground)))
        tab.run("document.querySelector('.theme-switch-button').click()")
    assert {theme for theme, _ in seen} == {"light", "dark"}
    assert len(seen) == 2
