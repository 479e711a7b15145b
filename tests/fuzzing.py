"""Trials with spoilt files, words and surroundings: `python tests/fuzzing.py --minutes 60`, or `make fuzz MINUTES=60`.

A seed is a trial: it draws a kind of file, spoils a sound one as its format allows (`spoil.py`), and lets a command
meet it in a process of its own, whose memory, seconds, streams and end are looked at. Right is status 0, or status 2
with one line. Whatever else happens is kept in `_build/fuzz/SEED`, the files and what was said.
"""

import argparse
import gc
import io
import json
import os
import random
import re
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import h5py
import spoil
import numpy as np
import pytest
import speech
import torch

import mmalign
from mmalign import cli, errors, system, training  # noqa: F401, loaded once for all trials
from mmalign.data import folders
from mmalign.experiments import grids, runs, tables
from mmalign.gate import hdf5, hdf5_child

SECONDS, BYTES = 20, 1e9  # that a trial may take
KEPT = Path("_build/fuzz")


class Outcome(NamedTuple):
    """What became of a trial."""

    seed: int
    kind: str
    said: str
    status: int  # negative: the signal that killed it
    seconds: float
    peak: int  # bytes
    wrong: str  # empty where all is right


# ---- sound files -----------------------------------------------------------------------------------------

GRID = """system: [single, copy]
dataset: planted
pair: first:second
survival: [0.3, 0.7]
seed: [0, 1]
model.width: 8
train.epochs: 3
data.samples: 60
"""


def own_arrays(place):
    draw = np.random.default_rng(0)
    own = {
        "visible": draw.normal(size=(20, 6, 3)),
        "victim": draw.normal(size=(20, 6, 2)),
        "labels": draw.normal(size=20),
    }
    np.savez(place / "arrays.npz", **own, lengths=np.full(20, 5), groups=np.arange(20))


def own_form(place):
    speech.mm_align(place / "raw")
    folders.bring_in("mosi", place / "raw", place / "mosi")
    shutil.rmtree(place / "raw")


def small_data():
    return mmalign.load("planted", survival=0.5, samples=60, longest=6, shortest=3)


def small_model(data):
    return mmalign.MMAlign.from_data(data, mmalign.MMAlignConfig(width=8, warmup=1))


TRAINING = {"epochs": 3, "batch_size": 32}


def own_model(place):
    data = small_data()
    model = small_model(data)
    model.save(place / "model.safetensors")
    mmalign.fit(model, data, mmalign.TrainConfig(**TRAINING), progress=False, checkpoint=place / "state.safetensors")


def own_records(place):
    for seed in (0, 1):
        one = runs.Experiment(
            system="single", dataset="planted", seed=seed, data={"samples": 60}, train={"epochs": 1}, threads=1
        )
        runs.store(runs.run(one, progress=False), place / "out")
    (place / "rows.jsonl").write_text(tables.lines(tables.records(place / "out")))


SOUND = {
    "arrays": own_arrays,
    "hdf5": lambda place: speech.published(place / "ict_mmmo", "ict-mmmo"),
    "own": own_form,
    "words": lambda place: speech.mm_align(place / "raw"),
    "padded": lambda place: speech.mult(place / "raw.pkl"),
    "meld": lambda place: speech.meld(place / "raw"),
    "model": own_model,
    "records": own_records,
    "grid": lambda place: (place / "grid.yaml").write_text(GRID),
}


# ---- trials: spoil something, then do something ------------------------------------------------------------


def change(path, spoil):
    path.write_bytes(spoil(path.read_bytes()))


def replace_object(draw, path):
    """Another object, or another pickle of it."""
    import pickle

    sys.modules.setdefault("create_dataset", speech)  # where the mapping of words says that its function lives
    content = pickle.loads(path.read_bytes())
    path.write_bytes(spoil.pickled(draw, content))


