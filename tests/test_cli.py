"""The command line: what it prints, where, and with which status."""

import argparse
import json
import os
import subprocess
import sys

import h5py
import numpy as np
import pytest

from mmalign import cli, registry
from mmalign.experiments import runs

KEYS = [
    "system", "dataset", "pair", "survival", "setting", "seed", "metrics", "labelled", "best_epoch", "epochs",
    "train_seconds", "seconds_per_epoch", "parameters", "config", "versions",
]  # fmt: skip
SMALL = ["--set", "data.samples=60", "--set", "data.longest=8", "--set", "data.shortest=3"]
RUN = ["run", "--system", "mm-align", "--dataset", "planted", "--threads", "1", "--epochs", "2", *SMALL]
RUN += ["--set", "model.width=8", "--set", "model.warmup=1"]


@pytest.fixture
def mmalign(capsys):
    """Call the command line in this process: (status, stdout, stderr)."""

    def call(*words):
        status = cli.main([*map(str, words)])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


@pytest.fixture
def folder(tmp_path):
    """A data folder with sound arrays and sound HDF5 files."""
    draw = np.random.default_rng(0)
    own = {
        "visible": draw.normal(size=(40, 6, 3)),
        "victim": draw.normal(size=(40, 6, 2)),
        "labels": draw.normal(size=40),
    }
    np.savez(tmp_path / "arrays.npz", **own)
    (tmp_path / "ict_mmmo").mkdir()
    for part, count in (("train", 12), ("valid", 5), ("test", 5)):
        contents = {"audio": draw.normal(size=(count, 20, 3)), "video": draw.normal(size=(count, 20, 2))}
        for name, values in (*contents.items(), ("y", np.linspace(1, 5, count))):
            with h5py.File(tmp_path / f"ict_mmmo/{name}_{part}.h5", "w") as file:
                file["d1"] = values
    return tmp_path


# ---- what a run prints -------------------------------------------------------------------------------


def test_one_json_object_with_the_contracts_keys_and_twice_the_same_metrics(mmalign):
    found = []
    for _ in range(2):
        status, out, _ = mmalign(*RUN, "--json")
        assert status == 0 and out.count("\n") == 1
        found.append(json.loads(out, parse_constant=pytest.fail))
    assert list(found[0]) == KEYS and set(found[0]["metrics"]) == {"mae", "acc2", "f1"}
    assert found[0]["metrics"] == found[1]["metrics"] and found[0]["pair"] == "first:second"


def test_every_option_reaches_the_run(mmalign, monkeypatch):
    seen = {}

    def make(experiment, folder, **states):
        seen.update(vars(experiment), folder=folder)
        return runs.Run({}, None, None, None)

    monkeypatch.setattr(runs, "make", make)
    options = "--pair second:first --survival 0.3 --setting B --seed 4 --labelled 0.5 --window 3 --mu 0.7 --epochs 9"
    more = ["--set", "train.lr=0.01", "--set", "model.merged_loop=false", "--set", "data.task=classification"]
    words = [
        "run",
        "--system",
        "mm-align",
        "--dataset",
        "planted",
        *options.split(),
        *more,
        "--data-dir",
        "there",
        "--json",
    ]
    status, _, err = mmalign(*words)
    assert status == 0, err
    assert (seen["system"], seen["dataset"], seen["pair"]) == ("mm-align", "planted", ("second", "first"))
    assert (seen["survival"], seen["setting"], seen["seed"], seen["labelled"]) == (0.3, "B", 4, 0.5)
    assert seen["model"] == {"window": 3, "mu": 0.7, "merged_loop": False} and seen["folder"] == "there"
    assert seen["train"] == {"epochs": 9, "lr": 0.01} and seen["data"] == {"task": "classification"}


def test_without_json_people_get_a_few_lines(mmalign):
    status, out, _ = mmalign(*RUN)
    assert status == 0 and "mm-align on planted, first:second" in out and "mae" in out and out.count("\n") <= 8


@pytest.mark.slow
@pytest.mark.parametrize("name", registry.SYSTEMS)
@pytest.mark.parametrize("survival", ["0.5", "1"])
def test_every_system_runs_by_its_name(mmalign, name, survival):
    words = ["run", "--system", name, "--dataset", "planted", *SMALL]
    if not registry.SYSTEMS[name].kind.in_one_go:
        words += ["--epochs", {"scale": 22, "deepmlf": 12}.get(name, 4)]  # more than the warm-up
    for key, value in {"width": 8, "least": 1}.items():  # where a system has them
        if hasattr(registry.SYSTEMS[name].configure(), key):
            words += ["--set", f"model.{key}={value}"]
    status, out, err = mmalign(*words, "--survival", survival, "--json")
    assert status == 0 and json.loads(out)["system"] == name, err


