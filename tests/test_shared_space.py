"""Pairs draw matching steps together, and strangers are told from them by what a plan costs."""

import pytest
import small
import torch

import mmalign
from mmalign import MMAlignPlusConfig, masks, transport
from mmalign.data.planted import ORDERS
from mmalign.method.shared_space import SharedSpace, mass_on_truth, stranger_loss


def sequences(batch=5, steps=6, width=4, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return (torch.randn(batch, steps, width, generator=draw, dtype=torch.double) for _ in range(2))


def test_the_loss_is_the_cross_entropy_of_the_costs_solved_one_by_one():
    first, second = sequences()
    lengths = torch.tensor([6, 5, 4, 3, 6])
    rows = []
    for one in range(5):
        costs = []
        for shift in range(3):
            other = (one - shift) % 5
            sizes = lengths[one, None], lengths[other, None]
            plan = transport.align(first[one, None], second[other, None], *sizes, window=2, mu=0.1, tol=1e-2)
            even = 0.1 * (lengths[one] * lengths[other]).log()
            costs.append(plan.value[0] + even)
        rows.append(-torch.stack(costs) / 0.1)
    by_hand = torch.nn.functional.cross_entropy(torch.stack(rows), torch.zeros(5).long())
    torch.testing.assert_close(
        stranger_loss(first, second, lengths, 2, 0.1, strangers=2), by_hand, atol=1e-3, rtol=1e-3
    )


def test_the_gradient_is_that_of_finite_differences():
    first, second = sequences(batch=3, steps=4)
    lengths = torch.tensor([4, 3, 4])
    first.requires_grad_()
    loss = stranger_loss(first, second, lengths, 1, 0.5, strangers=2)
    (slope,) = torch.autograd.grad(loss, first)
    step = torch.zeros_like(first)
    step[1, 2, 0] = 1e-4
    with torch.no_grad():
        ahead, behind = (stranger_loss(first + sign * step, second, lengths, 1, 0.5, strangers=2) for sign in (1, -1))
    assert float((ahead - behind) / 2e-4) == pytest.approx(float(slope[1, 2, 0]), abs=2e-2 * float(slope.abs().max()))


def test_what_padding_holds_changes_nothing():
    first, second = sequences()
    lengths = torch.tensor([3, 5, 4, 2, 6])
    spoilt = [values.masked_fill(~masks.real_steps(lengths, 6)[..., None], 1e6) for values in (first, second)]
    assert stranger_loss(first, second, lengths, 1, 0.1) == stranger_loss(*spoilt, lengths, 1, 0.1)


def test_somebody_alone_has_no_strangers_and_nothing_to_learn():
    first, second = sequences(batch=1)
    assert stranger_loss(first, second, torch.tensor([6]), 1, 0.1) == 0


def test_longer_strangers_are_not_cheaper_for_being_longer():
    same = torch.ones(4, 8, 2)  # everything is like everything else: no cost tells anybody apart
    loss = stranger_loss(same, same, torch.tensor([8, 2, 5, 3]), 8, 0.2, strangers=3)
    assert loss.item() == pytest.approx(torch.tensor(4.0).log().item(), abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("order", ORDERS)
def test_pairs_alone_bring_plans_to_the_truth_whatever_the_order(order):
    data = small.planted(survival=1.0, setting="B", order=order, samples=1500, shortest=12, longest=12)
    config = MMAlignPlusConfig(weights="transport", window=2)
    model = mmalign.MMAlignPlus.from_data(data, config)
    assert isinstance(model.shared, SharedSpace)
    test = data.test.batch
    match, found = data.answer("match", test), []
    optimiser = torch.optim.Adam(model.shared.parameters(), 2e-3)
    draw = torch.Generator().manual_seed(0)
    for epochs in (0, 5):
        for _ in range(epochs):
            for batch in data.train.batches(32, draw):
                optimiser.zero_grad()
                model.space_loss(batch)["space"].backward()
                optimiser.step()
        found.append(mass_on_truth(model.transport_target(test), match, test.lengths))
    assert found[0] < 0.6 and found[1] > (0.9 if order in ("random", "rule") else 1.5 * found[0]), found
