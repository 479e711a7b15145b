"""SMIL: its priors and their weights, the meta step, noise, what is read."""

import math
from dataclasses import replace

import pytest
import small
import torch
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

import mmalign
from mmalign.baselines.smil import SMIL, NormalDraw
from mmalign.data import Split
from mmalign.system import seeded

pytestmark = pytest.mark.slow  # `make fast` keeps to the method, its bounds and the protocol

CALM = {"dropout": 0.0, "perturb": "none"}


def ready(survival=0.5, **changes):
    """A model whose priors are set, its data, and one batch that holds both kinds of samples."""
    data = small.planted(survival)
    model = small.build("smil", data, **changes)
    with seeded(0):
        model.prepare(model.warmup, data.train)
    return model, data, next(data.train.part("paired").batches(8, torch.Generator().manual_seed(0)))


def parts_of(model, batch, seed=0):
    with seeded(seed):
        return model.meta_loss(batch)


def gradients(model, batch):
    return torch.autograd.grad(sum(parts_of(model, batch).values()), [*model.parameters()], materialize_grads=True)


def norm(tensors):
    return math.sqrt(sum(one.square().sum().item() for one in tensors))


# ---- priors and their weights ------------------------------------------------------------------------------


@torch.no_grad()
def test_weights_are_shares_so_that_what_is_imputed_lies_between_the_priors():
    model, data, batch = ready()
    first, noise = model.backbone.encode(batch, 0), 5 * torch.randn(len(batch), 8)
    weights = model.weights(first, batch, noise)
    assert weights.min() >= 0 and weights.std() > 0.01
    torch.testing.assert_close(weights.sum(1), torch.ones(len(batch)))
    imputed = model.eval().impute(data.test.batch)
    assert imputed.shape == (12, 1, 8)
    assert (imputed <= model.priors.max(0).values).all() and (imputed >= model.priors.min(0).values).all()


def test_one_prior_is_the_mean_of_the_complete_victims_and_is_always_imputed():
    model, data, _ = ready(clusters=1)
    batch = data.train.complete.batch
    with torch.no_grad():
        states = model.eval().backbone.encode(batch, 1)
    means = [one[1 : 1 + length].mean(0) for one, length in zip(states, batch.lengths, strict=True)]
    torch.testing.assert_close(model.priors[0], torch.stack(means).mean(0))
    torch.testing.assert_close(model.impute(data.test.batch), model.priors.expand(12, 1, -1))


def test_priors_come_from_complete_samples_once_and_never_move_again():
    model, data, batch = ready()
    priors, draw = model.priors.clone(), torch.Generator().manual_seed(3)
    for fill in (1e6, torch.randn(data.train.batch.victim.shape, generator=draw)):  # of absent victims
        with seeded(0):
            model.prepare(model.warmup, small.refilled(data.train, fill))
        assert model.priors.equal(priors)
    kept = data.train.complete.batch
    other = Split(replace(kept, features=(kept.visible, kept.victim.flip(0))))  # of present ones
    for epoch in (0, 2, 3):
        model.prepare(epoch, other)
        assert model.priors.equal(priors)
    with seeded(0):
        model.prepare(1, other)
    assert not model.priors.equal(priors)
    sum(parts_of(model, batch).values()).backward()
    assert not model.priors.requires_grad and model.priors.grad is None


def test_looking_at_the_samples_leaves_the_mode_of_training_alone():
    model, data, _ = ready()
    model.train().prepare(model.warmup, data.train)
    assert model.training


# ---- the meta step -----------------------------------------------------------------------------------------


def test_without_an_inner_step_the_losses_are_those_of_the_weights_as_they_are():
    model, _, batch = ready(alpha=0.0, **CALM)
    model.priors.copy_(model.priors[:1].expand_as(model.priors))  # so that noise in their weights does nothing
    missing, complete = batch.rows(~batch.complete), batch.rows(batch.complete)
    parts, silence = parts_of(model, batch), torch.zeros(1, 8 + 16)
    first, second = (model.backbone.encode(complete, place) for place in range(2))
    fused = (model.fuse_imputed(first, complete, silence), model.backbone.fuse(first, second, complete.real))
    head = model.backbone.answer.head
    by_hand = {
        "inner": model.backbone.task_loss(model.predict_missing(missing), missing.labels),
        "imputed": model.backbone.task_loss(model.predict_missing(complete), complete.labels),
        "task": model.backbone.task_loss(model.predict_complete(complete), complete.labels),
        "fused": 0.01 * (fused[0] - fused[1]).square().mean(),
        "hidden": 0.01 * (head[0](fused[0]).relu() - head[0](fused[1]).relu()).square().mean(),
    }
    assert parts.keys() == by_hand.keys()
    for name, value in by_hand.items():
        torch.testing.assert_close(parts[name], value)


