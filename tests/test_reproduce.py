"""A stored run that is made again meets itself."""

from pathlib import Path

import pytest

from mmalign import InputError, experiments
from mmalign.experiments import grids, reproduce, tables

GRID = """
system: [single, copy]
dataset: planted
data.samples: 40
train.epochs: 3
model.width: 8
seed: [0, 1]
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A grid, and the file of its stored runs."""
    folder = tmp_path_factory.mktemp("stored")
    (folder / "grid.yaml").write_text(GRID)
    grid = grids.read_grid(folder / "grid.yaml")
    found = [experiments.run(one, progress=False) for one in grid]
    (folder / "rows.jsonl").write_text(tables.lines(found))
    return grid, folder / "rows.jsonl"


def test_a_run_made_again_is_the_same_to_the_bit(made):
    grid, place = made
    again = reproduce.run_again(grid[::-1][:2], place)
    assert again[["system", "seed"]].to_numpy().tolist() == [["copy", 1], ["copy", 0]]
    assert (again["stored"] == again["again"]).all() and set(again["metric"]) == {"mae"}


def test_a_stored_number_that_is_wrong_shows(made, tmp_path):
    grid, place = made
    found = tables.records(place)
    for record in found:
        record["metrics"]["mae"] += 1
    (tmp_path / "wrong.jsonl").write_text(tables.lines(found))
    again = reproduce.run_again(grid[:1], tmp_path / "wrong.jsonl")
    assert again["stored"][0] == pytest.approx(again["again"][0] + 1)


def test_rows_of_other_versions_are_compared_all_the_same(made, tmp_path):
    grid, place = made
    old = [{**record, "versions": {"torch": "1"}} for record in tables.records(place)]
    (tmp_path / "old.jsonl").write_text(tables.lines(old))
    assert len(reproduce.run_again(grid[:1], tmp_path / "old.jsonl")) == 1


def test_generated_data_whose_last_bits_another_machine_rounded_are_the_same_data(made, tmp_path):
    grid, place = made
    found = tables.records(place)
    for record in found:
        record["config"]["data"]["digest"] = "of another machine"
    (tmp_path / "elsewhere.jsonl").write_text(tables.lines(found))
    assert len(reproduce.run_again(grid[:1], tmp_path / "elsewhere.jsonl")) == 1


def test_nothing_asked_is_a_table_without_rows(made):
    again = reproduce.run_again([], made[1])
    assert len(again) == 0 and ((again["stored"] - again["again"]).abs() < 0.1).all()


def test_what_is_not_stored_is_named_before_anything_is_run(made, monkeypatch):
    monkeypatch.setattr(reproduce, "run", lambda *_, **__: pytest.fail("something was run"))
    other = experiments.Experiment(system="copy", dataset="planted", seed=7, threads=1)
    with pytest.raises(InputError, match="holds no run of copy that was made like this one"):
        reproduce.run_again([*made[0], other], made[1])


def test_a_part_of_a_grid_is_chosen_by_lists_and_a_text_is_no_list(tmp_path):
    grid = tmp_path / "grid.yaml"
    grid.write_text("{system: [mm-align, mm-align-plus], seed: [0, 1, 2]}")
    names = [(one.system, one.seed) for one in reproduce.chosen(grid, [0, 2], ["mm-align"])]
    assert names == [("mm-align", 0), ("mm-align", 2)] and len(reproduce.chosen(grid, [0, 1], most=3)) == 3
    for seeds, systems, said in (([0], "mm-align", "SYSTEMS"), ("0", None, "SEEDS")):
        with pytest.raises(InputError, match=f"{said} must be a list"):
            reproduce.chosen(grid, seeds, systems)


# ---- the book's own rows -----------------------------------------------------------------------------------

BOOK = Path(__file__).resolve().parents[1] / "book"
FEW = [("smartwatch", "constant"), ("smartwatch", "trees"), ("smartwatch", "zero-fill"), ("deep_sets", "deep-sets"),
       ("mla", "mla"), ("mla", "mm-align")]  # fmt: skip


def quickest(name, system):
    """The experiment whose stored run on the watch took least."""
    rows = [one for one in tables.records(BOOK / f"results/{name}.jsonl") if one["system"] == system]
    row = min((one for one in rows if one["dataset"] == "smartwatch"), key=lambda one: one["train_seconds"])
    known = {key: row[key] for key in ("system", "dataset", "survival", "setting", "seed", "labelled")}
    config = {**row["config"], "data": {key: one for key, one in row["config"]["data"].items() if key != "digest"}}
    return experiments.Experiment(pair=tuple(row["pair"].split(":")), **known, **config)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "system"), FEW)
def test_a_stored_row_of_the_watch_is_made_again(name, system):
    """To the bit on the kind of machine that made it; the last bits of a sum are the processor's."""
    again = reproduce.run_again([quickest(name, system)], BOOK / f"results/{name}.jsonl")
    exact = 0 if system in ("constant", "trees") else 0.02
    assert (again["stored"] - again["again"]).abs().max() <= exact
