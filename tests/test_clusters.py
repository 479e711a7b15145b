"""Centres of k-means: where the groups are known, they are found; where points are few, they come again."""

import pytest
import torch

from mmalign.clusters import centres


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_middles_of_far_groups_are_found(dtype):
    middles = torch.tensor([[0.0, 0.0], [50.0, 0.0], [0.0, 50.0]], dtype=dtype)
    offsets = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]], dtype=dtype)
    found = centres((middles[:, None] + offsets).flatten(0, 1), 3, seed=0, starts=10)
    assert found.dtype == dtype
    torch.testing.assert_close(found[found.sum(1).argsort()][0], middles[0])
    assert torch.cdist(middles, found).min(1).values.max() < 1e-5


def test_where_fewer_points_differ_each_is_a_centre_and_the_first_of_its_like_is_nearest():
    points = torch.tensor([[1.0], [2.0]]).repeat(5, 1)
    found = centres(points, 5, seed=0, starts=1)
    assert sorted(found[:2, 0].tolist()) == [1, 2] and found[2:].equal(found[[0, 1, 0]])
    assert torch.cdist(points, found).argmin(1).max() == 1


@pytest.mark.parametrize("points", [torch.ones(1, 3), torch.ones(5, 3)])
def test_one_point_is_every_centre(points):
    assert centres(points, 5, seed=0, starts=10).equal(torch.ones(5, 3))


def test_a_seed_repeats_them():
    points = torch.rand(60, 3)
    assert centres(points, 7, seed=3, starts=1).equal(centres(points, 7, seed=3, starts=1))
