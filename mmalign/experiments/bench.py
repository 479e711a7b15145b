"""How fast the transport solver is: against POT, against the released code's algorithm, against the machine.

Every solver gets the same problem, the same number of sweeps and the same precision in one process. We build
our own costs; the others get dense cost matrices for free. They take turns, so that whatever else the machine
does meets all of them; medians are compared. POT is imported late: only this file and the tests need it.
"""

import importlib.util
import json
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from statistics import median
from typing import Any

import torch
from torch import Tensor

from .. import masks, transport
from ..errors import InputError

SHAPES = ((32, 20, 2), (32, 50, 8), (64, 128, 8), (32, 256, 8))  # B, T, W
# B, T1, T2, W. Rows are what is vectorised: with T1 and T2 exchanged the longest takes us about twice as long.
TWO_LENGTHS = ((32, 20, 28, 2), (32, 50, 80, 4), (64, 96, 128, 8), (32, 64, 256, 8))
FEATURES = 32
BARRIER = 1e3  # outside the window POT gets this cost: its kernel is 0 there
GROWTH = {  # one of T, W, B, mu at a time, from one problem
    "T": tuple((1, steps, 8, 0.2) for steps in (1_000, 3_000, 10_000, 30_000, 100_000)),
    "W": tuple((32, 128, window, 0.2) for window in (1, 2, 4, 8, 16, 32)),
    "B": tuple((batch, 128, 8, 0.2) for batch in (1, 4, 16, 64, 256)),
    "mu": tuple((32, 128, 8, mu) for mu in (0.001, 0.01, 0.1, 1.0, 10.0)),
}


def transport_table(
    shapes: Sequence[tuple[int, int, int]] = SHAPES,
    threads: Sequence[int] = (1, 2),
    mu: float = 0.2,
    sweeps: int = 50,
    repeats: int = 5,
) -> list[dict[str, object]]:
    """A row per solver, shape and number of threads: median milliseconds and how many times slower than ours.

    Ours has a further entry, `of_limit`: how many times longer it takes than the machine must (`machine_limit`).
    """
    rows, rates = [], machine_rates()
    for count in threads:
        with _threads(count):
            for batch, steps, window in shapes:
                solvers = _solvers(batch, steps, window, mu, sweeps)
                times = _take_turns(solvers, repeats)
                for name, seconds in times.items():
                    row = {"solver": name, "B": batch, "T": steps, "W": window, "threads": count, "sweeps": sweeps}
                    row |= {"milliseconds": 1e3 * seconds, "times_ours": seconds / times["ours"]}
                    if name == "ours":
                        limit = machine_limit(batch, steps, window, sweeps, rates) / count
                        row |= {"limit_milliseconds": 1e3 * limit, "of_limit": seconds / limit}
                    rows.append(row)
    return rows


def two_lengths_table(
    shapes: Sequence[tuple[int, int, int, int]] = TWO_LENGTHS, mu: float = 0.2, sweeps: int = 50, repeats: int = 5
) -> list[dict[str, object]]:
    """A row per solver and shape T1 x T2, on one thread: ours, and POT's loops with a barrier outside the window."""
    rows = []
    for batch, steps, other_steps, window in shapes:
        first, second = _sequences(batch, steps)[0], _sequences(batch, other_steps)[1]
        solvers = {"ours": _ours(first, second, window, mu, sweeps)} | _pot(first, second, window, mu, sweeps)
        with _threads(1):
            times = _take_turns(solvers, repeats)
        for name, seconds in times.items():
            row = {"solver": name, "B": batch, "T1": steps, "T2": other_steps, "W": window, "sweeps": sweeps}
            rows.append(row | {"milliseconds": 1e3 * seconds, "times_ours": seconds / times["ours"]})
    return rows


def growth_table(
    grids: dict[str, Sequence[tuple[int, int, int, float]]] = GROWTH, sweeps: int = 50, repeats: int = 3
) -> list[dict[str, object]]:
    """A row per problem: our median time, the peak memory of a process, the machine's limit."""
    rows, rates, threads = [], machine_rates(), torch.get_num_threads()
    for grows, grid in grids.items():
        megabytes = peak_memory(grid, sweeps)
        for (batch, steps, window, mu), peak in zip(grid, megabytes, strict=True):
            first, second = _sequences(batch, steps)
            ours = _ours(first, second, window, mu, sweeps)
            rows.append(
                {
                    "grows": grows, "B": batch, "T": steps, "W": window, "mu": mu, "sweeps": sweeps,
                    "milliseconds": 1e3 * _take_turns({"ours": ours}, repeats)["ours"],
                    "megabytes": peak,
                    "limit_milliseconds": 1e3 * machine_limit(batch, steps, window, sweeps, rates) / threads,
                }
            )  # fmt: skip
    return rows


