"""The command line: parses, calls, prints. Results go to stdout, everything else to stderr.

Exit status 0; 2 for anything the user can mend, with one line; 1 for a defect of ours.
"""

import argparse
import ast
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from .errors import InputError, check, one_of, whole


class _OneLineParser(argparse.ArgumentParser):
    def error(self, message: str) -> None:
        raise InputError(message)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    try:
        arguments = _parser().parse_args(argv)
        arguments.command(arguments)
        sys.stdout.flush()
    except InputError as error:
        print(f"mmalign: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("mmalign: interrupted; nothing was written", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read the output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = _OneLineParser(prog="mmalign", description="Missing modality sequences, imagined by learnt alignment.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="train and test one system on one data set")
    run.add_argument("--system", required=True, metavar="NAME", help="single, double, mm-align, ...")
    run.add_argument("--dataset", required=True, metavar="NAME", help="smartwatch, planted, ...: mmalign data list")
    run.add_argument("--pair", metavar="VISIBLE:VICTIM", type=_pair)
    run.add_argument("--survival", metavar="P", type=_number, default=0.5, help="share of samples with their victim")
    run.add_argument("--setting", metavar="A|B", default="A", help="A: no victim in test; B: as in training")
    run.add_argument("--seed", metavar="N", type=_whole, default=0, help="draws splits, absences and weights")
    run.add_argument("--labelled", metavar="SHARE", type=_number, default=1.0, help="share of training labels shown")
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
    run.add_argument("--out", metavar="DIR", help="also write the record to a file there")
    run.add_argument("--json", action="store_true", help="print the record as one JSON object")
    run.set_defaults(command=_run)

    data = commands.add_parser("data", help="what data sets there are, and whether a file is sound")
    verbs = data.add_subparsers(required=True, metavar="list|info|check")
    verbs.add_parser("list", help="the names").set_defaults(command=_data_list)
    for verb, command, about in (
        ("info", _data_info, "what a data set is and where it is looked for"),
        ("check", _data_check, "read a data set and say what is in it"),
    ):
        one = verbs.add_parser(verb, help=about)
        one.add_argument("name")
        one.add_argument("--data-dir", metavar="DIR")
        one.add_argument("--pair", metavar="VISIBLE:VICTIM", type=_pair, help="check only these")
        one.set_defaults(command=command)

    bench = commands.add_parser("bench", help="time the transport solver, or an epoch of every system")
    bench.add_argument("what", choices=("transport", "training"), metavar="transport|training")
    bench.add_argument("--threads", metavar="N", type=_whole, default=1, help="of training; transport shows 1 and 2")
    bench.add_argument("--json", action="store_true", help="print one JSON object")
    bench.set_defaults(command=_bench)
    return parser


# ---- what a word on the command line means ---------------------------------------------------------------


def _pair(text: str) -> tuple[str, ...]:
    if text.count(":") != 1:
        raise argparse.ArgumentTypeError(f"VISIBLE:VICTIM was expected, found {text!r}")
    return tuple(text.split(":"))


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
    except (ValueError, SyntaxError):  # a word
        return section, name, value


# ---- the commands. They import late, so that --help and mistakes answer at once ----------------------------


def _run(arguments: argparse.Namespace) -> None:
    from . import experiments

    changes: dict[str, dict[str, object]] = {"model": {}, "train": {}, "data": {}}
    for section, name, value in arguments.set:
        changes[section][name] = value
    for section, name in (("model", "window"), ("model", "mu"), ("train", "epochs")):
        if getattr(arguments, name) is not None:
            changes[section][name] = getattr(arguments, name)
    plain = ("system", "dataset", "pair", "survival", "setting", "seed", "labelled", "device", "threads")
    experiment = experiments.Experiment(**{name: getattr(arguments, name) for name in plain}, **changes)
    if arguments.out:
        _check_folder(Path(arguments.out))
    record = experiments.run(experiment, arguments.data_dir)
    if arguments.out:
        print(f"wrote {experiments.store(record, arguments.out)}", file=sys.stderr)
    if arguments.json:
        print(json.dumps(record, allow_nan=False))
    else:
        _print_record(record)


def _check_folder(folder: Path) -> None:
    """Say before the training, not after it, that nothing can be written there."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"--out {folder} cannot be written: {there} is not a folder open to you")


def _print_record(record: dict[str, object]) -> None:
    about = "{system} on {dataset}, {pair}, survival {survival}, setting {setting}, seed {seed}"
    print(about.format(**record))
    for name, value in record["metrics"].items():
        print(f"  {name:<12} {'none' if value is None else format(value, '.4f')}")
    print(
        "  epoch {best_epoch} of {epochs}, {train_seconds:.1f} s of training, {parameters} parameters".format(**record)
    )


def _bench(arguments: argparse.Namespace) -> None:
    import torch

    from . import bench, experiments

    transport = arguments.what == "transport"
    check("threads", arguments.threads, whole(1))
    torch.set_num_threads(arguments.threads)
    report = bench.transport_report() if transport else experiments.training_report()
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
    from .registry import DATASETS, data_folder

    one_of("dataset", arguments.name, tuple(DATASETS))
    entry = DATASETS[arguments.name]
    where = "embedded" if entry.folder is None else str(data_folder(arguments.data_dir) / entry.folder)
    facts = {
        "about": entry.about,
        "modalities": ", ".join(entry.modalities),
        "pair": ":".join(entry.pair),
        "from": where,
    }
    _print_facts(arguments.name, facts)


def _data_check(arguments: argparse.Namespace) -> None:
    from .registry import read

    source = read(arguments.name, arguments.pair, arguments.data_dir)
    _print_facts(arguments.name, {"about": source.about, **source.describe()})


def _print_facts(name: str, facts: dict[str, str]) -> None:
    print(name)
    for key, value in facts.items():
        print(f"  {key:<14} {value}")
