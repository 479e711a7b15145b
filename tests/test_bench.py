"""The benchmark: its rivals solve the same problem, its rows are whole, its limit is a limit."""

import json
import sys

import pytest
import torch

from mmalign import InputError
from mmalign.experiments import bench

pytestmark = pytest.mark.slow


def test_every_solver_solves_the_same_problem():
    answers = {name: solve() for name, solve in bench._solvers(3, 14, 3, 0.2, 200).items()}
    ours = answers.pop("ours").mass
    released = torch.stack(answers.pop("released code"))
    for name, answer in answers.items():
        plans = answer.plan if name == "POT batch" else torch.stack([torch.as_tensor(plan) for plan in answer])
        torch.testing.assert_close(plans, ours, rtol=0, atol=1e-4, msg=name)
    assert (released.sum(1) - 1).abs().max() > 0.02


def test_with_two_lengths_too_and_ours_is_never_the_slower():
    first, second = bench._sequences(3, 9)[0], bench._sequences(3, 14)[1]
    ours = bench._ours(first, second, 2, 0.2, 200)().mass
    for name, solve in bench._pot(first, second, 2, 0.2, 200).items():
        plans = torch.stack([torch.as_tensor(plan) for plan in solve()])
        torch.testing.assert_close(plans, ours, rtol=0, atol=1e-4, msg=name)
    rows = bench.two_lengths_table(repeats=1)
    assert {(row["T1"], row["T2"]) for row in rows} == {(20, 28), (50, 80), (96, 128), (64, 256)}
    assert min(row["times_ours"] for row in rows if row["solver"] != "ours") > 2  # far more, where nothing else runs


def test_a_report_is_whole_and_can_be_printed(capsys):
    threads = torch.get_num_threads()
    report = bench.transport_report(small=True)
    assert torch.get_num_threads() == threads
    bench.print_report(json.loads(json.dumps(report, allow_nan=False)))
    printed = capsys.readouterr().out
    for row in report["two_lengths"]:
        assert row["solver"] in printed and row["milliseconds"] > 0
    for row in report["solvers"]:
        assert row["solver"] in printed and row["milliseconds"] > 0
        assert ("of_limit" in row) == (row["solver"] == "ours")
    assert {row["threads"] for row in report["solvers"]} == {1, 2}
    assert all(row["milliseconds"] > row["limit_milliseconds"] > 0 for row in report["growth"])


def test_the_limit_counts_what_the_window_holds():
    rates = {"multiply_adds": 1.0, "bytes": 1e30}
    assert bench.machine_limit(2, 5, 1, 10, rates) == 2 * 13 * (bench.FEATURES + 20)
    assert bench.machine_limit(1, 4, 99, 10, rates) == 16 * (bench.FEATURES + 20)
    assert bench.machine_limit(1, 10, 1, 1, {"multiply_adds": 1e30, "bytes": 1.0}) == 4 * 10 * (2 * bench.FEATURES + 3)


def test_a_long_sequence_needs_little_memory():
    (megabytes,) = bench.peak_memory([(1, 100_000, 8, 0.2)], sweeps=2)
    assert 50 < megabytes < 1000


def test_without_pot_the_reader_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "ot", None)
    with pytest.raises(InputError, match="needs POT: pip install POT"):
        bench.transport_report(small=True)