def transport_report(small: bool = False) -> dict[str, Any]:
    """Everything `mmalign bench transport --json` prints. `small`: a few seconds, for tests and chapters."""
    shapes, grids = (SHAPES[:1], {"T": GROWTH["T"][:2]}) if small else (SHAPES, GROWTH)
    solvers = transport_table(shapes, repeats=3 if small else 5)  # says so where POT is not there
    return {
        "versions": {name: metadata.version(name) for name in ("POT", "numba", "numpy", "torch")},
        "rates": machine_rates(),
        "solvers": solvers,
        "two_lengths": two_lengths_table(TWO_LENGTHS[:1] if small else TWO_LENGTHS, repeats=3 if small else 5),
        "growth": growth_table(grids),
    }


def print_report(report: dict[str, object]) -> None:
    """`transport_report` as tables on stdout."""
    rates = report["rates"]
    print(f"{rates['multiply_adds'] / 1e9:.0f} G multiply-adds/s, {rates['bytes'] / 1e9:.0f} GB/s a thread")
    print(f"\n{'solver':<24}{'B':>5}{'T':>6}{'W':>4}{'threads':>9}{'ms':>11}{'x ours':>9}{'x limit':>9}")
    for row in report["solvers"]:
        place = "{solver:<24}{B:>5}{T:>6}{W:>4}{threads:>9}{milliseconds:>11.2f}{times_ours:>9.1f}".format(**row)
        print(place + (f"{row['of_limit']:>9.1f}" if "of_limit" in row else ""))
    print(f"\n{'two lengths':<24}{'B':>5}{'T1':>6}{'T2':>6}{'W':>4}{'ms':>11}{'x ours':>9}")
    for row in report["two_lengths"]:
        print("{solver:<24}{B:>5}{T1:>6}{T2:>6}{W:>4}{milliseconds:>11.2f}{times_ours:>9.1f}".format(**row))
    print(f"\n{'grows':<6}{'B':>5}{'T':>8}{'W':>4}{'mu':>8}{'ms':>11}{'limit ms':>10}{'MB':>8}")
    for row in report["growth"]:
        line = "{grows:<6}{B:>5}{T:>8}{W:>4}{mu:>8g}{milliseconds:>11.2f}{limit_milliseconds:>10.2f}{megabytes:>8.0f}"
        print(line.format(**row))


# ---- the solvers -------------------------------------------------------------------------------------------


def _sequences(batch: int, steps: int) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(0)
    return tuple(torch.randn(batch, steps, FEATURES, generator=draw) for _ in range(2))


def _ours(first: Tensor, second: Tensor, window: int, mu: float, sweeps: int) -> Callable[[], object]:
    return lambda: transport.align(first, second, window=window, mu=mu, tol=0, max_sweeps=sweeps)


def _solvers(batch: int, steps: int, window: int, mu: float, sweeps: int) -> dict[str, Callable[[], object]]:
    """What is compared, by name. The dense costs are made here, outside what is timed."""
    first, second = _sequences(batch, steps)
    loops = _pot(first, second, window, mu, sweeps)  # says so where POT is not there
    solve_batch = importlib.import_module("ot.batch").solve_batch
    inside, costs = _dense_costs(first, second, window)
    shares = torch.full((batch, steps), 1 / steps)
    solvers = {
        "ours": _ours(first, second, window, mu, sweeps),
        **loops,
        "POT batch": lambda: solve_batch(costs, mu, shares, shares, max_iter=sweeps, tol=0, grad="detach"),
        "released code": lambda: [transport.released(cost, window, 1 / mu, sweeps) for cost in inside],
    }
    if importlib.util.find_spec("ott"):  # geomloss takes point clouds only: a window cannot be put to it
        solvers["ott"] = _ott(costs, mu, sweeps)
    return solvers


def _dense_costs(first: Tensor, second: Tensor, window: int) -> tuple[Tensor, Tensor]:
    """(B, T1, T2) of 1 - cos, and the same with the barrier outside the window."""
    unit = [torch.nn.functional.normalize(value, dim=2) for value in (first, second)]
    inside = 1 - unit[0] @ unit[1].mT
    return inside, inside + BARRIER * masks.outside_window(inside.shape[1], window, inside.shape[2])


