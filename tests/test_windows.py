"""From a long table to pairs of windows: truth by construction."""

import numpy as np
import pandas as pd
import pytest

import mmalign
from mmalign import InputError

RATE, SECONDS = 10, 12


def table(people=("ann", "bob"), rate=RATE, seconds=SECONDS, seed=0):
    """Every value is its own time, so that a window says where it was cut."""
    parts = []
    for number, name in enumerate(people):
        t = np.arange(rate * seconds) / rate
        part = pd.DataFrame({"t": t, "person": name, "a": t, "b": -t, "g": t + 100 * number})
        parts.append(part.assign(activity=np.where(t < seconds / 2, "sit", "walk")))
    return pd.concat(parts, ignore_index=True)


def cut(frame, **changes):
    given = {"time": "t", "group": "person", "label": "activity", "visible": ["a", "b"], "victim": ["g"]}
    return mmalign.windows(frame, **{**given, "length": 4.0, "hop": 2.0, **changes})


def starts(pairs):
    return [one[0, 0] for one in pairs.visible]


def test_windows_hold_the_rows_of_their_time_one_label_and_one_person():
    pairs, labels, groups = cut(table())
    assert starts(pairs) == [0, 2, 6, 8] * 2  # from 4 on, two activities in one window
    assert labels.tolist() == ["sit", "sit", "walk", "walk"] * 2 and groups.tolist() == ["ann"] * 4 + ["bob"] * 4
    for place, (first, second) in enumerate(zip(pairs.visible, pairs.victim, strict=True)):
        steps = starts(pairs)[place] + np.arange(40) / RATE
        np.testing.assert_allclose(first, np.stack([steps, -steps], axis=1), atol=1e-12)
        np.testing.assert_allclose(second[:, 0], steps + 100 * (place >= 4), atol=1e-12)
    assert pairs.groups.tolist() == groups.tolist() and pairs.names == ("a,b", "g")


def test_order_of_rows_rows_that_came_twice_and_a_trembling_clock_change_nothing():
    clean, draw = table(), np.random.default_rng(0)
    dirty = pd.concat([clean, clean.iloc[::7]]).sample(frac=1, random_state=0)
    ours, theirs = cut(dirty), cut(clean)
    assert repr(ours[0]) == repr(theirs[0]) and ours[1].tolist() == theirs[1].tolist()
    assert all(np.array_equal(a, b) for a, b in zip(ours[0].visible, theirs[0].visible, strict=True))
    trembling = clean.assign(t=clean["t"] + draw.uniform(-0.3, 0.3, len(clean)) / RATE)
    trembling.loc[clean["t"] == 0, "t"] = 0.0
    assert [len(one) for one in cut(trembling)[0].visible] == [40] * len(ours[0])


def test_dates_are_seconds():
    clean = table()
    dated = clean.assign(t=pd.Timestamp("2026-03-01") + pd.to_timedelta(clean["t"], unit="s"))
    assert [len(one) for one in cut(dated)[0].visible] == [40] * 8


def test_lost_rows_are_drawn_as_straight_lines_left_out_or_refused():
    clean = table(("ann",))
    lost = clean.drop(index=[5, 6, 7])
    filled = cut(lost)[0].visible[0]
    np.testing.assert_allclose(filled[:, 0], np.arange(40) / RATE, atol=1e-9)
    dropped = cut(lost, gaps="drop")[0]
    assert len(dropped.visible[0]) == len(dropped.victim[0]) == 37 and len(dropped.visible[1]) == 40
    with pytest.raises(InputError, match="40 whole steps expected from time 0 on, found 37"):
        cut(lost, gaps="refuse")


def test_a_sensor_that_was_off_is_absent_and_a_window_without_both_is_left_out():
    frame = table(("ann",))
    frame.loc[frame["t"] < 4, "g"] = np.nan
    pairs, _, _ = cut(frame)
    assert pairs.present.tolist() == [[True, False], [True, True], [True, True], [True, True]]
    frame.loc[frame["t"] < 4, ["a", "b"]] = np.nan
    pairs, _, _ = cut(frame)
    assert starts(pairs)[-2:] == [6, 8] and len(pairs) == 3


def test_a_single_silent_axis_is_filled_where_it_speaks_and_absent_where_it_does_not():
    frame = table(("ann",))
    frame.loc[frame["t"].between(1, 1.55), "b"] = np.nan
    np.testing.assert_allclose(cut(frame)[0].visible[0][:, 1], -np.arange(40) / RATE, atol=1e-9)
    frame["b"] = np.nan
    with pytest.raises(InputError, match="no window"):
        cut(frame.assign(g=np.nan))


def test_the_slower_of_two_sensors_is_put_on_the_faster_ones_steps_or_keeps_its_own():
    fast, slow = table(("ann",)), table(("ann",), rate=5)
    both = pd.concat([fast.drop(columns="g"), slow.drop(columns=["a", "b"])])
    pairs, _, _ = cut(both)
    assert [len(one) for one in pairs.victim] == [40] * len(pairs)
    np.testing.assert_allclose(pairs.victim[0][:39, 0], np.arange(39) / RATE, atol=1e-9)
    own, _, _ = cut(both, rates="own")
    assert [len(one) for one in own.victim] == [20] * len(own) and [len(one) for one in own.visible] == [40] * len(own)
    assert own.batch().victim.shape == (len(own), 40, 1)


