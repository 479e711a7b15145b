"""Executes the chapters: the one tool behind `make book`, `make test` and `make refresh`.

    chapters.py run       executed copies in _build/src/notebooks; the stored chapters stay as they are
    chapters.py small     the same in _build/small, with the parameters that each chapter keeps for tests; a process
                          runs all its chapters in one kernel, which is emptied between two
    chapters.py refresh   execute in place and store outputs that are the same bytes every time
    chapters.py time      execute one after the other on a quiet machine, and store the seconds of each

Paths of notebooks may follow; without any, all of them. `run` and `small` skip a copy that is newer than
everything it was made from.
"""

import argparse
import csv
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
from tqdm import tqdm

if TYPE_CHECKING:
    from jupyter_client import AsyncKernelManager

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"
COPIES = {"run": ROOT / "_build/src/notebooks", "small": ROOT / "_build/small"}
SECONDS = ROOT / "book/results/chapters.csv"
TIMED = ["chapter", "seconds", "slowest cell (s)"]

KERNEL = {"kernel_name": "python3", "extra_arguments": ["--log-level=ERROR"], "store_widget_state": False}
KERNEL_ENVIRONMENT = {
    **dict.fromkeys(["OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"], "1"),
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # else each kernel greets us with a warning of its debugger
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["run", "small", "refresh", "time"])
    parser.add_argument("chapters", nargs="*", type=Path, default=sorted(NOTEBOOKS.glob("*.ipynb")))
    parser.add_argument("--jobs", type=int, default=2, help="chapters executed at the same time (default 2)")
    asked = parser.parse_intermixed_args()  # options may stand before the chapters, too
    os.environ.update(KERNEL_ENVIRONMENT)
    if asked.command == "refresh":
        return execute_all(refresh, [(chapter,) for chapter in asked.chapters], asked.jobs)
    if asked.command == "time":
        return time_all(asked.chapters)
    folder = COPIES[asked.command]
    folder.mkdir(parents=True, exist_ok=True)
    for copy in folder.glob("*.ipynb"):  # of a chapter that was renamed or removed
        if not (NOTEBOOKS / copy.name).exists():
            copy.unlink()
    stale = [(chapter, folder / chapter.name) for chapter in asked.chapters if is_stale(folder / chapter.name, chapter)]
    if asked.command == "run":
        return execute_all(execute_copy, stale, asked.jobs)
    return execute_all(execute_small, [(*task, small_parameters(task[0])) for task in stale], asked.jobs)


def is_stale(copy: Path, chapter: Path) -> bool:
    """Whether a copy is missing or older than its chapter, the package, its pins or the stored results."""
    sources = [
        chapter,
        ROOT / "requirements.txt",
        *ROOT.glob("mmalign/**/*.*"),
        *ROOT.glob("book/results/**/*.*"),
    ]
    sources = [path for path in sources if "__pycache__" not in path.parts]
    return not copy.exists() or copy.stat().st_mtime < max(path.stat().st_mtime for path in sources)


def small_parameters(chapter: Path) -> dict:
    try:
        return nbformat.read(chapter, as_version=4).metadata["mmalign"]["small"]
    except KeyError:
        sys.exit(f"{chapter}: metadata.mmalign.small is missing; name there the parameters for a quick run")


def execute_copy(
    chapter: Path, copy: Path, parameters: dict | None = None, kernel: "AsyncKernelManager | None" = None
) -> list[float]:
    """Run one chapter through papermill; returns the seconds of each of its code cells.

    `copy` appears when all of it has run; until then, a draft. Without a `kernel` it has its own.
    """
    import papermill

    how = {**KERNEL, "cwd": NOTEBOOKS, "progress_bar": False, "km": kernel}
    papermill.execute_notebook(chapter, draft_of(copy), parameters, **how)
    notebook = nbformat.read(draft_of(copy), as_version=4)
    told = [part.metadata.pop("papermill", {}) for part in [notebook, *notebook.cells]]  # of this machine
    nbformat.write(notebook, copy)
    draft_of(copy).unlink()
    return [one["duration"] or 0.0 for one in told[1:] if "duration" in one]


def execute_small(chapter: Path, copy: Path, parameters: dict) -> None:
    """Run one chapter in the kernel of this process: that it also runs alone is seen where it runs at full size."""
    kernel = kernel_of_this_process()
    try:
        if kernel.has_kernel:
            empty(kernel)
        execute_copy(chapter, copy, parameters, kernel)
    except Exception:
        kernel_of_this_process.cache_clear()  # the next chapter has nothing to do with it
        raise


@cache
def kernel_of_this_process() -> "AsyncKernelManager":
    """Begun by the first chapter; it ends with this process. A new one imports for as long as a small chapter runs."""
    from jupyter_client import AsyncKernelManager

    return AsyncKernelManager(kernel_name=KERNEL["kernel_name"])


# What a chapter leaves behind: its names, and the type of new numbers, which the chapters with proofs set.
FORGET = "import torch\ntorch.set_default_dtype(torch.float32)\n%reset -f"


