"""The translator imagines observations: symbols as probabilities, sensors in their unit."""

from dataclasses import replace

import small
import torch

import mmalign
from mmalign import MMAlignPlusConfig
from mmalign.method.mixing import Identity
from mmalign.method.translator import Translator


def trained(data, layers, steps=150, **config):
    torch.manual_seed(0)
    model = Translator(data.spec, MMAlignPlusConfig(width=16, dropout=0.0, **config), layers, Identity())
    model.encode.embed.standardise.learn(data.train.samples.seen(0))
    model.scale.learn(data.train.samples.seen(1))
    optimiser, batch = torch.optim.Adam(model.parameters(), 1e-2), data.train.batch
    for _ in range(steps):
        optimiser.zero_grad()
        model.loss(batch).backward()
        optimiser.step()
    return model.eval()


def test_of_symbols_it_imagines_the_probabilities():
    draw = torch.Generator().manual_seed(0)
    visible = torch.nn.functional.one_hot(torch.randint(2, (200, 4), generator=draw), 2).float()
    heads = (torch.rand(200, 4, generator=draw) < torch.where(visible[..., 0] > 0, 0.8, 0.3)).long()
    victim = torch.nn.functional.one_hot(heads, 2).float()
    data = mmalign.from_arrays(visible.numpy(), victim.numpy(), torch.rand(200).numpy(), task="regression")
    batch = data.train.batch
    imagined = trained(data, layers=0).imagine(batch)
    for which in (0, 1):
        seen = batch.visible[..., which] > 0
        torch.testing.assert_close(imagined[seen].mean(0), batch.victim[seen].mean(0), atol=0.03, rtol=0)


def test_without_blocks_a_step_knows_nothing_of_the_others():
    data = small.planted(survival=1.0, setting="B")
    batch = data.train.batch.rows(torch.arange(4))
    for layers, alone in ((0, True), (1, False)):
        model = trained(data, layers, steps=2)
        other = batch.visible.clone()
        other[:, 0] += 1
        changed = model.imagine(replace(batch, features=(other, batch.victim)))[:, 1:]
        assert bool(torch.allclose(changed, model.imagine(batch)[:, 1:], atol=1e-5)) is alone


def test_what_is_imagined_is_in_the_victims_own_unit():
    data = small.planted(survival=1.0, setting="B", first_noise=0.0, second_noise=0.0, order="lag", window=0)
    shifted = mmalign.from_arrays(
        data.source.features["first"].numpy(), 1000 + 50 * data.source.features["second"].numpy(),
        data.source.labels.numpy(), data.source.lengths.numpy(), task="regression",
    )  # fmt: skip
    batch = shifted.train.batch
    error = (trained(shifted, layers=1).imagine(batch) - batch.victim)[batch.real].abs().mean()
    assert error < 0.7 * (batch.victim[batch.real] - batch.victim[batch.real].mean(0)).abs().mean()
