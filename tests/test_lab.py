"""The chapters as `make lab` opens them: JupyterLab in a real browser that reaches nothing but this machine."""

import os
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from urllib.request import urlopen

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from test_browser import CHROMIUM, devtools, new_tab  # noqa: F401

ROOT = Path(__file__).resolve().parents[1]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="NO CHROMIUM FOUND: JupyterLab was not looked at"),
    pytest.mark.skipif(find_spec("jupyterlab") is None, reason="NO JUPYTERLAB: the chapters were not opened in it"),
]
PATIENCE = 60  # seconds, on a machine that does much else

WORDS = """# Sliders

As {prf:ref}`thm-here` says, $l = 3$.

```{prf:theorem} Short
:label: thm-here

It is so.
```

```{exercise} Why? (easy)
:label: ex-why

Say why.
```

```{solution} ex-why
:class: dropdown

For a reason.
```"""
CODE = """
import torch
from IPython.display import display
from ipywidgets import Label
from mmalign.figures import widgets

draw = torch.Generator().manual_seed(0)
sliders = widgets.WindowSliders({"cost": torch.rand(8, 8, generator=draw)}, window=2, mu=0.2)
told = Label()


def tell(_):
    plan = next(iter(sliders.plans().values()))
    told.value = f"window {sliders.window}, open cells {int((plan > 0).sum())}"


sliders.observe(tell, "window")
display(sliders, told)
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The address of a JupyterLab on one short chapter, with the settings of `make lab` and nobody's own."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "notebooks").mkdir()
    cells = [new_markdown_cell(WORDS), new_code_cell(CODE)]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}  # as in every chapter
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), folder / "notebooks/chapter.ipynb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    flags = f"--no-browser --allow-root --port={port} --ServerApp.port_retries=0 --IdentityProvider.token="
    words = [sys.executable, "-m", *asked(folder / "notebooks"), *flags.split(), "--LabApp.expose_app_in_browser=True"]
    own = {f"JUPYTER_{name}_DIR": str(folder / name) for name in ("CONFIG", "DATA", "RUNTIME")}
    own |= {f"JUPYTERLAB_{name}_DIR": str(folder / name) for name in ("SETTINGS", "WORKSPACES")}
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **own}
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(words, cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        wait_for(f"http://127.0.0.1:{port}/api", server, folder / "log")
        yield f"http://127.0.0.1:{port}/lab/tree/chapter.ipynb"
    finally:
        server.terminate()  # and its kernels with it
        server.wait(timeout=30)


def asked(folder):
    """What `make lab` calls, on another folder."""
    sys.path.insert(0, str(ROOT))
    from book import __main__ as book

    called = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(book, "tool", lambda *words: called.append(words))
        book.lab()
    (jupyter, command, *words, last) = called[-1]
    assert (jupyter, command, last) == ("jupyter", "lab", "notebooks")
    return ["jupyterlab", *words, str(folder)]


def wait_for(address, server, log):
    deadline = time.monotonic() + PATIENCE
    while True:
        assert server.poll() is None and time.monotonic() < deadline, log.read_text()[-2000:]
        try:
            return urlopen(address, timeout=5).close()
        except OSError:
            time.sleep(0.2)


@pytest.fixture(scope="module")
def tab(lab, devtools):  # noqa: F811
    """The chapter, every cell of it run."""
    with new_tab(devtools) as tab:
        tab.show(lab, 1280, "light")
        chapter = "window.jupyterapp && [...jupyterapp.shell.widgets('main')][0]"
        until(tab, f"({chapter})?.sessionContext?.session?.kernel?.status == 'idle' || null")
        tab.run("void jupyterapp.commands.execute('notebook:run-all-cells')")
        until(tab, "document.querySelector('.mmalign-alignment input[name=window]')")
        yield tab


def until(tab, condition):
    """Wait until a condition of the page holds; returns its value as text."""
    deadline = time.monotonic() + PATIENCE
    while not (value := tab.run(f"String(({condition}) ?? '')")):
        assert time.monotonic() < deadline, f"in vain: {condition}"
        time.sleep(0.2)
    return value


def press(tab, key):
    for kind in ("rawKeyDown", "keyUp"):
        code = {"ArrowRight": 39, "ArrowLeft": 37}[key]
        tab.ask("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)


def test_a_slider_that_is_moved_moves_the_trait_of_the_kernel_and_the_picture(tab):
    picture = "document.querySelector('.mmalign-alignment .mmalign-panels').innerHTML"
    before = tab.run(picture)
    tab.run("document.querySelector('.mmalign-alignment input[name=window]').focus()")
    press(tab, "ArrowRight")  # JupyterLab would go to the next cell
    told = until(tab, "document.querySelector('.widget-label')?.textContent.trim() || null")
    assert told == f"window 3, open cells {8 * 7 - 3 * 4}"
    assert tab.run("document.activeElement.name") == "window" and tab.run(picture) != before


@pytest.mark.skipif(find_spec("jupyterlab_myst") is None, reason="NO jupyterlab-myst: directives were not looked at")
def test_statements_exercises_and_folded_solutions_are_shown_not_their_source(tab):
    cell = "document.querySelector('.jp-MarkdownCell')"
    shown = until(tab, f"/Theorem 1/.test({cell}.innerText) && {cell}.innerText")
    assert "Exercise 1" in shown and "Say why." in shown
    assert "{" not in shown and ":label:" not in shown
    assert tab.run(f"{cell}.querySelectorAll('details:not([open])').length") == 1
    assert tab.run(f"!!{cell}.querySelector('.katex, mjx-container')")


def test_nothing_is_asked_of_another_machine_and_nobody_is_asked_for_news(tab, lab):
    home = lab.partition("/lab/")[0]
    own = (home, home.replace("http", "ws"), "data:", "blob:")
    assert [address for address in tab.requests() if not address.startswith(own)] == []
    assert "news" not in tab.run("document.body.innerText")
