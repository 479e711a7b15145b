from .runs import Experiment, leave, make, name_of, plan, run, sources, splits, state_of, store, training_report

__all__ = [
    "Experiment", "leave", "make", "name_of", "plan", "run", "sources", "splits", "state_of", "store",
    "training_report",
]  # fmt: skip
