"""How quickly it answers: what a command loads before it says something."""

import subprocess
import sys

import pytest

import mmalign

SLOW = {
    "torch", "numba", "numpy", "scipy", "sklearn", "pandas", "h5py", "matplotlib", "seaborn", "transformers", "tqdm",
    "distributed", "anywidget", "ot", "yaml", "safetensors",
}  # fmt: skip


def loaded(script):
    """The slow packages that a new Python has loaded after a script."""
    show = "import sys; print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", f"{script}\n{show}"], capture_output=True, text=True, check=True, timeout=300
    )
    return SLOW & {*done.stderr.split()}


@pytest.mark.parametrize("words", [["data", "list"], ["data"], ["fly"], ["run", "--epochs", "many"]], ids=" ".join)
def test_what_needs_no_numbers_loads_nothing_slow(words):
    assert not loaded(f"from mmalign.cli import main; main({words})")


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"]], ids=" ".join)
def test_help_loads_nothing_slow(words):
    assert not loaded(f"from mmalign.cli import main\ntry:\n    main({words})\nexcept SystemExit:\n    pass")


def test_the_package_and_its_names_load_nothing_slow():
    assert not loaded("import mmalign; mmalign.__version__, dir(mmalign), mmalign.InputError, mmalign.registry.SYSTEMS")


@pytest.mark.slow
def test_the_solver_loads_torch_and_numba_alone():
    assert loaded("from mmalign import transport") == loaded("import numba, torch")


@pytest.mark.slow
def test_training_loads_neither_tables_nor_pictures_nor_language_models():
    script = "import mmalign; mmalign.load, mmalign.fit, mmalign.evaluate, mmalign.MMAlign, mmalign.MMAlignPlus"
    assert not {"sklearn", "pandas", "matplotlib", "seaborn", "transformers", "distributed"} & loaded(script)


def test_every_name_that_is_exported_is_there_and_listed():
    for name in mmalign.__all__:
        assert getattr(mmalign, name) is not None and name in dir(mmalign)
    with pytest.raises(AttributeError, match="nothing"):
        _ = mmalign.nothing
