"""Downloads: whole and right, or not there. From a server on this machine, for tests need no network."""

import contextlib
import hashlib
import socket
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from mmalign import InputError, cli
from mmalign.data import fetch as module
from mmalign.data.fetch import fetch, matches
from mmalign.data.published import DIGESTS, FOLDERS

CONTENT = {"first.h5": bytes(range(256)) * 1200, "second.h5": b"second" * 9}


def blob_id(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Repository(BaseHTTPRequestHandler):
    """Serves CONTENT, with ranges; a test may change how."""

    served, asked, most, honours_ranges = {}, [], None, True

    def do_GET(self):
        cls, name = type(self), self.path.rpartition("/")[2]
        cls.asked.append((self.path, self.headers.get("Range")))
        if name not in cls.served:
            return self.send_error(404)
        whole = cls.served[name]
        start = int(self.headers.get("Range", "bytes=0-")[6:-1]) if cls.honours_ranges else 0
        if start and start >= len(whole):
            return self.send_error(416)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(whole) - 1}/{len(whole)}")
        self.send_header("Content-Length", str(len(whole) - start))
        self.end_headers()
        self.wfile.write(whole[start:][: cls.most])  # `most`: the line breaks after so many bytes
        return None

    def log_message(self, *arguments):
        """Say nothing."""


@pytest.fixture
def server(monkeypatch):
    """A repository of two files of `mosi`, one known by its SHA-256 and one by its git id."""
    digests = {
        "first.h5": hashlib.sha256(CONTENT["first.h5"]).hexdigest(),
        "second.h5": blob_id(CONTENT["second.h5"]),
    }
    monkeypatch.setitem(DIGESTS, "mosi", digests)
    Repository.served, Repository.asked, Repository.most, Repository.honours_ranges = dict(CONTENT), [], None, True
    with ThreadingHTTPServer(("127.0.0.1", 0), Repository) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}/at"
        running.shutdown()


def held(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}


def test_files_arrive_whole_under_their_published_names(server, tmp_path):
    assert [path.name for path in fetch("mosi", tmp_path / "mosi", server)] == ["first.h5", "second.h5"]
    assert held(tmp_path / "mosi") == CONTENT
    assert [path for path, _ in Repository.asked] == ["/at/data/first.h5", "/at/data/second.h5"]


def test_what_is_there_is_not_fetched_again(server, tmp_path):
    fetch("mosi", tmp_path, server)
    (tmp_path / "second.h5").unlink()
    Repository.asked.clear()
    assert [path.name for path in fetch("mosi", tmp_path, server)] == ["second.h5"]
    assert Repository.asked == [("/at/data/second.h5", None)]


def test_a_broken_line_leaves_a_part_and_the_next_call_goes_on_from_it(server, tmp_path):
    Repository.most = 100_000
    for _ in range(2):
        with pytest.raises(InputError, match=r"first\.h5 cannot be fetched: \d+ of 307200 bytes came; the same"):
            fetch("mosi", tmp_path, server)
    assert {*held(tmp_path)} == {"first.h5.part"} and len(held(tmp_path)["first.h5.part"]) == 200_000
    Repository.most = None
    fetch("mosi", tmp_path, server)
    assert held(tmp_path) == CONTENT
    assert [asked for _, asked in Repository.asked[:3]] == [None, "bytes=100000-", "bytes=200000-"]


def test_a_server_without_ranges_begins_again(server, tmp_path):
    Repository.honours_ranges = False
    (tmp_path / "first.h5.part").write_bytes(b"what was there before")
    fetch("mosi", tmp_path, server)
    assert held(tmp_path) == CONTENT


def test_an_altered_file_is_deleted_and_nothing_stands_in_its_place(server, tmp_path):
    Repository.served["first.h5"] = CONTENT["first.h5"][:-1] + b"!"
    with pytest.raises(InputError, match=r"first\.h5 is not the published file"):
        fetch("mosi", tmp_path, server)
    assert held(tmp_path) == {}
    Repository.served = {**CONTENT, "second.h5": b"second" * 8}
    with pytest.raises(InputError, match=r"second\.h5 is not the published file"):
        fetch("mosi", tmp_path, server)
    assert {*held(tmp_path)} == {"first.h5"}


@pytest.mark.parametrize("left", [b"something else altogether", CONTENT["first.h5"] + b"more", CONTENT["first.h5"]])
def test_a_part_that_is_wrong_is_never_taken_for_the_file(server, tmp_path, left):
    (tmp_path / "first.h5.part").write_bytes(left)
    if left == CONTENT["first.h5"]:  # it was whole, and only lacked its name
        fetch("mosi", tmp_path, server)
    else:
        with pytest.raises(InputError, match="not the published file"):
            fetch("mosi", tmp_path, server)
        assert held(tmp_path) == {}
        fetch("mosi", tmp_path, server)
    assert held(tmp_path) == CONTENT


def test_a_file_of_ones_own_is_not_overwritten(server, tmp_path):
    (tmp_path / "second.h5").write_bytes(b"mine")
    with pytest.raises(InputError, match=r"second\.h5 is there but is not the published file"):
        fetch("mosi", tmp_path, server)
    assert held(tmp_path)["second.h5"] == b"mine"


