"""Sequences without their padding give back what a padded tensor would."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmalign.data.ragged import Ragged, unpad


def padded_and_ragged(lengths, width=3, table=False):
    """The same sequences twice: padded by hand, and ragged."""
    lengths = torch.tensor(lengths)
    words = torch.randn(7, width)
    rows = torch.randint(7, (int(lengths.sum()),))
    steps = words[rows] if table else torch.randn(int(lengths.sum()), width)
    by_hand = torch.zeros(len(lengths), int(lengths.max()), width)
    for place, piece in enumerate(steps.split(lengths.tolist())):
        by_hand[place, : len(piece)] = piece
    return by_hand, Ragged.of_lengths(rows if table else steps, lengths, words if table else None)


@given(st.lists(st.integers(1, 6), min_size=1, max_size=8), st.booleans(), st.integers(1, 6))
def test_indexing_pads_as_one_would_by_hand(lengths, table, longest):
    by_hand, ragged = padded_and_ragged(lengths, table=table)
    everything = torch.arange(len(lengths))
    assert ragged.shape == by_hand.shape and len(ragged) == len(lengths)
    torch.testing.assert_close(ragged[everything], by_hand, rtol=0, atol=0)
    torch.testing.assert_close(ragged[everything.flip(0)], by_hand.flip(0), rtol=0, atol=0)
    mask = everything % 2 == 0
    torch.testing.assert_close(ragged[mask], by_hand[mask], rtol=0, atol=0)
    torch.testing.assert_close(ragged.cut(longest)[everything], by_hand[:, :longest], rtol=0, atol=0)
    real = torch.arange(by_hand.shape[1]) < torch.tensor(lengths)[:, None]
    torch.testing.assert_close(ragged.all_steps(), by_hand[real], rtol=0, atol=0)
    cut = real[:, :longest]
    torch.testing.assert_close(ragged.cut(longest).all_steps(), by_hand[:, :longest][cut], rtol=0, atol=0)


def test_joined_parts_follow_one_another():
    (one, first), (two, second) = padded_and_ragged([2, 4]), padded_and_ragged([3])
    both = Ragged.join([first, second])
    assert both.lengths.tolist() == [2, 4, 3]
    torch.testing.assert_close(both[torch.tensor([2])][:, :3], two, rtol=0, atol=0)
    torch.testing.assert_close(both[torch.tensor([0, 1])], one, rtol=0, atol=0)


def test_a_place_is_found_in_its_sequence():
    _, ragged = padded_and_ragged([2, 1, 4])
    assert [ragged.where(place) for place in range(7)] == [(0, 0), (0, 1), (1, 0), (2, 0), (2, 1), (2, 2), (2, 3)]


def test_padding_is_what_is_zero_everywhere_from_either_end():
    seen = np.zeros((3, 5, 2), "f4")
    heard = np.zeros((3, 5, 1), "f4")
    heard[0, 1], heard[0, 3], seen[0, 2] = 1, 3, 2  # steps 1 to 3, with a silent one inside and unseen ones around it
    seen[1, 4] = 7  # one step, four in front of it
    ragged, empty = unpad({"seen": seen, "heard": heard})  # and the third holds nothing
    assert empty == 1 and ragged["seen"].lengths.tolist() == [3, 1, 1]
    everything = torch.arange(3)
    assert ragged["heard"][everything][..., 0].tolist() == [[1, 0, 3], [0, 0, 0], [0, 0, 0]]
    assert ragged["seen"][everything][..., 0].tolist() == [[0, 2, 0], [7, 0, 0], [0, 0, 0]]
