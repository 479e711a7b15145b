"""The sliders on the Python side: what they hold, what they store, what they refuse."""

import base64
import html
import json
import re

import pytest
import torch

from mmalign import transport, widgets


def random_cost(l=6, seed=0):
    x, y = torch.randn(2, l, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return 1 - torch.cosine_similarity(x[:, None], y[None], dim=2)


def window_sliders(**traits):
    costs = {"a & <b>": random_cost(), "longer": random_cost(l=9, seed=1)}
    return widgets.WindowSliders(costs, {"longer": torch.arange(9)}, **traits)


def lag_sliders(**traits):
    return widgets.LagSliders(torch.eye(12), reach=3, **traits)


each_widget = pytest.mark.parametrize("make", [window_sliders, lag_sliders])


def stored(sliders):
    """The still twin, taken apart: its state and its picture."""
    data, _ = sliders._repr_mimebundle_()
    state = re.search(r'data-state="([^"]*)"', data["text/html"]).group(1)
    picture = re.search(r'<img alt="([^"]+)" src="data:image/png;base64,([^"]+)">', data["text/html"])
    return data, json.loads(html.unescape(state)), picture


@each_widget
def test_there_is_a_live_view_a_page_and_a_picture(make):
    data, state, picture = stored(make())
    assert {"application/vnd.jupyter.widget-view+json", "text/html", "image/png", "text/plain"} <= set(data)
    assert base64.b64decode(picture.group(2)).startswith(b"\x89PNG")
    assert picture.group(2) == data["image/png"]
    assert state["kind"] in ("window", "lag")
    assert "0x" not in data["text/plain"]


@each_widget
def test_the_stored_state_is_the_live_one(make):
    sliders = make(window=3, mu=0.7, tol=1e-6)
    _, state, _ = stored(sliders)
    assert {name: getattr(sliders, name) for name in state} == state
    assert (state["window"], state["mu"], state["tol"]) == (3, 0.7, 1e-6)


@each_widget
def test_the_same_sliders_are_stored_as_the_same_bytes(make):
    assert make()._repr_mimebundle_()[0]["text/html"] == make()._repr_mimebundle_()[0]["text/html"]


def test_python_computes_with_the_very_numbers_that_the_page_holds():
    sliders = window_sliders(pair=1, window=2, mu=0.1)
    _, state, _ = stored(sliders)
    cost = torch.tensor(state["pairs"][1]["cost"], dtype=torch.float64)
    assert cost.equal(sliders.cost)
    assert (cost - random_cost(l=9, seed=1)).abs().max() <= 0.5e-4 + 1e-12
    assert sliders.plan.mass.equal(transport.sinkhorn(cost[None], window=2, mu=0.1).mass)


def test_setting_a_trait_moves_the_plan_and_the_picture():
    sliders = window_sliders(window=0)
    before, picture = sliders.plan.mass[0], stored(sliders)[2].group(2)
    sliders.window = 3
    assert not sliders.plan.mass[0].equal(before)
    assert stored(sliders)[2].group(2) != picture


def test_a_lag_shifts_the_copy_by_as_many_steps():
    sliders = lag_sliders()
    for lag in (-3, 0, 2):
        sliders.lag = lag
        places = (sliders.lagged_cost == 0).nonzero()
        assert ((places[:, 1] - places[:, 0]) == lag).all()
        assert len(places) == 6 - abs(lag)


def test_the_balanced_plan_of_a_lag_has_no_mean_displacement_and_the_one_sided_has():
    balanced, one_sided = lag_sliders(lag=2, window=3, mu=0.2, tol=1e-10, max_sweeps=10_000).plans().values()
    assert abs(widgets.displacement(balanced)) < 1e-9
    assert widgets.displacement(one_sided) > 0.5
    torch.testing.assert_close(one_sided.sum(1), torch.full((6,), 1 / 6, dtype=torch.float64))


@pytest.mark.parametrize(
    ("make", "name", "value"),
    [
        (window_sliders, "window", -1),
        (window_sliders, "mu", 0.0),
        (window_sliders, "mu", float("nan")),
        (window_sliders, "pair", 2),
        (lag_sliders, "lag", 4),
        (lag_sliders, "lag", -4),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_name_and_leaves_the_old_one(make, name, value):
    sliders = make()
    before = getattr(sliders, name)
    with pytest.raises(ValueError, match=name):
        setattr(sliders, name, value)
    assert getattr(sliders, name) == before


def test_costs_and_sequences_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="oblong"):
        widgets.WindowSliders({"oblong": torch.zeros(2, 3)})
    with pytest.raises(ValueError, match="more than 6 steps"):
        widgets.LagSliders(torch.zeros(6, 2), reach=3)


def test_what_is_seen_by_nobody_is_said_in_words():
    alt = stored(window_sliders(window=1))[2].group(1)
    assert "a &amp; &lt;b&gt;" in alt
    assert "window 1" in alt
    assert "lags by 2 steps" in stored(lag_sliders(lag=2))[2].group(1)
