"""The command line: parses, calls, prints. Results go to stdout, everything else to stderr.

Exit status 0; 2 for anything the user can mend, with one line; 1 for a defect of ours.
"""

import argparse
import ast
import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from difflib import get_close_matches
from itertools import takewhile
from pathlib import Path
from typing import Any, NoReturn

from . import terminal
from .config import Condition
from .errors import THREADS, InputError, check, line_of, one_of
from .files import nameable
from .interrupt import INTERRUPTED
from .settings import described

DASHES = "-–—"  # what a word processor makes of two of the first are the others


class _OneLineParser(argparse.ArgumentParser):
    """Says what is wrong in one line, a misspelt option before an argument that is missing because of it."""

    def error(self, message: str) -> NoReturn:
        raise InputError(message)

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        words = sys.argv[1:] if args is None else [*args]
        for word in takewhile(self._is_mine, words):
            self._check_option(word.partition("=")[0])
        return super().parse_known_args(words, namespace)

    def _is_mine(self, word: str) -> bool:
        """Whether options of this parser may still come: "--" ends them, and the name of a command hands over."""
        return word != "--" and (word[:1] == "-" or self._subparsers is None)

    def _check_option(self, word: str) -> None:
        known = [*self._option_string_actions]
        if not _like_an_option(word) or word[:2] in known or any(one.startswith(word) for one in known):
            return
        near = get_close_matches(f"--{word.lstrip(DASHES)}", known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"{self.prog} knows {', '.join(known)}"
        raise InputError(f"unknown option {word}; {hint}")


def _like_an_option(word: str) -> bool:
    """Begins with a dash, as some programs write it, and is no number."""
    with suppress(ValueError):
        float(word)
        return False
    return len(word) > 1 and word[0] in DASHES


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    with terminal.interrupts(alone=argv is None), terminal.streams():
        try:
            status = _status(argv)
        except KeyboardInterrupt as interrupt:
            status = _interrupted(interrupt)
        terminal.finished(status)
    return status


def _status(argv: Sequence[str] | None) -> int:
    """The status of a command, what went wrong being said."""
    try:
        arguments = _parser().parse_args(argv)
        status = arguments.command(arguments)
        sys.stdout.flush()
        return status or 0
    except SystemExit as left:  # --help
        return int(left.code or 0)
    except Exception as error:
        if terminal.pressed and not isinstance(error, InputError):  # in the middle of an import, which says it so
            raise KeyboardInterrupt from None
        told = _mendable(error)
        if not told:
            raise
        terminal.note(told)
        return 2


def _interrupted(interrupt: KeyboardInterrupt) -> int:
    terminal.finished(INTERRUPTED)  # whoever presses again is not told again
    terminal.note(f"interrupted; {str(interrupt) or 'nothing was written'}")
    return INTERRUPTED


def _mendable(error: Exception) -> str:
    """What the user can do something about, in one line; nothing for a defect of ours."""
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, OSError):
        return str(InputError(f"{error.filename}: {error.strerror}" if error.filename else error))
    memory = isinstance(error, MemoryError) or {"alloc", "memory"} <= {*re.findall("alloc|memory", str(error))}
    return f"the memory of this machine does not suffice: {InputError(line_of(error))}" if memory else ""


