"""What a grid costs is said before it starts, and is about right."""

import json

import pytest

from mmalign import InputError, cli
from mmalign.experiments import cost, grids, runs, sweep
from mmalign.experiments.runs import Experiment

GRID = """
system: [single, copy]
dataset: planted
survival: [0.3, 0.6]
seed: [0, 1]
data.samples: 60
data.draw: seed
model.width: 8
train.epochs: 4
"""


@pytest.fixture
def grid(tmp_path):
    (tmp_path / "grid.yaml").write_text(GRID)
    return tmp_path / "grid.yaml"


def test_nothing_is_there_and_two_kinds_are_timed(grid, tmp_path):
    found = cost.cost(grid, tmp_path / "out")
    assert (found.runs, found.there, found.timed, found.read) == (8, 0, 2, 0)
    assert found.seconds > 0 and not (tmp_path / "out").exists()


def test_seconds_are_read_where_runs_of_a_kind_are_done(grid, tmp_path):
    jobs = grids.plan(grids.read_grid(grid))
    for place, (name, one) in enumerate(jobs.items()):
        if one.system == "single" and one.seed == 0:
            record = {**runs.plan(one, runs.sources(one)), "epochs": 4, "train_seconds": 40.0 + place}
            (tmp_path / "out").mkdir(exist_ok=True)
            (tmp_path / "out" / name).write_text(json.dumps(record))
    found = cost.cost(grid, tmp_path / "out")
    assert (found.runs, found.there, found.timed, found.read) == (8, 2, 1, 1)
    assert found.seconds == pytest.approx(2 * 41, rel=0.5)


@pytest.mark.slow
def test_a_part_costs_its_part(grid, tmp_path):
    assert sum(cost.cost(grid, tmp_path / "out", part=f"{place}/3").runs for place in (1, 2, 3)) == 8


@pytest.mark.slow
def test_the_estimate_is_about_what_a_run_takes():
    asked = Experiment(system="copy", dataset="planted", model={"width": 16}, train={"epochs": 6}, threads=1)
    one, _ = cost.seconds_of(asked)
    made = runs.run(asked, progress=False)
    took = made["train_seconds"] / made["epochs"]
    assert took / 10 < one < 10 * took  # the machine may be busy with other things in one of the two


def test_a_grid_too_large_to_be_named_is_counted_all_the_same(tmp_path, capsys):
    many = ", ".join(map(str, range(1000)))
    (tmp_path / "grid.yaml").write_text(f"system: single\nmodel.a: [{many}]\nmodel.b: [{many}]\nmodel.c: [{many}]\n")
    assert cli.main(["sweep", str(tmp_path / "grid.yaml"), "--out", str(tmp_path / "out"), "--dry-run"]) == 0
    assert capsys.readouterr().out.startswith("1000000000 runs: more than")


@pytest.mark.slow
def test_the_command_says_how_many_how_long_and_how_it_knows(grid, tmp_path, capsys):
    words = ["sweep", str(grid), "--out", str(tmp_path / "out"), "--workers", "2"]
    assert cli.main([*words, "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert not [
        word for word in ("8 runs: 0 are there, 8 to do", "in one process", "in 2", "2 kinds") if word not in out
    ]
    assert cli.main(["sweep", str(grid), "--out", str(tmp_path / "out")]) == 0
    capsys.readouterr()
    assert cli.main([*words, "--dry-run"]) == 0
    assert capsys.readouterr().out == "8 runs: 8 are there, 0 to do\n"


def test_a_mistake_in_the_grid_is_found_by_it_too(tmp_path):
    (tmp_path / "grid.yaml").write_text("{system: single, sytem: copy}")
    with pytest.raises(InputError, match="sytem"):
        cost.cost(tmp_path / "grid.yaml", tmp_path / "out")


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "a/b", "1/0", "-1/3", ""])
def test_a_part_that_is_none_is_refused(text):
    with pytest.raises(InputError, match="PLACE/COUNT"):
        sweep.Part.of(text)


@pytest.mark.parametrize(
    ("seconds", "said"), [(3, "3 seconds"), (130, "2.2 minutes"), (9000, "2.5 hours"), (3e5, "3.5 days")]
)
def test_a_duration_is_said_in_the_unit_that_fits(seconds, said):
    assert cost._duration(seconds) == said