def test_a_server_that_says_no_or_is_not_there_is_named(server, tmp_path):
    Repository.served.clear()
    with pytest.raises(InputError, match="cannot be fetched: the server says 404"):
        fetch("mosi", tmp_path, server)
    with pytest.raises(InputError, match=r"cannot be fetched: .*refused"):
        fetch("mosi", tmp_path, "http://127.0.0.1:1")
    with pytest.raises(InputError, match="not published for download; mmalign data fetch knows ict-mmmo"):
        fetch("mosei", tmp_path, server)
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(InputError, match="cannot write"):
        fetch("mosi", tmp_path / "taken", server)


# ---- servers that mean no good -------------------------------------------------------------------------------


@pytest.fixture
def speaks(monkeypatch):
    """A server that answers every request with what a function of its socket sends."""
    monkeypatch.setitem(DIGESTS, "mosi", {"first.h5": hashlib.sha256(CONTENT["first.h5"]).hexdigest()})
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve(send):
            def answer():
                with contextlib.suppress(OSError):  # whoever asked has gone
                    line, _ = listener.accept()
                    with line:
                        line.recv(2**16)
                        send(line)

            threading.Thread(target=answer, daemon=True).start()
            return f"http://127.0.0.1:{listener.getsockname()[1]}/at"

        yield serve


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "begin", [HEAD + b"Content-Length: 307200\r\n\r\n", HEAD, HEAD + b"Transfer-Encoding: chunked\r\n\r\n"],
    ids=["body", "header", "size of a chunk"],
)  # fmt: skip
def test_a_server_that_only_drips_is_not_waited_for(speaks, tmp_path, monkeypatch, begin):
    monkeypatch.setattr(module, "WINDOW", 0.4)

    def drip(line):
        line.sendall(begin)
        for _ in range(600):
            line.sendall(b"0")
            time.sleep(0.02)

    began = time.monotonic()
    with pytest.raises(InputError, match=r"first\.h5 cannot be fetched: (only \d+ bytes a second|nothing whole came)"):
        fetch("mosi", tmp_path, speaks(drip))
    assert time.monotonic() - began < 8


def test_a_length_of_5000_digits_and_a_reason_full_of_control_codes_are_one_line(speaks, tmp_path):
    endless = b"Content-Length: " + b"9" * 5000 + b"\r\n\r\nshort"
    with pytest.raises(InputError, match="is not the published file") as caught:
        fetch("mosi", tmp_path, speaks(lambda line: line.sendall(HEAD + endless)))
    assert len(str(caught.value)) < 1500
    with pytest.raises(InputError, match=r"the server says 404 \\x1b\[31mno\\x07") as caught:
        fetch("mosi", tmp_path, speaks(lambda line: line.sendall(b"HTTP/1.1 404 \x1b[31mno\x07\r\n\r\n")))
    assert str(caught.value).isprintable()


def test_of_two_fetches_at_once_one_brings_the_file_and_the_other_says_so(speaks, tmp_path):
    asked, go_on = threading.Event(), threading.Event()

    def wait(line):
        asked.set()
        go_on.wait(60)
        line.sendall(HEAD + b"Content-Length: 307200\r\n\r\n" + CONTENT["first.h5"])

    base, found = speaks(wait), []
    first = threading.Thread(target=lambda: found.extend(fetch("mosi", tmp_path, base)))
    first.start()
    assert asked.wait(60)
    with pytest.raises(InputError, match=r"first\.h5 is being fetched by another process; wait for it, or end it"):
        fetch("mosi", tmp_path, base)
    go_on.set()
    first.join()
    assert [path.name for path in found] == ["first.h5"] and held(tmp_path) == {"first.h5": CONTENT["first.h5"]}


# ---- the command ---------------------------------------------------------------------------------------------


def test_the_command_says_what_it_did_in_one_line(server, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(module.fetch, "__defaults__", (server, None))
    assert cli.main(["data", "fetch", "mosi", "--data-dir", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"mosi: 2 files fetched, all are in {tmp_path / 'mosi'}\n"
    Repository.served.clear()
    (tmp_path / "mosi/first.h5").unlink()
    assert cli.main(["data", "fetch", "mosi", "--data-dir", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_git_id_is_what_git_says(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"hello\n")
    known = "ce013625030ba8dba906f756967f9e9ca394464a"  # git hash-object of `hello`
    assert matches(path, known) and blob_id(b"hello\n") == known and not matches(path, known[::-1])
    git = subprocess.run(["git", "hash-object", str(path)], capture_output=True, text=True, check=False)
    assert git.returncode or git.stdout.strip() == known


def test_every_published_file_has_a_hash():
    assert {*DIGESTS} == {*FOLDERS} == {"ict-mmmo", "pom", "youtube", "mosi"}
    assert [len(DIGESTS[name]) for name in FOLDERS] == [12, 11, 12, 6]
    assert all(len(digest) in (40, 64) for files in DIGESTS.values() for digest in files.values())
