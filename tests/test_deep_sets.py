"""Deep sets: the algebra of pooling, what order and absence do not change, and who won."""

from dataclasses import replace

import pytest
import small
import torch

import mmalign
from mmalign.neighbours.deep_sets import DeepSetsConfig, drop_modalities, importance, places, pool
from mmalign.neighbours.senses import only

pytestmark = pytest.mark.slow  # `make fast` keeps to the method, its bounds and the protocol

HOWS = ["max", "min", "sum", "mean"]
POOLINGS = [*HOWS, "attention", "transformer"]
KINDS = ["steps", "modality", "hierarchical"]


def sets(batch=5, slots=6, width=4, seed=0):
    """Vectors without ties, some slots empty, no set empty."""
    draw = torch.Generator().manual_seed(seed)
    inside = torch.rand(batch, slots, generator=draw) < 0.6
    inside[:, 0] = True
    return torch.randn(batch, slots, width, generator=draw), inside


def ready(pooling="max", **model):
    """An untrained model on three modalities, and samples that lack some."""
    data = small.planted(setting="R", pair=("first", "second", "third"))
    return small.build("deep-sets", data, pooling=pooling, **model).eval(), data.train.batch


# ---- pooling -----------------------------------------------------------------------------------------


def test_the_golden_set():
    values = torch.tensor([[[1.0, 4.0], [3.0, 2.0], [0.0, 0.0]]])
    two, three = torch.tensor([[True, True, False]]), torch.ones(1, 3, dtype=torch.bool)
    assert pool(values, two, "max").equal(pool(values, three, "max"))
    assert pool(values, two, "max").tolist() == [[3.0, 4.0]] and pool(values, two, "sum").tolist() == [[4.0, 6.0]]
    for inside in (two, three):
        assert importance(values, inside).tolist() == [[0.5, 0.5, 0.0]]
    torch.testing.assert_close(pool(values, three, "mean"), torch.tensor([[4 / 3, 2.0]]))


@pytest.mark.parametrize("how", HOWS)
def test_the_order_of_elements_does_not_matter(how):
    values, inside = sets()
    order = torch.randperm(6, generator=torch.Generator().manual_seed(1))
    exact = {"rtol": 0, "atol": 0} if how in ("max", "min") else {"rtol": 1e-5, "atol": 1e-5}
    torch.testing.assert_close(pool(values[:, order], inside[:, order], how), pool(values, inside, how), **exact)


@pytest.mark.parametrize("how", HOWS)
def test_what_an_empty_slot_holds_does_not_matter(how):
    values, inside = sets()
    other = values.masked_fill(~inside[:, :, None], torch.nan)
    assert pool(other, inside, how).equal(pool(values, inside, how))


def test_the_vector_of_a_union_follows_from_those_of_its_parts():
    (ones, here), (twos, there) = sets(seed=0), sets(seed=1)
    both = torch.cat([ones, twos], dim=1), torch.cat([here, there], dim=1)
    assert pool(*both, "max").equal(pool(ones, here, "max").maximum(pool(twos, there, "max")))
    assert pool(*both, "min").equal(pool(ones, here, "min").minimum(pool(twos, there, "min")))
    torch.testing.assert_close(pool(*both, "sum"), pool(ones, here, "sum") + pool(twos, there, "sum"))


def test_duplicates_change_a_sum_and_nothing_else():
    values, inside = sets()
    twice = torch.cat([values, values], dim=1), torch.cat([inside, inside], dim=1)
    for how in ("max", "min", "mean"):
        torch.testing.assert_close(pool(*twice, how), pool(values, inside, how))
    torch.testing.assert_close(pool(*twice, "sum"), 2 * pool(values, inside, "sum"))


def test_max_pooling_teaches_only_the_winners():
    values, inside = sets(slots=20)
    values.requires_grad_()
    pool(values, inside, "max").sum().backward()
    taught = (values.grad != 0).any(2)  # (B, N)
    assert (taught.sum(1) <= values.shape[2]).all()
    assert taught.equal(importance(values, inside) > 0)


def test_importance_is_a_share_and_ties_are_split():
    values, inside = sets()
    won = importance(values, inside)
    assert (won >= 0).all() and (won[~inside] == 0).all()
    torch.testing.assert_close(won.sum(1), torch.ones(5))
    tied = torch.tensor([[[1.0, 1.0], [1.0, 0.0]]])
    assert importance(tied, torch.ones(1, 2, dtype=torch.bool)).tolist() == [[0.75, 0.25]]


# ---- the model ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("elements", KINDS)
def test_the_prediction_does_not_depend_on_the_order_of_the_elements(elements, pooling):
    model, batch = ready(elements=elements, pooling=pooling)
    found = model.senses.elements(batch)
    order = torch.randperm(found.values.shape[1], generator=torch.Generator().manual_seed(0))
    moved = found._replace(values=found.values[:, order], inside=found.inside[:, order], owner=found.owner[order])
    before = model.predict(batch)
    model.senses.elements = lambda samples: moved
    torch.testing.assert_close(model.predict(batch), before, rtol=0, atol=1e-5)


