"""The rendered book in a real browser: headless Chromium, spoken to over its DevTools protocol."""

import itertools
import json
import re
import shutil
import subprocess
import threading
import time
from contextlib import ExitStack
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
import websocket

ROOT = Path(__file__).resolve().parents[1]
HTML = ROOT / "_build/html"
ENTRIES = re.findall(r"(?:root|file): (\S+)", (ROOT / "_toc.yml").read_text(encoding="utf-8"))
CHROMIUM = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --disable-dev-shm-usage --no-first-run
--disable-background-networking --disable-component-update --disable-sync --remote-debugging-port=0""".split()

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="NO CHROMIUM FOUND: the book was not looked at in a browser"),
    pytest.mark.skipif(not (HTML / "index.html").exists(), reason="NO RENDERED BOOK: run `make html` first"),
]
each_page = pytest.mark.parametrize("page", [f"{entry}.html" for entry in ENTRIES])


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
        self.ask("Page.navigate", url=page)
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.receive()
        self.run("Promise.all([window.MathJax?.startup?.promise, document.fonts.ready]).then(() => true)")

    def run(self, script):
        answer = self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def requests(self):
        return [
            event["params"]["request"]["url"] for event in self.events if event["method"] == "Network.requestWillBeSent"
        ]

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


@pytest.fixture
def show(devtools):
    """A function that shows a page in a tab of its own."""
    with ExitStack() as after:

        def show(page, width=1280, scheme="light"):
            with urlopen(Request(f"{devtools}/new", method="PUT")) as answer:
                target = json.load(answer)
            after.callback(lambda: urlopen(f"{devtools}/close/{target['id']}").close())
            tab = Tab(target["webSocketDebuggerUrl"])
            after.callback(tab.socket.close)
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


@pytest.mark.parametrize("page", [f"{entry}.html" for entry in [*ENTRIES, "search", "genindex"]])
@pytest.mark.parametrize("way", ["http", "file"])
def test_a_page_shows_without_an_error_or_a_request_elsewhere(show, site, way, page):
    home = site if way == "http" else HTML.as_uri()
    tab = show(f"{home}/{page}")
    own = (home, "data:", "blob:")
    assert [address for address in tab.requests() if not address.startswith(own)] == []
    assert list(tab.complaints()) == []


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


@each_page
def test_every_formula_is_typeset(show, site, page):
    tab = show(f"{site}/{page}")
    assert tab.run(texts_of("[...document.querySelectorAll('.math:not(:has(mjx-container))')]")) == []
    assert tab.run(texts_of("[...document.querySelectorAll('mjx-merror, merror')]")) == []
    silent = "document.querySelectorAll('mjx-container:not(:has(math))').length"
    assert tab.run(silent) == 0, "a screen reader needs MathML beside each formula"


def texts_of(elements):
    return f"{elements}.map(element => element.textContent)"


@each_page
def test_nothing_is_wider_than_a_phone(show, site, page):
    tab = show(f"{site}/{page}", width=390)
    wide = """[...document.querySelectorAll('.bd-article *')]
              .filter(element => element.getBoundingClientRect().right > innerWidth + 1)
              .map(element => element.outerHTML.slice(0, 120))"""
    assert tab.run("document.documentElement.scrollWidth") <= 390, tab.run(wide)[:5]


FAINT = r"""(() => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgba = (colour) => {      // whatever way the colour is written
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return canvas.getImageData(0, 0, 1, 1).data;
  };
  const luminance = (colour) => [0.2126, 0.7152, 0.0722].reduce((sum, weight, place) => {
    const part = colour[place] / 255;
    return sum + weight * (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  }, 0);
  const ground = (element) => {
    for (; element; element = element.parentElement) {
      const colour = rgba(getComputedStyle(element).backgroundColor);
      if (colour[3] > 127) return colour;
    }
    return [255, 255, 255];
  };
  const faint = new Set();
  const texts = document.createTreeWalker(document.querySelector("article"), NodeFilter.SHOW_TEXT);
  for (let text = texts.nextNode(); text; text = texts.nextNode()) {
    const element = text.parentElement;
    if (!text.data.trim() || !element.checkVisibility() || element.closest("mjx-assistive-mml")) continue;
    const levels = [rgba(getComputedStyle(element).color), ground(element)].map(luminance);
    const contrast = (Math.max(...levels) + 0.05) / (Math.min(...levels) + 0.05);
    if (contrast < 4.5) faint.add(`${contrast.toFixed(1)} ${element.outerHTML.slice(0, 80)}`);
  }
  return [...faint];
})()"""


@each_page
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_can_be_read_in_the_light_and_in_the_dark(show, site, scheme, page):
    tab = show(f"{site}/{page}", scheme=scheme)
    assert tab.run("document.documentElement.dataset.theme") == scheme
    assert tab.run(FAINT) == [], "WCAG asks for a contrast of 4.5"


@each_page
def test_figures_keep_their_white_ground_in_the_dark(show, site, page):
    tab = show(f"{site}/{page}", scheme="dark")
    pictures = "[...document.querySelectorAll('.cell_output img')]"
    grounds = tab.run(f"{pictures}.map(picture => getComputedStyle(picture).backgroundColor)")
    assert set(grounds) <= {"rgb(255, 255, 255)"}


@each_page
def test_every_widget_draws_itself(show, site, page):
    tab = show(f"{site}/{page}")
    assert tab.run("document.querySelectorAll('div.mmalign-widget > img').length") == 0
