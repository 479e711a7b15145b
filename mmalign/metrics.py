"""How good predictions are, as functions of (prediction, label)."""

import torch
from torch import Tensor


def regression(prediction: Tensor, labels: Tensor) -> dict[str, float]:
    """Mean absolute error; two-class accuracy and weighted F1 of the sign, labels of exactly 0 excluded.

    prediction, labels: (N,) in the units of the labels. Without a label other than 0, acc2 and f1 are NaN.

    >>> regression(torch.tensor([1.0, -1.0, 2.0]), torch.tensor([2.0, 1.0, 0.0]))["acc2"]
    0.5
    """
    signed = labels != 0
    truth, guess = (labels[signed] > 0).tolist(), (prediction[signed] > 0).tolist()
    return {
        "mae": (prediction - labels).abs().mean().item(),
        "acc2": sum(a == b for a, b in zip(truth, guess, strict=True)) / len(truth) if truth else float("nan"),
        "f1": _f1(truth, guess, "weighted") if truth else float("nan"),
    }


def classification(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """Accuracy, and F1 averaged over the classes evenly (macro) and by their size (weighted).

    logits: (N, K); labels: (N,) long.
    """
    truth, guess = labels.tolist(), logits.argmax(1).tolist()
    return {
        "accuracy": sum(a == b for a, b in zip(truth, guess, strict=True)) / len(truth),
        "f1_macro": _f1(truth, guess, "macro"),
        "f1_weighted": _f1(truth, guess, "weighted"),
    }


def _f1(truth: list[int], guess: list[int], average: str) -> float:
    from sklearn.metrics import f1_score  # late: it takes a second, and many commands measure nothing

    return float(f1_score(truth, guess, average=average, zero_division=0))


def of_task(task: str, prediction: Tensor, labels: Tensor) -> dict[str, float]:
    """The metrics of a task, on the CPU, from (N,) scores or (N, K) logits."""
    measure = {"regression": regression, "classification": classification}[task]
    return measure(prediction.detach().cpu(), torch.as_tensor(labels).cpu())