def test_without_an_inner_step_the_gradient_is_the_plain_sums():
    model, _, batch = ready(alpha=0.0, dropout=0.0)
    missing, complete = batch.rows(~batch.complete), batch.rows(batch.complete)
    with seeded(0):
        plain = model.inner_loss(missing) + sum(model(complete).values())
    wanted = torch.autograd.grad(plain, [*model.parameters()], materialize_grads=True)
    torch.testing.assert_close(gradients(model, batch), wanted, atol=1e-6, rtol=1e-5)


def test_the_inner_step_goes_down_the_inner_loss_and_leaves_the_weights_where_they_are():
    model, _, batch = ready(alpha=0.05, **CALM)
    before, missing = small.copied(model.parameters()), batch.rows(~batch.complete)
    with seeded(0):
        loss = model.inner_loss(missing)
    moved = model.inner_step(loss)
    assert small.same_weights(before, model.parameters())
    assert moved.keys() == {f"backbone.{name}" for name, _ in model.backbone.named_parameters()}

    class Inner(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self):
            with seeded(0):
                return model.inner_loss(missing)

    assert functional_call(Inner(), {f"model.{name}": value for name, value in moved.items()}, ()) < loss
    outer = functional_call(model, moved, (batch.rows(batch.complete),))["task"]
    torch.testing.assert_close(parts_of(model, batch)["task"], outer)  # the outer loss is that of theta'


class Toy(torch.nn.Module):
    """Two parameters and losses that bend, to be differentiated by hand."""

    inner_step = SMIL.inner_step
    meta_loss = SMIL.meta_loss

    def __init__(self, second_order):
        super().__init__()
        self.config = mmalign.registry.SYSTEMS["smil"].configure(alpha=0.3, second_order=second_order)
        self.backbone = torch.nn.ParameterDict({"a": torch.zeros(()), "b": torch.zeros(())}).double()

    def inner_loss(self, batch):
        a, b = self.backbone["a"], self.backbone["b"]
        return (a.exp() - b).square() + a * b**3

    def forward(self, batch):
        a, b = self.backbone["a"], self.backbone["b"]
        return {"task": (a * b - 1).square() + b.sin()}


def toy_at(a, b, second_order=True):
    toy = Toy(second_order)
    torch.nn.init.constant_(toy.backbone["a"], a)
    torch.nn.init.constant_(toy.backbone["b"], b)
    return toy


def test_the_second_order_gradient_is_that_of_finite_differences_and_the_first_order_one_lacks_the_mixed_term():
    batch, step = small.planted().train.batch, 1e-5

    def loss(toy):
        return sum(toy.meta_loss(batch).values())

    toy, rough = toy_at(0.7, -0.4), toy_at(0.7, -0.4, second_order=False)
    assert loss(toy) == loss(rough)
    (exact, first) = (torch.stack(torch.autograd.grad(loss(one), [*one.parameters()])) for one in (toy, rough))
    slopes = [
        (loss(toy_at(0.7 + a, -0.4 + b)) - loss(toy_at(0.7 - a, -0.4 - b))) / (2 * step)
        for a, b in ((step, 0), (0, step))
    ]
    torch.testing.assert_close(exact, torch.stack(slopes), atol=1e-8, rtol=1e-8)
    point, inner = [*toy.parameters()], toy.inner_loss(batch)
    slope = torch.autograd.grad(inner, point, create_graph=True)
    moved = [(value - 0.3 * one).detach().requires_grad_() for value, one in zip(point, slope, strict=True)]
    outer = functional_call(toy, {"backbone.a": moved[0], "backbone.b": moved[1]}, (batch,))["task"]
    pull = torch.autograd.grad(outer, moved)
    mixed = torch.autograd.grad(sum(p * one for p, one in zip(pull, slope, strict=True)), point)
    torch.testing.assert_close(exact, first - 0.3 * torch.stack(mixed))  # the Hessian of the inner loss


