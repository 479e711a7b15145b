"""A corpus of broken and hostile files and words, each through the whole command line.

Each gives exit status 2 and one line, in bounded time and memory, leaves no file behind and runs no code. A flipped
bit may leave a file sound: then it is read, and nothing else happens.
"""

import io
import itertools
import json
import pickle
import resource
import shutil
import subprocess
import sys
import time
import tracemalloc
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import fuzzing
import h5py
import hostile
import numpy as np
import pytest
import speech
import torch
import trials
import watched

from mmalign import cli
from mmalign.data import imported
from mmalign.gate import hdf5 as reading

pytestmark = pytest.mark.slow

SECONDS = 10  # that any one case may take
BYTES = 1e9  # that the process may grow by over all of them
CANARY = "canary"
SEEDS = 400  # trials of `fuzzing.py` that every test run repeats


class Case(NamedTuple):
    """One way to spoil one kind of files, and the command that meets it."""

    kind: str  # of KINDS
    what: str
    spoil: Callable[[Path], object]  # of the folder
    may_be_sound: bool = False


# ---- sound files, one folder for each kind ---------------------------------------------------------------


KINDS = {  # name -> how its files are made, the command that reads them, the files that are cut and flipped
    "arrays": (trials.own_arrays, "data check arrays --data-dir .", ["arrays.npz"]),
    "hdf5": (
        lambda place: speech.published(place / "ict_mmmo", "ict-mmmo"),
        "data check ict-mmmo --pair audio:video --data-dir .",
        ["ict_mmmo/audio_train.h5", "ict_mmmo/y_test.h5"],
    ),
    "mosi": (
        lambda place: speech.published(place / "mosi", "mosi"),
        "data check mosi --data-dir .",
        ["mosi/X_valid.h5", "mosi/y_valid.h5"],
    ),
    "own": (trials.own_form, "data check mosi --data-dir .", ["mosi/imported.h5"]),
    "words": (
        lambda place: speech.mm_align(place / "raw"),
        "data import mosi raw --data-dir .",
        ["raw/train.pkl", "raw/test.pkl", "raw/embedding_and_mapping.pt"],
    ),
    "padded": (lambda place: speech.mult(place / "raw.pkl"), "data import mosei raw.pkl --data-dir .", ["raw.pkl"]),
    "meld": (
        lambda place: speech.meld(place / "raw"),
        "data import meld raw --data-dir .",
        ["raw/dev.pkl", "raw/embedding.p"],
    ),
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A folder of sound files of every kind."""
    place = tmp_path_factory.mktemp("sound")
    for kind, (make, _, _) in KINDS.items():
        (place / kind).mkdir()
        make(place / kind)
    return place


# ---- the corpus ------------------------------------------------------------------------------------------


def cut(file, share):
    def spoil(place):
        content = (place / file).read_bytes()
        (place / file).write_bytes(content[: int(share * len(content))])

    return spoil


def flip(file, seed):
    """Up to three bits, anywhere."""

    def spoil(place):
        draw = np.random.default_rng(seed)
        content = bytearray((place / file).read_bytes())
        for at in draw.integers(0, len(content), size=1 + seed % 3):
            content[at] ^= 1 << int(draw.integers(8))
        (place / file).write_bytes(content)

    return spoil


def damage():
    """Cut anywhere, emptied, gone, a folder in its place, text, or with a few bits flipped."""
    for kind, (_, _, files) in KINDS.items():
        for file in files:
            for share in (0, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.999):
                sealed = file.endswith("imported.h5") and share == 0.999  # what is lost is of the seal, no reading
                yield Case(kind, f"{file} cut to {share}", cut(file, share), may_be_sound=sealed)
            yield Case(kind, f"{file} gone", lambda place, file=file: (place / file).unlink())
            yield Case(kind, f"{file} text", lambda place, file=file: (place / file).write_text("hello\n" * 99))
            yield Case(
                kind, f"{file} noise", lambda place, file=file: (place / file).write_bytes(zlib.compress(b"no") * 9)
            )
            for seed in range(8):
                yield Case(kind, f"{file} flip {seed}", flip(file, seed), may_be_sound=True)


def put(file, change, key="d1"):
    """Change the one array of an HDF5 file."""

    def spoil(place):
        with h5py.File(place / file) as old:
            values = old[key][()]
        speech.put(place / file, change(values), key)

    return spoil


def declare(file, shape, key="d1", **options):
    """An HDF5 array that is declared and never written."""

    def spoil(place):
        with h5py.File(place / file, "w") as new:
            new.create_dataset(key, shape, **{"dtype": "f8", "chunks": True, **options})

    return spoil


WRONG = {  # what any array of numbers may be instead
    "one axis less": lambda a: a[..., 0],
    "one axis more": lambda a: a[..., None, None],
    "nothing": lambda a: a[:0],
    "text": lambda a: a.astype("S3"),
    "complex": lambda a: a * 1j,
    "truths": lambda a: a > 0,
    "NaN": lambda a: a * np.nan,
    "infinite": lambda a: np.where(a == a.max(), np.inf, a),
    "beyond float32": lambda a: a.astype("f8") * 1e300,
    "a sample less": lambda a: a[1:],
}
FINE = ("one axis less", "one axis more", "beyond float32")  # of labels: one column under any axes; 0 stays 0


def hdf5():
    """Wrong arrays and absurd sizes in published files."""
    for (what, change), file in itertools.product(WRONG.items(), ["ict_mmmo/audio_train.h5", "ict_mmmo/y_valid.h5"]):
        yield Case("hdf5", f"{file} {what}", put(file, change))
    for (what, change), file in itertools.product(WRONG.items(), ["mosi/X_train.h5", "mosi/y_test.h5"]):
        fine = "axis more" in what and "y_" in file
        yield Case("mosi", f"{file} {what}", put(file, change, "data"), may_be_sound=fine)
    yield Case("mosi", "too few columns", put("mosi/X_train.h5", lambda a: a[:, :, :320], "data"))
    yield Case("mosi", "text that is none", put("mosi/X_train.h5", lambda a: a * 100, "data"))
    yield Case("mosi", "another key", put("mosi/X_train.h5", lambda a: {"d1": a}["d1"], "data"), may_be_sound=True)
    audio = "ict_mmmo/audio_train.h5"
    yield Case("hdf5", "1e12 numbers", declare(audio, (10**5, 10**5, 100)))
    yield Case("hdf5", "1e12 compressed numbers", declare(audio, (10**10, 10, 10), compression="gzip", fillvalue=1))
    yield Case("hdf5", "1e9 small numbers", declare(audio, (10**7, 10, 10), dtype="i1"))
    yield Case("hdf5", "labels without end", declare("ict_mmmo/y_test.h5", (10**11,)))
    yield Case("hdf5", "a device", declare(audio, (9, 20, 2), chunks=None, external=[("/dev/zero", 0, 9999)]))
    yield Case("hdf5", "no array", lambda place: h5py.File(place / audio, "w").close())
    yield Case("hdf5", "scalar", put(audio, lambda a: a[0, 0, 0]))
    yield Case("hdf5", "null", lambda place: speech.put(place / audio, h5py.Empty("f8")))
    yield Case(
        "hdf5", "two arrays", lambda place: h5py.File(place / audio, "a").create_dataset("d2", data=[1]).file.close()
    )
    yield Case("hdf5", "a group", lambda place: _group(place / audio))


def _group(path):
    with h5py.File(path, "w") as file:
        file.create_group("d1")


def own():
    """Our own form with another manifest or other arrays."""

    def edit(change):
        def spoil(place):
            with h5py.File(place / "mosi/imported.h5", "a") as file:
                manifest = json.loads(file.attrs["manifest"])
                change(file, manifest)
                file.attrs["manifest"] = json.dumps(manifest)

        return spoil

    def swap(key, change):
        def edited(file, manifest):
            values = change(file[key][()])
            del file[key]
            file[key] = values
            if isinstance(values, np.ndarray):
                manifest["arrays"][key]["sha256"] = imported._digest(values)

        return edit(edited)

    keys = ("lengths", "labels", "parts", "features/audio", "features/text", "table/text")
    for key, (what, change) in itertools.product(keys, WRONG.items()):
        fine = key == "table/text" and what == "a sample less"  # one word less, which nobody may have said
        yield Case("own", f"{key} {what}", swap(key, change), may_be_sound=fine)
    yield Case("own", "negative lengths", swap("lengths", lambda a: -a))
    yield Case("own", "lengths that overflow", swap("lengths", lambda a: a * 2**61))
    yield Case("own", "words of no row", swap("features/text", lambda a: a + 100))
    for key in keys:
        yield Case("own", f"no {key}", edit(lambda file, manifest, key=key: file.__delitem__(key)))
        yield Case("own", f"{key} not listed", edit(lambda _, manifest, key=key: manifest["arrays"].pop(key)),
                   may_be_sound=key.startswith("features"))  # fmt: skip
    for field, value in {"form": 7, "name": "mars", "about": 3, "notes": [[]], "arrays": [], "source": None}.items():
        yield Case("own", f"{field} is {value}", edit(lambda _, manifest, f=field, v=value: manifest.update({f: v})),
                   may_be_sound=field == "source")  # fmt: skip


def npz():
    """Archives of arrays: wrong ones, lying headers, bombs."""

    def edit(change):
        def spoil(place):
            with np.load(place / "arrays.npz") as old:
                content = dict(old)
            change(content)
            np.savez(place / "arrays.npz", **content)

        return spoil

    for key, (what, change) in itertools.product(("visible", "labels"), WRONG.items()):
        fine = key == "labels" and what in ("truths", "text")  # classes
        yield Case(
            "arrays", f"{key} {what}", edit(lambda c, k=key, f=change: c.update({k: f(c[k])})), may_be_sound=fine
        )
    for key in ("visible", "victim", "labels"):
        yield Case("arrays", f"no {key}", edit(lambda content, key=key: content.pop(key)))
    yield Case("arrays", "unknown key", edit(lambda content: content.update(tempo=np.zeros(20))))
    for what, values in {
        "negative": np.full(20, -1),
        "zero": np.zeros(20, int),
        "too long": np.full(20, 7),
        "huge": np.full(20, 2**63 - 1),
        "fractions": np.full(20, 2.5),
        "unsigned": np.full(20, 2**64 - 1, "u8"),
        "text": np.full(20, "two"),
    }.items():
        yield Case("arrays", f"{what} lengths", edit(lambda content, values=values: content.update(lengths=values)))
    yield Case("arrays", "objects", edit(lambda content: content.update(groups=np.array([{}] * 20))))

    def lie(shape, content=b"", compress=zipfile.ZIP_DEFLATED):
        def spoil(place):
            header = io.BytesIO()
            np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": shape})
            with zipfile.ZipFile(place / "arrays.npz", "a", compress, compresslevel=1) as archive:
                archive.writestr("missing.npy", header.getvalue() + content)

        return spoil

    yield Case("arrays", "a header of 1e13 numbers", lie((10**13,)))
    yield Case("arrays", "a header of 3e8 numbers", lie((3 * 10**8,), bytes(80)))
    yield Case("arrays", "a negative header", lie((-5,)))
    yield Case("arrays", "a bomb of zeros", lie((2**25 + 2**17,), bytes(2**28 + 2**20)))


def pickles(canary):
    """Every hostile pickle in every place where a pickle is read."""
    places = {"words": "raw/train.pkl", "padded": "raw.pkl", "meld": "raw/embedding.p"}
    for name, program in hostile.programs(canary).items():
        for kind, file in places.items():
            content = pickle.dumps([program, {"train": program}], protocol=2 if kind == "words" else 4)
            yield Case(kind, f"{name} in {file}", lambda place, f=file, c=content: (place / f).write_bytes(c))
    for name, content in hostile.raw(canary).items():
        for kind, file in places.items():
            yield Case(kind, f"{name} in {file}", lambda place, f=file, c=content: (place / f).write_bytes(c))


def tensors(canary):
    """Every hostile pickle inside what torch writes, and tensors that claim too much."""
    file = "raw/embedding_and_mapping.pt"

    def repack(program, compress=zipfile.ZIP_STORED, more=b""):
        def spoil(place):
            with zipfile.ZipFile(place / file) as old:
                members = {name: old.read(name) for name in old.namelist()}
            with zipfile.ZipFile(place / file, "w", compress, compresslevel=1) as new:
                for name, content in members.items():
                    new.writestr(name, program if program and name.endswith("data.pkl") else content)
                if more:
                    new.writestr("archive/data/9", more)

        return spoil

    for name, program in hostile.programs(canary).items():
        yield Case("words", f"{name} in {file}", repack(pickle.dumps((program, {}), protocol=2)))
        yield Case("words", f"{name} saved by torch", lambda place, p=program: torch.save((p, {}), place / file))
    for name, content in hostile.raw(canary).items():
        yield Case("words", f"{name} in {file}", repack(content))
    yield Case("words", "a bomb of zeros in a tensor", repack(b"", zipfile.ZIP_DEFLATED, bytes(2**28 + 2**20)))
    for what, table in {
        "one number 1e12 times": torch.zeros(1).expand(10**6, 10**6),
        "one row 1e9 times": torch.zeros(1, 4).expand(10**9, 4),
        "whole numbers": torch.zeros(12, 4, dtype=torch.long),
        "NaN": torch.full((12, 4), torch.nan),
        "one axis": torch.zeros(12),
        "nothing": torch.zeros(0, 4),
    }.items():
        yield Case("words", f"a table of {what}", lambda place, t=table: torch.save((t, {}), place / file))
    old = {"_use_new_zipfile_serialization": False}
    yield Case(
        "words", "a form of torch before 1.6", lambda place: torch.save((torch.zeros(2), {}), place / file, **old)
    )


def meaning():
    """Pickles that read well and mean nothing."""

    def edit(file, change):
        def spoil(place):
            content = pickle.loads((place / file).read_bytes())
            (place / file).write_bytes(pickle.dumps(change(content)))

        return spoil

    def words(change):
        def changed(samples):
            (ids, visual, acoustic, said), label, segment = samples[0]
            return [(change(ids, visual, acoustic, said), label, segment), *samples[1:]]

        return edit("raw/train.pkl", changed)

    for what, change in WRONG.items():
        yield Case("words", f"visual {what}", words(lambda i, v, a, w, f=change: (i, f(v), a, w)))
        yield Case("words", f"ids {what}", words(lambda i, v, a, w, f=change: (f(i), v, a, w)))
        label = lambda samples, f=change: [(samples[0][0], f(samples[0][1]), "one"), *samples[1:]]  # noqa: E731
        yield Case("words", f"label {what}", edit("raw/train.pkl", label), may_be_sound=what in FINE)
        for key in ("text", "vision", "audio", "labels"):
            spoil = lambda c, k=key, f=change: {**c, "valid": {**c["valid"], k: f(c["valid"][k])}}  # noqa: E731
            yield Case("padded", f"{key} {what}", edit("raw.pkl", spoil), may_be_sound=key == "labels" and what in FINE)
        yield Case("meld", f"table {what}", edit("raw/embedding.p", change), may_be_sound=what == "a sample less")
    for content in ([], {}, None, 3, "text", [3], [[]], [(1, 2, 3)], [{}], {"train": {}}, [((1, 2, 3, 4), 5, 6)]):
        for kind, file in (("words", "raw/dev.pkl"), ("padded", "raw.pkl"), ("meld", "raw/test.pkl")):
            yield Case(kind, f"{file} holds {content!r}", edit(file, lambda _, content=content: content))
    for key in ("token_ids", "audio_features", "video_features", "label"):
        yield Case(
            "meld", f"no {key}", edit("raw/train.pkl", lambda c, k=key: [{x: y for x, y in c[0].items() if x != k}])
        )
    yield Case("meld", "a label too far", edit("raw/train.pkl", lambda c: [{**c[0], "label": 7}, *c[1:]]))
    yield Case("meld", "a negative label", edit("raw/train.pkl", lambda c: [{**c[0], "label": -1}, *c[1:]]))


def corpus(canary):
    """All cases."""
    yield from itertools.chain(damage(), hdf5(), own(), npz(), pickles(canary), tensors(canary), meaning())


WORDS = """
data
data check
data check mars
data import mosi
data import mosi nowhere --data-dir out
data import smartwatch .
data fetch mosei --data-dir out
data fetch mars
data check smartwatch --pair acc
data check smartwatch --pair acc:magnet
run
run --system mm-align
run --system best --dataset planted
run --system single --dataset mars
run --system single --dataset planted --survival 0
run --system single --dataset planted --survival nan
run --system single --dataset planted --survival -0.5
run --system single --dataset planted --survival 1e400
run --system single --dataset planted --seed -1
run --system single --dataset planted --seed 1.5
run --system single --dataset planted --seed 99999999999999999999
run --system single --dataset planted --labelled 2
run --system single --dataset planted --setting C
run --system single --dataset planted --epochs 0
run --system single --dataset planted --pair first:first
run --system single --dataset planted --pair ::
run --system single --dataset planted --set train.lr=-1
run --system single --dataset planted --set train.lr=inf
run --system single --dataset planted --set data.samples=-4
run --system single --dataset planted --set model.width=0
run --system single --dataset planted --set shop.width=3
run --system single --dataset planted --set =
run --system single --dataset planted --threads 0
run --system single --dataset planted --device abacus
run --system mm-align --dataset planted --window -1
run --system mm-align --dataset planted --mu 0
bench
bench everything
""".strip().splitlines()


# ---- what is shown ---------------------------------------------------------------------------------------


def run(words, capsys):
    """(status, stdout, stderr) of a command in this process."""
    status = cli.main(words)
    return status, *capsys.readouterr()


def files_in(place):
    return {path.relative_to(place): path.stat().st_size for path in place.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def every_kind(tmp_path_factory):
    """What `fuzzing.py` spoils."""
    place = tmp_path_factory.mktemp("every_kind")
    trials.prepare(place)
    return place


def test_trials_drawn_by_fixed_seeds_end_well_and_small(every_kind, capsys):
    """A few hundred of what `make fuzz` does for hours: each in a process that is watched."""
    outcomes = [*fuzzing.series(range(SEEDS), every_kind)]
    with capsys.disabled():
        print("\n" + fuzzing.report(outcomes, sum(outcome.seconds for outcome in outcomes)))
    assert [outcome for outcome in outcomes if outcome.wrong] == []
    assert len(outcomes) == SEEDS and {outcome.kind.partition(":")[0] for outcome in outcomes} == {*trials.TRIALS}


def test_trials_that_nobody_asks_for_any_more_end(every_kind, tmp_path):
    places = [str(tmp_path / str(place)) for place in range(20)]
    outcomes = watched.batch(range(20), every_kind, places)
    next(outcomes)
    outcomes.close()
    begun = sum(Path(place).exists() for place in places)
    time.sleep(1)
    assert begun < 20 and sum(Path(place).exists() for place in places) == begun


def test_a_trial_that_goes_wrong_is_seen():
    """Otherwise hours without a finding would prove nothing."""
    line = b"mmalign: one line\n"
    for rate in ("1.12s/run", "8.10run/s", "?run/s"):
        bar = f"\r100%|██████████| 8/8 [00:08<00:00,  {rate}, 0 failed]\n"
        assert watched.without_bar(bar.encode() + line) == line
    assert not watched.judge(0, b"all well\n", b"", 0.1, 1e8) and not watched.judge(2, b"", line, 0.1, 1e8)
    for status, out, err, seconds, peak in [
        (-11, b"", b"", 0.1, 1e8),
        (1, b"", line, 0.1, 1e8),
        (2, b"", b"", 0.1, 1e8),
        (2, b"", line + line, 0.1, 1e8),
        (0, b"", b"Traceback (most recent call last)", 0.1, 1e8),
        (0, b"\x1b[1m", b"", 0.1, 1e8),
        (2, b"", b"mmalign: \x07\n", 0.1, 1e8),
        (2, b"", "mmalign: \x9b\n".encode(), 0.1, 1e8),
        (2, b"", line, 100, 1e8),
        (2, b"", line, 0.1, 2e9),
    ]:
        assert watched.judge(status, out, err, seconds, peak), (status, out, err, seconds, peak)


def test_every_broken_or_hostile_input_is_refused_in_one_line(sound, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(reading, "start", watched._Forked)  # a new interpreter takes minutes in all
    canary = tmp_path / CANARY
    monkeypatch.chdir(tmp_path)
    outcomes, wrong, slowest, highest = Counter(), [], (0.0, ""), 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number, case in enumerate(corpus(canary)):
        place = tmp_path / f"case{number}"
        shutil.copytree(sound / case.kind, place)
        case.spoil(place)
        held = files_in(place)
        monkeypatch.chdir(place)
        big = "huge" in case.what or "1e" in case.what or "bomb" in case.what
        if big:
            tracemalloc.start()
        started = time.process_time()  # not the clock: other programs may run
        try:
            status, out, err = run(KINDS[case.kind][1].split(), capsys)
        except Exception as error:
            status, out, err = 1, "", repr(error)
        slowest = max(slowest, (time.process_time() - started, case.what))
        if big:
            highest = max(highest, tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        if not (case.may_be_sound and status == 0):
            said = err.startswith("mmalign: ") and err.count("\n") == 1 and len(err) < 500
            if (status, out) != (2, "") or not said or files_in(place) != held:
                wrong.append((case.kind, case.what, status, out, err))
        assert not canary.exists(), case
        outcomes["read" if status == 0 else "refused", "a flipped bit" if case.may_be_sound else "malformed"] += 1
        shutil.rmtree(place)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    for words in WORDS:
        monkeypatch.chdir(tmp_path)
        status, out, err = run(words.split(), capsys)
        assert (status, out, err.count("\n")) == (2, "", 1), (words, status, out, err)
        outcomes["refused", "malformed"] += 1
    assert [*tmp_path.iterdir()] == [], "something was left behind"
    assert not wrong, "\n".join(map(str, wrong))
    with capsys.disabled():
        refused, read = outcomes["refused", "malformed"], outcomes["read", "a flipped bit"]
        flipped = outcomes["refused", "a flipped bit"] + read
        print(
            f"\nfuzz: {refused} malformed inputs, all refused with status 2 and one line; {flipped} that may be sound: "
            f"{flipped - read} refused, {read} read; 0 crashed, 0 ran code; slowest {slowest[0]:.2f} s ({slowest[1]}), "
            f"memory grew by {grown / 1e6:.0f} MB"
        )
    assert outcomes["read", "malformed"] == 0 and refused >= 300
    assert slowest[0] < SECONDS and grown < BYTES and highest < BYTES, (slowest, grown, highest)


@pytest.mark.parametrize("kind", ["padded", "words"])
def test_as_a_program_too_a_hostile_file_ends_with_2_and_one_line(sound, tmp_path, kind):
    place = tmp_path / "place"
    shutil.copytree(sound / kind, place)
    cases = [case for case in corpus(tmp_path / CANARY) if case.kind == kind and "os.system" in case.what]
    cases[0].spoil(place)
    held = files_in(place)
    command = [sys.executable, "-m", "mmalign", *KINDS[kind][1].split()]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert "it asks for" in done.stderr and "system" in done.stderr
    assert files_in(place) == held and not (tmp_path / CANARY).exists()


@pytest.mark.parametrize("kind", KINDS)
def test_the_corpus_begins_from_sound_files(sound, tmp_path, capsys, monkeypatch, kind):
    """Otherwise a refusal would prove nothing."""
    shutil.copytree(sound / kind, tmp_path / kind)
    monkeypatch.chdir(tmp_path / kind)
    status, out, err = run(KINDS[kind][1].split(), capsys)
    assert (status, err) == (0, "") and "lengths" in out and "labels" in out


def test_the_hostile_pickles_would_run_in_an_ordinary_reader(tmp_path):
    """Otherwise a canary that stays away would prove nothing."""
    for name in ("os.system", "subprocess", "eval", "exec", "map", "pickle.loads"):
        canary = tmp_path / f"{CANARY}-{name}"
        pickle.loads(pickle.dumps(hostile.programs(canary)[name]))
        assert canary.exists(), name
