"""Files from strangers: small ones that claim much, links, codes for the terminal, libraries that die."""

import io
import json
import os
import pickle
import re
import shutil
import signal
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import speech
import torch

import mmalign
from mmalign import InputError, cli
from mmalign.data import folders
from mmalign.experiments import grids, tables
from mmalign.files import locked, opened, own
from mmalign.gate import hdf5, kinds, seal
from mmalign.gate.torches import load_torch
from mmalign.gate.unpickle import load_pickle

FINDINGS = Path(__file__).parent / "findings"


def refused(*words, capsys):
    """The one line in which a command refuses."""
    assert cli.main([*map(str, words)]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("mmalign: ") and said.err.count("\n") == 1 and len(said.err) < 1500
    assert said.err.rstrip("\n").isprintable(), said.err
    return said.err


# ---- libraries that die --------------------------------------------------------------------------------------


@pytest.fixture
def own_form(tmp_path):
    """A data folder with an imported CMU-MOSI in it."""
    speech.mm_align(tmp_path / "raw")
    folders.bring_in("mosi", tmp_path / "raw", tmp_path / "mosi")
    return tmp_path


@pytest.fixture
def unsealed(own_form):
    """The same without its seal, as the first release wrote it: a process reads it."""
    path = own_form / "mosi/imported.h5"
    path.write_bytes(path.read_bytes()[: -seal.SIZE])
    return own_form


def test_a_library_that_dies_of_a_file_costs_one_line(unsealed, monkeypatch, capsys):
    def dying():
        command = [sys.executable, "-c", f"import os; os.kill(os.getpid(), {int(signal.SIGSEGV)})"]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    monkeypatch.setattr(hdf5, "start", dying)
    assert "died of it" in refused("data", "check", "mosi", "--data-dir", unsealed, capsys=capsys)


@pytest.mark.slow
def test_a_byte_anywhere_in_the_head_of_our_own_form_ends_nothing(own_form, capsys):
    whole = (own_form / "mosi/imported.h5").read_bytes()
    for at in (8, 40, 96, 857, 1400):
        content = bytearray(whole)
        content[at] = 255
        (own_form / "mosi/imported.h5").write_bytes(content)
        assert cli.main(["data", "check", "mosi", "--data-dir", str(own_form)]) in (0, 2)
        assert capsys.readouterr().err.count("\n") <= 1


@pytest.mark.slow
def test_a_library_that_loops_without_end_is_stopped(tmp_path, monkeypatch, capsys):
    """A byte of this file sends libhdf5 2.0.0 round and round in its attributes."""
    monkeypatch.setattr(hdf5, "COMPUTING", 1)
    (tmp_path / "mosi").mkdir()
    shutil.copy(FINDINGS / "endless_attribute.h5", tmp_path / "mosi/imported.h5")
    refused("data", "check", "mosi", "--data-dir", tmp_path, capsys=capsys)


def test_no_process_stays_behind(unsealed):
    with hdf5.Reader() as reader:
        child = reader.open(unsealed / "mosi/imported.h5")._child
        assert reader.array("labels").shape == (18,)
    assert child.poll() is not None


# ---- bombs ---------------------------------------------------------------------------------------------------


def text(content):
    return b"X" + struct.pack("<I", len(content)) + content


ENCODED = b"c_codecs\nencode\nh\x00" + text(b"latin1") + b"\x86R"
LATIN = b"\x80\x02(" + text(b"a" * 2**20) + b"q\x00" + ENCODED * 3000 + b"l."


def test_a_text_that_is_encoded_again_and_again_is_counted(tmp_path):
    (tmp_path / "bomb.pkl").write_bytes(LATIN)
    with pytest.raises(InputError, match="unfolds to more than"):
        load_pickle(tmp_path / "bomb.pkl")


def test_one_array_that_stands_in_a_list_20000_times_is_counted(tmp_path, capsys):
    _, _ = speech.mm_align(tmp_path / "raw")
    ids, wide = np.zeros(4000, "i8"), np.zeros((4000, 3))
    sample = ((ids, wide, np.zeros((4000, 2)), []), np.zeros((1, 1)), "one")
    speech.dump(tmp_path / "raw/train.pkl", [sample] * 20_000)
    told = refused("data", "import", "mosi", tmp_path / "raw", "--data-dir", tmp_path, capsys=capsys)
    assert "claims" in told and "too many for a file" in told


def test_a_small_array_in_one_large_piece_is_refused_before_it_is_unpacked(tmp_path, capsys):
    speech.published(tmp_path / "ict_mmmo", "ict-mmmo")
    with h5py.File(tmp_path / "ict_mmmo/audio_train.h5", "w") as file:
        options = {"chunks": (1000, 1000, 400), "maxshape": (None, None, None), "compression": "gzip"}
        file.create_dataset("d1", (9, 20, 2), "f8", **options)
    words = ["data", "check", "ict-mmmo", "--pair", "audio:video", "--data-dir", tmp_path]
    assert "claims 3.2e+09 bytes" in refused(*words, capsys=capsys)


LAUGHS = "a0: &a0 [1,1,1,1,1,1,1,1,1]\n"
LAUGHS += "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9))
MERGES = "b0: &b0 {x: 1}\n" + "".join(f"b{n}: &b{n}\n  <<: [{','.join([f'*b{n - 1}'] * 9)}]\n" for n in range(1, 9))
MANY = "system: single\n" + "".join(
    f"{key}: [{','.join(map(str, range(10)))}]\n"
    for key in [f"model.{name}" for name in "abcdefgh"] + ["seed", "train.lr"]
)


@pytest.mark.parametrize(
    ("grid", "says"),
    [
        (LAUGHS, "more than 100000 values"),
        (MERGES, "more than 100000 values"),
        (MANY, "holds 1 to 100000 runs, this one 10000000000"),
        ("[" * 2000, "at most 50 boxes"),
        ("a: &a [*a]", "contains itself"),
        ("seed: " + "9" * 9000, "a number of 9000 digits"),
        ("seed: !!int x", "not YAML"),
        ("seed: !!timestamp x", "not YAML"),
        ("seed: !!python/object/apply:os.system [true]", "not YAML"),
        ("[]", "this one 0"),
        ("grid: []", "a grid names its systems, found only grid"),
        ("system: single\nmodel.width: 0x" + "f" * 9000, "a number of 9002 digits"),
    ],
    ids=[
        "aliases",
        "merge keys",
        "combinations",
        "depth",
        "itself",
        "digits",
        "tag",
        "time",
        "program",
        "none",
        "empty",
        "hex",
    ],
)
def test_a_grid_that_stands_for_too_much_is_refused_before_it_is_built(tmp_path, grid, says):
    (tmp_path / "grid.yaml").write_text(grid)
    with pytest.raises(InputError, match=says):
        grids.plan(grids.read_grid(tmp_path / "grid.yaml"))


def npz(path, header, content, kind=zipfile.ZIP_DEFLATED):
    told = io.BytesIO()
    np.lib.format.write_array_header_1_0(told, header)
    with zipfile.ZipFile(path, "w", kind) as archive:
        archive.writestr("visible.npy", told.getvalue() + content)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("descr", "shape", "content", "says"),
    [
        ("|V0", (10**12,), b"", "must hold numbers or words"),
        ("<f8", (10**12,), b"", "claims shape"),
        ("<f8", (2**25 + 2**20,), bytes(2**28 + 2**23), "claims .* bytes, too many"),
    ],
)
def test_an_archive_that_unfolds_to_gigabytes_is_refused(tmp_path, capsys, descr, shape, content, says):
    npz(tmp_path / "arrays.npz", {"descr": descr, "fortran_order": False, "shape": shape}, content)
    told = refused("data", "check", "arrays", "--data-dir", tmp_path, capsys=capsys)
    assert re.search(says, told), told


