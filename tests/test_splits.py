"""Who stands where, and who lacks what."""

import math
from collections import Counter
from dataclasses import replace
from itertools import chain

import pytest
import small
import torch
from hypothesis import given
from hypothesis import strategies as st

import mmalign
from mmalign import InputError
from mmalign.config import Condition
from mmalign.data import Source, Split, make_splits, missing

PARTS = ("train", "valid", "test")


def source(count=40, group=None, **changes):
    """Samples whose features are their own number."""
    values = torch.arange(count, dtype=torch.float32)[:, None, None].expand(count, 3, 2).clone()
    groups = None if group is None else torch.arange(count) // group
    facts = {"features": {"one": values, "two": values + 0.5}, "lengths": torch.full((count,), 3)}
    facts |= {"labels": torch.arange(count, dtype=torch.float32), "task": "regression", "groups": groups}
    return Source(name="numbers", about="numbers", **{**facts, **changes})


def split(one=None, pair=("one", "two"), **asked):
    return make_splits(one or source(), Condition(pair=pair, **asked))


def ids(data):
    return [getattr(data, part).batch.ids.tolist() for part in PARTS]


# ---- who stands where --------------------------------------------------------------------------------


@given(st.integers(0, 40), st.sampled_from([None, 2, 5]))
def test_every_sample_stands_on_exactly_one_side_three_to_one_to_one(seed, group):
    parts = ids(split(source(group=group), seed=seed))
    assert sorted(chain(*parts)) == list(range(40))
    if group != 5:
        assert [len(part) for part in parts] == [24, 8, 8]


@given(st.integers(0, 40))
def test_a_group_never_stands_on_two_sides(seed):
    one = source(group=4)
    sides = [{*one.groups[part].tolist()} for part in ids(split(one, seed=seed))]
    assert not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])


@pytest.mark.parametrize("first", [0, 5, 35])
@pytest.mark.parametrize("group", [None, 4])
def test_five_seeds_are_five_folds_each_sample_is_tested_once_and_validated_once(first, group):
    folds = [ids(split(source(group=group), seed=first + seed)) for seed in range(5)]
    for side in (1, 2):
        assert sorted(chain(*(fold[side] for fold in folds))) == list(range(40))


def test_further_seeds_redraw_the_folds():
    assert sorted(ids(split(seed=0))[2]) not in [sorted(ids(split(seed=seed))[2]) for seed in range(5, 10)]


def test_the_same_seed_gives_the_same_ids_and_another_gives_others_of_the_same_number():
    first, again, other = (split(seed=seed) for seed in (1, 1, 2))
    assert ids(first) == ids(again) != ids(other)
    assert first.train.complete.batch.ids.equal(again.train.complete.batch.ids)
    assert [len(part) for part in ids(first)] == [len(part) for part in ids(other)]
    assert len(first.train.complete) == len(other.train.complete)


def test_a_source_that_comes_split_stays_so_and_the_seed_draws_the_absences_only():
    one = source(parts=torch.arange(40) % 3)
    first, second = split(one, seed=0), split(one, seed=1)
    assert ids(first) == ids(second) == [list(range(part, 40, 3)) for part in range(3)]
    assert not first.train.complete.batch.ids.equal(second.train.complete.batch.ids)


# ---- who lacks what ----------------------------------------------------------------------------------


@given(st.integers(1, 100))
def test_exactly_the_floor_of_p_times_n_victims_survive(percent):
    survival = percent / 100
    data = split(source(count=200), survival=survival, setting="B")
    for part in PARTS:
        one = getattr(data, part)
        assert len(one.complete) == percent * len(one) // 100
        both = torch.cat([one.complete.batch.ids, one.missing.batch.ids])
        assert sorted(both.tolist()) == sorted(one.batch.ids.tolist())


def test_setting_a_leaves_no_victim_in_validation_and_test_and_setting_b_the_training_rate():
    for setting, share in (("A", 0), ("B", 4)):
        data = split(setting=setting)
        assert (len(data.train.complete), len(data.valid.complete), len(data.test.complete)) == (12, share, share)


def test_an_absent_victim_is_nan_and_everything_else_is_as_it_was():
    for part in PARTS:
        batch = getattr(split(setting="B"), part).batch
        own = batch.ids[:, None, None].float().expand(-1, 3, 2)
        assert batch.visible.equal(own) and batch.labels.equal(batch.ids.float())
        assert batch.victim[~batch.complete].isnan().all()
        assert batch.victim[batch.complete].equal(own[batch.complete] + 0.5)


