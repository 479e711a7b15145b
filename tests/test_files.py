"""Files are there whole or not at all."""

import os
import stat

import pytest

from mmalign import InputError
from mmalign.files import write_whole


def test_what_is_written_can_be_read_and_nothing_else_lies_there(tmp_path):
    write_whole(tmp_path / "new/folder/record.json", b"content")
    assert (tmp_path / "new/folder/record.json").read_bytes() == b"content"
    assert [path.name for path in (tmp_path / "new/folder").iterdir()] == ["record.json"]


@pytest.mark.parametrize("trouble", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_interrupted_write_leaves_the_old_file_and_nothing_beside_it(tmp_path, monkeypatch, trouble):
    path = tmp_path / "record.json"
    path.write_bytes(b"old")

    def fail(*arguments):
        raise trouble

    for moment in ("fsync", "replace"):
        with monkeypatch.context() as patch, pytest.raises((InputError, KeyboardInterrupt)):
            patch.setattr(os, moment, fail)
            write_whole(path, b"new content")
        assert path.read_bytes() == b"old" and [one.name for one in tmp_path.iterdir()] == ["record.json"]


def test_a_place_below_a_regular_file_is_refused_in_one_line_that_names_it(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot write .*file/record\.json: ") as caught:
        write_whole(tmp_path / "file/record.json", b"")
    assert "\n" not in str(caught.value)


def test_others_may_read_what_is_written_as_they_may_any_new_file(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    write_whole(tmp_path / "whole", b"")
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "whole")}
    assert len(modes) == 1, modes