@pytest.mark.parametrize("change", [{"width": 16384}, {"encoder_layers": 10**6}, {"width": 2048}, {"heads": 10**400}])
def test_a_model_file_that_describes_a_giant_is_refused_before_it_is_built(tmp_path, change):
    data = mmalign.load("planted", samples=60)
    model = mmalign.Single.from_data(data, mmalign.BoundConfig(width=8))
    model.save(tmp_path / "model.safetensors")
    content = (tmp_path / "model.safetensors").read_bytes()
    size = int.from_bytes(content[:8], "little")
    told = json.loads(content[8 : 8 + size])
    about = json.loads(told["__metadata__"]["mmalign"])
    about["config"].update(change)
    told["__metadata__"]["mmalign"] = json.dumps(about)
    head = json.dumps(told).encode()
    (tmp_path / "model.safetensors").write_bytes(len(head).to_bytes(8, "little") + head + content[8 + size :])
    with pytest.raises(InputError, match="does not fit Single"):
        mmalign.Single.restore(tmp_path / "model.safetensors")


def test_a_configuration_that_no_machine_can_hold_is_refused_before_it_is_built():
    data = mmalign.load("planted", samples=60)
    with pytest.raises(InputError, match=r"would have .* weights, more than 2.68e\+08"):
        mmalign.Single.from_data(data, mmalign.BoundConfig(width=8192))