def test_survivors_of_a_smaller_share_are_among_those_of_a_larger_one():
    chosen = [{*split(survival=share).train.complete.batch.ids.tolist()} for share in (0.1, 0.4, 0.9, 1.0)]
    assert chosen[0] < chosen[1] < chosen[2] < chosen[3]


@given(st.integers(1, 60), st.floats(0, 1), st.integers(0, 9))
def test_draws_are_exact_and_nested(count, share, seed):
    chosen, more = missing.draw(count, share, seed), missing.draw(count, min(1.0, share + 0.2), seed)
    assert int(chosen.sum()) == int(share * count + 1e-9) and (more | ~chosen).all()


def test_swapping_the_pair_swaps_who_is_visible():
    batch = split(pair=("two", "one")).train.complete.batch
    assert batch.visible.equal(batch.ids[:, None, None].float().expand(-1, 3, 2) + 0.5)
    assert batch.victim.equal(batch.visible - 0.5)


def test_victims_that_the_source_lacks_are_never_present():
    lacking = torch.arange(40) % 2 == 0
    data = split(source(has_victim=~lacking), survival=1.0, setting="B")
    for part in PARTS:
        batch = getattr(data, part).batch
        assert batch.complete.equal(~lacking[batch.ids])


# ---- labels ------------------------------------------------------------------------------------------


def test_labels_are_hidden_in_training_only_and_in_whole_groups():
    one = source(group=4)
    data = split(one, labelled=0.5)
    batch = data.train.batch
    shown = {*one.groups[batch.ids[batch.labelled]].tolist()}
    assert len(shown) == 3 and shown.isdisjoint(one.groups[batch.ids[~batch.labelled]].tolist())
    assert batch.labels[~batch.labelled].isnan().all()
    assert data.valid.batch.labelled.all() and data.test.batch.labelled.all()


def test_a_hidden_class_is_minus_one_and_at_least_one_group_is_shown():
    classes = source(labels=torch.arange(40) % 3, task="classification", classes=("a", "b", "c"))
    batch = split(classes, labelled=1e-6).train.batch
    assert int(batch.labelled.sum()) == 1 and {*batch.labels[~batch.labelled].tolist()} == {-1}


def test_labels_are_shown_among_those_that_are_known():
    few = source(labels=torch.where(torch.arange(40) < 12, torch.arange(40.0), torch.nan))
    for seed in range(5):
        batch = split(few, labelled=0.2, seed=seed).train.batch
        assert int(batch.labelled.sum()) == 1


@pytest.mark.parametrize("seed", range(5))
def test_a_sample_without_a_label_can_only_train_and_not_where_its_group_is_on_another_side(seed):
    halves = torch.where(torch.arange(40) % 2 == 0, torch.arange(40.0), torch.nan)  # of each group of four, two labels
    data = split(source(group=4, labels=halves), seed=seed)
    train, valid, test = ids(data)
    assert sum(one % 2 for one in train) == len(train) / 2 == 12
    assert not any(one % 2 for one in valid + test) and len(valid) == len(test) == 4


# ---- batches -----------------------------------------------------------------------------------------


@given(st.integers(1, 30))
def test_batches_hold_each_sample_once_and_keep_the_order_unless_shuffled(size):
    data = small.planted()
    whole = data.train.batch.ids.tolist()
    plain = [batch.ids.tolist() for batch in data.train.batches(size)]
    assert [*chain(*plain)] == whole and all(len(one) == size for one in plain[:-1])
    order = torch.Generator().manual_seed(0)
    mixed = [*chain(*(batch.ids.tolist() for batch in data.train.batches(size, order)))]
    assert sorted(mixed) == sorted(whole) and mixed != whole


def test_what_planted_data_know_is_told_for_the_samples_of_a_batch():
    data = small.planted()
    batch = data.valid.batch
    assert data.answer("match", batch).equal(data.source.answers["match"][batch.ids])


# ---- mistakes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"survival": 0.0}, "survival"),
        ({"survival": 1.01}, "survival"),
        ({"survival": float("nan")}, "survival"),
        ({"survival": 0.01}, "survival 0.01 of 24 training samples leaves none with its victim; 0.042 is enough"),
        ({"labelled": 0.0}, "labelled"),
        ({"setting": "C"}, "setting"),
        ({"seed": -1}, "seed"),
        ({"pair": ("one", "one")}, "pair must be two or more different modalities"),
        ({"pair": ("one",)}, "pair must be two or more different modalities"),
        ({"pair": ("one", "three")}, "unknown modality of numbers 'three'; known: one, two"),
    ],
)
def test_a_bad_request_is_refused_by_its_name(options, says):
    with pytest.raises(InputError, match=says):
        split(**options)