@pytest.mark.slow
@pytest.mark.parametrize(("dataset", "pair"), [("arrays", "visible:victim"), ("ict-mmmo", "video:audio")])
def test_files_in_the_data_folder_are_run(mmalign, folder, dataset, pair):
    words = ["--dataset", dataset, "--pair", pair, "--data-dir", folder, "--epochs", 2, "--json"]
    status, out, _ = mmalign("run", "--system", "single", *words)
    assert status == 0 and json.loads(out)["pair"] == pair


# ---- --out -------------------------------------------------------------------------------------------


def test_out_holds_one_whole_file_that_says_what_stdout_says(mmalign, tmp_path):
    for _ in range(2):  # the second run is the same experiment, so the same file
        status, out, err = mmalign(*RUN, "--json", "--out", tmp_path / "new/out")
        (path,) = (tmp_path / "new/out").glob("*.json")
        beside = {found.name.partition(".")[2] for found in (tmp_path / "new/out").iterdir()}
        assert beside == {"json", "npz", "csv", "safetensors"}  # the answers, the curve and the weights
        assert status == 0 and json.loads(path.read_text()) == json.loads(out) and str(path) in err
    assert path.name == runs.name_of(json.loads(out))


def test_an_out_that_cannot_be_written_is_said_before_training(mmalign, tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "make", lambda *arguments, **more: pytest.fail("it trained first"))
    (tmp_path / "file").write_text("")
    for place in ("file", "file/below", "file/below/further"):
        status, out, err = mmalign(*RUN, "--out", tmp_path / place)
        assert (status, out, err.count("\n")) == (2, "", 1) and "--out" in err and "file" in err


def test_an_empty_out_is_a_mistake_and_no_wish_for_none(mmalign, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "--out must name a folder" in said(mmalign(*RUN, "--out", ""))
    assert [*tmp_path.iterdir()] == []


# ---- mistakes ----------------------------------------------------------------------------------------


def said(answer):
    """The one line of a refusal."""
    status, out, err = answer
    assert (status, out) == (2, "") and err.count("\n") == 1 and err.startswith("mmalign: "), answer
    return err


HUGE = "99999999999999999999"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], ["COMMAND"]),
        (["fly"], ["fly"]),
        (["run"], ["--system", "--dataset"]),
        (["run", "--system", "best", "--dataset", "planted"], ["system", "best", "mm-align"]),
        (["run", "--system", "single", "--dataset", "mars"], ["dataset", "mars", "smartwatch"]),
        ([*RUN, "--pair", "first:fourth"], ["modality", "fourth", "first"]),
        ([*RUN, "--pair", "first:first"], ["pair", "first:first"]),
        ([*RUN, "--pair", "first"], ["--pair", "'first'", "VISIBLE:VICTIM"]),
        ([*RUN, "--pair", "first:second:third"], ["MMAlign", "2 modalities", "3"]),
        ([*RUN, "--survival", "0"], ["survival", "(0, 1]", "0"]),
        ([*RUN, "--survival", "1.5"], ["survival", "(0, 1]", "1.5"]),
        ([*RUN, "--survival", "nan"], ["survival", "nan"]),
        ([*RUN, "--survival", "half"], ["number", "half", "--survival"]),
        ([*RUN, "--survival", "0.001"], ["survival 0.001", "is enough"]),
        ([*RUN, "--labelled", "0"], ["labelled", "(0, 1]"]),
        ([*RUN, "--setting", "C"], ["setting", "C", "A, B, R"]),
        ([*RUN, "--seed", "-1"], ["seed", "-1"]),
        ([*RUN, "--seed", "one"], ["whole number", "one", "--seed"]),
        ([*RUN, "--seed", HUGE], ["seed", HUGE]),
        ([*RUN, "--window", "-1"], ["window", "-1"]),
        ([*RUN, "--mu", "0"], ["mu", "0"]),
        ([*RUN, "--mu", "inf"], ["mu", "inf"]),
        ([*RUN, "--epochs", "0"], ["epochs"]),
        ([*RUN, "--epochs", "1"], ["epochs", "warm-up"]),
        ([*RUN, "--threads", "0"], ["threads", "0"]),
        ([*RUN, "--device", "tpu"], ["device", "tpu"]),
        ([*RUN, "--fast"], ["--fast"]),
        ([*RUN, "--set", "model.width"], ["--set", "model.width"]),
        ([*RUN, "--set", "shop.width=3"], ["section", "shop", "model, train, data"]),
        ([*RUN, "--set", "model.depth=3"], ["depth", "known"]),
        ([*RUN, "--set", "model.width=wide"], ["width", "wide"]),
        ([*RUN, "--set", "model.width=7"], ["width", "7"]),
        ([*RUN, "--set", "model.merged_loop=perhaps"], ["merged_loop", "perhaps"]),
        ([*RUN, "--set", "train.lr=fast"], ["lr", "fast"]),
        ([*RUN, "--set", "train.lr=1e30"], ["finite"]),
        ([*RUN, "--set", "data.samples=3"], ["samples", "3"]),
        ([*RUN, "--set", "data.tempo=3"], ["tempo"]),
        ([*RUN, "--set", "data.name=3"], ["name"]),
        ([*RUN, "--set", "data.pair=3"], ["pair"]),
        ([*RUN, "--set", "data.data_dir=3"], ["data_dir"]),
        ([*RUN, "--set", f"data.draw={HUGE}"], ["draw"]),
        (["run", "--system", "single", "--dataset", "planted", "--window", "3"], ["window", "BoundConfig"]),
        (["run", "--system", "single", "--dataset", "smartwatch", "--set", "data.rate=3"], ["rate", "smartwatch"]),
        (["data"], ["list|info|fetch|import|check"]),
        (["data", "info", "mars"], ["dataset", "mars"]),
        (["data", "check", "mars"], ["dataset", "mars"]),
        (["data", "check", "planted", "--set", "model.width=3"], ["section", "model", "data"]),
        (["data", "info", "planted", "--pair", "first:second"], ["--pair"]),
        (["sweep", "grid.yaml", "--out", ""], ["--out", "found nothing"]),
        ([*RUN, "--set", "data.label_noise=1e30"], ["never finite", "too large"]),
    ],
)
def test_a_mistake_is_answered_in_one_line_that_names_it_and_nothing_is_written(mmalign, tmp_path, words, says):
    out = ["--out", tmp_path / "out"] if words[:1] == ["run"] and len(words) > 1 else []
    line = said(mmalign(*words, *out))
    assert [word for word in says if word not in line] == [], line
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def options_of(parser, words=()):
    """Every command with the options that it knows: (("data", "check"), ["--help", "--pair", ...])."""
    deeper = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    for name, one in [pair for action in deeper for pair in action.choices.items()]:
        yield from options_of(one, (*words, name))
    if not deeper:
        yield words, [option for option in parser._option_string_actions if option.startswith("--")]