# ---- links, pipes and devices --------------------------------------------------------------------------------


def test_a_link_is_not_written_through(tmp_path):
    (tmp_path / "victim").write_text("precious")
    (tmp_path / ".lock").symlink_to(tmp_path / "victim")
    os.link(tmp_path / "victim", tmp_path / "file.part")
    for name in (".lock", "file.part"):
        with pytest.raises(InputError, match=f"cannot write .*{name}"):
            own(tmp_path / name)
        with pytest.raises(InputError, match=f"cannot write .*{name}"), locked(tmp_path / name, "held: "):
            pass
    assert (tmp_path / "victim").read_text() == "precious"


def test_a_lock_is_held_by_one_and_goes_with_its_block(tmp_path):
    once, twice = locked(tmp_path / "lock", "held by "), locked(tmp_path / "lock", "held by ")
    with once, pytest.raises(InputError, match="held by"), twice:
        pass
    with locked(tmp_path / "lock", "held by "):
        pass


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/zero", path)])
def test_what_is_no_plain_file_is_not_waited_for(tmp_path, make):
    make(tmp_path / "thing")
    reads = (opened, grids.read_grid, load_pickle, load_torch, mmalign.Single.restore, kinds.kind_of)
    for read in (*reads, tables.records) if not (tmp_path / "thing").is_dir() else reads:
        with pytest.raises(InputError, match=r"cannot read .*thing: a plain file was expected, found a"):
            read(tmp_path / "thing")


def test_a_link_to_a_plain_file_is_read_as_data_sets_are_kept_on_clusters(tmp_path):
    (tmp_path / "there").write_bytes(b"content")
    (tmp_path / "here").symlink_to("there")
    with opened(tmp_path / "here") as file:
        assert file.read() == b"content"


@pytest.mark.parametrize("target", ["other.h5", "pipe"])
def test_no_part_of_the_way_to_an_array_leads_out_of_its_file(own_form, capsys, target):
    shutil.copy(own_form / "mosi/imported.h5", own_form / "mosi/other.h5")
    os.mkfifo(own_form / "mosi/pipe")
    with h5py.File(own_form / "mosi/imported.h5", "a") as file:
        del file["features"]
        file["features"] = h5py.ExternalLink(target, "features")
    told = refused("data", "check", "mosi", "--data-dir", own_form, capsys=capsys)
    assert "must hold an array 'features/" in told


# ---- codes for the terminal ------------------------------------------------------------------------------------

RED = "\x1b[31mred\x9b5n\u202e"


def manifest(place):
    with h5py.File(place / "mosi/imported.h5", "a") as file:
        told = json.loads(file.attrs["manifest"])
        file.attrs["manifest"] = json.dumps({**told, "name": RED})
    return "data check mosi"


def modality(place):
    with h5py.File(place / "mosi/imported.h5", "a") as file:
        told = json.loads(file.attrs["manifest"])
        told["arrays"] = {key.replace("audio", RED): value for key, value in told["arrays"].items()}
        file.attrs["manifest"] = json.dumps(told)
    return "data check mosi --pair audio:video"


def hdf5_key(place):
    speech.published(place / "ict_mmmo", "ict-mmmo")
    speech.put(place / "ict_mmmo/audio_train.h5", np.zeros(3), RED)
    return "data check ict-mmmo --pair audio:video"


def pickle_name(place):
    (place / "mosi.pkl").write_bytes(b"\x80\x02c" + RED.encode() + b"\nname\n.")
    return f"data import mosi {place}/mosi.pkl"


def pickle_key(place):
    speech.dump(place / "mosi.pkl", {RED: 1})
    return f"data import mosi {place}/mosi.pkl"