def arrays(draw, place):
    change(place / "arrays.npz", lambda content: spoil.spoil_zip(draw, content, spoil.spoil_npy))
    return "data check arrays --data-dir ."


def published(draw, place):
    name = draw.choice(["audio_train.h5", "y_test.h5", "video_valid.h5"])
    spoil_hdf5(draw, place / "ict_mmmo" / name, "d1")
    return "data check ict-mmmo --pair audio:video --data-dir ."


def own(draw, place):
    path = place / "mosi/imported.h5"
    if draw.random() < 0.5:
        change(path, lambda content: spoil.spoil_bytes(draw, content))
    elif draw.random() < 0.5:
        with h5py.File(path, "a") as file:
            told = spoil.spoil_value(draw, json.loads(file.attrs["manifest"]), plain=True)
            text = spoil.dumps(draw, told).encode(errors="replace").decode()
            file.attrs["manifest"] = text if draw.random() < 0.9 else np.arange(4)
    else:
        spoil_hdf5(draw, path, draw.choice(["lengths", "labels", "parts", "features/audio", "table/text", "features"]))
    return "data check mosi --data-dir ." if draw.random() < 0.8 else "data info mosi --data-dir ."


def words(draw, place):
    if draw.random() < 0.4:
        change(place / "raw/embedding_and_mapping.pt", lambda old: spoil_embedding(draw, old))
    else:
        replace_object(draw, place / "raw" / draw.choice(["train.pkl", "dev.pkl", "test.pkl"]))
    return "data import mosi raw --data-dir ."


def spoil_embedding(draw, old):
    if draw.random() < 0.4:
        return spoil.spoil_zip(draw, old, spoil.spoil_torch)
    plain = torch.zeros(12, 4)
    odd = [torch.zeros(1).expand(10**6, 10**6), plain.T, plain.half(), torch.nn.Parameter(plain), plain.bfloat16()]
    table = draw.choice([plain, plain.numpy(), *odd])
    packed = io.BytesIO()
    held = spoil.spoil_value(draw, (table, {"w": 1}), chance=0.1) if draw.random() < 0.5 else (table, {"w": 1})
    try:
        torch.save(held, packed, _use_new_zipfile_serialization=draw.random() < 0.5)
    except (RecursionError, ValueError, OverflowError):  # too deep, or too many digits, for those who write as well
        return old[:99]
    content = packed.getvalue()
    return content if draw.random() < 0.5 else spoil.spoil_bytes(draw, content)


def padded(draw, place):
    replace_object(draw, place / "raw.pkl")
    return "data import mosei raw.pkl --data-dir ."


def meld(draw, place):
    replace_object(draw, place / "raw" / draw.choice(["train.pkl", "test.pkl", "embedding.p"]))
    return "data import meld raw --data-dir ."


def model(draw, place):
    change(place / "model.safetensors", lambda content: spoil.spoil_safetensors(draw, content))
    return lambda: mmalign.MMAlign.restore("model.safetensors")


def state(draw, place):
    change(place / "state.safetensors", lambda content: spoil.spoil_safetensors(draw, content))
    data = small_data()
    config = mmalign.TrainConfig(**TRAINING)
    return lambda: mmalign.fit(small_model(data), data, config, progress=False, checkpoint="state.safetensors")


def records(draw, place):
    lines = (place / "rows.jsonl").read_text().splitlines()
    at = draw.randrange(len(lines))
    if draw.random() < 0.3:
        lines[at] = spoil.spoil_bytes(draw, lines[at].encode()).decode(errors="replace")
    else:
        told = json.loads(lines[at])
        for _ in range(draw.choice([1, 1, 3])):
            told = spoil.spoil_value(draw, told, plain=True, chance=0.1)
        try:
            lines[at] = spoil.dumps(draw, told)
        except (ValueError, RecursionError):
            lines[at] = "[" * 100_000
    (place / "rows.jsonl").write_bytes(
        "\n".join(lines).encode(errors="surrogatepass" if draw.random() < 0.5 else "replace")
    )
    if draw.random() < 0.3:
        shutil.copy(place / "rows.jsonl", place / "out" / "more.json")
        return f"table out --format {draw.choice(['markdown', 'csv', 'latex', 'jsonl'])}"
    return f"table rows.jsonl --format {draw.choice(['markdown', 'csv', 'latex', 'jsonl'])}"


