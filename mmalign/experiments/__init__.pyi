from .runs import Experiment, name_of, plan, run, sources, splits, state_of, store, training_report

__all__ = ["Experiment", "name_of", "plan", "run", "sources", "splits", "state_of", "store", "training_report"]
