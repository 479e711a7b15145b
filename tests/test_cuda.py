"""Every system on a graphics card: the device is followed, and the numbers are the CPU's.

To rounding only: CUDA adds in another order, and cuDNN's recurrences round to TF32. Where there is no such card the
tests that need none of its kernels meet `card`, which is emulated.
"""

import json
import math

import card
import pytest
import small
import torch

import mmalign
from mmalign import cli, transport
from mmalign.experiments import sweep
from mmalign.registry import SYSTEMS
from mmalign.system import seeded

pytestmark = pytest.mark.slow
CUDA = torch.cuda.is_available()
DEVICE = "cuda" if CUDA else card.plug_in()
if DEVICE is None:
    pytest.skip("torch finds no CUDA here, and is too old to emulate a card", allow_module_level=True)
KIND = torch.device(DEVICE).type
on_cuda = pytest.mark.skipif(not CUDA, reason="torch finds no CUDA here")
every = pytest.mark.parametrize("name", small.NAMES)
tasks = pytest.mark.parametrize("task", ["regression", "classification"])
NEAR = {"rtol": 1e-3, "atol": 2e-3}
LONG = 4096  # sequences of a large batch


def devices(system):
    return {value.device.type for value in system.state_dict().values()}


@every
@tasks
def test_it_answers_on_the_card_as_on_the_cpu(name, task):
    data = small.data_for(name, setting="B", task=task)
    system, _ = small.train(name, data)
    here = system.predict(data.test.batch)
    there = system.to(DEVICE).predict(data.test.batch.to(DEVICE))
    assert there.device.type == KIND and devices(system) == {KIND}
    torch.testing.assert_close(there.cpu(), here, **NEAR)


@every
@tasks
def test_it_trains_on_the_card_and_stays_there(name, task):
    data = small.data_for(name, setting="B", task=task)
    system = small.build(name, data).to(DEVICE)
    config = SYSTEMS[name].configure_training(epochs=3, select="validation")
    history = mmalign.fit(system, data, config, progress=False)
    report = mmalign.evaluate(system, data.test)
    assert devices(system) == {KIND} and all(math.isfinite(value) for value in report.values())
    assert all(math.isfinite(value) for value in history.rows[-1]["valid"].values())


@every
def test_the_losses_of_each_step_and_their_gradients_are_those_of_the_cpu(name):
    """Without dropout, whose draws differ."""
    data = small.data_for(name, setting="B")
    usual = vars(SYSTEMS[name].configure())
    kinds = ("dropout",) if name == "deep-sets" else ("dropout", "encoder_dropout")  # its steps have no encoder
    still = {key: 0.0 for key in kinds if usual.get(key)}
    found = []
    for device in ("cpu", DEVICE):
        system = small.build(name, data, **still).to(device)
        told = {}
        for stage in system.stages(5, 10):
            batch = next(data.train.part(stage.split).batches(36, torch.Generator().manual_seed(0))).to(device)
            for step in stage.steps:
                system.zero_grad()
                with seeded(0):
                    parts = step.loss(batch)
                sum(parts.values()).backward()
                told |= {f"{step.name}/{key}": value.item() for key, value in parts.items()}
                gradients = [one.grad.norm() for one in system.parameters() if one.grad is not None]
                told[f"{step.name} gradient"] = torch.stack(gradients).norm().item()
        found.append(told)
    assert found[0].keys() == found[1].keys()
    if not (CUDA and name in DRAWING):
        assert found[1] == pytest.approx(found[0], rel=5e-3, abs=5e-3)


# A loss draws, each device in its own way; of the released code the decoder keeps a dropout that no setting reaches.
DRAWING = ("smil", "scale", "deepmlf", "mfm", "mm-align-plus", "mm-align-official")


def test_a_system_saved_on_the_card_answers_on_the_cpu(tmp_path):
    data = small.planted(setting="B")
    system = small.build("mm-align", data).to(DEVICE).eval()
    there = system.predict(data.test.batch.to(DEVICE)).cpu()
    system.save(tmp_path / "model.safetensors")
    back = mmalign.MMAlign.restore(tmp_path / "model.safetensors")
    assert devices(back) == {"cpu"}
    torch.testing.assert_close(back.predict(data.test.batch), there, **NEAR)


@on_cuda
def test_a_training_on_the_card_goes_on_where_it_was_cut(tmp_path):
    data, found = small.planted(), []
    config = SYSTEMS["mm-align"].configure_training(epochs=4, select="validation")

    def cut(system, history):
        if len(history.rows) == 2 and not found:
            raise KeyboardInterrupt

    whole = small.build("mm-align", data).to(DEVICE)
    through = mmalign.fit(whole, data, config, progress=False).column("valid_loss")
    for _ in range(2):
        system = small.build("mm-align", data).to(DEVICE)
        try:
            history = mmalign.fit(system, data, config, False, tmp_path / "state", [cut])
            found.append(history.column("valid_loss"))
        except KeyboardInterrupt:
            found.append(None)
    assert found[0] is None and found[1] == pytest.approx(through, rel=1e-3, nan_ok=True)


