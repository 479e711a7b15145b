"""All that is done with this repository, by Python alone: `python -m book test` is what `make test` calls.

    python -m book COMMAND [--jobs N] [--venv FOLDER]

Needs Python 3.11 or later with venv; what a command needs is installed into .venv by the first that is called.
"""

from __future__ import annotations  # so that an old Python is told what it lacks

import argparse
import csv
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "_build"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# Carries axe-core 4.12.1 for the browser tests; the second browser driver that it asks for is left out (--no-deps).
AXE = "axe-playwright-python==0.1.8"
# One thread to a process: `--jobs` of them run side by side, and one thread gives the same numbers every time.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
# Python keeps what it has compiled, whatever the shell says: else each process compiles every test file again.
COMPILED = {"PYTHONDONTWRITEBYTECODE": ""}
ENDING = ".exe" if os.name == "nt" else ""  # Windows adds it only to a name without a folder
RENDERED = ("test_book.py", "test_browser.py", "test_widgets_browser.py")  # they look at the rendered book

ASKED = argparse.Namespace(command="help", jobs=2, venv=ROOT / ".venv")
COMMANDS: dict[str, Callable[[], None]] = {}


def command(function: Callable[[], None]) -> Callable[[], None]:
    """Something that can be asked for by its name; the first line of its docstring is its help."""
    COMMANDS[function.__name__] = function
    return function


# ---- the two commands --------------------------------------------------------------------------------------


@command
def book() -> None:
    """run every chapter on this machine and render the book to _build/html"""
    stamp = BUILD / ".book"
    if is_stale(stamp, [*chapters(), *package(), *pages_of_the_book()]):
        of_chapters("run")
        source = BUILD / "src"  # where the freshly executed copies lie: the stored chapters stay as they are
        shutil.rmtree(source / "book", ignore_errors=True)
        shutil.copytree(ROOT / "book", source / "book")
        for name in ("_config.yml", "_toc.yml"):
            shutil.copy(ROOT / name, source)
        render(source)
        (BUILD / ".html").unlink(missing_ok=True)
        stamp.touch()
    print(f"\nYour book, executed on this machine. Open it in a browser:\n    {BUILD / 'html/index.html'}")


@command
def test() -> None:
    """check everything: lint, types, tests, chapters, book, browser"""
    all_of(lint, lambda: side_by_side(types, html), unit, nbval, small, pages)


@command
def fast() -> None:
    """check in a minute what most changes break: lint, types, the tests that are not slow"""
    all_of(lint, lambda: side_by_side(types, lambda: of_package("-m", "not slow")))


# ---- what they consist of ----------------------------------------------------------------------------------

UNIT = ("mmalign", "tests", *(f"--ignore=tests/{name}" for name in RENDERED))


@command
def lint() -> None:
    """look for mistakes that can be seen without running anything"""
    tool("ruff", "check", "--quiet", ".")
    tool("ruff", "format", "--check", "--quiet", "mmalign", "tests", "book")


@command
def types() -> None:
    """check the types of the modules that pyproject.toml lists"""
    tool("mypy", "--no-error-summary")


@command
def unit() -> None:
    """run the tests of the package"""
    of_package(more=1)  # a sixth of their time processes wait for programs that they have begun


@command
def nbval() -> None:
    """run the chapters and compare with what is stored; a kernel a file, for its cells need one another"""
    check = ("--nbval", "--nbval-current-env", "--nbval-sanitize-with=tests/sanitize.cfg", "--no-loadscope-reorder")
    pytest("-n", str(ASKED.jobs), "--dist", "loadfile", *check, *map(str, chapters()))


@command
def small() -> None:
    """run the chapters with the small parameters that each keeps for tests"""
    of_chapters("small")


@command
def pages() -> None:
    """look at the rendered book, in a browser where there is one"""
    html()
    tests = (f"tests/{name}" for name in RENDERED)
    pytest("-n", str(ASKED.jobs), "--dist", "loadgroup", "-p", "no:nbval", *tests)


# ---- for those who work on it ------------------------------------------------------------------------------


@command
def html() -> None:
    """render the book from the stored chapters, in seconds"""
    stamp = BUILD / ".html"
    static = [path for path in package() if path.parent.name == "static"]
    if is_stale(stamp, [*chapters(), *pages_of_the_book(), *static]):
        render(ROOT)
        (BUILD / ".book").unlink(missing_ok=True)
        stamp.touch()
    print(f"rendered: {BUILD / 'html/index.html'}")