def grid(draw, place):
    (place / "grid.yaml").write_bytes(spoil.spoil_yaml(draw, GRID).encode(errors="replace"))
    return lambda: grids.read_grid("grid.yaml")


def anything(draw, place):
    """Files under names where others are expected, links, pipes and folders."""
    name = draw.choice(
        ["arrays.npz", "mosi/imported.h5", "ict_mmmo/audio_train.h5", "raw.pkl", "raw/train.pkl", "grid.yaml"]
    )
    path = place / name
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    odd = [
        lambda: os.mkfifo(path),
        path.mkdir,
        lambda: path.symlink_to("/dev/zero"),
        lambda: path.symlink_to(path),
        lambda: path.symlink_to("/nowhere"),
        lambda: path.write_bytes(draw.choice(FRONTS) + draw.randbytes(draw.choice([0, 9, 500]))),
    ]
    draw.choice(odd)()
    return {
        "arrays.npz": "data check arrays --data-dir .",
        "mosi/imported.h5": "data check mosi --data-dir .",
        "ict_mmmo/audio_train.h5": "data check ict-mmmo --data-dir .",
        "raw.pkl": "data import mosei raw.pkl --data-dir .",
        "raw/train.pkl": "data import meld raw --data-dir .",
        "grid.yaml": "sweep grid.yaml --out out",
    }[name]


FRONTS = [
    b"", b"<!DOCTYPE html><html>", b"version https://git-lfs.github.com/spec/v1\n", b"\x1f\x8b\x08", b"PK\x03\x04",
    b"PK\x05\x06", b"\x89HDF\r\n\x1a\n", b"\x80\x04", b"BZh9", b"\x93NUMPY\x01\x00", b"%PDF",
    b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.",
]  # fmt: skip

OPTIONS = """
    --system --dataset --pair --survival --setting --seed --labelled --window --mu --epochs --set --device --threads
    --data-dir --resume --json --workers --retry --metric --format
""".split()
FIELDS = """
    model.width model.heads model.window model.mu model.encoder_layers model.kernel model.max_sweeps model.dropout
    model.fitter_width train.lr train.batch_size train.patience train.seed data.samples data.longest data.block
    data.shortest data.noise model.warmup data.nothing train.clip
""".split()
VALUES = """
    0 -1 1 2 1e309 nan inf 'a' None True 1000000 1000000000 4611686018427387904 1e-320 a:b first:second single planted
    smartwatch /dev/null /proc/self/mem . 0.5 {} b'x' 1j 2**99
""".split()
VALUES += [
    "",
    "\x1b[2J",
    "é",
    "\udcff",
    "[1, 2]",
    "1" * 400,
    "9" * 5000,
    "0x" + "f" * 6000,
    "[" * 300,
    "(" * 3000,
    "x" * 5000,
]


BEGINNINGS = [
    "run --system single --dataset planted --epochs 1 --set data.samples=60",
    "data check planted",
    "table out",
    "data info mosi",
    "data check arrays",
    "sweep grid.yaml --out o",
]


def command(draw, place):
    """Words that no one would type."""
    words = draw.choice(BEGINNINGS).split()
    for _ in range(draw.choice([1, 1, 2, 3])):
        option = draw.choice(OPTIONS)
        words.append(option)
        if option == "--set":
            words.append(f"{draw.choice(FIELDS)}={draw.choice(VALUES)}")
        elif option not in ("--resume", "--json", "--retry"):
            words.append(draw.choice(VALUES))
    if draw.random() < 0.3:
        words[draw.randrange(len(words))] = draw.choice(VALUES)
    return words