def test_a_source_checks_its_own_shapes():
    with pytest.raises(InputError, match="labels holds 3 samples, lengths 40"):
        source(labels=torch.zeros(3))
    with pytest.raises(InputError, match=r"lengths must lie in 1\.\.3, found 4 at sample 39"):
        source(lengths=torch.cat([torch.full((39,), 3), torch.tensor([4])]))
    features = source().features
    with pytest.raises(InputError, match="same number of steps"):
        source(features={**features, "two": features["two"][:, :2]})
    with pytest.raises(InputError, match="no samples"):
        source(count=0)
    with pytest.raises(InputError, match="five folds need at least 5 labelled samples or groups, found 4"):
        split(source(group=10))


def test_the_digest_changes_with_any_value():
    digests = {source().digest, source(count=41).digest, replace(source(), labels=torch.ones(40)).digest}
    features = source().features
    features["two"][3, 1, 1] += 1e-3
    assert len(digests | {source(features=features).digest}) == 4 and source().digest in digests


def test_a_source_can_be_described_to_people():
    facts = source(group=4, parts=torch.arange(40) % 3).describe()
    assert facts["samples"] == "40" and facts["groups"] == "10" and facts["parts"] == "train 14, valid 13, test 13"


# ---- more than two modalities, and any of them absent ------------------------------------------------


def three(**options):
    return mmalign.load("planted", ("first", "second", "third"), **{"survival": 0.5, "setting": "R", **options})


def test_in_setting_r_each_modality_goes_on_its_own_and_something_always_stays():
    data = three(survival=0.3)
    for split in (data.train, data.valid, data.test):
        present = split.batch.present
        assert present.any(dim=1).all() and present.shape[1] == 3
        assert ((present.float().mean(0) > 0.3) & (present.float().mean(0) < 0.6)).all()  # 0.3, and who drew again
        for place, values in enumerate(split.batch.features):
            assert values[~present[:, place]].isnan().all() and values[present[:, place]].isfinite().all()


def test_what_torch_takes_a_new_number_to_be_changes_nobodys_absence(take_new_numbers_to_be):
    usual = missing.draw_each(100, 3, 0.4, seed=1)
    take_new_numbers_to_be(torch.float64)
    assert torch.equal(missing.draw_each(100, 3, 0.4, seed=1), usual)


def test_in_settings_a_and_b_only_the_second_modality_is_absent():
    for setting in ("A", "B"):
        data = three(setting=setting)
        assert data.train.batch.present.float().mean(0).tolist() == [1, 0.5, 1]
        assert data.test.batch.present.float().mean(0).tolist() == [1, 0.5 if setting == "B" else 0, 1]


def test_a_third_modality_leaves_the_other_two_and_their_split_as_they_are():
    two, more = mmalign.load("planted", survival=0.5), three(setting="A")
    assert two.test.batch.ids.equal(more.test.batch.ids) and two.train.batch.present.equal(
        more.train.batch.present[:, :2]
    )
    assert two.test.batch.visible.equal(more.test.batch.visible)


@pytest.mark.parametrize(("survival", "complete"), [(0.1, 6), (0.9, 54)])
def test_paired_batches_hold_both_parts_and_visit_the_longer_one_exactly_once(survival, complete):
    train = mmalign.load("planted", survival=survival, samples=100).train
    batches = [*train.part("paired").batches(8, torch.Generator().manual_seed(0))]
    assert len(train.complete) == complete and len(batches) == math.ceil(54 / 8)
    longer = torch.cat([batch.ids[batch.complete == (complete == 54)] for batch in batches])
    assert sorted(longer.tolist()) == sorted((train.complete if complete == 54 else train.missing).batch.ids.tolist())
    for batch in batches:
        here = batch.complete
        assert here.any() and not here.all() and here.long().diff().le(0).all()  # complete ones first


def test_paired_batches_need_no_second_part():
    train = mmalign.load("planted", survival=1.0, setting="B", samples=100).train
    assert sum(map(len, train.part("paired").batches(8, torch.Generator().manual_seed(0)))) == 60