@command
def pdf() -> None:
    """print the stored chapters to _build/mmalign.pdf; needs Chromium, but no LaTeX"""
    # The whole book as one page, so that its links and page numbers hold. Sphinx writes the page into book/ with
    # addresses that are right one folder up. Time passes as fast as it can.
    browser = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit("pdf needs Chromium; on Debian: apt-get install chromium")
    page, profile = BUILD / "singlehtml", BUILD / ".chromium"
    shutil.rmtree(page, ignore_errors=True)
    jupyter_book(ROOT, "--builder", "custom", "--custom-builder", "singlehtml")
    (page / "book/intro.html").replace(page / "index.html")
    flags = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--log-level=3", "--no-pdf-header-footer")
    more = (f"--user-data-dir={profile}", "--virtual-time-budget=60000", "--generate-pdf-document-outline")
    run(browser, *flags, *more, f"--print-to-pdf={BUILD / 'mmalign.pdf'}", (page / "index.html").as_uri())
    shutil.rmtree(profile, ignore_errors=True)
    print(f"printed: {BUILD / 'mmalign.pdf'}")


@command
def slides() -> None:
    """make slides of the chapters in _build/slides, which need no network"""
    python("book/course.py", "slides")
    print(f"made: {BUILD / 'slides/index.html'}")


@command
def students() -> None:
    """render an edition without solutions to _build/students/html; its notebooks lie beside it"""
    python("book/course.py", "students")
    target = BUILD / "students"
    jupyter_book(target / "src", "--path-output", str(target))
    shutil.rmtree(target / "html", ignore_errors=True)
    (target / "_build/html").replace(target / "html")
    print(f"made: {target / 'html/index.html'} and {target / 'notebooks'}")


@command
def colab() -> None:
    """write the chapters to _build/colab, each behind a cell that installs what it needs on Colab"""
    python("book/colab.py")


@command
def plain() -> None:
    """write the chapters to _build/plain in Markdown without MyST, for VS Code and others that know no other"""
    python("book/course.py", "plain")
    print(f"made: {BUILD / 'plain/notebooks'}")


@command
def lab() -> None:
    """open the chapters in JupyterLab"""
    tool("jupyter", "trust", *map(str, chapters()))  # else their stored figures stay hidden
    settings = f"--LabApp.app_settings_dir={ROOT / 'book/jupyterlab'}"  # it asks nobody for news
    tool("jupyter", "lab", settings, "notebooks")


@command
def refresh() -> None:
    """run the chapters and store their outputs in notebooks/"""
    of_chapters("refresh")


@command
def coverage() -> None:
    """list the lines of the package that no test runs"""
    python("-m", "pip", "install", "-qq", "pytest-cov==7.1.0")  # nobody else needs it
    of_package("--cov=mmalign", "--cov-report=term-missing:skip-covered")


@command
def wheel() -> None:
    """build what is published, install it into an empty environment, and run it there"""
    python("book/wheel.py")


@command
def bench() -> None:
    """time the alignment solver"""
    python("-m", "mmalign", "bench", "transport")


@command
def fuzz() -> None:
    """meet spoilt files and odd words for MINUTES=10, each in a process that is watched; findings go to _build/fuzz"""
    python("tests/fuzzing.py", "--minutes", os.environ.get("MINUTES", "10"))


@command
def mutants() -> None:
    """change one operator or number at a time, and see whether the module's own tests notice; about ten minutes"""
    python("tests/mutants.py")


@command
def times() -> None:
    """time the chapters, one after the other, and store the seconds"""
    python("book/chapters.py", "time")


@command
def clean() -> None:
    """remove what the other commands made, except the environment"""
    made = [ROOT / name for name in ("_build", ".pytest_cache", ".ruff_cache", ".mypy_cache", ".hypothesis")]
    made += [*ROOT.glob("*.egg-info"), *under(ROOT, "__pycache__"), *under(ROOT, ".ipynb_checkpoints")]
    for folder in made:
        shutil.rmtree(folder, ignore_errors=True)


# ---- how -----------------------------------------------------------------------------------------------------


def run(*words: str | Path) -> None:
    """Run a program in the folder of the repository; where it fails, so does the command."""
    scripts = str(scripts_of(ASKED.venv))
    environment = {
        **os.environ,
        **ONE_THREAD,
        **COMPILED,
        "PATH": os.pathsep.join((scripts, os.environ.get("PATH", ""))),
    }
    subprocess.run([*map(str, words)], cwd=ROOT, env=environment, check=True)


def scripts_of(folder: Path) -> Path:
    return folder / ("Scripts" if os.name == "nt" else "bin")


