"""Each way from the visible steps to the victim's does what its name says."""

import pytest
import small
import torch
import torch.nn.functional as F

from mmalign import InputError, MMAlignPlusConfig, masks
from mmalign.method.mixing import Oracle, choices, mixed, way

CONFIG = MMAlignPlusConfig(width=8)


def made(kind, data, window=1):
    return way(kind, data.spec, CONFIG, window, hidden=4)


@pytest.fixture
def data():
    return small.planted(survival=1.0, setting="B")


@pytest.fixture
def batch(data):
    return data.train.batch.rows(torch.arange(6))


@pytest.fixture
def states(batch):
    return torch.randn(*batch.visible.shape[:2], 8)


def test_step_to_step_changes_nothing(data, batch, states):
    assert made("identity", data)(states, batch).equal(states)


def test_evenly_is_the_mean_over_the_real_steps_of_the_window(data, batch, states):
    found = made("uniform", data)(states, batch)
    for one, length in enumerate(batch.lengths.tolist()):
        for step in range(length):
            near = states[one, max(step - 1, 0) : min(step + 2, length)]
            torch.testing.assert_close(found[one, step], near.mean(0))


def test_the_oracle_brings_each_step_to_where_the_victim_shows_it(data, batch, states):
    oracle = made("oracle", data)
    assert isinstance(oracle, Oracle)
    with pytest.raises(InputError, match="alignment"):
        oracle(states, batch)
    oracle.known = data.source.answers["match"]
    found, match = oracle(states, batch), data.answer("match", batch)
    for one, length in enumerate(batch.lengths.tolist()):
        for step in range(length):
            assert found[one, step].equal(states[one, match[one, step]])


def test_what_is_foretold_mixes_the_steps_by_their_chances(data, batch, states):
    foretold = made("foretold", data)
    foretold.known = F.one_hot(data.source.answers["match"], data.source.answers["match"].shape[1]).float()
    oracle = made("oracle", data)
    oracle.known = data.source.answers["match"]
    torch.testing.assert_close(foretold(states, batch)[batch.real], oracle(states, batch)[batch.real])
    foretold.known = torch.full_like(foretold.known, 0.5)
    torch.testing.assert_close(foretold(states, batch), states.sum(1, keepdim=True).expand_as(states) / 2)


def test_attention_and_fitters_read_no_padding(data, batch, states):
    pad = ~batch.real[..., None]
    for kind in ("global", "transport", "one-sided", "random", "uniform"):
        module = made(kind, data).eval()
        before, after = (module(values, batch)[batch.real] for values in (states, states.masked_fill(pad, 1e4)))
        torch.testing.assert_close(before, after)


def test_each_step_of_the_victim_chooses_by_itself_among_the_real_steps_of_its_window(batch, states):
    victims = torch.randn_like(states)
    found = masks.to_dense(choices(states, victims, batch.real, window=2, mu=0.3))
    for one, length in enumerate(batch.lengths.tolist()):
        for step in range(length):
            near = torch.arange(max(step - 2, 0), min(step + 3, length))
            cost = 1 - F.cosine_similarity(states[one, near], victims[one, step], dim=1)
            torch.testing.assert_close(found[one, near, step], (-cost / 0.3).softmax(0))
    torch.testing.assert_close(found.sum(1), batch.real.float())
    assert (found.sum(2) - 1)[batch.real].abs().max() > 0.1  # nothing balances the rows


def test_what_the_victims_steps_choose_is_learnt_and_mixed_as_it_is(data, batch, states):
    torch.manual_seed(0)
    fitted = made("one-sided", data)
    target = choices(states, states.roll(1, 1), batch.real, 1, 0.1)
    optimiser = torch.optim.Adam(fitted.parameters(), 0.02)
    losses = []
    for _ in range(30):
        losses.append(fitted.loss(target, batch))
        optimiser.zero_grad()
        losses[-1].backward()
        optimiser.step()
    assert losses[-1] < 0.5 * losses[0]
    mixing = masks.to_dense(fitted.weights(batch)).transpose(1, 2)
    torch.testing.assert_close(mixing.sum(2), batch.real.float())
    torch.testing.assert_close(fitted(states, batch), mixing @ states)


@pytest.mark.parametrize("kind", ["transport", "one-sided"])
def test_no_gradient_of_what_is_imagined_reaches_the_fitter(kind, data, batch, states):
    fitted = made(kind, data)
    assert not fitted(states, batch).requires_grad
    assert fitted.loss(torch.zeros(*batch.visible.shape[:2], 3), batch).requires_grad


def test_a_plan_on_the_diagonal_is_step_to_step_and_columns_are_averages(batch, states):
    window = masks.open_band(batch.real, 1)
    diagonal = torch.tensor([0.0, 0.3, 0.0]) * window
    torch.testing.assert_close(mixed(diagonal, states)[batch.real], states[batch.real])
    ones = mixed(torch.rand(window.shape) * window, torch.ones_like(states))
    torch.testing.assert_close(ones[batch.real], torch.ones_like(ones)[batch.real])