def _pot(first: Tensor, second: Tensor, window: int, mu: float, sweeps: int) -> dict[str, Callable[[], object]]:
    """POT's solvers, one sequence after the other."""
    try:
        ot = importlib.import_module("ot")
    except ImportError:
        raise InputError("the transport benchmark needs POT: pip install POT") from None
    costs = _dense_costs(first, second, window)[1]
    shares = [torch.full((steps,), 1 / steps) for steps in costs.shape[1:]]
    options = {"reg": mu, "numItermax": sweeps, "stopThr": 0, "warn": False}

    def one_by_one(solve: Callable, shares: Sequence[object], costs: object) -> Callable[[], object]:
        return lambda: [solve(*shares, cost, **options) for cost in costs]

    arrays = [share.numpy() for share in shares]
    return {
        "POT, NumPy": one_by_one(ot.sinkhorn, arrays, costs.numpy()),
        "POT, torch": one_by_one(ot.sinkhorn, shares, costs),
        "POT log, NumPy": one_by_one(ot.bregman.sinkhorn_log, arrays, costs.numpy()),
    }


def _ott(costs: Tensor, mu: float, sweeps: int) -> Callable[[], object]:
    jax = importlib.import_module("jax")
    geometry = importlib.import_module("ott.geometry.geometry")
    linear_problem = importlib.import_module("ott.problems.linear.linear_problem")
    sinkhorn = importlib.import_module("ott.solvers.linear.sinkhorn")
    solver = sinkhorn.Sinkhorn(threshold=0.0, min_iterations=sweeps, max_iterations=sweeps)

    def solve(cost: object) -> object:
        return solver(linear_problem.LinearProblem(geometry.Geometry(cost_matrix=cost, epsilon=mu))).matrix

    batch, given = jax.jit(jax.vmap(solve)), jax.numpy.asarray(costs.numpy())
    return lambda: jax.block_until_ready(batch(given))


# ---- measuring ---------------------------------------------------------------------------------------------


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _take_turns(
    solvers: dict[str, Callable[[], object]], repeats: int, least: float = 0.02, most: float = 2.0
) -> dict[str, float]:
    """Median seconds of each. The quick run several times a turn, `least` seconds; the slow sit out after `most`."""
    times = {name: [] for name in solvers}
    counts = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of runs that were cut short
        for name, solve in solvers.items():
            solve()  # compiles
            counts[name] = 1 + int(least / _seconds(solve, 1))
        for _ in range(repeats):
            for name, solve in solvers.items():
                if sum(times[name]) < most:
                    times[name].append(_seconds(solve, counts[name]))
    return {name: median(values) for name, values in times.items()}


def _seconds(work: Callable[[], object], count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        work()
    return (time.perf_counter() - start) / count


def machine_rates() -> dict[str, float]:
    """What one thread reaches at best: float32 multiply-adds a second on data in cache, bytes a second copied."""
    left, right = torch.ones(384, 384), torch.ones(384, 384)
    source, target = torch.zeros(1 << 24), torch.zeros(1 << 24)  # 64 MB each, beyond any cache
    with _threads(1):
        return {
            "multiply_adds": 384**3 / min(_seconds(lambda: torch.mm(left, right), 1) for _ in range(20)),
            "bytes": 2 * source.nbytes / min(_seconds(lambda: target.copy_(source), 1) for _ in range(10)),
        }


def machine_limit(batch: int, steps: int, window: int, sweeps: int, rates: dict[str, float]) -> float:
    """Seconds of one thread that no solver of windowed costs can beat: what must be computed or moved, overlapping.

    A multiply-add per feature of a cost and two per entry and sweep; both sequences read, the plan written once.
    Exponentials, divisions and whatever does not fit the cache come on top.
    """
    entries = batch * sum(min(steps, t + window + 1) - max(0, t - window) for t in range(steps))
    seconds = entries * (FEATURES + 2 * sweeps) / rates["multiply_adds"]
    moved = 4 * batch * steps * (2 * FEATURES + 2 * window + 1)
    return max(seconds, moved / rates["bytes"])


_PEAK = """
import json, resource, sys
from mmalign.experiments import bench
unit = 2**20 if sys.platform == "darwin" else 2**10
sweeps, *problems = json.loads(sys.argv[1])
peaks = []
for batch, steps, window, mu in problems:
    bench._ours(*bench._sequences(batch, steps), window, mu, sweeps)()
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit)
print(json.dumps(peaks))
"""


def peak_memory(problems: Sequence[tuple[int, int, int, float]], sweeps: int) -> list[float]:
    """MB of a whole fresh process, Python and torch included, after each of these (B, T, W, mu) in growing order."""
    command = [sys.executable, "-c", _PEAK, json.dumps([sweeps, *problems])]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