def python(*words: str) -> None:
    run(scripts_of(ASKED.venv) / f"python{ENDING}", *words)


def tool(name: str, *words: str) -> None:
    run(shutil.which(name, path=scripts_of(ASKED.venv)) or name, *words)


def pytest(*words: str) -> None:
    python("-m", "pytest", "-q", "-p", "tests.lean", *words)


def of_package(*words: str, more: int = 0) -> None:
    """Each process has a stretch of the tests, so that a file's fixtures are made once, and helps others at the end."""
    pytest("-n", str(ASKED.jobs + more), "--dist", "worksteal", "-p", "no:nbval", *UNIT, *words)


def of_chapters(what: str) -> None:
    python("book/chapters.py", what, "--jobs", str(ASKED.jobs), *map(str, chapters()))


def jupyter_book(source: Path, *words: str) -> None:
    tool("jupyter-book", "build", str(source), "--path-output", ".", *words, "-W", "-n", "--keep-going", "-q")


def render(source: Path) -> None:
    """From nothing: a page that Sphinx skips as unchanged would keep its warnings to itself."""
    for name in ("html", ".doctrees"):
        shutil.rmtree(BUILD / name, ignore_errors=True)
    jupyter_book(source)


def all_of(*steps: Callable[[], None]) -> None:
    """Every step, whatever the ones before it said, so that one run tells everything."""
    failed = []
    for step in steps:
        try:
            step()
        except subprocess.CalledProcessError as error:
            failed.append(" ".join(map(str, error.cmd)))
    if failed:
        sys.exit("failed:\n  " + "\n  ".join(failed))


def side_by_side(*steps: Callable[[], None]) -> None:
    """Two steps at a time, of which one has work for a single process."""
    with ThreadPoolExecutor() as pool:
        for begun in [pool.submit(step) for step in steps]:
            begun.result()


def is_stale(stamp: Path, sources: Iterable[Path]) -> bool:
    return not stamp.exists() or stamp.stat().st_mtime < max(path.stat().st_mtime for path in sources)


def under(folder: Path, name: str) -> list[Path]:
    """What is called so somewhere in a folder, environments apart."""
    return [path for path in folder.rglob(name) if not {".venv", ASKED.venv.name} & {*path.relative_to(ROOT).parts}]


def files(folder: str) -> list[Path]:
    return [path for path in (ROOT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts]


def chapters() -> list[Path]:
    """The slowest first: at the end no process waits long for another."""
    with (ROOT / "book/results/chapters.csv").open(encoding="utf-8", newline="") as file:
        seconds = {row["chapter"]: int(row["seconds"]) for row in csv.DictReader(file)}
    return sorted((ROOT / "notebooks").glob("*.ipynb"), key=lambda path: -seconds.get(path.stem, 1000))


def package() -> list[Path]:
    return files("mmalign")


def pages_of_the_book() -> list[Path]:
    return [ROOT / "_config.yml", ROOT / "_toc.yml", *files("book")]


def install() -> None:
    """Make the environment, or bring it up to what is asked for by now."""
    stamp = ASKED.venv / ".ready"
    if not is_stale(stamp, [ROOT / "requirements.txt", ROOT / "pyproject.toml"]):
        return
    print(f"installing into {ASKED.venv}: a minute or three", flush=True)
    try:
        subprocess.run([sys.executable, "-m", "venv", ASKED.venv], check=True)
    except subprocess.CalledProcessError:
        shutil.rmtree(ASKED.venv, ignore_errors=True)
        sys.exit(f"{sys.executable} cannot make virtual environments; on Debian: apt-get install python3-venv")
    pip = ("-m", "pip", "install", "-qq", "--disable-pip-version-check")
    python(*pip, "-r", "requirements.txt")
    python(*pip, "--no-deps", AXE)
    stamp.touch()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m book", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("command", choices=["help", *COMMANDS], metavar="COMMAND", nargs="?", default="help")
    parser.add_argument("--jobs", type=int, default=2, help="processes side by side (default 2)")
    parser.add_argument("--venv", type=lambda name: Path(name).absolute(), help="the environment (default .venv)")
    parser.parse_args(namespace=ASKED)
    if ASKED.command == "help":
        print(
            "\n".join(f"  {name:<9} {(function.__doc__ or '').splitlines()[0]}" for name, function in COMMANDS.items())
        )
        return 0
    try:
        if ASKED.command != "clean":
            install()
        COMMANDS[ASKED.command]()
    except subprocess.CalledProcessError as error:
        return error.returncode
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
