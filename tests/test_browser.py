"""The rendered book in a real browser: headless Chromium, spoken to over its DevTools protocol.

Each page is shown twice, as unlike as readers are: on a desk in the light from a web server, and on a phone in the
dark from a file. What the browser met there is kept, and every test reads some of it.
"""

import itertools
import json
import math
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
WAYS = {"http": {"width": 1280, "scheme": "light"}, "file": {"width": 390, "scheme": "dark"}}
CHROMIUM = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --disable-dev-shm-usage --no-first-run
--disable-background-networking --disable-component-update --disable-sync --remote-debugging-port=0""".split()

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="NO CHROMIUM FOUND: the book was not looked at in a browser"),
    pytest.mark.skipif(not (HTML / "index.html").exists(), reason="NO RENDERED BOOK: run `make html` first"),
]
each_page = pytest.mark.parametrize("page", PAGES)
each_way = pytest.mark.parametrize("way", WAYS)


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
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        self.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.ask("Network.setCacheDisabled", cacheDisabled=True)  # every page is the first that a reader opens
        self.ask("Page.navigate", url=page)
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.receive()
        self.run("Promise.all([window.MathJax?.startup?.promise, document.fonts.ready]).then(() => true)")

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

# Code and formulas become plain words first. What else they are other tests have read, and axe-core would take ten
# times as long over their thousands of parts.
AXE = """(() => {
  for (const code of document.querySelectorAll(".highlight pre")) code.textContent = code.textContent;
  for (const formula of document.querySelectorAll("mjx-container")) formula.replaceChildren(formula.textContent);
  return axe.run(document, {resultTypes: ["violations"], preload: false}).then(({violations}) => violations
    .filter(({impact}) => ["serious", "critical"].includes(impact))
    .map(({id, nodes}) => `${id}, ${nodes.length} times, first ${nodes[0].html}`));
})()"""


def outlines(selector):
    return f"[...document.querySelectorAll('{selector}')].map(element => element.outerHTML.slice(0, 160))"


LOOKS = {
    "raw_formulas": outlines(".math:not(:has(mjx-container))"),
    "broken_formulas": outlines("mjx-merror, merror"),
    "silent_formulas": outlines("mjx-container:not(:has(math))"),
    "dead_widgets": outlines("div.mmalign-widget > img"),
    "nameless_images": outlines('img:not([alt]), img[alt=""]'),
    "grounds": "[...document.querySelectorAll('.cell_output img')].map(e => getComputedStyle(e).backgroundColor)",
    "theme": "document.documentElement.dataset.theme",
    "width": "document.documentElement.scrollWidth",
    "too_wide": """[...document.querySelectorAll('.bd-article *')]
        .filter(element => element.getBoundingClientRect().right > innerWidth + 1)
        .map(element => element.outerHTML.slice(0, 120)).slice(0, 5)""",
    "faint": FAINT,
}


def axe_core():
    """The script of axe-core, which a Python package brings along; the package itself is never imported."""
    package = find_spec("axe_playwright_python")
    return (Path(package.origin).parent / "axe.min.js").read_text(encoding="utf-8") if package else None


@pytest.fixture(scope="module")
def look(devtools, site):
    """A function that shows a page once a way, and says what the browser met there."""
    axe = axe_core()

    @cache
    def look(page, way):
        home = site if way == "http" else HTML.as_uri()
        with new_tab(devtools) as tab:
            tab.show(f"{home}/{page}", **WAYS[way])
            found = {name: tab.run(script) for name, script in LOOKS.items()}
            own = (home, "data:", "blob:")
            found["bytes"] = tab.bytes()
            found["elsewhere"] = [address for address in tab.requests() if not address.startswith(own)]
            found["complaints"] = list(tab.complaints())
            found["axe"] = tab.run(f"{axe};\n{AXE}") if axe else None
        return SimpleNamespace(**found)

    return look


# ---- every page


@each_page
@each_way
def test_a_page_shows_without_an_error_or_a_request_elsewhere(look, page, way):
    assert look(page, way).elsewhere == []
    assert look(page, way).complaints == []


@each_page
@each_way
def test_every_formula_is_typeset_and_can_be_spoken(look, page, way):
    assert look(page, way).raw_formulas == []
    assert look(page, way).broken_formulas == []
    assert look(page, way).silent_formulas == [], "a screen reader needs MathML beside each formula"


@each_page
@each_way
def test_every_picture_has_alt_text(look, page, way):
    assert look(page, way).nameless_images == []


@each_page
@each_way
def test_nothing_is_wider_than_the_screen(look, page, way):
    assert look(page, way).width <= WAYS[way]["width"], look(page, way).too_wide


@each_page
@each_way
def test_all_text_can_be_read_in_the_light_and_in_the_dark(look, page, way):
    assert look(page, way).theme == WAYS[way]["scheme"]
    assert look(page, way).faint == [], "WCAG asks for a contrast of 4.5"


@each_page
@each_way
def test_axe_core_finds_nothing_serious(look, page, way):
    if look(page, way).axe is None:
        pytest.skip("NO AXE-CORE FOUND: `make` installs it, see Makefile")
    assert look(page, way).axe == []


@each_page
def test_figures_keep_their_white_ground_in_the_dark(look, page):
    assert set(look(page, "file").grounds) <= {"rgb(255, 255, 255)"}


@each_page
@each_way
def test_every_widget_draws_itself(look, page, way):
    assert look(page, way).dead_widgets == []


def test_the_table_in_the_readme_is_what_was_measured(look):
    seen = [look(page, way) for page in PAGES for way in WAYS]
    if seen[0].axe is None:
        pytest.skip("NO AXE-CORE FOUND: `make` installs it, see Makefile")
    count = lambda name: sum(len(getattr(one, name)) for one in seen)  # noqa: E731
    rows = {
        "the largest page, with all that it loads": f"under {math.ceil(max(one.bytes for one in seen) / 1e6)} MB",
        "requests to another origin": count("elsewhere"),
        "errors in the console": count("complaints"),
        "serious or critical findings of axe-core, in the light and in the dark": count("axe"),
        "images without alt text": count("nameless_images"),
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    (ROOT / "_build/measured.md").write_text(table + "\n", encoding="utf-8")
    assert table in (ROOT / "README.md").read_text(encoding="utf-8"), f"README.md should say\n{table}"


# ---- what a reader does


@each_way
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
    theme, ground = LOOKS["theme"], "getComputedStyle(document.body).backgroundColor"
    met = set()
    for _ in range(3):  # light, dark, as the system says
        met.add((tab.run(theme), tab.run(ground)))
        tab.run("document.querySelector('.theme-switch-button').click()")
    assert {theme for theme, _ in met} == {"light", "dark"}
    assert len(met) == 2