def npz_member(place):
    np.savez(
        place / "arrays.npz", **{RED: np.zeros(3), "visible": np.zeros(3), "victim": np.zeros(3), "labels": np.zeros(3)}
    )
    return "data check arrays"


@pytest.mark.parametrize("spoil", [manifest, modality, hdf5_key, pickle_name, pickle_key, npz_member])
def test_names_in_files_do_not_write_to_the_terminal(own_form, capsys, spoil):
    words = [*spoil(own_form).split(), "--data-dir", own_form]
    assert "31m" in refused(*words, capsys=capsys)


def test_names_in_files_that_are_shown_as_results_are_written_out(own_form, capsys):
    with h5py.File(own_form / "mosi/imported.h5", "a") as file:
        told = json.loads(file.attrs["manifest"])
        file.attrs["manifest"] = json.dumps({**told, "about": RED, "notes": [RED]})
    assert cli.main(["data", "check", "mosi", "--data-dir", str(own_form)]) == 0
    out = capsys.readouterr().out
    assert r"\x1b[31mred\x9b5n\u202e" in out and out.replace("\n", "").isprintable()


def test_names_of_classes_are_written_out(tmp_path, capsys):
    values = {"visible": np.ones((20, 6, 3)), "victim": np.ones((20, 6, 2)), "labels": np.array([RED, "blue"] * 10)}
    np.savez(tmp_path / "arrays.npz", **values)
    assert cli.main(["data", "check", "arrays", "--data-dir", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert r"\x1b[31mred\x9b5n\u202e 10, blue 10" in out and out.replace("\n", "").isprintable()


# ---- what torch and others wrote -----------------------------------------------------------------------------

TABLE = torch.arange(20.0).reshape(5, 4)


@pytest.mark.parametrize("new", [True, False])
@pytest.mark.parametrize(
    "table",
    [
        TABLE,
        TABLE.clone().requires_grad_(),
        torch.nn.Parameter(TABLE),
        TABLE.T.contiguous().T,
        TABLE.double(),
        TABLE.numpy(),
    ],
    ids=["plain", "with a gradient", "a parameter", "by columns", "float64", "of NumPy"],
)
def test_an_embedding_is_read_in_every_form_that_torch_writes(tmp_path, table, new):
    torch.save((table, {"word": 1}), tmp_path / "table.pt", _use_new_zipfile_serialization=new)
    found, mapping = load_torch(tmp_path / "table.pt")
    np.testing.assert_array_equal(found, TABLE.numpy())
    assert mapping == {"word": 1}


@pytest.mark.parametrize("new", [True, False])
def test_one_number_shown_a_billion_times_is_counted(tmp_path, new):
    torch.save((torch.zeros(1).expand(10**5, 10**5), {}), tmp_path / "table.pt", _use_new_zipfile_serialization=new)
    with pytest.raises(InputError, match="unfolds to more than"):
        load_torch(tmp_path / "table.pt")


def test_a_pickle_of_arrays_is_as_good_as_what_torch_wrote(tmp_path):
    (tmp_path / "table.pt").write_bytes(pickle.dumps((TABLE.numpy(), {})))
    np.testing.assert_array_equal(load_torch(tmp_path / "table.pt")[0], TABLE.numpy())


# ---- records -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("survival", None),
        ("survival", [1]),
        ("dataset", {}),
        ("seed", None),
        ("system", [[]]),
        ("metrics", [1]),
        ("metrics", {"mae": []}),
    ],
)
def test_a_row_that_is_no_record_is_refused(tmp_path, capsys, key, value):
    record = json.loads((Path(__file__).parents[1] / "book/results/ablations.jsonl").read_text().splitlines()[0])
    (tmp_path / "rows.jsonl").write_text(json.dumps({**record, key: value}))
    assert "line 1, is not the record of a run" in refused("table", tmp_path / "rows.jsonl", capsys=capsys)


@pytest.mark.parametrize("row", ["[" * 100_000, '{"mae": NaN}', "9" * 5000, "\ud800", '"\\ud800"', "{}", "null"])
def test_a_row_that_is_no_json_is_refused(tmp_path, capsys, row):
    (tmp_path / "rows.jsonl").write_bytes(row.encode(errors="surrogatepass"))
    refused("table", tmp_path / "rows.jsonl", capsys=capsys)
