"""A verdict is what its rows say: recomputed here by hand, with pandas alone."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm as normal
from scipy.stats import t as student  # the table at the end of a book; no statistics of the package is used

import mmalign
from mmalign import cli
from mmalign.experiments import grids, runs, tables, traces, verdicts
from mmalign.experiments.statistics import Paired

BOOK = Path(mmalign.__file__).parents[1] / "book"
HEAD = {"question": "does it pay?", "ours": {"system": "copy"}, "theirs": {"system": "single"}}
CONFIG = {"model": {"width": 32}, "data": {"digest": "d"}, "device": "cpu", "threads": 1}


# ---- by hand -------------------------------------------------------------------------------------------------


def flat(record):
    """A record as a row, by pandas."""
    row = {key: value for key, value in record.items() if key not in ("metrics", "config", "versions")}
    row |= record["metrics"]
    for section in ("model", "train", "data"):
        row |= {
            f"{section}.{key}": "none" if value is None else value for key, value in record["config"][section].items()
        }
    return row


def chosen(rows, settings):
    for name, value in settings.items():
        rows = rows[rows[name] == value]
    return rows


def interval(series, overlap):
    k = len(series)
    error = math.sqrt((1 / k + overlap) * series.var(ddof=1))
    return series.mean(), error, k - 1


def answers(file):
    """One frame a line of a packed file, by numpy: sample, group, error; and the curve of its training."""
    with np.load(Path(file).with_suffix(".npz")) as stored:
        held = {name: stored[name] for name in stored.files}
    about, at = json.loads(held["about"].tobytes()), {"classes": 0, "scores": 0, "curve": 0}
    ends = [0, *np.cumsum(about["sizes"])]
    for which, scored, epochs in zip(about["which"], about["regression"], about["epochs"], strict=True):
        part = slice(ends[which], ends[which + 1])
        kind, size = ("scores" if scored else "classes"), about["sizes"][which]
        given = held[kind][at[kind] : at[kind] + size]
        curve = held["curve"][at["curve"] : at["curve"] + epochs]
        at[kind] += size
        at["curve"] += epochs
        truth = held["truth"][part]
        errors = np.abs(given.astype(float) - truth) if scored else (given != truth).astype(float)
        yield pd.DataFrame({"sample": held["ids"][part], "group": held["groups"][part], "error": errors}), curve


def over_clusters(ours, theirs, kept):
    """Mean difference of errors and its interval, over groups that are drawn anew; widened as for few groups."""
    sides = [
        pd.concat([kept[place][0].assign(data=digest) for place, digest in side["data.digest"].items()])
        .groupby(["data", "sample"]).agg(group=("group", "first"), error=("error", "mean"))
        for side in (ours, theirs)
    ]  # fmt: skip
    both = sides[0].join(sides[1].add_suffix("_theirs"), how="inner").reset_index()
    gain = (both["error_theirs"] - both["error"]).groupby([both["data"], both["group"]]).agg(["sum", "size"])
    count, draw = len(gain), np.random.default_rng(7)
    picked = draw.integers(0, count, (20_000, count))
    means = gain["sum"].to_numpy()[picked].sum(1) / gain["size"].to_numpy()[picked].sum(1)
    tail = normal.cdf(math.sqrt(count / (count - 1)) * student.ppf(0.025, count - 1))
    return gain["sum"].sum() / gain["size"].sum(), *np.quantile(means, [tail, 1 - tail])


def by_validation(rows, kept):
    """Of each seed the run whose best epoch scored best in validation; ties go to the lower loss."""
    best = [kept[place][1][epoch] for place, epoch in rows["best_epoch"].items()]
    rows = rows.assign(score=[one[2] for one in best], loss=[one[1] for one in best])
    return rows.sort_values(["score", "loss"], ascending=[False, True]).groupby("seed").head(1)


def by_hand(head, file):
    """Question -> difference, low, high, p of each primary comparison, from the lines of a file of rows.

    Over people there is no p here, and two draws of a bootstrap agree in their difference alone: see `compare`.
    """
    rows = pd.DataFrame([flat(json.loads(line)) for line in Path(file).read_text().splitlines()])
    kept = [*answers(file)] if Path(file).with_suffix(".npz").exists() else []
    found = {}
    for one in head["primary"]:
        where = one.get("where", {})
        ours, theirs = chosen(rows, where | one["ours"]), chosen(rows, where | one["theirs"])
        if one.get("clusters"):
            found[one["question"]] = over_clusters(ours, theirs, kept)
            continue
        if one.get("nested"):
            ours, theirs = by_validation(ours, kept), by_validation(theirs, kept)
        classes = "accuracy" in rows and ours.get("accuracy", pd.Series(dtype=float)).notna().all()
        metric = one.get("metric") or ("accuracy" if classes else "mae")
        sign = 1 if metric not in ("mae", "train_seconds", "seconds_per_epoch") else -1
        places = [{}]
        if one.get("places"):
            both = {*ours[one["places"]]} & {*theirs[one["places"]]}
            places = [{one["places"]: value} for value in both]
        parts = []
        for place in places:
            sides = [chosen(side, place).groupby("seed")[metric].mean() for side in (ours, theirs)]
            parts.append(interval((sign * (sides[0] - sides[1])).dropna(), one.get("overlap", 0.0)))
        mean = sum(part[0] for part in parts) / len(parts)
        total = sum(part[1] ** 2 for part in parts)
        freedom = total**2 / sum(part[1] ** 4 / part[2] for part in parts)
        error = math.sqrt(total) / len(parts)
        half = error * student.ppf(0.975, freedom)
        size = head.get("matters", {}).get(metric, 0.0)
        claim = one.get("claim", "more")
        score = {"more": mean, "not more": size - mean, "not less": mean + size}[claim] / error
        found[one["question"]] = (mean, mean - half, mean + half, min(1.0, 2 * student.sf(score, freedom)))
    return found


def compare(table, expected):
    for question, numbers in expected.items():
        (line,) = table[table["question"] == question].to_dict("records")
        if len(numbers) == 3:
            assert round(line["difference"], 3) == round(numbers[0], 3)
            half = (numbers[2] - numbers[1]) / 2
            assert [line["low"], line["high"]] == pytest.approx(numbers[1:], abs=0.002 + 0.05 * half)
            continue
        assert [round(line[name], 3) for name in ("difference", "low", "high", "p")] == [round(x, 3) for x in numbers]
        inside = line["low"] <= 0 <= line["high"]
        if line["claim"] == "more":
            assert (line["verdict"] == "holds") == (numbers[1] > 0) and (line["verdict"] == "the opposite") <= (
                not inside
            )


STORED = [path for path in sorted((BOOK / "grids").glob("*.yaml")) if (BOOK / f"results/{path.stem}.jsonl").exists()]


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_every_verdict_of_the_book_is_the_one_by_hand(path):
    plan = verdicts.read_plan(path)
    if plan.primary:
        file, head = BOOK / f"results/{path.stem}.jsonl", grids.open_grid(path).head
        found = verdicts.answered(path, file).dropna(subset="low")
        head["primary"] = [one for one in head["primary"] if one["question"] in [*found["question"]]]
        assert len(head["primary"]) == len(found) > 0
        compare(found, by_hand(head, file))


# Comparisons of rows that are stored, made up for this test: every kind of claim and of noise.
MADE_UP = {
    "smartwatch": {
        "matters": {"accuracy": 0.02},
        "primary": [
            {"question": "copying", "ours": {"system": "copy"}, "theirs": {"system": "mfm"},
             "where": {"pair": "gyro:acc", "survival": 0.5, "setting": "A"}, "overlap": 1 / 3},
            {"question": "both ways", "ours": {"system": "mm-align"}, "theirs": {"system": "zero-fill"},
             "where": {"survival": 0.5, "setting": "B"}, "places": "pair", "overlap": 1 / 3},
            {"question": "no loss", "ours": {"system": "mm-align"}, "theirs": {"system": "copy"}, "claim": "not less",
             "where": {"survival": 0.1, "setting": "A", "pair": "acc:gyro"}, "metric": "f1_macro"},
        ],
    },
    "ict-mmmo": {
        "matters": {"mae": 0.04},
        "primary": [
            {"question": "films", "ours": {"system": "double"}, "theirs": {"system": "single"}, "places": "pair"},
            {"question": "not more", "ours": {"system": "copy"}, "theirs": {"system": "smil"}, "claim": "not more",
             "where": {"survival": 0.5, "setting": "A", "pair": "audio:video"}},
        ],
    },
    "few_labels": {
        "primary": [
            {"question": "several trainings a fold", "ours": {"system": "mm-align"}, "theirs": {"system": "copy"},
             "where": {"dataset": "smartwatch", "pair": "gyro:acc", "labelled": 0.17}, "overlap": 1 / 3},
        ],
    },
}  # fmt: skip


@pytest.mark.parametrize("name", MADE_UP)
def test_on_stored_rows_the_package_and_pandas_agree_to_three_decimals(name):
    file = BOOK / f"results/{name}.jsonl"
    table = verdicts.verdicts(verdicts.plan_of(MADE_UP[name]), tables.read(file), file)
    expected = by_hand(MADE_UP[name], file)
    assert len(expected) == len(table) == len(MADE_UP[name]["primary"])
    compare(table, expected)


# ---- words -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "claim", "word"),
    [
        (0.01, 0.03, "more", "holds"),
        (-0.03, -0.01, "more", "the opposite"),
        (-0.03, 0.01, "more", "no such effect"),
        (-0.03, 0.03, "more", "not resolved"),
        (-0.03, 0.01, "not more", "holds"),
        (0.01, 0.03, "not more", "the opposite"),
        (-0.01, 0.03, "not more", "not resolved"),
        (-0.01, 0.03, "not less", "holds"),
        (-0.03, -0.01, "not less", "the opposite"),
        (-0.03, 0.01, "not less", "not resolved"),
    ],
)
def test_a_word_for_every_place_of_an_interval_where_002_matters(low, high, claim, word):
    middle, half = (low + high) / 2, (high - low) / 2
    one = Paired(middle, low, high, 9, half / student.ppf(0.975, 8), 8)
    assert verdicts.judge(one, 0.02, claim) == word
    assert (verdicts.chance(one, 0.02, claim) <= 0.05) == (word == "holds")


# ---- rows made up, so that the answer is known ---------------------------------------------------------------


def record(system, seed, value, metric="accuracy", train_seed=None, **changes):
    config = {**CONFIG, "train": {"seed": seed if train_seed is None else train_seed}}
    told = {
        "system": system, "dataset": "smartwatch", "pair": "acc:gyro", "survival": 0.5, "setting": "A", "seed": seed,
        "metrics": {metric: value}, "labelled": 1.0, "best_epoch": 3, "epochs": 5, "train_seconds": 2.0,
        "seconds_per_epoch": 0.4, "parameters": 12345, "config": config, "versions": {"torch": "2"},
    }  # fmt: skip
    return {**told, **changes}


def table_of(found, head=None, place=None, **plan):
    return verdicts.verdicts(verdicts.plan_of({"primary": [head or HEAD], **plan}), tables.frame(found), place)


def test_more_is_better_whatever_the_metric():
    for metric, sign in (("accuracy", 1), ("mae", -1)):
        found = [record("copy", seed, 0.5 + sign * 0.1 + seed / 100, metric) for seed in range(3)]
        found += [record("single", seed, 0.5 + seed / 101, metric) for seed in range(3)]
        (line,) = table_of(found).to_dict("records")
        assert line["difference"] == pytest.approx(0.1, abs=0.01) and line["verdict"] == "holds"


def test_several_trainings_on_one_split_are_one_number():
    found = [record("copy", seed, 0.6 + seed / 10 + k / 100, train_seed=k) for seed in range(3) for k in range(4)]
    found += [record("single", seed, 0.5) for seed in range(3)]
    (line,) = table_of(found).to_dict("records")
    assert line["seeds"] == 3 and line["difference"] == pytest.approx(0.215)


def test_people_are_drawn_from_the_stored_answers(tmp_path):
    draw = np.random.default_rng(0)
    truth, people = draw.integers(0, 2, 200).astype(np.int16), np.repeat(np.arange(20), 10).astype(np.int32)
    wrong = {"single": draw.random(200) < 0.4, "copy": draw.random(200) < 0.1}
    found = []
    for system, errors in wrong.items():
        one = record(system, 0, 1 - errors.mean())
        answers = np.where(errors, 1 - truth, truth).astype(np.int16)
        trace = traces.Trace(np.arange(200, dtype=np.int32), people, truth, answers, np.zeros((1, 3), np.float32))
        runs.store(one, tmp_path, trace.to_bytes())
        found.append(one)
    (line,) = table_of(found, {**HEAD, "clusters": True}, tmp_path).to_dict("records")
    assert line["difference"] == pytest.approx(wrong["single"].mean() - wrong["copy"].mean())
    assert line["seeds"] == 20 and line["verdict"] == "holds"
    tables.pack(tmp_path, tmp_path / "packed.jsonl")
    (again,) = table_of(found, {**HEAD, "clusters": True}, tmp_path / "packed.jsonl").to_dict("records")
    assert again == line


def test_each_fold_takes_the_setting_that_its_own_validation_likes_best(tmp_path):
    """And is judged by the test of that one, whichever setting the test would have liked."""
    valid = {16: (0.9, 0.5, 0.7), 32: (0.6, 0.8, 0.7)}  # of its best epoch; the last fold is a tie
    lost = {16: (0.5, 0.5, 0.5), 32: (0.5, 0.5, 0.4)}  # validation loss, which breaks it
    test = {16: (0.50, 0.90, 0.90), 32: (0.95, 0.60, 0.70)}
    found = []
    for width, scores in valid.items():
        for seed, score in enumerate(scores):
            one = record("copy", seed, test[width][seed])
            one["config"] = {**one["config"], "model": {"width": width}}
            curve = np.array([[1, 0.1, 1.0], [1, 1, 0], [1, 1, 0], [1, lost[width][seed], score]], np.float32)
            found.append((one, curve))
    found += [(record("single", seed, 0.5 + seed / 10), np.zeros((4, 3), np.float32)) for seed in range(3)]
    for one, curve in found:
        told = traces.Trace(*(np.zeros(1, np.int32) for _ in range(4)), curve)
        runs.store(one, tmp_path, told.to_bytes())
    (line,) = table_of([one for one, _ in found], {**HEAD, "nested": True}, tmp_path).to_dict("records")
    assert line["difference"] == pytest.approx(np.mean([0.5 - 0.5, 0.6 - 0.6, 0.7 - 0.7]))
    with pytest.raises(mmalign.InputError, match="several runs of seed 0"):
        table_of([one for one, _ in found], HEAD, tmp_path)


def test_corrections_are_for_the_page():
    found = [record(name, seed, 0.5 + gain + seed / 100 + 0.01 * ((seed * 7 + place) % 3))
             for place, (name, gain) in enumerate((("single", 0), ("copy", 0.02), ("mfm", 0.0), ("smil", 0.015)))
             for seed in range(5)]  # fmt: skip
    heads = [{**HEAD, "question": name, "ours": {"system": name}} for name in ("copy", "mfm", "smil")]
    table = verdicts.verdicts(verdicts.plan_of({"primary": heads}), tables.frame(found))
    assert (table["p"] <= table["bh"]).all() and (table["bh"] <= table["holm"]).all()
    assert table["holm"].min() == pytest.approx(3 * table["p"].min())


# ---- mistakes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "says"),
    [
        ("{matters: 3}", ["matters must map", "3"]),
        ("{matters: {speed: 1}}", ["metric of matters", "speed", "accuracy"]),
        ("{matters: {mae: -1}}", ["matters of mae", "-1"]),
        ("{primary: why}", ["primary 1", "mapping", "why"]),
        ("{primary: [{question: q}]}", ["primary 1", "lacks 'ours'"]),
        ("{primary: [{quest: q}]}", ["primary 1", "field", "quest", "question"]),
        ("{primary: [{question: '', ours: {}, theirs: {}}]}", ["question", "text"]),
        ("{primary: [{question: q, ours: [copy], theirs: {}}]}", ["ours", "mapping of columns"]),
        ("{primary: [{question: q, ours: {}, theirs: {}, claim: less}]}", ["claim", "less", "not less"]),
        ("{primary: [{question: q, ours: {}, theirs: {}, overlap: -1}]}", ["overlap", "-1"]),
        ("{primary: [{question: q, ours: {}, theirs: {}, clusters: true, places: pair}]}", ["clusters and places"]),
        ("{primary: [{question: q, ours: {system: x}, theirs: {}}]}", ["q: ", "no run has system=x"]),
        ("{primary: [{question: q, ours: {sytem: x}, theirs: {}}]}", ["q: ", "column", "sytem"]),
        ("{primary: [{question: q, ours: {}, theirs: {}}]}", ["q: ", "several runs of seed 0"]),
        ("{primary: [{question: q, ours: {system: copy}, theirs: {system: mfm}}]}", ["q: ", "at least 2 seeds", "1"]),
        ("{primary: [{question: q, ours: {system: copy}, theirs: {system: single}, clusters: true}]}",
         ["q: ", "3 of its 3 runs have no stored answers"]),
        ("{}", ["names no primary comparison"]),
    ],
)  # fmt: skip
def test_a_mistake_in_a_head_is_answered_in_one_line(tmp_path, capsys, head, says):
    found = [record(name, seed, 0.5) for name in ("copy", "single") for seed in range(3)] + [record("mfm", 0, 0.5)]
    (tmp_path / "rows.jsonl").write_text(tables.lines(found))
    (tmp_path / "grid.yaml").write_text(head[:-1] + (", " if len(head) > 2 else "") + "runs: {system: copy}}")
    assert cli.main(["table", str(tmp_path / "rows.jsonl"), "--grid", str(tmp_path / "grid.yaml")]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and not [word for word in says if word not in said.err], (
        said.err
    )


def test_a_grid_without_rows_has_questions_and_no_answers(tmp_path):
    grid, file = tmp_path / "grid.yaml", tmp_path / "rows.jsonl"
    grid.write_text("primary: {question: q, ours: {system: copy}, theirs: {system: single}}\nruns: {system: copy}\n")
    (line,) = verdicts.answered(grid, file).to_dict("records")
    assert line["question"] == "q" and math.isnan(line["low"]) and line["verdict"] == "not testable here"
    found = [record(name, seed, 0.5 + gain) for name, gain in (("copy", 0.1), ("single", 0)) for seed in range(3)]
    file.write_text(tables.lines(found))
    (known,) = verdicts.answered(grid, file).to_dict("records")
    assert known.keys() == line.keys() and known["verdict"] == "holds"
    for few in (3, 4):  # one arm is still to be run, or has one seed only
        file.write_text(tables.lines(found[:few]))
        assert verdicts.answered(grid, file)["verdict"].tolist() == ["not testable here"]


def test_the_command_prints_a_line_for_each_primary_comparison(tmp_path, capsys):
    found = [
        record(name, seed, 0.5 + gain + seed / 100)
        for name, gain in (("copy", 0.1), ("single", 0))
        for seed in range(3)
    ]
    (tmp_path / "rows.jsonl").write_text(tables.lines(found))
    (tmp_path / "grid.yaml").write_text(
        "primary: [{question: 'does it pay?', ours: {system: copy}, theirs: {system: single}}]\nruns: {system: copy}\n"
    )
    for form, word in (
        ("markdown", "| does it pay? | more"),
        ("csv", "does it pay?,more"),
        ("latex", "does it pay? & more"),
    ):
        words = ["table", str(tmp_path / "rows.jsonl"), "--grid", str(tmp_path / "grid.yaml"), "--format", form]
        assert cli.main(words) == 0
        out = capsys.readouterr().out
        assert word in out and "holds" in out
        assert form == "csv" or "<0.001" in out  # rather than a chance of 0
