"""The sliders on the Python side: what they hold, what they store, what they refuse."""

import base64
import html
import json
import re

import numpy as np
import pandas as pd
import pytest
import torch

import mmalign
from mmalign import masks, transport
from mmalign.experiments import statistics, verdicts
from mmalign.figures import widgets
from mmalign.method import dynamics
from mmalign.neighbours import MLA
from mmalign.neighbours.senses import fuse

pytestmark = pytest.mark.slow


def random_cost(l=6, seed=0):
    x, y = torch.randn(2, l, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return 1 - torch.cosine_similarity(x[:, None], y[None], dim=2)


def window_sliders(**traits):
    costs = {"a & <b>": random_cost(), "longer": random_cost(l=9, seed=1)}
    return widgets.WindowSliders(costs, {"longer": torch.arange(9)}, **traits)


def lag_sliders(**traits):
    return widgets.LagSliders(torch.eye(12), reach=3, **traits)


def sweep_sliders(**traits):
    return widgets.SweepSliders(random_cost(l=8), **{"window": 7, "sweeps": 4, **traits})


def decoding_sliders(**traits):
    """Weights from a plan, and fixed ones that send every step but the last one step later."""
    visible, victim = torch.randn(2, 6, generator=torch.Generator().manual_seed(2))
    late = torch.eye(6)[[1, 2, 3, 4, 5, 5]]
    victims = {"plan": victim, "one step late": victim}
    return widgets.DecodingSliders(visible, victims, {"plan": random_cost()}, {"one step late": late}, **traits)


def missing_sliders(**traits):
    return widgets.MissingSliders((30, 10, 10), seed=4, **traits)


def entropy_sliders(**traits):
    return widgets.EntropySliders({"acc": [1.5, 0.5, -0.5], "gyro": [-0.5, 1.0, 0.5]}, "abc", **traits)


EACH = {  # and where to move it
    window_sliders: {"window": 3, "mu": 0.7, "tol": 1e-6, "pair": 1},
    lag_sliders: {"window": 3, "mu": 0.7, "tol": 1e-6, "lag": -1},
    sweep_sliders: {"window": 3, "mu": 0.7, "sweeps": 9},
    decoding_sliders: {"window": 3, "mu": 0.7, "step": 2, "case": 0},
    missing_sliders: {"survival": 0.3, "setting": "B"},
    entropy_sliders: {"first": 2.5, "second": 0.5, "absent": "gyro"},
}
each_widget = pytest.mark.parametrize("make", EACH)


def stored(sliders):
    """The still twin, taken apart: its state and its picture."""
    data, _ = sliders._repr_mimebundle_()
    state = re.search(r'data-state="([^"]*)"', data["text/html"]).group(1)
    picture = re.search(r'<img alt="([^"]+)" src="data:image/svg\+xml;base64,([^"]+)">', data["text/html"])
    return data, json.loads(html.unescape(state)), picture


@each_widget
def test_there_is_a_live_view_a_page_and_a_picture(make):
    data, state, picture = stored(make())
    assert {"application/vnd.jupyter.widget-view+json", "text/html", "text/plain"} <= set(data)
    assert base64.b64decode(picture.group(2)).startswith(b"<?xml")
    assert f"{state['kind']}_sliders".replace("sweeps", "sweep") == make.__name__
    assert "0x" not in data["text/plain"]


@each_widget
def test_the_stored_state_is_the_live_one(make):
    sliders = make(**EACH[make])
    _, state, _ = stored(sliders)
    assert {name: getattr(sliders, name) for name in state} == state
    assert state.items() >= EACH[make].items()


@each_widget
def test_a_widget_says_where_its_controls_stand(make):
    for name, value in EACH[make].items():
        assert f"{name}={value}" in repr(make(**EACH[make])) or name in ("tol", "pair", "lag", "case")


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
        (sweep_sliders, "sweeps", 0),
        (sweep_sliders, "sweeps", 61),
        (sweep_sliders, "window", -1),
        (decoding_sliders, "step", 6),
        (decoding_sliders, "case", 2),
        (decoding_sliders, "mu", -1.0),
        (missing_sliders, "survival", 0.0),
        (missing_sliders, "survival", 1.01),
        (missing_sliders, "setting", "C"),
        (entropy_sliders, "first", -0.1),
        (entropy_sliders, "second", float("inf")),
        (entropy_sliders, "absent", "video"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_name_and_leaves_the_old_one(make, name, value):
    sliders = make()
    before = getattr(sliders, name)
    with pytest.raises(ValueError, match=name):
        setattr(sliders, name, value)
    assert getattr(sliders, name) == before


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: widgets.SweepSliders(torch.zeros(2, 3)), "cost"),
        (lambda: widgets.SweepSliders(torch.zeros(3, 3), most=1), "most"),
        (lambda: widgets.DecodingSliders([1, 2], {"late": [1, 2]}), "neither"),
        (lambda: widgets.DecodingSliders([1, 2], {"late": [1, 2]}, weights={"late": torch.eye(3)}), "2 victim steps"),
        (lambda: widgets.MissingSliders((60, 20)), "three numbers"),
        (lambda: widgets.MissingSliders((60, 20, 0)), "size of test"),
        (lambda: widgets.MissingSliders(seed=-1), "seed"),
        (lambda: widgets.EntropySliders({"acc": [1, 2]}), "two modalities"),
        (lambda: widgets.EntropySliders({"acc": [1, 2], "gyro": [1, 2]}, "ab", "c"), "truth"),
        (lambda: widgets.EntropySliders({"acc": [1, 2], "gyro": [1, 2, 3]}), "same two or more classes"),
    ],
)
def test_what_cannot_be_shown_is_refused_in_one_line(make, complaint):
    with pytest.raises(mmalign.errors.InputError, match=complaint) as refusal:
        make()
    assert "\n" not in str(refusal.value)


