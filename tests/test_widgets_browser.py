"""The sliders in a real browser, as a reader without Python has them: moved, read, and compared with the package."""

import importlib.util
import itertools
import json
import threading
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from test_browser import CHROMIUM, FAINT, Quiet, devtools, show  # noqa: F401

from mmalign import transport, widgets

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="NO CHROMIUM FOUND: the sliders were not moved in a browser")


def random_cost(l, seed):
    x, y = torch.randn(2, l, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return 1 - torch.cosine_similarity(x[:, None], y[None], dim=2)


def window_sliders(**traits):
    costs = {"first": random_cost(20, 0), "second": random_cost(12, 1)}
    return widgets.WindowSliders(costs, {"second": torch.arange(12)}, **traits)


def lag_sliders(**traits):
    draw = torch.Generator().manual_seed(0)
    return widgets.LagSliders(torch.randn(28, 8, generator=draw), reach=6, **{"lag": 2, "window": 4, **traits})


MAKERS = {"window": window_sliders, "lag": lag_sliders}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A page for each widget, with the script and the style that the book's extension bundles, and nothing else."""
    spec = importlib.util.spec_from_file_location("mmalign_book", ROOT / "book/_ext/mmalign_book.py")
    extension = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(extension)
    folder = tmp_path_factory.mktemp("widgets")
    ignore = lambda *_, **__: None  # noqa: E731
    extension.add_widgets(SimpleNamespace(outdir=folder, add_js_file=ignore, add_css_file=ignore))
    (folder / "alignment.mjs").write_bytes((widgets.STATIC / "alignment.js").read_bytes())
    for name, make in MAKERS.items():
        (folder / f"{name}.html").write_text(
            '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
            '<link rel="icon" href="data:,"><title>sliders</title>'
            '<link rel="stylesheet" href="_static/mmalign-widgets.css">'
            "<style>:root { color-scheme: light dark } body { background: Canvas; color: CanvasText }</style>"
            f"<article>{make()._repr_mimebundle_()[0]['text/html']}</article>"
            '<script src="_static/mmalign-widgets.js" defer></script></html>',
            encoding="utf-8",
        )
    return folder


@pytest.fixture(scope="module")
def served(folder):
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        server.RequestHandlerClass.func.extensions_map[".mjs"] = "text/javascript"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


each_kind = pytest.mark.parametrize("kind", MAKERS)
each_way = pytest.mark.parametrize("way", ["http", "file"])


@pytest.fixture
def shown(show, folder, served):  # noqa: F811
    """A function that shows the page of a widget, and waits until its picture has given way to it."""

    def shown(kind, way="http", **options):
        tab = show(f"{served if way == 'http' else folder.as_uri()}/{kind}.html", **options)
        assert tab.run("document.querySelectorAll('.mmalign-alignment canvas').length") == {"window": 1, "lag": 2}[kind]
        return tab

    return shown


def read_outs(tab):
    """One dictionary a panel, in full precision."""
    return tab.run("""[...document.querySelectorAll('figure')].map(figure => Object.fromEntries(
        [...figure.querySelectorAll('data')].map(e => [e.dataset.name, Number(e.value)])))""")


def pictures(tab):
    return tab.run("[...document.querySelectorAll('canvas')].map(canvas => canvas.toDataURL())")


def press(tab, name, key, times=1):
    """Press a key on a slider, as a reader does who has no mouse."""
    code = {"ArrowLeft": 37, "ArrowRight": 39, "Home": 36, "End": 35, "ArrowDown": 40}[key]
    tab.run(f"document.querySelector('[name={name}]').focus()")
    for _, kind in itertools.product(range(times), ["rawKeyDown", "keyUp"]):
        tab.ask("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)


def drag(tab, name, share):
    """Take the thumb of a slider to `share` of its way with the mouse."""
    tab.run(f"document.querySelector('[name={name}]').scrollIntoView()")
    box = tab.run(
        f"(({{x, y, width, height}}) => [x, y, width, height])"
        f"(document.querySelector('[name={name}]').getBoundingClientRect())"
    )
    x, y = box[0] + share * box[2], box[1] + box[3] / 2
    for kind in ["mousePressed", "mouseReleased"]:
        tab.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)


def value_of(tab, name):
    """Of a slider, as it is written beside it."""
    return float(tab.run(f"document.querySelector('[name={name}]').nextElementSibling.textContent"))


# ---- the numbers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tol", [1e-3, 1e-12, 0.0])
@pytest.mark.parametrize("l", [1, 2, 12, 20])
def test_the_solver_of_the_page_is_that_of_the_package(shown, served, l, tol):
    tab = shown("window")
    cost = random_cost(l, seed=l).mul(1e4).round().div(1e4)
    for window, mu in itertools.product([0, 1, 4, 25], [1e-3, 0.05, 0.2, 10.0]):
        asked = json.dumps([cost.tolist(), window, mu, tol, 400])
        page = tab.run(f"import('{served}/alignment.mjs').then(page => page.solve(...{asked}))")
        ours = transport.sinkhorn(cost[None], window=window, mu=mu, tol=tol)
        mass, place = torch.tensor(page["plan"], dtype=torch.float64), torch.arange(l)
        torch.testing.assert_close(mass, ours.mass[0], rtol=0, atol=1e-9)
        assert (mass[(place[:, None] - place).abs() > window] == 0).all()
        assert page["cost"] == pytest.approx(ours.cost.item(), abs=1e-9)
        assert page["gap"] == pytest.approx(ours.gap.item(), abs=1e-9)
        assert page["sweeps"] == ours.sweeps


def test_the_read_outs_are_those_of_the_package_wherever_the_sliders_stand(shown):
    tab, sliders = shown("window"), window_sliders()
    for place in (0.05, 0.4, 0.9):
        drag(tab, "window", place)
        drag(tab, "mu", place)
        sliders.window, sliders.mu = int(value_of(tab, "window")), value_of(tab, "mu")
        plan = sliders.plan
        mass = plan.mass[plan.mass > 0]
        facts = read_outs(tab)[0]
        assert facts["cost"] == pytest.approx(plan.cost.item(), abs=1e-9)
        assert facts["entropy (nats)"] == pytest.approx(-(mass * mass.log()).sum().item(), abs=1e-9)
        assert facts["marginal gap"] == pytest.approx(plan.gap.item(), abs=1e-9)
        assert facts["sweeps"] == plan.sweeps


def test_both_plans_of_a_lag_are_those_of_the_package(shown):
    tab, sliders = shown("lag"), lag_sliders()
    for place in (0.1, 0.8):
        drag(tab, "lag", place)
        sliders.lag, sliders.window = int(value_of(tab, "lag")), int(value_of(tab, "window"))
        moved = [widgets.displacement(plan) for plan in sliders.plans().values()]
        assert [facts["mean displacement"] for facts in read_outs(tab)] == pytest.approx(moved, abs=1e-9)


# ---- the hands -------------------------------------------------------------------------------------------------


@each_way
@pytest.mark.parametrize(("kind", "name"), [("window", "window"), ("window", "mu"), ("lag", "lag"), ("lag", "window")])
def test_a_slider_moves_by_mouse_and_by_keyboard(shown, way, kind, name):
    tab = shown(kind, way)
    for move, *how in [(drag, 0.8), (press, "ArrowLeft", 3), (press, "Home")]:
        before, picture, facts = value_of(tab, name), pictures(tab), read_outs(tab)
        move(tab, name, *how)
        assert value_of(tab, name) != before
        assert pictures(tab) != picture
        assert read_outs(tab) != facts
    assert list(tab.complaints()) == []
    own = ("file:", "data:", "http://127.0.0.1:")
    assert [address for address in tab.requests() if not address.startswith(own)] == []


def test_another_pair_of_sequences_can_be_chosen(shown):
    tab = shown("window")
    assert "mass on the truth" not in read_outs(tab)[0]
    press(tab, "pair", "ArrowDown")
    assert tab.run("document.querySelector('figcaption').textContent") == "second"
    assert 0 < read_outs(tab)[0]["mass on the truth"] < 1


def test_what_has_not_converged_says_so(shown):
    tab = shown("window")
    warning = "document.querySelector('.mmalign-warning').textContent"
    assert tab.run(warning) == ""
    press(tab, "mu", "Home")
    assert "not converged" in tab.run(warning)
    press(tab, "mu", "End")
    assert tab.run(warning) == ""


# ---- the eyes --------------------------------------------------------------------------------------------------


@each_kind
def test_every_control_has_a_label_and_shows_where_the_keyboard_is(shown, kind):
    tab = shown(kind)
    controls = tab.run("[...document.querySelectorAll('input, select')].map(e => [e.name, e.labels[0].innerText])")
    for name, label in controls:
        assert label.strip()
        tab.ask("Input.dispatchKeyEvent", type="rawKeyDown", key="Tab", code="Tab", windowsVirtualKeyCode=9)
        assert tab.run("document.activeElement.name") == name, "the keyboard walks through the controls in order"
        assert tab.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        assert tab.run("parseFloat(getComputedStyle(document.activeElement).outlineWidth)") >= 2


@each_kind
def test_a_screen_reader_is_told_of_every_change(shown, kind):
    tab = shown(kind)
    spoken = "[...document.querySelectorAll('[role=status][aria-live=polite]')].map(e => e.textContent)"
    before = tab.run(spoken)
    press(tab, "window", "Home")
    assert all(now != then for now, then in zip(tab.run(spoken), before, strict=True))
    assert tab.run("document.querySelector('[name=window]').getAttribute('aria-valuetext')") == "0 steps"
    assert "up to 0 steps" in tab.run("document.querySelector('canvas').getAttribute('aria-label')")


@each_kind
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_its_words_can_be_read_in_the_light_and_in_the_dark(shown, kind, scheme):
    assert shown(kind, scheme=scheme).run(FAINT) == []


@each_kind
def test_it_fits_a_phone(shown, kind):
    tab = shown(kind, width=390)
    assert tab.run("document.documentElement.scrollWidth") <= 390
    assert min(tab.run("[...document.querySelectorAll('canvas')].map(e => e.getBoundingClientRect().width)")) > 250


@each_kind
def test_on_paper_the_picture_and_the_numbers_stay_and_the_handles_go(shown, kind):
    tab = shown(kind)
    tab.ask("Emulation.setEmulatedMedia", media="print")
    assert tab.run("[...document.querySelectorAll('input')].every(e => getComputedStyle(e).display === 'none')")
    assert tab.run("[...document.querySelectorAll('canvas, data, output')].every(e => e.checkVisibility())")
