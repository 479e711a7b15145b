"""Whose victim a control shows."""

from dataclasses import replace

import small
import torch

from mmalign.method.controls import anyone, beside, of_like_label


def test_a_shuffle_gives_every_victim_to_one_sample():
    batch = small.planted(survival=1.0, setting="B").train.batch
    assert sorted(anyone(batch).tolist()) == [*range(len(batch))]


def test_among_like_labels_the_class_is_kept_and_the_victim_is_not():
    batch = small.planted(survival=1.0, setting="B", task="classification").train.batch
    partner = of_like_label(batch)
    assert batch.labels[partner].equal(batch.labels) and (partner != torch.arange(len(batch))).all()


def test_a_score_goes_with_the_nearest_other():
    batch = small.planted(survival=1.0, setting="B").train.batch
    partner, labels = of_like_label(batch), batch.labels
    for one, other in enumerate(partner.tolist()):
        others = [place for place in range(len(batch)) if place != one]
        assert abs(labels[one] - labels[other]) == min(abs(labels[one] - labels[place]) for place in others)


def test_who_has_no_label_goes_with_others_who_have_none_and_who_is_alone_stays():
    batch = small.planted(survival=1.0, setting="B", task="classification").train.batch
    labels = torch.full_like(batch.labels, -1)
    labels[0] = 1
    partner = of_like_label(replace(batch, labels=labels))
    assert partner[0] == 0 and sorted(partner[1:].tolist()) == [*range(1, len(batch))]


def test_beside_a_stranger_both_are_cut_to_the_shorter():
    batch = small.planted(survival=1.0, setting="B").train.batch
    partner = torch.arange(len(batch)).roll(1)
    shown = beside(batch, partner)
    assert shown.lengths.equal(torch.minimum(batch.lengths, batch.lengths[partner]))
    assert shown.victim.equal(batch.victim[partner]) and shown.visible is batch.visible