@pytest.mark.parametrize("kind", ["mult", "official"])
def test_through_the_whole_backbone_the_second_order_gradient_is_the_slope_of_the_loss(kind):
    kinds = {"mult": {}, "official": {"backbone": "official", "positional": "none", "cls": "zeros", "head": "official"}}
    model, _, batch = ready(alpha=0.5, **kinds[kind])
    model.double().eval()  # no dropout, which is drawn differently by the two attention kernels
    batch = replace(batch, features=tuple(one.double() for one in batch.features), labels=batch.labels.double())
    model._noise = lambda some: torch.zeros(len(some), sum(model.sizes), dtype=torch.float64)
    exact = gradients(model, batch)
    draw = torch.Generator().manual_seed(0)
    direction = [torch.randn(one.shape, generator=draw, dtype=one.dtype) for one in exact]
    found, start = [], small.copied(model.parameters())
    for step in (1e-6, -1e-6):
        with torch.no_grad():
            for value, origin, way in zip(model.parameters(), start, direction, strict=True):
                value.copy_(origin + step * way)
        found.append(sum(parts_of(model, batch).values()).item())
    wanted = sum((one * way).sum().item() for one, way in zip(exact, direction, strict=True))
    assert (found[0] - found[1]) / 2e-6 == pytest.approx(wanted, rel=1e-4)
    with torch.no_grad():
        for value, origin in zip(model.parameters(), start, strict=True):
            value.copy_(origin)
    model.config = replace(model.config, second_order=False)
    rough = gradients(model, batch)
    assert norm(a - b for a, b in zip(exact, rough, strict=True)) > 1e-3 * norm(exact)


def test_the_kernel_of_the_inner_loss_gives_what_the_fused_one_gives():
    model, _, batch = ready(**CALM)
    with seeded(0):
        ours = model.inner_loss(batch)
    with seeded(0), sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        fused = model.fuse_imputed(model.backbone.encode(batch, 0), batch, model._noise(batch))
    torch.testing.assert_close(ours, model.backbone.task_loss(model.backbone.answer(fused), batch.labels))


@pytest.mark.parametrize(("survival", "names"), [(1.0, {"imputed", "task", "fused", "hidden"}), (0.5, None)])
def test_with_no_missing_sample_the_meta_step_has_no_inner_part(survival, names):
    model, _, batch = ready(survival)
    assert parts_of(model, batch).keys() == (names or {"inner", "imputed", "task", "fused", "hidden"})


# ---- noise -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mc", [0, 3])
def test_predictions_are_deterministic_and_training_is_drawn_from_the_seed(mc):
    model, data, batch = ready(mc=mc, dropout=0.0)
    one, same, other = (parts_of(model, batch, seed) for seed in (0, 0, 1))
    assert one == same
    assert all(one[name] != other[name] for name in ("inner", "imputed", "fused", "hidden"))
    model.eval()
    assert model.predict(data.test.batch).equal(model.predict(data.test.batch))


def test_a_prediction_with_draws_is_the_average_over_them():
    model, data, _ = ready(mc=5)
    batch = data.test.batch
    model.eval()
    first, together = model.backbone.encode(batch, 0), model.predict(batch)
    apart = [model.backbone.answer(model.fuse_imputed(first, batch, noise)) for noise in model.draws.split(1)]
    assert torch.stack(apart).std(0).min() > 1e-4
    torch.testing.assert_close(together, sum(apart) / 5)
    assert not ready()[0].draws.any()  # by default the means


def test_the_spread_of_a_draw_is_the_one_that_was_predicted():
    net = NormalDraw(2, 1)
    with torch.no_grad():
        net.net.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
        net.net.bias.zero_()
    noise = torch.randn(20_000, 1, generator=torch.Generator().manual_seed(0))
    found = net(torch.tensor([[3.0, math.log(0.2)]]), noise)
    assert found.mean().item() == pytest.approx(3.0, abs=0.01) and found.std().item() == pytest.approx(0.2, abs=0.01)


# ---- what is read ------------------------------------------------------------------------------------------


def test_predicting_without_the_victim_does_not_read_it():
    model, data, _ = ready()
    batch = data.train.batch
    model.eval()
    blank = replace(batch, features=(batch.visible, torch.full_like(batch.victim, math.nan)))
    assert model.predict_missing(batch).equal(model.predict_missing(blank))
    assert model.impute(batch).equal(model.impute(blank))