@pytest.mark.parametrize(("words", "options"), [*options_of(cli._parser())], ids=str)
def test_a_misspelt_option_is_named_with_the_one_that_is_meant_whatever_else_is_missing(mmalign, words, options):
    for option in options:
        for typed in (option[:3] + option[4:], option + option[-1], option.replace("--", "—")):
            if not any(one.startswith(typed) for one in options):  # "--se" may be "--seed": argparse asks
                assert f"unknown option {typed}; did you mean --" in said(mmalign(*words, typed, "x")), option
        assert f"did you mean {option}?" in said(mmalign(*words, f"{option}x=3"))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("run --systm mm-align --dataset planted", "unknown option --systm; did you mean --system?"),
        ("run -system mm-align --dataset planted", "unknown option -system; did you mean --system?"),
        ("run --datset=planted --system single", "unknown option --datset; did you mean --dataset?"),
        ("sweep grid.yaml --outt there", "unknown option --outt; did you mean --out?"),
        ("data check planted --foo", "unknown option --foo; mmalign data check knows -h, --help, --data-dir, --pair"),
        ("--jsn run", "unknown option --jsn; mmalign knows -h, --help"),
        ("run --s mm-align", "ambiguous option: --s could match --system"),
        ("run --mu -1", "required: --system, --dataset"),  # a number is no option
        ("run --system single --dataset planted -- --foo", "unrecognized arguments"),  # nor is what follows "--"
    ],
)
def test_what_looks_like_an_option_and_is_none_is_named(mmalign, line, says):
    assert says in said(mmalign(*line.split()))


def spoil_arrays(**changes):
    def spoil(folder):
        with np.load(folder / "arrays.npz") as file:
            content = dict(file)
        for name, change in changes.items():
            content[name] = change(content[name])
        np.savez(folder / "arrays.npz", **content)

    return spoil


def put(place, value):
    def change(values):
        values[place] = value
        return values

    return change


def cut(name):
    def spoil(folder):
        path = folder / name
        path.write_bytes(path.read_bytes()[:-500])

    return spoil


