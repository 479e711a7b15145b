"""The one thing that systems are handed."""

import small
import torch


def test_rows_by_place_and_by_mask_are_the_same_samples():
    batch = small.planted().train.batch
    mask = batch.complete
    by_mask, by_place = batch.rows(mask), batch.rows(mask.nonzero()[:, 0])
    assert by_mask.ids.equal(by_place.ids) and by_mask.complete.all() and len(by_mask) == int(mask.sum())


def test_rows_are_cut_to_the_longest_of_them_and_to_no_less():
    batch = small.planted().train.batch
    shortest = batch.lengths.argmin()[None]
    one = batch.rows(shortest)
    assert one.visible.shape[1] == int(batch.lengths.min()) == one.victim.shape[1]
    assert one.visible.equal(batch.visible[shortest][:, : one.visible.shape[1]])


def test_no_rows_are_an_empty_batch():
    batch = small.planted().train.batch
    none = batch.rows(torch.zeros(len(batch), dtype=torch.bool))
    assert len(none) == 0 and none.visible.shape[1] == 0


def test_a_hidden_label_is_known_as_hidden_in_both_tasks():
    for task in ("regression", "classification"):
        batch = small.planted(labelled=0.5, task=task).train.batch
        assert int(batch.labelled.sum()) == len(batch) // 2


def test_a_batch_moves_as_a_whole():
    moved = small.planted().train.batch.to("meta").hidden()
    everything = (*moved.features, moved.lengths, moved.labels, moved.present, moved.ids)
    assert {value.device.type for value in everything} == {"meta"}