TRIALS = {  # name -> what spoils and acts, the sound files it needs, its share
    "arrays": (arrays, "arrays", 10),
    "published HDF5": (published, "hdf5", 9),
    "own HDF5": (own, "own", 9),
    "words": (words, "words", 10),
    "padded": (padded, "padded", 10),
    "meld": (meld, "meld", 8),
    "model": (model, "model", 8),
    "state": (state, "model", 5),
    "records": (records, "records", 8),
    "grid": (grid, "grid", 9),
    "anything": (anything, "grid", 5),
    "command": (command, "grid", 8),
}


def spoil_hdf5(draw, path, key):
    """Other types, shapes, pieces, filters, links, names; or the bytes."""
    if draw.random() < 0.4:
        return change(path, lambda content: spoil.spoil_bytes(draw, content))
    with h5py.File(path, "a") as file:
        values = file[key][()] if isinstance(file.get(key), h5py.Dataset) else np.zeros((9, 20, 2))
        if draw.random() < 0.9:
            del file[key]
        options = {"compression": "gzip", "chunks": True}
        more = {
            "array": lambda: file.create_dataset(key, data=_storable(spoil.odd_array(draw, values)), **options),
            "bomb": lambda: (
                file.create_dataset(
                    key,
                    values.shape,
                    "f8",
                    maxshape=[None] * values.ndim,
                    **options,
                )
                if values.ndim
                else None
            ),
            "large piece": lambda: _piece(file, key, draw.choice([10**4, 10**7, 4 * 10**8])),
            "declared": lambda: file.create_dataset(
                key,
                draw.choice([(10**12,), (10**6, 10**6, 3), (2**60, 2), (0,), ()]),
                "f8",
                **({"chunks": True} if draw.random() < 0.5 else {}),
            ),
            "external link": lambda: file.__setitem__(
                key, h5py.ExternalLink(draw.choice(["/dev/zero", "y_test.h5", path.name]), "d1")
            ),
            "soft link": lambda: file.__setitem__(key, h5py.SoftLink(draw.choice(["/", f"/{key}", "/nothing"]))),
            "external": lambda: file.create_dataset(
                key, (9, 20, 2), "f8", external=[(draw.choice(["/dev/zero", "none"]), 0, 2880)]
            ),
            "group": lambda: file.create_group(key),
            "name": lambda: file.create_dataset(draw.choice(spoil.WORDS[1:3]) or "e", data=values),
            "type": lambda: file.create_dataset(key, data=np.zeros(3, [("a", "f8"), ("b", "i4")])),
            "words": lambda: file.create_dataset(key, data=["a", "\x1b[1m"], dtype=h5py.string_dtype()),
            "empty": lambda: file.create_dataset(key, data=h5py.Empty("f8")),
        }
        with suppress(TypeError, ValueError, OSError, RuntimeError, OverflowError):  # HDF5 itself will not have it
            draw.choice(list(more.values()))()
    return None


def _storable(values):
    return values.astype("S8") if values.dtype.kind in "OU" else values


