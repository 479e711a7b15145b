"""Ctrl-C while the package is being imported: the command says one line, other programs are left alone."""

import signal
import subprocess
import sys

import pytest

PRESS = """
import os, signal, sys

class Press:  # asked before a module is loaded
    def find_spec(name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.modules.pop({module!r}, None)
sys.meta_path.insert(0, Press)
from mmalign.cli import main
sys.exit(main())
"""


def pressed(path, module):
    """How a script ends that is interrupted when a module is about to be loaded."""
    path.write_text(PRESS.format(module=module))
    return subprocess.run(
        [sys.executable, str(path), "data", "list"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


@pytest.mark.parametrize("module", ["importlib.metadata", "lazy_loader", "mmalign.errors", "argparse", "mmalign.cli"])
def test_the_command_is_one_line_and_130_whatever_is_being_loaded(tmp_path, module):
    done = pressed(tmp_path / "mmalign", module)
    assert (done.returncode, done.stderr) == (130, "mmalign: interrupted; nothing was written\n")


def test_a_program_that_imports_the_package_hears_ctrl_c_as_ever(tmp_path):
    done = pressed(tmp_path / "program.py", "lazy_loader")
    assert done.returncode != 130 and "KeyboardInterrupt" in done.stderr
