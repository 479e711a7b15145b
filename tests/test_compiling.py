"""The compiler's cache: what is damaged, missing or full costs seconds, never the run or a wrong number."""

import gc
import os
import subprocess
import sys

import pytest

compiling = pytest.importorskip("mmalign.compiling", exc_type=ModuleNotFoundError)

LOOP = """
import numpy as np
from mmalign import compiling

@compiling.jit(compiling.FAST)
def total(values):
    sum = 0.0
    for i in range(len(values)):
        sum += values[i]
    return sum

print(total(np.arange(5.0)), compiling.seconds_compiling() > 0)
"""


@pytest.fixture
def run(tmp_path):
    """Runs the loop in a process of its own, with a cache of its own."""
    script, cache = tmp_path / "loop.py", tmp_path / "cache"
    script.write_text(LOOP)

    def once(folder=cache):
        variables = {**os.environ, "NUMBA_CACHE_DIR": str(folder), "PYTHONPATH": os.pathsep.join(sys.path)}
        return subprocess.run([sys.executable, script], env=variables, capture_output=True, text=True, check=True)

    return once


@pytest.mark.slow
def test_code_is_kept_and_whatever_is_damaged_is_compiled_again(run, tmp_path):
    assert run().stdout == "10.0 True\n"
    assert run().stdout == "10.0 False\n"
    (index,), (code,) = ([*(tmp_path / "cache").rglob(kind)] for kind in ("*.nbi", "*.nbc"))
    whole = code.read_bytes()
    flipped = whole[:-500] + bytes([whole[-500] ^ 255]) + whole[-499:]  # a byte of machine code
    for path, damaged in ((code, flipped), (code, whole[:99]), (index, b"not a pickle")):
        path.write_bytes(damaged)
        found = run()
        assert found.stdout == "10.0 True\n" and not found.stderr
    assert run().stdout == "10.0 False\n"


@pytest.mark.slow
def test_a_folder_for_the_cache_that_is_none_is_no_trouble(run):
    found = run("/dev/full")
    assert found.stdout.startswith("10.0") and not found.stderr


@pytest.mark.parametrize("trouble", [RuntimeError("nowhere to write"), OSError(28, "no space left")])
@pytest.mark.parametrize("method", ["__init__", "load_overload", "save_overload"])
def test_a_cache_that_cannot_be_used_leaves_a_loop_that_runs(monkeypatch, method, trouble):
    def fail(*_):
        raise trouble

    monkeypatch.setattr(compiling.FunctionCache, method, fail)

    @compiling.jit(compiling.EXACT)
    def one_more(number):
        return number + 1

    assert one_more(2) == 3


@pytest.mark.parametrize("collects", [True, False])
def test_rubbish_is_collected_after_compiling_if_it_was_before(collects):
    watch = compiling._Watch()
    try:
        gc.enable() if collects else gc.disable()
        watch.on_start(None), watch.on_start(None), watch.on_end(None)
        assert not gc.isenabled()  # the outer loop is not ready
        watch.on_end(None)
        assert gc.isenabled() == collects
    finally:
        gc.enable()


SOLVED = """
import torch
from mmalign import transport
from mmalign.method import gru
from mmalign.transport import solver

torch.manual_seed(0)
plan = transport.align(torch.randn(2, 5, 3), torch.randn(2, 5, 3))
print(solver.COMPILED, gru.COMPILED, plan.mass.isfinite().all().item())
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("setting", "compiled"),
    [("NUMBA_DISABLE_JIT=1", False), ("NUMBA_NUM_THREADS=0", False), ("NUMBA_NUM_THREADS=many", True)],
)
def test_settings_of_numba_that_do_not_fit_cost_speed_and_nothing_else(setting, compiled):
    """Told to compile nothing, it runs the loops as Python: with numbers of another kind, and NaN for answers."""
    name, _, value = setting.partition("=")
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), name: value}
    done = subprocess.run([sys.executable, "-c", SOLVED], env=variables, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == (f"{compiled} {compiled} True\n", "")