def _parser() -> argparse.ArgumentParser:
    parser = _OneLineParser(prog="mmalign", description="Missing modality sequences, imagined by learnt alignment.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="train and test one system on one data set")
    run.add_argument("--system", required=True, metavar="NAME", help="single, double, mm-align, ...")
    run.add_argument("--dataset", required=True, metavar="NAME", help="smartwatch, planted, ...: mmalign data list")
    for name, default, rule, about, _ in described(Condition):
        kind, shown = _WORDS.get(type(default), (_pair, "VISIBLE:VICTIM"))
        shown = "|".join(rule.known) if rule and rule.known else shown
        run.add_argument(f"--{name}", metavar=shown, type=kind, default=argparse.SUPPRESS, help=about)
    run.add_argument("--window", metavar="W", type=_whole, help="half-width of the alignment window, in steps")
    run.add_argument("--mu", metavar="MU", type=_number, help="entropy strength, in units of the cosine cost")
    run.add_argument("--epochs", metavar="N", type=_whole)
    run.add_argument(
        "--set", metavar="SECTION.FIELD=VALUE", type=_assignment, action="append", default=[],
        help="change any setting of the sections model, train, data",
    )  # fmt: skip
    run.add_argument("--device", metavar="cpu|cuda", default="cpu")
    run.add_argument("--threads", metavar="N", type=_whole)
    run.add_argument("--data-dir", metavar="DIR", help="default: MMALIGN_DATA, else the user's cache folder")
    run.add_argument("--out", metavar="DIR", help="also leave there the record, weights, curve and test answers")
    run.add_argument("--resume", action="store_true", help="go on from the last epoch that is in --out")
    run.add_argument("--json", action="store_true", help="print the record as one JSON object")
    run.set_defaults(command=_run)

    sweep = commands.add_parser("sweep", help="run a grid of experiments, or what is left of it")
    sweep.add_argument("grid", metavar="GRID.yaml", help="fields of a run, each with a value or a list of values")
    sweep.add_argument("--out", required=True, metavar="DIR", help="where each run leaves its record")
    where = sweep.add_mutually_exclusive_group()
    where.add_argument("--workers", metavar="N", type=_whole, default=1, help="processes of this machine")
    where.add_argument("--scheduler", metavar="HOST:PORT", help="of Dask, whose workers are to do it")
    sweep.add_argument("--dry-run", action="store_true", help="only say how many runs, and how long they should take")
    sweep.add_argument("--part", metavar="K/N", help="only the K-th of N parts of the grid; N machines, one folder")
    sweep.add_argument("--retry", action="store_true", help="run what failed before once more")
    sweep.add_argument("--renew", action="store_true", help="run once more what another source has computed")
    sweep.add_argument("--data-dir", metavar="DIR")
    sweep.set_defaults(command=_sweep)

    table = commands.add_parser("table", help="means over seeds of what a sweep has left, and differences")
    table.add_argument("place", metavar="DIR", help="of a sweep; or a file that --format jsonl made")
    table.add_argument("--metric", metavar="NAME", help="default: mae of a regression, accuracy of a classification")
    table.add_argument("--against", metavar="SYSTEM", help="show the difference to this one over the same seeds")
    table.add_argument(
        "--format", metavar="markdown|csv|latex|jsonl", choices=("markdown", "csv", "latex", "jsonl"),
        default="markdown", help="jsonl: the records themselves, one a line",
    )  # fmt: skip
    table.add_argument("--rows", metavar="NAMES", type=_names, help="what stands at the side, such as system")
    table.add_argument("--columns", metavar="NAMES", type=_names, help="what stands at the top, such as pair,survival")
    table.add_argument("--pack", metavar="FILE.jsonl", help="keep the records in one file, and their answers beside it")
    table.add_argument("--grid", metavar="GRID.yaml", help="the verdicts on the primary comparisons of this grid")
    table.set_defaults(command=_table)

    data = commands.add_parser("data", help="what data sets there are, and whether a file is sound")
    verbs = data.add_subparsers(required=True, metavar="list|info|fetch|import|check")
    verbs.add_parser("list", help="the names").set_defaults(command=_data_list)
    for verb, command, about in (
        ("info", _data_info, "what a data set is and where it is looked for"),
        ("fetch", _data_fetch, "download the public files of a data set, or what is missing of them"),
        ("import", _data_import, "read files that you have once, check them, keep them in a form of our own"),
        ("check", _data_check, "read a data set and say what is in it"),
    ):
        one = verbs.add_parser(verb, help=about)
        one.add_argument("name")
        if verb == "import":
            one.add_argument("path", metavar="PATH", help="a folder or a file of a form that mmalign data info names")
        one.add_argument("--data-dir", metavar="DIR")
        if verb == "check":
            one.add_argument("--pair", metavar="VISIBLE:VICTIM", type=_pair, help="check only these")
            one.add_argument(
                "--set", metavar="data.FIELD=VALUE", type=_assignment, action="append", default=[],
                help="an option of the data set",
            )  # fmt: skip
        one.set_defaults(command=command)

    bench = commands.add_parser("bench", help="time the transport solver, or an epoch of every system")
    bench.add_argument("what", choices=("transport", "training"), metavar="transport|training")
    bench.add_argument("--threads", metavar="N", type=_whole, default=1, help="of training; transport shows 1 and 2")
    bench.add_argument("--json", action="store_true", help="print one JSON object")
    bench.set_defaults(command=_bench)
    return parser


# ---- what a word on the command line means ---------------------------------------------------------------


def _pair(text: str) -> tuple[str, ...]:
    if ":" not in text:
        raise argparse.ArgumentTypeError(f"VISIBLE:VICTIM was expected, found {text!r}")
    return tuple(text.split(":"))


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"a number was expected, found {text!r}") from None


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"a whole number was expected, found {text!r}") from None


