"""Tables say what the records say."""

import io
import json
import os

import numpy as np
import pandas as pd
import pytest

from mmalign import InputError, cli, experiments
from mmalign.experiments import statistics, tables

CONFIG = {"model": {"width": 32}, "train": {"lr": 0.001}, "data": {"digest": "d"}, "device": "cpu", "threads": 1}


def record(system, seed, metrics, model=None, data=None, digest=None, **changes):
    """One as `experiments.run` makes it, without the run."""
    config = {
        **CONFIG,
        "model": {"width": 32, **(model or {})},
        "train": {"lr": 0.001, "seed": seed},
        "data": {"digest": digest or f"of {data}", **(data or {})},
    }
    told = {
        "system": system, "dataset": "smartwatch", "pair": "acc:gyro", "survival": 0.5, "setting": "A", "seed": seed,
        "metrics": metrics, "labelled": 1.0, "best_epoch": 3, "epochs": 5, "train_seconds": 2.0,
        "seconds_per_epoch": 0.4, "parameters": 12345, "config": config, "versions": {"torch": "2"},
    }  # fmt: skip
    return {**told, **changes}


def accuracies(system, values, **told):
    return [record(system, seed, {"accuracy": value}, **told) for seed, value in enumerate(values)]


SINGLE, COPY = (0.70, 0.80, 0.75), (0.74, 0.83, 0.80)


@pytest.fixture
def folder(tmp_path):
    """A sweep's folder: two systems, three seeds, and what else lies there."""
    for one in accuracies("single", SINGLE) + accuracies("copy", COPY):
        experiments.store(one, tmp_path / "out")
    experiments.store(record("single", 0, {"mae": 0.5, "acc2": None}), tmp_path / "none")
    (tmp_path / "out/.lock").write_text("process 1")
    (tmp_path / "out/.half.json.0123").write_text("{")
    (tmp_path / "out/failed").mkdir()
    (tmp_path / "out/failed/0123.json").write_text('{"error": "it failed"}')
    return tmp_path / "out"


def of(rows, **told):
    """The one line of a summary that it is about."""
    for name, value in told.items():
        rows = rows[rows[name] == value]
    assert len(rows) == 1, rows
    return rows.iloc[0]


# ---- what is read ----------------------------------------------------------------------------------------


def test_a_folder_and_the_file_made_of_it_are_read_alike(folder, tmp_path):
    file = tmp_path / "file.jsonl"
    file.write_text(tables.lines(tables.records(folder)))
    assert file.read_text().count("\n") == 6 and tables.records(file) == tables.records(folder)
    pd.testing.assert_frame_equal(tables.read(file), tables.read(folder))


def test_a_row_has_a_column_for_each_metric_and_each_setting():
    row = tables.frame([record("single", 1, {"mae": 0.5, "acc2": None}, model={"barrier": None})]).iloc[0]
    assert (row["system"], row["seed"], row["mae"], row["epochs"], row["threads"]) == ("single", 1, 0.5, 5, 1)
    assert (row["model.width"], row["model.barrier"], row["train.lr"], row["versions.torch"]) == (
        32,
        "none",
        0.001,
        "2",
    )