# ---- the numbers are the package's -----------------------------------------------------------------------------


def test_after_so_many_sweeps_columns_are_right_and_the_gap_is_that_of_the_trace():
    sliders = sweep_sliders(mu=0.05)
    for sweeps in (1, 7, 60):
        sliders.sweeps = sweeps
        plan = sliders.plan
        assert plan.sweeps == sweeps
        assert plan.gap.item() == sliders.gaps[sweeps - 1]
        torch.testing.assert_close(plan.mass[0].sum(0), torch.full((8,), 1 / 8, dtype=torch.float64))
    assert sliders.gaps[59] < sliders.gaps[6] < sliders.gaps[0]


@pytest.mark.parametrize("case", [0, 1])
def test_what_is_imputed_is_what_the_dynamics_imagine(case):
    sliders = decoding_sliders(case=case, window=2, mu=0.3, tol=1e-10, max_sweeps=10_000)
    learner = dynamics.AlignmentDynamics(mmalign.MMAlignConfig(window=2))
    real, visible = torch.ones(1, 6, dtype=torch.bool), torch.tensor(sliders.visible, dtype=torch.float64)
    imagined = learner.imagine(masks.to_band(sliders.weights[None], 2), visible[None, :, None], real)
    torch.testing.assert_close(sliders.imputed, imagined[0, :, 0])


def test_fixed_weights_do_not_ask_for_window_or_entropy():
    sliders = decoding_sliders(case=1)
    before = sliders.imputed
    sliders.window, sliders.mu = 0, 5.0
    assert sliders.imputed.equal(before)
    torch.testing.assert_close(before[1:5], torch.tensor(sliders.visible[:4], dtype=torch.float64))


@pytest.mark.parametrize("setting", "AB")
@pytest.mark.parametrize("survival", [0.04, 0.29, 0.5, 1.0])
def test_the_samples_that_lose_their_victim_are_those_of_load(setting, survival):
    data = mmalign.load("planted", samples=50, survival=survival, setting=setting, seed=4)
    sliders = missing_sliders(survival=survival, setting=setting)
    for name, keeps in sliders.keeps().items():
        assert getattr(data, name).batch.complete.equal(keeps)


def test_the_stored_queue_says_who_stays_at_every_survival():
    sliders = missing_sliders(setting="B")
    for percent in range(1, 101):
        sliders.survival = percent / 100
        for part in sliders.parts:
            stay = int(sliders.survival * len(part["places"]) + 1e-9)
            assert [place < stay for place in part["places"]] == sliders.keeps()[part["name"]].tolist()


