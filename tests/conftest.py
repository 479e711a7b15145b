"""What holds for every test: one thread and one seed, so that numbers repeat, and the same examples every time."""

import lean  # noqa: F401
import pytest
import torch
from hypothesis import settings

torch.set_num_threads(1)
settings.register_profile("mmalign", deadline=None, max_examples=25, derandomize=True, database=None)
settings.load_profile("mmalign")


def pytest_collection_modifyitems(items):
    """Examples in docstrings carry no marks of their own: those of the sliders draw a picture each."""
    for item in items:
        if item.nodeid.startswith("mmalign/figures/widgets"):
            item.add_marker(pytest.mark.slow)


def pytest_runtest_setup(item):
    torch.manual_seed(0)


@pytest.fixture
def take_new_numbers_to_be():
    """Sets the type of new numbers; afterwards it is what it was."""
    before = torch.get_default_dtype()
    yield torch.set_default_dtype
    torch.set_default_dtype(before)


@pytest.fixture
def canvas():
    """Draw without a screen, and leave the reader's settings as they were."""
    import matplotlib as mpl  # late: most tests draw nothing

    from mmalign.figures import plots

    before = mpl.get_backend()
    mpl.use("agg")
    with mpl.rc_context():
        plots.style()
        yield
    mpl.pyplot.close("all")
    mpl.use(before)
