"""Many trainings, and what they say: one run and its record, grids and sweeps of them, tables and intervals."""

from .runs import Experiment, name_of, plan, run, sources, splits, state_of, store, training_report

__all__ = ["Experiment", "name_of", "plan", "run", "sources", "splits", "state_of", "store", "training_report"]