def test_priors_do_not_depend_on_the_order_of_the_encoded_steps(monkeypatch):
    model, data, _ = ready()
    priors, encode = model.priors.clone(), model.backbone.encode

    def shuffled(batch, place):
        states = encode(batch, place).clone()
        for row, length in zip(states, batch.lengths.tolist(), strict=True):
            row[1 : 1 + length] = row[1 : 1 + length].flip(0)
        return states

    monkeypatch.setattr(model.backbone, "encode", shuffled)
    model.priors.zero_()
    with seeded(0):
        model.prepare(model.warmup, data.train)
    torch.testing.assert_close(model.priors, priors)


def test_with_every_victim_present_prediction_is_that_of_real_pairs():
    model, data, _ = ready(survival=1.0)
    batch = data.train.batch
    model.eval()
    assert model.predict(batch).equal(model.predict_complete(batch))
    assert not torch.isclose(model.predict_missing(batch), model.predict_complete(batch)).all()


# ---- the perturbation, and one slot of memory --------------------------------------------------------------


@pytest.mark.parametrize(("how", "shift"), [("multiply", 0.0), ("add", 1.0), ("none", 0.0)])
def test_where_softplus_gives_one_multiplying_changes_nothing_and_adding_adds_one(how, shift):
    model, _, _ = ready(perturb=how)
    if how != "none":
        torch.nn.init.zeros_(model.regularise.net.weight)
        torch.nn.init.constant_(model.regularise.net.bias, math.log(math.e - 1))
    fused = torch.randn(4, 16)
    torch.testing.assert_close(model.perturb(fused, torch.zeros(4, 16)), fused + shift)


def test_only_the_imputed_path_is_perturbed():
    model, data, _ = ready(survival=1.0)
    batch = data.train.batch
    model.eval()
    before = model.predict_complete(batch), model.predict_missing(batch)
    torch.nn.init.constant_(model.regularise.net.bias, 3.0)
    assert model.predict_complete(batch).equal(before[0]) and not model.predict_missing(batch).equal(before[1])


@pytest.mark.parametrize("layers", [1, 2])
@torch.no_grad()
def test_with_zero_priors_and_no_perturbation_it_is_zero_fill_with_one_slot(layers):
    data = small.planted()
    model = small.build("smil", data, perturb="none", fusion_layers=layers).eval()  # the priors are not set yet
    backbone, batch = model.backbone, data.test.batch
    for place in range(len(batch)):  # one by one, without masks
        alone = batch.rows(torch.tensor([place]))
        first, second = backbone.encode(alone, 0), torch.zeros(1, 1, 8)
        slot, steps = torch.ones(1, 1, dtype=torch.bool), torch.ones(1, first.shape[1], dtype=torch.bool)
        forward = backbone.fusion[0](first, second, slot)[:, 0]
        backward = backbone.fusion[1](second, first, steps)[:, 0]
        wanted = backbone.answer(torch.cat([forward, backward], dim=1))
        torch.testing.assert_close(model.predict_missing(alone), wanted, atol=1e-5, rtol=0)
        torch.testing.assert_close(model.predict_missing(batch)[place : place + 1], wanted, atol=1e-5, rtol=0)


# ---- settings ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [{"second_order": False}, {"perturb": "add", "mc": 2}, {"perturb": "none", "warmup": 0}, {"clusters": 60}],
)
def test_its_variants_train_and_repeat(changes):
    data = small.planted()
    (one, history), (same, _) = (small.train("smil", data, model=changes, epochs=2) for _ in range(2))
    assert small.same_weights(one.state_dict(), same.state_dict()) and history.best_epoch >= one.warmup
    assert all(value.isfinite().all() for value in one.state_dict().values())


@pytest.mark.parametrize(
    "changes", [{"clusters": 0}, {"mc": -1}, {"alpha": -1.0}, {"perturb": "divide"}, {"second_order": 1}]
)
def test_a_setting_that_makes_no_sense_is_refused(changes):
    with pytest.raises(mmalign.errors.InputError, match=next(iter(changes))):
        mmalign.registry.SYSTEMS["smil"].configure(**changes)


def test_it_learns_what_it_is_shown():
    data = small.planted(survival=1.0, setting="B")
    model = small.build("smil", data, dropout=0.0)
    history = mmalign.fit(model, data, mmalign.TrainConfig(epochs=12, lr=1e-2, patience=12), progress=False)
    losses = history.column("meta/task")
    assert losses[-1] < 0.5 * losses[1]