@pytest.mark.parametrize("absent", ["none", "acc", "gyro"])
def test_the_fusion_is_that_of_mla(absent):
    model = MLA.from_data(mmalign.load("planted", samples=20, task="classification", survival=1.0, setting="B"))
    sliders = entropy_sliders(first=2.0, second=0.3, absent=absent)
    outputs, present = sliders.outputs[None], torch.tensor([[absent != "acc", absent != "gyro"]])
    torch.testing.assert_close(sliders.weights, model.weigh(outputs, present)[0])
    torch.testing.assert_close(sliders.fused, model.meaning.read(fuse(outputs, model.weigh(outputs, present)))[0])
    assert sliders.weights.max() <= 3 / 4 or absent != "none"


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
    assert "after 4 sweeps" in stored(sweep_sliders())[2].group(1)
    assert "visible step 1, with weight 1.00" in stored(decoding_sliders(case=1, step=2))[2].group(1)
    assert "9 of 30 train samples, 0 of 10 valid" in stored(missing_sliders(survival=0.3))[2].group(1)
    assert "gyro is absent" in stored(entropy_sliders(absent="gyro"))[2].group(1)


# ---- boards ----------------------------------------------------------------------------------------------------

ONE_CLAIM = {
    "family": "paper", "whose": "A", "text": "helps", "data": ["watch"], "unit": "accuracy", "claimed": "more",
    "mean": 0.02, "low": -0.05, "high": 0.09,
}  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"family": "friends"}, "family"),
        ({"claimed": "less"}, "claimed"),
        ({"unit": "metres"}, "matters"),
    ],
)
def test_a_claim_that_says_too_little_is_refused_in_one_line(wrong, complaint):
    with pytest.raises(mmalign.errors.InputError, match=complaint):
        widgets.Claims([ONE_CLAIM | wrong], {"accuracy": 0.02})
    with pytest.raises(mmalign.errors.InputError, match="needs text"):
        widgets.Claims([{name: value for name, value in ONE_CLAIM.items() if name != "text"}], {"accuracy": 0.02})


def test_the_still_twin_of_the_board_says_what_became_of_the_claims():
    board = widgets.Claims([ONE_CLAIM, ONE_CLAIM | {"low": 0.01}], {"accuracy": 0.02})
    _, state, picture = stored(board)
    assert "2 claims" in picture.group(1) and "1 not resolved, 1 reproduced" in picture.group(1)
    assert len(state["claims"]) == 2 and state["matters"] == {"accuracy": 0.02}


COMPARISONS = pd.DataFrame(
    [
        {"question": "room?", "claim": "more", "metric": "accuracy", "difference": 0.1, "low": 0.05, "high": 0.15,
         "seeds": 5, "p": 0.004, "holm": 0.01, "matters": 0.02, "verdict": "holds"},
        {"question": "none?", "claim": "not more", "metric": "mae", "difference": 0.0, "low": -0.01, "high": 0.01,
         "seeds": 5, "p": 0.01, "holm": 0.02, "matters": 0.04, "verdict": "holds", "whose": "ours"},
        {"question": "no runs?", "metric": "mae"},
    ]
)  # fmt: skip


def test_a_table_of_comparisons_becomes_a_board_by_one_call():
    made = widgets.board(COMPARISONS, family="ours", data="watch", grid="book/grids/smoke.yaml")
    first, second, third = made.claims
    assert (first["text"], first["mean"], first["data"], first["seeds"]) == ("room?", 0.1, ["watch"], 5)
    assert "mmalign sweep book/grids/smoke.yaml" in first["command"] and first["matters"] == 0.02
    assert (second["unit"], second["whose"], second["claimed"]) == ("error avoided", "ours", "not more")
    assert third["low"] is None and made.verdicts() == ["reproduced", "reproduced", "not testable here"]
    assert "3 claims, each with its 95 % interval: 2 holds, 1 not testable here" in stored(made)[2].group(1)