@pytest.mark.parametrize("setting", ["B", "R"])
def test_training_validation_and_test_draw_who_lacks_the_victim_each_for_itself(setting):
    """Were it one draw, the same places of each would be hidden, in every part and whatever the seed."""
    data = split(source(count=200), survival=0.5, setting=setting)
    train, valid, test = (getattr(data, part).batch.present[:40] for part in PARTS)
    assert not train.equal(valid) and not valid.equal(test) and not train.equal(test)
    other = split(source(count=200), survival=0.5, setting=setting, seed=1)
    assert not other.valid.batch.present.equal(test) and not other.train.batch.present[:40].equal(valid)


# ---- few labels ------------------------------------------------------------------------------------------


def few(survival=1.0, labelled=0.1, **options):
    return mmalign.load("planted", survival=survival, labelled=labelled, samples=500, **options)


def test_a_shuffled_batch_holds_labelled_and_unlabelled_samples_in_equal_numbers():
    train = few().train
    assert (len(train), int(train.samples.labelled.sum())) == (300, 30)
    batches = [*train.batches(10, torch.Generator().manual_seed(0))]
    assert len(batches) == train.count(10) == 27
    for batch in batches:
        assert len(batch) == 20 and batch.labelled.tolist() == [True] * 10 + [False] * 10
    seen = Counter(torch.cat([batch.ids for batch in batches]).tolist())
    shown = {*train.samples.ids[train.samples.labelled].tolist()}
    assert {seen[one] for one in seen if one not in shown} == {1}  # the many exactly once, the few in turns
    assert {seen[one] for one in shown} == {9} and len(seen) == 300


def test_every_part_of_few_labels_is_joined_alike():
    train = few(survival=0.5, labelled=0.2).train
    for name in ("complete", "imputed", "paired", "all"):
        part = train.part(name)
        batches = [*part.batches(10, torch.Generator().manual_seed(0))]
        assert len(batches) == part.count(10) and all(0 < batch.labelled.sum() < len(batch) for batch in batches)


def test_unshuffled_batches_visit_every_sample_once_in_its_order_whatever_is_labelled():
    train = few().train
    assert torch.cat([batch.ids for batch in train.batches(7)]).equal(train.samples.ids)


@pytest.mark.parametrize("part", ["all", "complete", "imputed", "paired"])
def test_where_every_label_is_shown_batches_are_what_they_were(part):
    """Stored runs rest on it: the order of the random numbers, too."""
    train = mmalign.load("planted", survival=0.5, samples=100).train
    order = torch.Generator().manual_seed(3)
    found = [batch.ids.tolist() for batch in train.part(part).batches(8, order)]
    again = torch.Generator().manual_seed(3)

    def plain(ids):
        return [one.tolist() for one in ids[torch.randperm(len(ids), generator=again)].split(8)]

    complete, absent = (train.samples.ids[which] for which in (train.samples.complete, ~train.samples.complete))
    if part == "paired":
        expected = [mine + other for mine, other in zip(*map(plain, (complete, absent)), strict=True)]
    else:
        expected = plain({"all": train.samples.ids, "complete": complete, "imputed": absent}[part])
    assert found == expected


@pytest.mark.parametrize("survival", [1.0, 0.6])
def test_the_imputed_path_learns_from_every_label_there_is(survival):
    train = few(survival=survival).train
    imputed = train.imputed
    assert int(imputed.samples.labelled.sum()) == int(train.samples.labelled.sum()) == 30
    assert not imputed.samples.complete.any() and imputed.batch.victim.isnan().all()
    assert imputed.batch.visible.isfinite().all()
    unlabelled = imputed.samples.ids[~imputed.samples.labelled]
    assert {*unlabelled.tolist()} == {*train.samples.ids[~train.samples.complete & ~train.samples.labelled].tolist()}
    padded = Split(train.batch).imputed.batch  # the same from samples that are padded already
    torch.testing.assert_close(padded.features, imputed.batch.features, equal_nan=True)
    assert padded.present.equal(imputed.batch.present)


def test_validation_shows_no_more_labels_than_training():
    for share, expected in ((0.1, 30), (0.3, 90), (0.5, 100), (1.0, 100)):
        data = few(labelled=share)
        assert len(data.valid) == expected and len(data.test) == 100
    inside = {*few(labelled=0.1).valid.samples.ids.tolist()}
    assert inside < {*few(labelled=1.0).valid.samples.ids.tolist()}