_WORDS: dict[type, tuple[Callable[[str], Any], str]] = {
    float: (_number, "NUMBER"),
    int: (_whole, "N"),
    str: (str, "NAME"),
}


def _assignment(text: str) -> tuple[str, str, object]:
    target, equals, value = text.partition("=")
    section, dot, name = target.partition(".")
    if not (equals and dot and name and section in ("model", "train", "data")):
        expected = "section.field=value with a section of model, train, data"
        raise argparse.ArgumentTypeError(f"{expected} was expected, found {text!r}")
    if value in ("true", "false"):
        return section, name, value == "true"
    try:
        return section, name, ast.literal_eval(value)
    except (ValueError, SyntaxError, RecursionError, MemoryError):  # a word, or brackets in brackets
        return section, name, value


# ---- the commands. They import late, so that --help and mistakes answer at once ----------------------------


def _run(arguments: argparse.Namespace) -> None:
    from .experiments import runs

    terminal.careful()
    changes: dict[str, Any] = {"model": {}, "train": {}, "data": {}}
    for section, name, value in arguments.set:
        changes[section][name] = value
    for section, name in (("model", "window"), ("model", "mu"), ("train", "epochs")):
        if getattr(arguments, name) is not None:
            changes[section][name] = getattr(arguments, name)
    told = {name: value for name, value in vars(arguments).items() if name in runs.FIELDS}
    experiment = runs.Experiment(**told, **changes)
    if arguments.out is not None:
        _check_folder(arguments.out)
    elif arguments.resume:
        raise InputError("--resume goes with --out DIR, where the state of the run was left")
    try:
        made = runs.make(experiment, arguments.data_dir, states=arguments.out, resume=arguments.resume)
    except KeyboardInterrupt:
        kept = f"what was trained is in {arguments.out}; go on with --resume" if arguments.out else ""
        raise KeyboardInterrupt(kept or "nothing was written") from None
    except SystemExit as left:  # of a system of one's own, which must not look like a result
        raise InputError(f"{arguments.system} left the program before it had a result: {left}") from None
    if arguments.out:
        path = runs.leave(made, arguments.out)
        with suppress(OSError):  # the run is finished, whatever becomes of its state
            runs.state_of(path).unlink()
        terminal.note(f"wrote {path}")
    if arguments.json:
        print(json.dumps(made.record, allow_nan=False))
    else:
        _print_record(made.record)


def _sweep(arguments: argparse.Namespace) -> int:
    from .experiments import sweep

    terminal.careful()
    _check_folder(arguments.out)
    if arguments.dry_run:
        from .experiments import cost

        check("workers", arguments.workers, THREADS)
        print(cost.cost(arguments.grid, arguments.out, arguments.data_dir, arguments.part).told(arguments.workers))
        return 0
    names = ("grid", "out", "data_dir", "workers", "scheduler", "retry", "renew", "part")
    tally = sweep.sweep(**{name: getattr(arguments, name) for name in names})
    print("{} runs: {} were there, {} done, {} failed".format(*tally))
    if tally.failed:
        where = Path(arguments.out) / sweep.FAILED
        terminal.note(f"{tally.failed} runs failed, see {where}; --retry tries them again")
    return int(tally.failed > 0)


