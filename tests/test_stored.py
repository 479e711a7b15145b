"""Samples that are padded late are the samples that are padded early."""

from dataclasses import replace

import pytest
import torch

from mmalign.batch import Batch
from mmalign.config import Condition
from mmalign.data import Source, Split, make_splits
from mmalign.data.ragged import Ragged

LENGTHS = torch.arange(60) % 5 + 1


def a_source(ragged):
    """60 samples of one to five steps, padded or end to end."""
    draw = torch.Generator().manual_seed(0)
    steps = {name: torch.randn(int(LENGTHS.sum()), wide, generator=draw) for name, wide in (("one", 3), ("two", 4))}
    features = {name: Ragged.of_lengths(values, LENGTHS) for name, values in steps.items()}
    if not ragged:
        features = {name: values[torch.arange(60)] for name, values in features.items()}
    return Source(
        name="few",
        features=features,
        lengths=LENGTHS,
        labels=torch.randn(60, generator=draw),
        task="regression",
        about="",
    )


@pytest.fixture(params=["A", "B", "R"])
def both(request):
    """The training samples from the ragged and from the padded source."""
    return [
        make_splits(a_source(ragged), Condition(pair=("one", "two"), setting=request.param, seed=1)).train
        for ragged in (True, False)
    ]


def same(ours, theirs):
    for mine, other in zip(ours.features, theirs.features, strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=0, equal_nan=True)
    for name in ("lengths", "labels", "present", "ids"):
        torch.testing.assert_close(getattr(ours, name), getattr(theirs, name), rtol=0, atol=0, equal_nan=True)


def test_ragged_and_padded_sources_give_the_same_batches(both):
    for part in ("all", "complete", "missing"):
        ours, theirs = (split.part(part) for split in both)
        generators = [torch.Generator().manual_seed(3) for _ in both]
        pairs = zip(ours.batches(7, generators[0]), theirs.batches(7, generators[1]), strict=True)
        assert sum(same(*pair) is None for pair in pairs) == -(-len(ours) // 7)


def test_a_batch_is_what_rows_of_the_whole_give(both):
    for split in both:
        chosen = torch.tensor([5, 0, 11])
        same(split.samples.rows(chosen), split.batch.rows(chosen))
        same(split.samples.rows(chosen), Split(split.batch).samples.rows(chosen))
        assert isinstance(split.samples.rows(chosen), Batch)


def test_what_is_absent_is_nan_and_the_source_stays_as_it_was():
    source = a_source(ragged=False)
    before = {name: values.clone() for name, values in source.features.items()}
    batch = make_splits(source, Condition(pair=("one", "two"), seed=1)).train.batch
    assert batch.victim[~batch.complete].isnan().all() and not batch.victim[batch.complete].isnan().any()
    assert all(torch.equal(values, before[name]) for name, values in source.features.items())


def test_the_steps_that_scales_are_learnt_from_are_the_real_ones_of_the_present(both):
    for split in both:
        for place in range(2):
            batch = split.batch
            by_hand = [
                values[:length]
                for values, length, here in zip(
                    batch.features[place], batch.lengths, batch.present[:, place], strict=True
                )
                if here
            ]
            torch.testing.assert_close(split.samples.seen(place), torch.cat(by_hand), rtol=0, atol=0)
            torch.testing.assert_close(batch.seen(place), torch.cat(by_hand), rtol=0, atol=0)


def test_a_part_of_a_part_copies_no_features(both):
    ragged, _ = both
    part = ragged.complete.samples.part(torch.arange(3))
    assert part.features is ragged.samples.features
    assert replace(part, labels=part.labels + 1).features is ragged.samples.features