def empty(kernel: "AsyncKernelManager") -> None:
    """Make a kernel as good as new."""
    client = kernel.blocking_client()
    client.start_channels()
    try:
        reply = client.execute_interactive(FORGET, silent=True, timeout=60)
        if reply["content"]["status"] != "ok":
            raise RuntimeError(f"the kernel could not be emptied: {reply['content']}")
    finally:
        client.stop_channels()


def time_all(chapters: list[Path]) -> int:
    """Run chapters one after the other and store the seconds of each, start of the kernel included."""
    with SECONDS.open(encoding="utf-8") as file:
        told = {row["chapter"]: row for row in csv.DictReader(file)}
    with tempfile.TemporaryDirectory() as folder:
        for chapter in tqdm(chapters, unit="chapter"):
            started = time.monotonic()
            cells = execute_copy(chapter, Path(folder, chapter.name))
            seconds = time.monotonic() - started
            told[chapter.stem] = dict(zip(TIMED, [chapter.stem, f"{seconds:.0f}", f"{max(cells):.0f}"], strict=True))
    rows = [told[path.stem] for path in sorted(NOTEBOOKS.glob("*.ipynb")) if path.stem in told]
    total = {"chapter": "all", "seconds": sum(int(row["seconds"]) for row in rows)}
    with SECONDS.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, TIMED, lineterminator="\n")
        writer.writeheader()
        writer.writerows([*rows, total])
    return 0


def draft_of(copy: Path) -> Path:
    return copy.with_suffix(".draft.ipynb")


def refresh(chapter: Path) -> None:
    """Execute a chapter and store it, without what another day or machine would write differently."""
    from nbclient import NotebookClient

    notebook = nbformat.read(chapter, as_version=4)
    NotebookClient(
        notebook,
        timeout=None,
        coalesce_streams=True,
        record_timing=False,
        resources={"metadata": {"path": str(NOTEBOOKS)}},
        **KERNEL,
    ).execute()
    notebook.nbformat_minor = 5
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02d}"
        for output in cell.get("outputs", []):
            drop_dead_view(output.get("data", {}))
    notebook.metadata.update(
        kernelspec={"display_name": "Python 3", "language": "python", "name": "python3"},
        language_info={"name": "python", "file_extension": ".py", "pygments_lexer": "ipython3"},  # no version
    )
    text = nbformat.writes(notebook) + "\n"
    if text != chapter.read_text(encoding="utf-8"):
        chapter.write_text(text, encoding="utf-8")


def drop_dead_view(data: dict) -> None:
    """A widget's view points to a kernel that is gone, by a number that changes; its still twin stays."""
    if "text/html" in data:
        data.pop("application/vnd.jupyter.widget-view+json", None)


def execute_all(work: Callable, tasks: list[tuple], jobs: int) -> int:
    """Do `work(*task)` for every task, a few at a time, under one bar of cells. Returns an exit status."""
    if not tasks:
        print("every chapter is up to date")
        return 0
    size = {task[0]: len(nbformat.read(task[0], as_version=4).cells) for task in tasks}
    finished = failures = 0
    pause = 0.5 if sys.stderr.isatty() else 20  # seconds between two drawings of the bar
    with (
        ProcessPoolExecutor(jobs) as pool,
        tqdm(total=sum(size.values()), unit="cell", mininterval=pause) as bar,
    ):
        bar.write(f"{len(tasks)} chapters, {jobs} at a time, one thread each")
        running = {pool.submit(attempt, work, task): task for task in tasks}
        while running:
            for future in wait(running, timeout=1, return_when=FIRST_COMPLETED).done:
                chapter, *_ = running.pop(future)
                seconds, complaint = future.result()
                finished += size[chapter]
                failures += complaint is not None
                bar.write(f"  {chapter.stem:<28} {'FAILED after' if complaint else 'done in':>12} {seconds:4.0f} s")
                if complaint:
                    bar.write(complaint, file=sys.stderr)
            bar.update(finished + sum(cells_done(*task) for task in running.values()) - bar.n)
    return 1 if failures else 0


def attempt(work: Callable, task: tuple) -> tuple[float, str | None]:
    """Runs in a process of its own. Errors come back as text: not every one of them can be pickled."""
    started = time.monotonic()
    try:
        work(*task)
    except Exception as error:
        return time.monotonic() - started, str(error)
    return time.monotonic() - started, None


def cells_done(chapter: Path, copy: Path | None = None, parameters: object = None) -> int:
    """How far a running chapter has come, read from the draft that papermill saves after every cell."""
    try:
        cells = json.loads(draft_of(copy).read_text(encoding="utf-8"))["cells"]
    except (AttributeError, OSError, ValueError):  # not started, just being written, or a refresh
        return 0
    own = [cell["metadata"] for cell in cells if "injected-parameters" not in cell["metadata"].get("tags", [])]
    return sum(metadata.get("papermill", {}).get("status") == "completed" for metadata in own)


if __name__ == "__main__":
    sys.exit(main())
