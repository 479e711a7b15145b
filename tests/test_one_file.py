"""The program of the chapter "MM-Align in one file" is the package's method, number by number."""

import ast
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
import torch

import mmalign
from mmalign import masks, metrics, transport

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
CHAPTER = NOTEBOOKS / "07b_one_file.ipynb"


def cells(path, tag):
    return [cell.source for cell in nbformat.read(path, 4).cells if tag in cell.metadata.get("tags", [])]


(PROGRAM,) = cells(CHAPTER, "one-file")


@pytest.fixture(scope="module")
def one():
    """The program's names."""
    names = {"__name__": "one_file"}
    exec(compile(PROGRAM, CHAPTER.name, "exec"), names)
    return SimpleNamespace(**names)


def as_batch(one, batch):
    return one.Batch(batch.visible, batch.victim, batch.lengths, batch.labels)


def twins(one, splits):
    """The package's model and the program's, from one seed, with the scales of the same data."""
    package = mmalign.MMAlign.from_data(splits, seed=3)
    torch.manual_seed(3)
    model = one.MMAlign(splits.spec.widths, splits.spec.outputs)
    one.learn_scales(model, as_batch(one, splits.train.batch))
    return package, model


def pairs_of(model, package):
    return [(mine, theirs.view_as(mine)) for mine, theirs in zip(model.parameters(), package.parameters(), strict=True)]


@pytest.fixture(scope="module", params=["smartwatch", "planted"])
def splits(request):
    """Classes at one length, and scores of spread 1 at many."""
    if request.param == "smartwatch":
        return mmalign.load("smartwatch", pair=("acc", "gyro"), survival=0.5, setting="A", seed=0)
    return mmalign.load("planted", survival=0.5, setting="A", seed=0, samples=200)


def part(splits, name, count=24):
    return getattr(splits.train, name).batch.rows(torch.arange(count))


def test_both_draw_the_same_first_weights_and_learn_the_same_scales(one, splits):
    package, model = twins(one, splits)
    assert all(mine.equal(theirs) for mine, theirs in pairs_of(model, package))
    for mine, theirs in zip(model.backbone.embed, package.backbone.embed, strict=True):
        torch.testing.assert_close(mine.mean, theirs.standardise.mean, check_dtype=False)
        torch.testing.assert_close(mine.spread, theirs.standardise.spread)


@pytest.mark.parametrize("kind", ["complete", "missing"])
def test_the_same_parameters_give_the_same_losses_and_gradients(one, splits, kind):
    package, model = twins(one, splits)
    package.backbone.answer.label_mean.zero_()  # the program's labels have no unit
    package.backbone.answer.label_spread.fill_(1)
    package.eval(), model.eval()
    batch = part(splits, kind)
    if kind == "complete":
        theirs = sum(package.merged_loss(0.3, batch).values())
        task, contrast, fit = one.complete_losses(model, as_batch(one, batch), 0.3)
        mine = task + 0.1 * contrast + fit
    else:
        theirs = package.missing_loss(batch)["task"]
        mine = one.task_loss(model(as_batch(one, batch)), batch.labels)
    torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=1e-6)
    mine.backward(), theirs.backward()
    for mine, theirs in zip(model.parameters(), package.parameters(), strict=True):
        assert (mine.grad is None) == (theirs.grad is None)
        if mine.grad is not None:
            torch.testing.assert_close(mine.grad, theirs.grad.view_as(mine), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("window", [0, 1, 3, 12])
@pytest.mark.parametrize("mu", [0.05, 0.2, 5.0])
def test_plans_and_their_gaps_are_those_of_transport_for_every_length(one, window, mu):
    lengths, cost = torch.tensor([9, 5, 2, 1]), torch.rand(4, 9, 9)
    solved = transport.sinkhorn(cost, lengths, window=window, mu=mu)
    plan, gap = one.sinkhorn(masks.to_band(cost, window), masks.real_steps(lengths, 9), mu)
    torch.testing.assert_close(plan, solved.band, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(gap, solved.gap, atol=1e-5, rtol=0.02)


def test_a_sequence_is_solved_as_if_it_were_alone(one):
    cost, real = torch.rand(2, 8, 5), masks.real_steps(torch.tensor([8, 3]), 8)
    plan, _ = one.sinkhorn(cost, real, 0.1)
    alone, _ = one.sinkhorn(cost[1:, :3], real[1:, :3], 0.1)
    torch.testing.assert_close(plan[1, :3], alone[0])
    assert not plan[1, 3:].any()


def test_a_shift_moves_the_stand_in_the_way_it_points(one):
    later = torch.tensor([0.0, 0.0, 1.0]).expand(1, 5, 3)  # step t goes to step t + 1
    assert one.imagine(later, torch.arange(1.0, 6)[None, :, None])[0, :, 0].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.slow
def test_after_training_on_the_watch_weights_and_metrics_are_the_packages(one):
    splits = mmalign.load("smartwatch", pair=("acc", "gyro"), survival=0.5, setting="A", seed=0)
    package, model = (system.double() for system in twins(one, splits))  # only another method would show
    for mine, theirs in zip(model.backbone.embed, package.backbone.embed, strict=True):
        mine.mean.copy_(theirs.standardise.mean)
        mine.spread.copy_(theirs.standardise.spread)
    mmalign.fit(package, splits, mmalign.TrainConfig(epochs=4, seed=0), progress=False)
    one.train(model, as_batch(one, splits.train.batch), as_batch(one, splits.valid.batch), epochs=4)
    for mine, theirs in pairs_of(model, package):
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=0)  # the data have 32 bits
    batch = splits.test.batch
    with torch.no_grad():
        answers = model.eval()(as_batch(one, batch))
    assert metrics.of_task("classification", answers, batch.labels) == mmalign.evaluate(package, splits.test)


@pytest.mark.slow
def test_whoever_has_only_the_page_can_train_it(tmp_path):
    parameters = "SEED, SAMPLES, EPOCHS = 0, 120, 3"
    lines = ["import sys", "sys.modules['mmalign'] = None", parameters, PROGRAM, *cells(CHAPTER, "one-file-data")]
    (tmp_path / "page.py").write_text("\n".join(lines), encoding="utf-8")
    done = subprocess.run([sys.executable, "-I", "page.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.startswith("squared error"), done.stderr


def test_it_is_plain_pytorch_and_short_enough_to_read():
    tree = ast.parse(PROGRAM)
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in names} == {"copy", "math", "typing", "torch"}
    code = [line for line in ast.unparse(tree).splitlines() if line.strip() and '"""' not in line]
    assert len(code) < 220


def definitions(source):
    """The functions and classes of some code, each as Python reads it."""
    return {node.name: ast.dump(node) for node in ast.parse(source).body if hasattr(node, "name")}


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("0[1-7]*.ipynb")), ids=lambda path: path.stem)
def test_the_pieces_of_earlier_chapters_are_those_of_the_program(path):
    whole = definitions(PROGRAM)
    pieces = [item for source in cells(path, "piece") for item in definitions(source).items()]
    assert [name for name, piece in pieces if whole.get(name) != piece] == []