@on_cuda
def test_a_training_on_the_card_leaves_the_random_numbers_alone():
    data = small.planted()
    system = small.build("single", data).to(DEVICE)
    before = torch.cuda.get_rng_state()
    mmalign.fit(system, data, SYSTEMS["single"].configure_training(epochs=2), progress=False)
    assert torch.cuda.get_rng_state().equal(before)


def test_new_pairs_are_predicted_by_a_system_on_the_card(monkeypatch):
    if not CUDA:  # the emulated one knows no inference mode
        monkeypatch.setattr(torch, "inference_mode", torch.no_grad)
    data = small.planted(setting="B")
    system = small.build("mm-align", data).eval()
    pairs = mmalign.Pairs(torch.randn(7, 5, data.spec.widths[0]), torch.randn(7, 5, data.spec.widths[1]))
    here = mmalign.predict(system, pairs)
    torch.testing.assert_close(
        torch.as_tensor(mmalign.predict(system.to(DEVICE), pairs)), torch.as_tensor(here), **NEAR
    )


# ---- the solver --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("window", [0, 4, None])
@pytest.mark.parametrize("columns", [50, 37])
def test_the_log_domain_on_the_card_is_the_compiled_path_of_the_cpu(dtype, window, columns):
    x, y = torch.randn(8, 50, 16, dtype=dtype), torch.randn(8, columns, 16, dtype=dtype)
    rows, others = torch.randint(1, 51, (8,)), torch.randint(1, columns + 1, (8,))
    if columns == 50:
        others = rows
    options = {"window": window, "mu": 0.1, "tol": 0, "max_sweeps": 30}
    found = []
    for device in ("cpu", DEVICE):
        first, second = (value.to(device).detach().requires_grad_() for value in (x, y))
        plan = transport.align(first, second, rows.to(device), others.to(device), **options)
        plan.value.sum().backward()
        assert plan.mass.device.type == plan.gap.device.type == torch.device(device).type
        values = (plan.band, plan.mass, plan.cost, plan.value, plan.gap, first.grad, second.grad)
        found.append([value.detach().cpu() for value in values])
    for here, there in zip(*found, strict=True):
        torch.testing.assert_close(there, here, rtol=1e-3 if dtype == torch.float32 else 1e-9, atol=1e-5)


def test_a_cost_of_ones_own_is_solved_on_the_card_too():
    cost = torch.rand(5, 30, 30)
    here, there = transport.sinkhorn(cost, window=3), transport.sinkhorn(cost.to(DEVICE), window=3)
    torch.testing.assert_close(there.mass.cpu(), here.mass, rtol=2e-3, atol=1e-5)


def test_4096_sequences_are_aligned_at_once():
    x, y = torch.randn(2, LONG, 50, 32)
    lengths = torch.randint(1, 51, (LONG,))
    here = transport.align(x, y, lengths, tol=0, max_sweeps=30)
    there = transport.align(x.to(DEVICE), y.to(DEVICE), lengths.to(DEVICE), tol=0, max_sweeps=30)
    torch.testing.assert_close(there.band.cpu(), here.band, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(there.cost.cpu(), here.cost, rtol=1e-4, atol=1e-5)


@on_cuda
@pytest.mark.parametrize("name", ["mm-align", "mm-align-plus", "modal-trans"])
def test_a_step_of_4096_sequences_fits(name):
    data = small.data_for(name, samples=2 * LONG, shortest=20, longest=50)
    system = small.build(name, data).to(DEVICE)
    config = SYSTEMS[name].configure_training(epochs=3, batch_size=LONG, select="validation")
    history = mmalign.fit(system, data, config, progress=False)
    assert math.isfinite(history.rows[-1]["valid_loss"])


# ---- the command line --------------------------------------------------------------------------------------

WORDS = "--dataset planted --set data.samples=60 --set model.width=8 --epochs 3 --threads 1 --json".split()


@on_cuda
def test_run_on_the_card_says_so_in_its_record(capsys):
    assert cli.main(["run", "--system", "mm-align", *WORDS, "--device", "cuda"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["config"]["device"] == "cuda" and math.isfinite(record["metrics"]["mae"])


@on_cuda
def test_a_grid_names_its_devices(tmp_path):
    lines = ["system: [copy, mm-align]", "dataset: planted", "device: [cpu, cuda]", "data.samples: 60"]
    (tmp_path / "grid.yaml").write_text("\n".join([*lines, "train.epochs: 3", "model.width: 8"]))
    assert sweep.sweep(tmp_path / "grid.yaml", tmp_path / "out", workers=2) == (4, 0, 4, 0)
    told = [json.loads(path.read_text())["config"]["device"] for path in (tmp_path / "out").glob("*.json")]
    assert sorted(told) == ["cpu", "cpu", "cuda", "cuda"]