def _table(arguments: argparse.Namespace) -> None:
    from .experiments import pivots, tables, verdicts

    if bool(arguments.rows) != bool(arguments.columns):
        raise InputError("--rows and --columns go together")
    if arguments.pack is not None:
        terminal.note("packed {} records and {} traces".format(*tables.pack(arguments.place, arguments.pack)))
        return
    if arguments.format == "jsonl":
        print(tables.lines(tables.records(arguments.place)), end="")
        return
    rows = tables.read(arguments.place)
    if arguments.grid is not None:
        table = verdicts.verdicts(verdicts.read_plan(arguments.grid), rows, arguments.place)
        print(getattr(verdicts, arguments.format)(table), end="")
        return
    table = tables.summary(rows, arguments.metric, arguments.against)
    if arguments.rows:
        one_of("--format with --rows", arguments.format, ("markdown", "latex"))
        print(getattr(pivots, arguments.format)(table, arguments.rows, arguments.columns), end="")
        return
    print(getattr(tables, arguments.format)(table), end="")


def _check_folder(name: str) -> None:
    """Say before the training, not after it, that nothing can be written there."""
    if not name:
        raise InputError("--out must name a folder, found nothing")
    folder = nameable(name)
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"--out {folder} cannot be written: {there} is not a folder open to you")


def _print_record(record: dict[str, Any]) -> None:
    about = "{system} on {dataset}, {pair}, survival {survival}, setting {setting}, seed {seed}"
    print(about.format(**record))
    for name, value in record["metrics"].items():
        print(f"  {name:<12} {'none' if value is None else format(value, '.4f')}")
    print(
        "  epoch {best_epoch} of {epochs}, {train_seconds:.1f} s of training, {parameters} parameters".format(**record)
    )


def _bench(arguments: argparse.Namespace) -> None:
    import torch

    from .experiments import bench, runs

    transport = arguments.what == "transport"
    check("threads", arguments.threads, THREADS)
    torch.set_num_threads(arguments.threads)
    report = bench.transport_report() if transport else runs.training_report()
    if arguments.json:
        print(json.dumps(report))
    elif transport:
        bench.print_report(report)
    else:
        print(f"an epoch on {report['dataset']}, {report['threads']} threads")
        for row in report["epochs"]:
            print("  {system:<20}{seconds:>8.3f} s {times_single:>6.2f} times single".format(**row))


def _data_list(arguments: argparse.Namespace) -> None:
    from .registry import DATASETS

    for name, entry in DATASETS.items():
        print(f"{name:<12} {entry.about}")


def _data_info(arguments: argparse.Namespace) -> None:
    from .data import folders
    from .registry import DATASETS, folder_of

    folder = folder_of(arguments.name, arguments.data_dir)
    entry = DATASETS[arguments.name]
    facts = {
        "about": entry.about,
        "modalities": ", ".join(entry.modalities),
        "pair": ":".join(entry.pair),
        "from": "embedded" if entry.folder is None else str(folder),
        **folders.describe(arguments.name, folder),
    }
    _print_facts(arguments.name, facts)


def _data_fetch(arguments: argparse.Namespace) -> None:
    from .data.fetch import fetch
    from .registry import folder_of

    terminal.careful()
    folder = folder_of(arguments.name, arguments.data_dir)
    print(f"{arguments.name}: {len(fetch(arguments.name, folder))} files fetched, all are in {folder}")


def _data_import(arguments: argparse.Namespace) -> None:
    from .data import folders
    from .registry import folder_of

    terminal.careful()
    folder = folder_of(arguments.name, arguments.data_dir)
    path, source = folders.bring_in(arguments.name, Path(arguments.path), folder)
    _print_facts(arguments.name, {"about": source.about, "imported to": str(path), **source.describe()})


def _data_check(arguments: argparse.Namespace) -> None:
    from .registry import DATASETS, folder_of, read

    folder = folder_of(arguments.name, arguments.data_dir)
    entry = DATASETS[arguments.name]
    for section, *_ in arguments.set:
        one_of("section of --set here", section, ("data",))
    options = {name: value for _, name, value in arguments.set}
    pair = arguments.pair or entry.to_check(folder, entry.pair)
    source = read(arguments.name, pair, arguments.data_dir, **options)
    _print_facts(arguments.name, {"about": source.about, **source.describe()})


def _print_facts(name: str, facts: dict[str, str]) -> None:
    print(name)
    for key, value in facts.items():
        print(f"  {key:<14} {value}")