def _piece(file, key, size):
    """A small data set in one large compressed piece."""
    made = file.create_dataset(
        key, (9, 20, 2), "f8", maxshape=(None, 20, 2), chunks=(max(9, size // 320), 20, 2), compression="gzip"
    )
    if size < 10**8:
        made[...] = 0


# ---- one trial, in a process of its own --------------------------------------------------------------------


def prepare(place):
    """Sound files of every kind, made once."""
    for name, make in SOUND.items():
        (place / name).mkdir()
        make(place / name)


class _Forked:
    """What stands for the process that reads HDF5: the same program, without a new interpreter."""

    def __init__(self):
        there, self._out = os.pipe()
        self._in, here = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.close(self._out), os.close(self._in)
            try:
                hdf5_child.serve(os.fdopen(there, "rb"), os.fdopen(here, "wb"))
            finally:
                os._exit(0)
        os.close(there), os.close(here)
        self.stdin, self.stdout = os.fdopen(self._out, "wb"), os.fdopen(self._in, "rb")

    def kill(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)

    def wait(self):
        os.waitpid(self.pid, 0)
        self.pid = 0


def act(seed, sound, place):
    """What happens in the process of a trial: its exit status."""
    draw = random.Random(seed)
    torch.manual_seed(seed), torch.set_num_threads(1)
    kind = draw.choices(list(TRIALS), [share for *_, share in TRIALS.values()])[0]
    spoil, files, _ = TRIALS[kind]
    shutil.copytree(sound / files, place, dirs_exist_ok=True)
    os.chdir(place)
    Path(".kind").write_text(kind)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of those who spoil; of those who read none is allowed
        todo = spoil(draw, Path())
    told = todo if isinstance(todo, str) else " ".join(todo)[:3000] if isinstance(todo, list) else ""
    Path(".kind").write_text(f"{kind}: {told}", errors="backslashreplace")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hdf5, "start", _Forked)
        if callable(todo):  # no command of its own: the command line says what comes of it
            call, todo = todo, "data list"
            patch.setattr(cli, "_data_list", lambda _: call() and None)
        return cli.main(todo.split() if isinstance(todo, str) else todo)


BATCH = 25  # trials of one process, while none kills it


def batch(seeds, sound, places):
    """Run the trials of some seeds in one process; what each said lies beside its place. Yields their outcomes."""
    there, here = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(there)
        os.setsid()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        for seed, place in zip(seeds, places, strict=True):
            os.write(here, json.dumps(_one(seed, sound, place)).encode() + b"\n")
        os._exit(0)
    os.close(here)
    done, told, code = 0, b"", None
    began = time.monotonic()
    while done < len(seeds):
        ready, _, _ = select.select([there], [], [], 1)
        piece = os.read(there, 2**16) if ready else b""
        told += piece
        while b"\n" in told:
            line, _, told = told.partition(b"\n")
            yield _outcome(seeds[done], places[done], *json.loads(line))
            done, began = done + 1, time.monotonic()
        if ready and not piece:
            break
        if time.monotonic() - began > 6 * SECONDS:
            os.killpg(pid, signal.SIGKILL)
    os.close(there)
    _, code, used = os.wait4(pid, 0)
    if done < len(seeds):
        yield _outcome(seeds[done], places[done], os.waitstatus_to_exitcode(code) or 1, 0.0, used.ru_maxrss * 1024)


def _one(seed, sound, place):
    """Status, seconds and most memory of a trial that this process survives."""
    os.makedirs(place)
    for number, name in ((1, ".out"), (2, ".err")):
        handle = os.open(f"{place}{name}", os.O_WRONLY | os.O_CREAT, 0o666)
        os.dup2(handle, number), os.close(handle)
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115, it lasts until the next trial
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, children = _used(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    try:
        status = act(seed, sound, place)
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush(), sys.stderr.flush()
    peak = int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])
    most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return status, _used() - before, 1024 * max(peak, most if most > children else 0)