def spoilt(**changes):
    whole = record("single", 0, {"accuracy": 0.5})
    return json.dumps({key: value for key, value in {**whole, **changes}.items() if value is not ...})


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", ["holds no records"]),
        ("{", ["line 1", "not the record"]),
        ("[]", ["line 1", "not the record"]),
        ("{}", ["line 1", "not the record", "system"]),
        (spoilt(seed=...), ["line 1", "seed"]),
        (spoilt(config={}), ["line 1", "not the record"]),
        (spoilt(config={**CONFIG, "model": 3}), ["line 1", "not the record"]),
        (spoilt(config=CONFIG), ["line 1", "train.seed"]),
        (spoilt(metrics={"accuracy": "high"}), ["line 1", "accuracy", "high"]),
        (f"{spoilt()}\n{spoilt(metrics={})}\n", ["line 2", "there before"]),
        (b"\xff\xfe", ["not text"]),
    ],
)
def test_what_is_no_record_is_answered_in_one_line_that_says_where(tmp_path, capsys, content, says):
    file = tmp_path / "file.jsonl"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert cli.main(["table", str(file)]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1
    assert not [word for word in [*says, "file.jsonl"] if word not in said.err], said.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["absent"], ["absent: it is not there"]),
        (["out", "--metric", "mae"], ["metric", "mae", "accuracy"]),
        (["out", "--metric", "seed"], ["metric", "seed", "accuracy"]),
        (["none", "--metric", "acc2"], ["no run measured acc2"]),
        (["out", "--against", "double"], ["compare with", "double", "single"]),
        (["out", "--format", "xml"], ["--format", "xml", "markdown"]),
    ],
)
def test_a_mistake_is_answered_in_one_line(folder, capsys, words, says):
    assert cli.main(["table", str(folder.parent / words[0]), *words[1:]]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and not [word for word in says if word not in said.err]


# ---- what is summed up --------------------------------------------------------------------------------------


def test_means_and_differences_are_those_of_numpy_and_of_the_paired_comparison():
    found = tables.summary(tables.frame(accuracies("copy", COPY) + accuracies("single", SINGLE)), against="single")
    line = of(found, system="copy")
    assert (line["mean"], line["sd"], line["seeds"]) == pytest.approx((np.mean(COPY), np.std(COPY, ddof=1), 3))
    paired = statistics.paired(COPY, SINGLE, 1 / 3)  # five folds: a fifth is tested, three fifths train
    assert tuple(line[["difference", "low", "high", "shared"]]) == pytest.approx(paired[:4])
    assert line["verdict"] == "better" and np.isnan(of(found, system="single")["difference"])


def test_an_interval_is_corrected_where_seeds_are_folds_and_only_there():
    def width(dataset="planted", options=None):
        rows = [
            record(name, seed, {"accuracy": value}, dataset=dataset, data=(options or {}) | (
                {"draw": seed} if options == REDRAWN else {}))
            for name, values in (("copy", COPY), ("single", SINGLE)) for seed, value in enumerate(values)
        ]  # fmt: skip
        line = of(tables.summary(tables.frame(rows), against="single"), system="copy")
        return line["high"] - line["low"]

    plain = width("ict-mmmo")  # comes split: seeds draw weights
    assert width(options=REDRAWN) == pytest.approx(plain)
    assert width("smartwatch") == pytest.approx(plain * (1 + 3 / 3) ** 0.5)
    assert width("smartwatch", {"folds": 10}) == pytest.approx(plain * (1 + 3 / 8) ** 0.5)


REDRAWN = {"samples": 60}


def test_only_shared_seeds_are_compared_and_one_is_no_comparison():
    ours = accuracies("copy", (0.9, 0.8, 0.7))
    later = [record("single", seed, {"accuracy": value}) for seed, value in ((1, 0.7), (2, 0.65), (3, 0.0))]
    line = of(tables.summary(tables.frame(ours + later), against="single"), system="copy")
    assert line["shared"] == 2 and line["difference"] == pytest.approx(0.075)
    line = of(tables.summary(tables.frame(ours + later[1:]), against="single"), system="copy")
    assert line["shared"] == 1 and np.isnan(line["low"]) and line["verdict"] == ""


def test_whether_lower_is_better_depends_on_the_metric():
    rows = [record("single", seed, {"mae": 1.0 + seed, "accuracy": 1.0 + seed}) for seed in range(3)]
    rows += [record("copy", seed, {"mae": 0.5 + seed * 1.01, "accuracy": 0.5 + seed * 1.01}) for seed in range(3)]
    rows = tables.frame(rows)
    verdicts = {
        name: of(tables.summary(rows, name, "single"), system="copy")["verdict"] for name in ("mae", "accuracy")
    }
    assert verdicts == {"mae": "better", "accuracy": "worse"}


def test_each_task_has_its_usual_metric():
    rows = accuracies("single", SINGLE)
    rows += [record("single", seed, {"mae": 1.5, "acc2": None}, dataset="planted") for seed in range(2)]
    found = tables.summary(tables.frame(rows))
    assert of(found, dataset="smartwatch")["metric"] == "accuracy"
    line = of(found, dataset="planted")
    assert (line["metric"], line["mean"], line["seeds"]) == ("mae", 1.5, 2)


def test_a_run_without_the_metric_is_no_seed():
    rows = [record("single", seed, {"mae": 1.0, "acc2": value}) for seed, value in enumerate((0.5, None, 0.7))]
    line = of(tables.summary(tables.frame(rows), "acc2"), system="single")
    assert (line["mean"], line["seeds"]) == (pytest.approx(0.6), 2)


def test_conditions_are_never_mixed():
    rows = [
        one
        for changes in ({}, {"survival": 0.1}, {"setting": "B"}, {"pair": "gyro:acc"}, {"labelled": 0.5})
        for one in accuracies("single", SINGLE, **changes)
    ]
    found = tables.summary(tables.frame(rows))
    assert len(found) == 5 and set(found["seeds"]) == {3}


def test_a_setting_that_varies_makes_rows_and_a_system_without_it_stands_against_all_of_them():
    rows = accuracies("single", SINGLE)
    for window in (2, 10):
        rows += accuracies("mm-align", [value + window / 100 for value in SINGLE], model={"window": window})
    rows = tables.frame(rows)
    assert tables.varying(rows) == ["model.window"]
    found = tables.summary(rows, against="single")
    assert [*found["model.window"]] == [2, 10, ""] and [*found["shared"]] == [3, 3, 0]
    assert of(found, **{"model.window": 10})["difference"] == pytest.approx(0.1)


def test_a_setting_of_both_systems_is_compared_at_the_same_value():
    rows = [
        one
        for width, gain in ((16, 0.01), (32, 0.02))
        for system, more in (("single", 0), ("copy", gain))
        for one in accuracies(system, [value + more + width for value in SINGLE], model={"width": width})
    ]
    found = tables.summary(tables.frame(rows), against="single")
    differences = [of(found, system="copy", **{"model.width": width})["difference"] for width in (16, 32)]
    assert differences == pytest.approx([0.01, 0.02])


def test_variations_of_a_system_are_compared_with_its_defaults():
    usual = {"window": 2, "mu": 0.2}
    rows = accuracies("mm-align", SINGLE, model=usual)
    rows += accuracies("mm-align", [value + 0.1 for value in SINGLE], model=usual | {"window": 10})
    rows += accuracies("mm-align", [value + 0.2 for value in SINGLE], model=usual | {"mu": 5.0})
    rows += accuracies("mm-align", COPY, model=usual | {"mu": 5.0}, survival=0.1)
    found = tables.summary(tables.frame(rows), against="mm-align")
    place = {"survival": 0.5, "model.window": 2}
    assert of(found, survival=0.5, **{"model.window": 10})["difference"] == pytest.approx(0.1)
    assert of(found, **place, **{"model.mu": 5.0})["difference"] == pytest.approx(0.2)
    assert of(found, **place, **{"model.mu": 0.2})["shared"] == of(found, survival=0.1)["shared"] == 0


def test_another_system_is_compared_with_the_defaults_where_several_variations_were_run():
    rows = accuracies("mm-align", SINGLE, model={"window": 2})
    rows += accuracies("mm-align", [value + 0.1 for value in SINGLE], model={"window": 10})
    rows += accuracies("copy", COPY)
    found = tables.summary(tables.frame(rows), against="mm-align")
    assert of(found, system="copy")["difference"] == pytest.approx(0.04)


def test_a_bound_that_was_run_under_one_condition_stands_for_all_and_else_for_its_own():
    """It uses no victim of its own or always has them all, so neither p nor the setting changes it."""
    rows = accuracies("single", SINGLE) + accuracies("copy", COPY, survival=0.1, setting="B")
    assert of(tables.summary(tables.frame(rows), against="single"), system="copy")["difference"] == pytest.approx(0.04)
    other = accuracies("single", [value + 0.1 for value in SINGLE], survival=0.1, setting="B")
    line = of(tables.summary(tables.frame(rows + other), against="single"), system="copy")
    assert line["difference"] == pytest.approx(-0.06)
    swapped = accuracies("copy", SINGLE) + accuracies("single", COPY, survival=0.1)
    assert of(tables.summary(tables.frame(swapped), against="copy"), system="single")["shared"] == 0


def test_an_option_of_the_data_makes_rows_but_its_digest_only_where_nothing_else_tells_data_apart():
    rows = [one for draw in (0, 1) for one in accuracies("single", SINGLE, data={"draw": draw})]
    assert tables.varying(tables.frame(rows)) == ["data.draw"]
    rows = [one for digest in "ab" for one in accuracies("single", SINGLE, digest=digest)]
    assert tables.varying(tables.frame(rows)) == ["data.digest"]


def test_samples_that_each_seed_draws_anew_are_one_condition():
    """And so are generated ones, whose last bits two machines may have made."""
    rows = [record("single", seed, {"accuracy": 0.5}, data={"draw": seed}) for seed in range(3)]
    assert tables.varying(tables.frame(rows)) == [] and len(tables.summary(tables.frame(rows))) == 1
    rows = [record("single", seed, {"mae": 0.5}, digest=f"{seed}", dataset="planted") for seed in range(3)]
    assert tables.varying(tables.frame(rows)) == []


def test_runs_of_two_versions_are_told_apart():
    rows = [one for torch in "12" for one in accuracies("single", SINGLE, versions={"torch": torch})]
    assert tables.varying(tables.frame(rows)) == ["versions.torch"]


def test_a_condition_that_would_count_a_seed_twice_is_refused():
    rows = [one for window in (1, 2) for one in accuracies("mm-align", SINGLE, model={"window": window})]
    with pytest.raises(InputError, match="several runs of mm-align with seed 0"):
        tables.summary(tables.frame(rows), by=tables.KEYS)


def test_systems_stand_in_the_order_of_the_registry_and_strangers_last():
    rows = [record(name, 0, {"accuracy": 0.5}) for name in ("mm-align", "own", "single", "copy")]
    assert [*tables.summary(tables.frame(rows))["system"]] == ["single", "copy", "mm-align", "own"]


# ---- what is printed ----------------------------------------------------------------------------------------


def test_markdown_shows_mean_spread_seeds_interval_and_verdict(folder, capsys):
    assert cli.main(["table", str(folder), "--against", "single"]) == 0
    header, _, *lines = capsys.readouterr().out.splitlines()
    assert [word.strip() for word in header.strip("|").split("|")][-6:] == [
        "system", "mean ± sd", "seeds", "minus single [95 %]", "shared", "verdict",
    ]  # fmt: skip
    cells = [[word.strip() for word in line.strip("|").split("|")][-6:] for line in lines]
    assert cells[0] == ["single", "0.750 ± 0.050", "3", "", "0", ""]
    assert cells[1] == ["copy", "0.790 ± 0.046", "3", "+0.040 [+0.005, +0.075]", "3", "better"]


def test_latex_is_a_table_with_its_signs_escaped(folder, capsys):
    assert cli.main(["table", str(folder), "--metric", "train_seconds", "--format", "latex"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("\\begin{tabular}") and "train\\_seconds" in out and "2.000 ± 0.000" in out


def test_csv_holds_every_digit(folder, capsys):
    assert cli.main(["table", str(folder), "--against", "single", "--format", "csv"]) == 0
    read = pd.read_csv(io.StringIO(capsys.readouterr().out))
    found = tables.summary(tables.read(folder), against="single")
    assert [*read["mean"]] == [*found["mean"]] and of(read, system="copy")["low"] == of(found, system="copy")["low"]


def test_a_changed_record_changes_the_table(folder, capsys):
    cli.main(["table", str(folder), "--format", "jsonl"])
    before = capsys.readouterr().out
    file = folder.parent / "file.jsonl"
    file.write_text(before.replace("0.83", "0.89"))
    assert cli.main(["table", str(file)]) == 0 and "0.810 ± 0.075" in capsys.readouterr().out


def test_one_seed_has_no_spread_and_large_numbers_no_decimals():
    found = tables.readable(tables.summary(tables.frame([record("single", 0, {"accuracy": 0.5})]), "parameters"))
    assert [*found["mean ± sd"]] == ["12345"]


# ---- the scores of one condition ----------------------------------------------------------------------------


def test_scores_are_those_of_the_runs_that_match_in_the_order_of_seeds():
    found = accuracies("mla", SINGLE, model={"hgm": True})[::-1] + accuracies("mla", COPY, model={"hgm": False})
    rows = tables.frame(found)
    for hgm, values in ((True, SINGLE), (False, COPY)):
        picked = tables.scores(rows, {"system": "mla", "model.hgm": hgm})
        assert picked.to_dict() == dict(enumerate(values))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"model.hg": True}, "unknown column 'model.hg'"),
        ({"system": "mla", "survival": 0.9}, "no run has system=mla, survival=0.9"),
        ({"system": "mla"}, "several runs with seed 0 have system alike"),
    ],
)
def test_scores_of_no_run_or_of_several_of_a_seed_are_refused(settings, says):
    found = accuracies("mla", SINGLE, model={"hgm": True}) + accuracies("mla", COPY, model={"hgm": False})
    with pytest.raises(InputError, match=says):
        tables.scores(tables.frame(found), settings)


def test_a_folder_is_packed_into_a_file_that_reads_alike(folder, tmp_path, capsys):
    file = tmp_path / "packed" / "rows.jsonl"
    assert cli.main(["table", str(folder), "--pack", str(file)]) == 0
    assert "packed 6 records and 0 traces\n" in capsys.readouterr().err
    assert tables.records(file) == tables.records(folder) and [*file.parent.iterdir()] == [file]
    assert cli.main(["table", str(folder), "--pack", str(tmp_path / "rows.json")]) == 2
    assert ".jsonl" in capsys.readouterr().err


def test_the_source_that_computed_a_run_makes_no_condition_but_one_of_ones_own_does():
    for name, found in (("source", []), ("system", ["versions.system"])):
        rows = [
            one for digest in "ab" for one in accuracies("own.py:Mine", SINGLE, versions={"torch": "2", name: digest})
        ]
        assert tables.varying(tables.frame(rows)) == found


def test_a_place_that_is_no_file_is_not_waited_for(tmp_path, capsys):
    os.mkfifo(tmp_path / "0123.json")
    for place in (tmp_path, tmp_path / "0123.json", "/dev/zero"):
        assert cli.main(["table", str(place)]) == 2
        assert "plain file" in capsys.readouterr().err