@pytest.mark.parametrize("pooling", [*POOLINGS, "concat"])
def test_every_subset_of_modalities_is_answered_even_the_empty_one(pooling):
    model, batch = ready(elements="modality", pooling=pooling)
    model.train()
    for bits in range(8):
        here = torch.tensor([bits >> place & 1 for place in range(3)]) > 0
        some = replace(
            batch, present=here.expand(len(batch), 3), features=tuple(one.nan_to_num() for one in batch.features)
        )
        model.zero_grad()
        prediction = model.predict(some)
        prediction.sum().backward()
        assert prediction.isfinite().all()
        assert all(one.grad is None or one.grad.isfinite().all() for one in model.parameters())


def test_the_empty_set_has_a_learned_vector_and_weighs_nothing():
    model, batch = ready()
    empty = replace(batch, present=torch.zeros_like(batch.present))
    model.nothing.data.normal_()
    assert model.pooled(model.elements(empty)).equal(model.nothing.expand(len(batch), -1))
    assert (model.weights(empty) == 0).all()


@pytest.mark.parametrize("elements", ["steps", "modality"])
def test_removing_what_won_nothing_leaves_the_prediction_exactly_as_it_was(elements):
    model, batch = ready(elements=elements)
    found = model.elements(batch)
    lost = importance(found.values, found.inside) == 0
    smaller = found._replace(inside=found.inside & ~lost)
    assert model.pooled(smaller).equal(model.pooled(found))
    if elements == "steps":
        assert (found.inside & lost).any()


@pytest.mark.parametrize("pooling", ["max", "min", "attention"])
def test_the_weights_of_modalities_sum_to_one_and_are_zero_where_absent(pooling):
    model, batch = ready(pooling=pooling)
    weights = model.weights(batch)
    assert (weights[~batch.present] == 0).all() and (weights >= 0).all()
    torch.testing.assert_close(weights.sum(1), torch.ones(len(batch)))


def test_a_pooling_without_winners_says_so():
    model, batch = ready(pooling="mean")
    with pytest.raises(mmalign.errors.InputError, match="max, min or attention, found mean"):
        model.weights(batch)


def test_more_steps_than_in_training_are_taken_and_sampling_finer_hardly_matters_to_a_mean():
    model, batch = ready(pooling="mean")
    doubled = replace(
        batch, features=tuple(one.repeat_interleave(2, dim=1) for one in batch.features), lengths=2 * batch.lengths
    )
    spread = model.predict(batch).std()
    assert (model.predict(doubled) - model.predict(batch)).abs().mean() < 0.3 * spread


def test_a_balanced_sum_does_not_grow_with_the_number_of_steps():
    model, batch = ready(pooling="sum")
    found = model.elements(batch)
    by_hand = torch.zeros(len(batch), 8)
    for place in range(3):
        mine = found.inside & (found.owner == place)
        mean = pool(found.values, mine, "mean")
        by_hand += torch.where(batch.present[:, place, None], mean, 0)
    torch.testing.assert_close(model.pooled(found), by_hand)
    unbalanced, _ = ready(pooling="sum", balance=False)
    torch.testing.assert_close(unbalanced.pooled(found), pool(found.values, found.inside, "sum"))


def test_a_new_modality_adds_its_own_map_and_leaves_the_rest_except_where_vectors_are_joined():
    pairs = [("first", "second"), ("first", "second", "third")]
    for pooling in ("max", "concat"):
        rest = []
        for pair in pairs:
            model = small.build("deep-sets", small.planted(pair=pair), elements="modality", pooling=pooling)
            rest.append(sum(one.numel() for one in model.answer.parameters()))
        assert (rest[0] == rest[1]) == (pooling == "max")


def test_the_concatenation_is_zero_exactly_where_a_modality_is_absent():
    model, batch = ready(elements="modality", pooling="concat")
    parts = model.pooled(model.elements(batch)).unflatten(1, (3, -1))  # (B, M, D)
    assert (parts == 0).all(2).equal(~batch.present)


def test_a_place_in_time_is_counted_in_the_samples_own_length():
    real = torch.tensor([[True] * 3 + [False] * 2, [True] * 5])
    told = places(real)
    torch.testing.assert_close(told[0, [0, 1, 2]], told[1, [0, 2, 4]])
    assert not told[1, 0].allclose(told[1, 4])


def test_modality_dropout_hides_some_in_training_and_never_all():
    _, batch = ready()
    torch.manual_seed(0)
    kept = torch.stack([drop_modalities(batch, 0.6).present for _ in range(50)])
    assert (kept <= batch.present).all() and kept.any(2).all() and (kept != batch.present).any()
    several = batch.present.all(1)
    assert 0 < (kept[:, several] != True).float().mean() < 0.6  # noqa: E712
    plain, hidden = (ready(modality_dropout=chance)[0] for chance in (0.0, 0.6))
    torch.testing.assert_close(plain.predict(batch), hidden.predict(batch))


def test_one_modality_alone_is_the_same_as_samples_that_have_no_other():
    model, batch = ready()
    alone = model.alone(batch)
    for place in range(3):
        here = batch.present[:, place]
        torch.testing.assert_close(alone[here, place], model.predict(only(batch, place).rows(here)), atol=1e-5, rtol=0)


def test_a_configuration_refuses_what_is_no_set():
    with pytest.raises(mmalign.errors.InputError, match="concat goes with elements=modality, found steps"):
        DeepSetsConfig(pooling="concat", elements="steps")