def test_labels_may_be_missing_and_fractions_are_averaged():
    frame = table(("ann",))
    frame.loc[frame["t"] < 6, "activity"] = None
    _, labels, _ = cut(frame)
    assert labels.tolist() == [None, None, "walk", "walk", "walk"]  # the one from 4 on knows one label
    _, scores, _ = cut(frame.assign(activity=np.where(frame["t"] < 4, np.nan, frame["t"])))
    assert np.isnan(scores[0]) and scores[2] == pytest.approx(5.95)
    _, nothing, groups = cut(frame, label=None, group=None)
    assert {*nothing.tolist()} == {None} and {*groups.tolist()} == {"all"}
    assert len(groups) == len(nothing)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"visible": ["a", "z"]}, "no column 'z'; found t, person, a, b, g, activity"),
        ({"victim": ["g", "a"]}, "column 'a' stands in visible and in victim"),
        ({"length": "4s"}, "length and hop must be numbers above 0, found '4s' and 2.0"),
        ({"visible": "a"}, "lists of columns, found the string 'a'"),
        ({"visible": ["person"]}, "column 'person' must hold numbers"),
        ({"time": "person"}, "column 'person' must hold numbers or dates"),
        ({"length": 0.05}, "a window of 0.05 holds 1 step; the unit of length is that of the time column"),
        ({"length": 4000.0}, "no window of 4000.0 in recordings of 11.9"),
        ({"length": -1.0}, "must be numbers above 0, found -1.0"),
        ({"gaps": "ignore"}, "unknown gaps 'ignore'"),
        ({"rates": "both"}, "unknown rates 'both'"),
    ],
)
def test_what_is_not_understood_is_refused(changes, says):
    with pytest.raises(InputError, match=says):
        cut(table(), **changes)


def test_what_is_no_table_or_has_no_rows_is_named():
    with pytest.raises(InputError, match="gives it; found str"):
        cut("wear.csv")
    with pytest.raises(InputError, match="the table has no rows"):
        cut(table().iloc[:0])


def test_times_groups_and_values_that_say_nothing_are_named_with_their_row():
    for column, value, says in (
        ("t", np.nan, "no time in row 3"),
        ("person", None, "group of row 3"),
        ("a", np.inf, "row 3"),
    ):
        frame = table()
        frame[column] = frame[column].astype(object if column == "person" else float)
        frame.loc[3, column] = value
        with pytest.raises(InputError, match=says):
            cut(frame)


# ---- what pandas makes of things ---------------------------------------------------------------------------


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
def test_dates_with_a_time_zone_are_seconds_too_also_where_clocks_are_put_forward(zone):
    clean = table(people=("ann",))
    first = pd.Timestamp("2024-03-31 01:59:55", tz="Europe/Berlin").tz_convert(zone)
    dated = clean.assign(t=first + pd.to_timedelta(clean["t"], unit="s"))
    assert starts(cut(dated)[0]) == starts(cut(clean)[0])


def test_spans_of_time_are_seconds():
    clean = table()
    assert starts(cut(clean.assign(t=pd.to_timedelta(clean["t"], unit="s")))[0]) == starts(cut(clean)[0])


CODES = np.where(np.arange(RATE * SECONDS) < RATE * SECONDS / 2, 1, 3)  # between two classes a mean would be a third


def coded(codes):
    return table(people=("ann",)).assign(activity=codes)


def test_codes_that_a_missing_one_has_made_floats_are_not_averaged_unasked():
    codes = np.where(np.arange(len(CODES)) < 5, np.nan, CODES)
    with pytest.raises(InputError, match="a window holds the labels 1 and 3; task='regression' takes their mean"):
        cut(coded(codes))
    assert cut(coded(codes), task="classification")[1].tolist() == [1, 1, 3, 3]
    assert cut(coded(codes), task="regression")[1].tolist() == [1, 1, 2, 3, 3]
    assert cut(coded(codes), length=2.0)[1].tolist() == [1, 1, 1, 3, 3, 3]  # none of those windows holds two


def test_whole_numbers_are_names_whether_one_is_missing_or_not():
    missing = pd.array(CODES, "Int64")
    missing[:5] = pd.NA
    for codes in (CODES, missing):
        assert cut(coded(codes))[1].tolist() == [1, 1, 3, 3]
        assert cut(coded(codes), task="regression")[1].tolist() == [1, 1, 2, 3, 3]


@pytest.mark.parametrize(
    ("spoilt", "changes", "says"),
    [
        (table().set_index("t"), {}, r"has no column 't'; it is the index: table.reset_index\(\)"),
        (pd.concat([table(), table()[["a"]]], axis=1), {}, "the table has several columns 'a'"),
        (table(), {"task": "regression"}, "column 'activity' must hold numbers"),
        (table(), {"task": "ranking"}, "unknown task 'ranking'"),
    ],
)
def test_what_pandas_may_hand_over_is_refused_in_one_line(spoilt, changes, says):
    with pytest.raises(InputError, match=says):
        cut(spoilt, **changes)