def test_a_board_whose_runs_are_yet_to_be_made_says_so():
    made = widgets.board(COMPARISONS.iloc[2:])
    (said,) = made.draw().axes[0].texts
    assert "No run" in said.get_text() and made.verdicts() == ["not testable here"]


def test_the_board_judges_as_the_verdicts_of_a_grid_do():
    draw = np.random.default_rng(0)
    words = {"holds": "reproduced", "no such effect": "not reproduced"}
    for low, width, matters in draw.uniform(-0.1, 0.1, (300, 3)):
        one = statistics.Paired(low + abs(width) / 2, low, low + abs(width), 5)
        for claimed in ("more", "not more", "not less"):
            word = verdicts.judge(one, abs(matters), claimed)
            assert widgets.verdict(one.low, one.high, abs(matters), claimed) == words.get(word, word)


def test_sliders_whose_parts_do_not_fit_are_refused_in_one_line():
    eye, error = torch.eye(3), mmalign.errors.InputError
    with pytest.raises(error, match="must fit"):
        widgets.AttentionSliders(eye, torch.ones(2), [0, 1, 2])
    with pytest.raises(error, match="must fit"):
        widgets.EpochSliders(torch.stack([eye, eye]), eye, (range(3), range(3)), {"fit": [1.0]})
    with pytest.raises(error, match="need 3 steps"):
        widgets.EpochSliders(eye[None], eye, (range(3), range(2)), {"fit": [1.0]})
    with pytest.raises(error, match="a row for each of 3 columns"):
        widgets.ReleasedSliders(eye, [0, 1])
    with pytest.raises(error, match="three names"):
        widgets.GainMap({(0, 1, 2): (0, 0, 0)}, ["labels"], "accuracy")
    with pytest.raises(error, match=r"room must lie in 0\.\.0"):
        widgets.GainMap({(0, 1, 2): (0, 0, 0)}, ["room", "pairs", "labels"], "accuracy", room=1)


def test_the_still_twins_of_the_lessons_put_into_words_what_they_show():
    sliders = widgets.EpochSliders(torch.eye(3)[None], torch.eye(3), (range(3), range(3)), {"fit": [float("nan")]})
    assert "goes from 0.00 to 0.00" in stored(sliders)[2].group(1)
    assert "1 room: 1 of 1 resolved" in stored(
        widgets.GainMap({(0.1, 0.2, 0.3): (-0.2, -0.3, -0.1)}, ["room", "pairs", "labels"], "accuracy")
    )[2].group(1)


def test_the_true_class_is_named_in_the_picture_and_in_words_where_it_is_known():
    _, state, picture = stored(entropy_sliders(truth="b"))
    assert state["truth"] == "b" and picture.group(1).endswith("the truth is b.")
    assert "truth" not in stored(entropy_sliders())[2].group(1)


def test_the_dearer_unequal_sums_are_the_nearer_they_come_to_a_balanced_plan():
    cost = random_cost()
    balanced = transport.sinkhorn(cost[None], window=3, mu=0.2, tol=1e-9, max_sweeps=3000).mass[0]
    gaps = [(widgets.unequal(cost, 3, 0.2, rho, 500) - balanced).abs().max() for rho in (0.1, 1, 10, 1000)]
    assert gaps == sorted(gaps, reverse=True) and gaps[-1] < 1e-3


def test_the_first_picture_counts_what_was_imagined_right():
    word = {"letters": "at", "sounds": ["AE", "T"], "imagined": ["EY", "T"]}
    tables = {"cost": torch.eye(2), "predicted": torch.eye(2)}
    assert "1 of 2 steps are right" in stored(widgets.Story([word | tables]))[2].group(1)
    with pytest.raises(mmalign.errors.InputError, match="number of steps"):
        widgets.Story([word | tables | {"imagined": ["T"]}])


def test_a_playground_whose_table_misses_a_letter_is_refused():
    with pytest.raises(mmalign.errors.InputError, match="a row and a column for each"):
        widgets.Playground("ab", ["A"], torch.zeros(1, 1), {})


def test_sliders_over_no_pair_are_refused():
    with pytest.raises(mmalign.errors.InputError, match="costs must hold at least one pair, found none"):
        widgets.WindowSliders({})
