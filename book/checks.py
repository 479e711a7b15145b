"""Writes `checks.md`, what scikit-learn's own checks say of our estimators: `python book/checks.py` runs them."""

import warnings
from pathlib import Path

from sklearn.utils.estimator_checks import check_estimator

from mmalign import MissingModalityClassifier, MissingModalityRegressor

PAGE = Path(__file__).with_name("checks.md")
ESTIMATORS = (MissingModalityClassifier, MissingModalityRegressor)
# A table (N, D) is one step of the visible modality, which the system `single` reads; so all checks apply.
CHECKED = {
    "system": "single",
    "model": {"width": 8, "clip_features": 20.0},
    "train": {"epochs": 8, "lr": 4e-2, "batch_size": 32},
    "random_state": 0,
}
ONE_BY_ONE = (
    "float32: an answer alone and one in a batch may differ in the last digit, by more than the check allows or not"
)
FAILING = dict.fromkeys(("check_methods_subset_invariance", "check_methods_sample_order_invariance"), ONE_BY_ONE)
HEAD = """# scikit-learn's checks

`MissingModalityClassifier` and `MissingModalityRegressor` are scikit-learn estimators: they can be cloned, stand at
the end of a pipeline, and be handed to `cross_val_score` and `GridSearchCV`. Whether a class keeps these promises is
what `sklearn.utils.estimator_checks.check_estimator` looks at. Its checks hand over tables (N, D), which our
estimators take as one step of the visible modality, so the system that was checked is `single`. This page is written
by `python book/checks.py`, which runs them; a test keeps it so.

*Holds*: the check passed. *Skipped*: scikit-learn itself left it out. *Not asked*: the check is run, and whether it
passes is left open. *Does not apply*: scikit-learn has this check for the other kind of estimator alone.
"""
WORDS = {"passed": "holds", "skipped": "skipped", "xfail": "not asked"}


def told() -> dict[str, dict[str, tuple[str, str]]]:
    """check -> estimator -> (status, reason); the checks are run here."""
    found: dict[str, dict[str, tuple[str, str]]] = {}
    for kind in ESTIMATORS:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the checks provoke what they check
            rows = check_estimator(kind(**CHECKED), expected_failed_checks=FAILING, on_fail=None, on_skip=None)
        for row in rows:
            name, reason = row["check_name"], str(row["exception"] or "")
            status = "xfail" if name in FAILING else row["status"]
            before = found.setdefault(name, {}).get(kind.__name__)
            if before is None or before[0] == "passed":  # a check may be run in several ways
                found[name][kind.__name__] = status, FAILING.get(name, reason)
    return found


def page(found: dict[str, dict[str, tuple[str, str]]]) -> str:
    """The whole page: how many of which, and a row a check."""
    names = [kind.__name__ for kind in ESTIMATORS]
    counts = [
        f"* `{name}`: "
        + ", ".join(f"{statuses.count(status)} {word}" for status, word in {**WORDS, "passed": "hold"}.items())
        for name in names
        for statuses in [[row[name][0] for row in found.values() if name in row]]
    ]
    rows = ["| check | classifier | regressor | why |", "|---|---|---|---|"]
    for check, row in sorted(found.items(), key=lambda pair: ([*WORDS].index(worst(pair[1])) == 0, pair[0])):
        words = [WORDS[row[name][0]] if name in row else "does not apply" for name in names]
        why = next((reason for status, reason in row.values() if status != "passed"), "")
        rows.append(f"| `{check.removeprefix('check_')}` | {' | '.join(words)} | {why} |")
    return "\n\n".join([HEAD.strip(), "\n".join(counts), "\n".join(rows)]) + "\n"


def worst(row: dict[str, tuple[str, str]]) -> str:
    """The status that is to be explained."""
    return max((status for status, _ in row.values()), key=[*WORDS].index)


if __name__ == "__main__":
    PAGE.write_text(page(told()), encoding="utf-8")