def _used():
    """Seconds of computing, of this process and of those that read HDF5 for it."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in both)


def _outcome(seed, place, status, seconds, peak):
    out, err = (Path(f"{place}{name}").read_bytes() for name in (".out", ".err"))
    told = Path(place) / ".kind"
    kind = told.read_text(errors="replace") if told.exists() else "?"
    wrong = judge(status, out, err, seconds, peak)
    return Outcome(seed, kind, err.decode(errors="replace"), status, seconds, peak, wrong)


def judge(status, out, err, seconds, peak):
    """What is wrong with an outcome; nothing, if nothing is."""
    if status < 0:
        return f"killed by signal {-status}"
    if status not in (0, 2):
        return f"status {status}"
    if b"Traceback" in err:
        return "a traceback"
    err = re.sub(rb"\r[^\r\n]*(run/s|s/run)[^\r\n]*\n?", b"", err)  # the bar of a sweep
    if any((byte < 32 and byte not in b"\n") or byte == 127 for byte in out + err):
        return "control bytes"
    if "\x9b" in (out + err).decode(errors="replace"):
        return "control letters"
    if status == 2 and not (err.startswith(b"mmalign: ") and err.count(b"\n") == 1 and len(err) < 1500):
        return "not one line"
    if seconds > SECONDS:
        return f"{seconds:.1f} s"
    if peak > BYTES:
        return f"{peak / 1e9:.2f} GB"
    return ""


# ---- surroundings ----------------------------------------------------------------------------------------

COMMANDS = [
    "data list",
    "data check planted",
    "data info mosi",
    "table {sound}/records/rows.jsonl",
    "--help",
    "run --system single --dataset planted --epochs 1 --set data.samples=60 --threads 1 --json --out {place}/out",
    "sweep {sound}/grid/grid.yaml --out {place}/out --data-dir /nowhere",
    "data check arrays --data-dir {sound}/arrays",
]
STREAMS = ["", ">&-", "2>&-", ">&- 2>&-", "<&-", ">/dev/full", "2>/dev/full", ">/dev/full 2>/dev/full", "<&- >&- 2>&-"]
STREAMS += ["| true"]
PLACES = [
    {},
    {"HOME": None},
    {"HOME": "/nonexistent"},
    {"HOME": ""},
    {"TMPDIR": "/nonexistent"},
    {"PYTHONIOENCODING": "ascii"},
    {"LC_ALL": "C"},
    {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"NUMBA_CACHE_DIR": "/nonexistent"},
    {"XDG_CACHE_HOME": "/dev/null/x"},
    {"COLUMNS": "1"},
    {"MMALIGN_DATA": "\x1b[1m"},
]
LIMITS = ["", "", "ulimit -n 64;", "ulimit -f 1;", "ulimit -v 4000000;", "ulimit -c 0;"]


def surroundings(seed, sound, place):
    """A whole process in odd surroundings: (outcome)."""
    draw = random.Random(seed)
    words = draw.choice(COMMANDS).format(sound=sound, place=place)
    env = dict(os.environ)
    for name, value in draw.choice(PLACES).items():
        env.pop(name, None)
        if value is not None:
            env[name] = value
    stream, limit = draw.choice(STREAMS), draw.choice(LIMITS)
    os.makedirs(place)
    line = f"{limit} {sys.executable} -m mmalign {words} {stream}; echo status $? >{place}/status"
    if "|" in stream:
        line = f"{limit} ({sys.executable} -m mmalign {words}; echo status $? >{place}/status) {stream}"
    began = _used()
    try:
        done = subprocess.run(["bash", "-c", line], env=env, capture_output=True, timeout=900, check=False, cwd=place)
        out, err = done.stdout, done.stderr
        told = Path(place, "status").read_text().split() if Path(place, "status").exists() else ["status", "1"]
        status = int(told[1])
    except subprocess.TimeoutExpired as late:
        out, err, status = late.stdout or b"", late.stderr or b"", 1
    except (OSError, IndexError, ValueError):
        status = 2 if "ulimit -f" in limit else 1  # the status could not be written either
    err = b"".join(
        line for line in err.splitlines(True) if not line.startswith(b"mmalign: wrote") and b"runs:" not in line
    )
    err = b"".join(line for line in err.splitlines(True) if b"run/s" not in line and b"?run" not in line)
    right = status in (0, 2) and b"Traceback" not in err and err.count(b"\n") <= 1 and b"\x1b" not in out + err
    told = f"surroundings: {limit} {words} {stream} { ({k: v for k, v in env.items() if os.environ.get(k) != v}) }"
    wrong = "" if right else f"status {status}"
    return Outcome(seed, told, err.decode(errors="replace"), status, _used() - began, 0, wrong)


# ---- many trials -----------------------------------------------------------------------------------------


def series(seeds, sound, every=0):
    """The outcomes of many trials; every so many it is a whole process in odd surroundings."""
    seeds = iter(seeds)
    with tempfile.TemporaryDirectory() as folder:
        number, waiting, next_odd = 0, [], every
        while waiting := waiting or list(islice(seeds, BATCH)):
            places = [f"{folder}/{number + place}" for place in range(len(waiting))]
            if every and number >= next_odd:
                next_odd += every
                outcomes = [surroundings(waiting[0], sound, places[0])]
            else:
                outcomes = batch(waiting, sound, places)
            done = 0
            for outcome, place in zip(outcomes, places, strict=False):
                if outcome.wrong:
                    keep(outcome, place)
                shutil.rmtree(place, ignore_errors=True)
                for end in (".out", ".err"):
                    Path(place + end).unlink(missing_ok=True)
                done += 1
                yield outcome
            number, waiting = number + done, waiting[done:]


def keep(outcome, place):
    """The files of a finding, and what was said."""
    there = KEPT / str(outcome.seed)
    shutil.rmtree(there, ignore_errors=True)
    there.mkdir(parents=True)
    (there / "outcome.json").write_text(json.dumps(outcome._asdict(), indent=1))
    if sum(path.stat().st_size for path in Path(place).rglob("*") if path.is_file() and not path.is_symlink()) < 2**22:
        subprocess.run(["cp", "-a", place, there / "files"], check=False)


def report(outcomes, seconds):
    """Figures for people."""
    kinds = Counter(outcome.kind.partition(":")[0] for outcome in outcomes)
    wrong = Counter(outcome.wrong for outcome in outcomes if outcome.wrong)
    slowest, largest = max(outcomes, key=lambda one: one.seconds), max(outcomes, key=lambda one: one.peak)
    read = sum(outcome.status == 0 for outcome in outcomes)
    computing = sum(outcome.seconds for outcome in outcomes)
    return (
        f"{len(outcomes)} trials in {seconds / 60:.1f} minutes ({computing:.0f} s of computing), "
        f"{read} read, {sum(o.status == 2 for o in outcomes)} refused; wrong: {dict(wrong) or 'none'}\n"
        f"slowest {slowest.seconds:.1f} s (seed {slowest.seed}, {slowest.kind[:60]}), "
        f"largest {largest.peak / 1e6:.0f} MB (seed {largest.seed}, {largest.kind[:60]})\n{dict(kinds)}"
    )


def main():
    """Trials for so many minutes, or those of given seeds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--first", type=int, default=int(time.time()) * 1000, help="the first seed")
    parser.add_argument("--seeds", type=int, nargs="*", help="these, and no others")
    parser.add_argument("--every", type=int, default=200, help="a whole process in odd surroundings every so many")
    options = parser.parse_args()
    outcomes, began = [], time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder))
        gc.collect(), gc.freeze()  # so that a trial copies little of what it is forked from
        seeds = options.seeds or range(options.first, options.first + 10**9)
        told = began
        for outcome in series(seeds, Path(folder), 0 if options.seeds else options.every):
            outcomes.append(outcome)
            if outcome.wrong or options.seeds:
                print(
                    f"seed {outcome.seed}: {outcome.wrong or 'right'}; {outcome.kind[:200]}; {outcome.said[-300:]!r}",
                    flush=True,
                )
            if time.monotonic() - told > 60:
                told = time.monotonic()
                print(report(outcomes, told - began), flush=True)
            if not options.seeds and time.monotonic() - began > 60 * options.minutes:
                break
    print(report(outcomes, time.monotonic() - began))
    return int(any(outcome.wrong for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