@pytest.mark.parametrize(
    ("dataset", "spoil", "says"),
    [
        ("ict-mmmo", cut("ict_mmmo/audio_train.h5"), ["audio_train.h5", "not a sound HDF5 file"]),
        ("ict-mmmo", lambda at: (at / "ict_mmmo/video_test.h5").unlink(), ["video_test.h5", "not there"]),
        ("ict-mmmo", lambda at: (at / "ict_mmmo/y_test.h5").write_text("hello"), ["y_test.h5"]),
        ("arrays", cut("arrays.npz"), ["arrays.npz"]),
        ("arrays", lambda at: (at / "arrays.npz").unlink(), ["arrays.npz", "not there"]),
        ("arrays", spoil_arrays(victim=lambda a: a[:-1]), ["visible and victim", "(40, 6, 3)", "(39, 6, 2)"]),
        ("arrays", spoil_arrays(labels=lambda a: a[:-1]), ["labels", "39", "40"]),
        ("arrays", spoil_arrays(visible=put((3, 2, 0), np.nan)), ["visible", "sample 3, step 2"]),
        ("arrays", spoil_arrays(visible=put((3, 2, 0), 1e300)), ["visible", "sample 3, step 2"]),
        ("arrays", spoil_arrays(victim=put((3, 2, 0), np.inf)), ["victim", "sample 3, step 2"]),
        ("arrays", spoil_arrays(labels=put(7, np.nan)), ["labels", "finite"]),
        ("arrays", spoil_arrays(victim=lambda a: a * np.nan), ["victim"]),
    ],
)
@pytest.mark.parametrize("command", ["run", "check"])
@pytest.mark.filterwarnings("default")
def test_a_bad_file_is_answered_in_one_line_that_names_it(mmalign, folder, dataset, spoil, says, command):
    spoil(folder)
    words = ["data", "check", dataset] if command == "check" else ["run", "--system", "copy", "--dataset", dataset]
    if command == "run":
        words += ["--out", folder / "out"]
    elif says == ["victim"]:
        pytest.skip("sound for a reader: it is only training that needs a victim")
    line = said(mmalign(*words, "--data-dir", folder))
    assert [word for word in says if word not in line] == [], line
    assert not (folder / "out").exists()


def test_a_defect_of_ours_is_not_dressed_up_as_the_users(monkeypatch):
    def fail(*arguments, **options):
        raise RuntimeError("a defect")

    monkeypatch.setattr(runs, "make", fail)
    with pytest.raises(RuntimeError):  # Python then ends with status 1 and the traceback
        cli.main(RUN)


def test_an_interrupted_run_writes_nothing(mmalign, monkeypatch, tmp_path):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(runs, "fit", interrupt)
    status, out, err = mmalign(*RUN, "--out", tmp_path / "out")
    assert (status, out, err.count("\n")) == (130, "", 1) and not [*tmp_path.iterdir()]


# ---- mmalign data ------------------------------------------------------------------------------------


def test_the_list_names_every_data_set(mmalign):
    status, out, _ = mmalign("data", "list")
    assert status == 0 and [line.split()[0] for line in out.splitlines()] == [*registry.DATASETS]


@pytest.mark.parametrize("name", registry.DATASETS)
def test_info_says_where_a_data_set_is_looked_for(mmalign, name, tmp_path):
    status, out, _ = mmalign("data", "info", name, "--data-dir", tmp_path)
    where = registry.DATASETS[name].folder
    assert status == 0 and ("embedded" if where is None else str(tmp_path / where)) in out


@pytest.mark.parametrize("name", ["smartwatch", "planted", "arrays", "ict-mmmo"])
def test_check_says_what_is_in_it(mmalign, folder, name):
    status, out, _ = mmalign("data", "check", name, "--data-dir", folder)
    assert status == 0 and "samples" in out and "labels" in out and "features" in out


# ---- as a program ------------------------------------------------------------------------------------


def program(*words, **options):
    command = [sys.executable, "-m", "mmalign", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, **options)


@pytest.mark.slow
def test_as_a_program_a_run_prints_json_to_stdout_and_ends_with_0(mmalign):
    done = program(*RUN, "--json")
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    assert json.loads(done.stdout)["metrics"] == json.loads(mmalign(*RUN, "--json")[1])["metrics"]


@pytest.mark.slow
def test_as_a_program_a_mistake_ends_with_2_and_one_line_and_no_traceback(tmp_path):
    draw = np.full((40, 6, 3), 1e300)
    np.savez(tmp_path / "arrays.npz", visible=draw, victim=draw, labels=np.arange(40.0))
    done = program(
        "run", "--system", "single", "--dataset", "arrays", "--data-dir", tmp_path, "--out", tmp_path / "out"
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["arrays.npz"]


def test_help_and_a_reader_who_leaves_early_are_no_mistakes():
    done = program("run", "--help")
    assert done.returncode == 0 and "--survival" in done.stdout and done.stderr == ""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as gone:
        left = subprocess.run([sys.executable, "-m", "mmalign", "data", "list"], stdout=gone, stderr=subprocess.PIPE)
    assert (left.returncode, left.stderr) == (0, b"")
