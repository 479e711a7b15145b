"""How good predictions are, as functions of (prediction, label)."""

import numpy as np
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


def sentiment(prediction: Tensor, labels: Tensor) -> dict[str, float]:
    """What papers on sentiment from -3 to 3 report beside `regression`.

    prediction, labels: (N,). acc7: share of samples whose score, rounded and cut to -3..3, is that of the label;
    corr: Pearson's correlation, NaN where one of the two is constant.

    >>> sentiment(torch.tensor([1.4, -2.0, 3.9]), torch.tensor([1.0, -2.6, 3.0]))["acc7"]
    0.6666666865348816
    """
    prediction, labels = prediction.detach().cpu().double(), labels.detach().cpu().double()
    seven = [values.clamp(-3, 3).round() for values in (prediction, labels)]
    both = torch.stack([prediction, labels])
    varied = len(labels) > 1 and bool((both.max(1).values > both.min(1).values).all())
    return {
        "acc7": (seven[0] == seven[1]).float().mean().item(),
        "corr": torch.corrcoef(both)[0, 1].item() if varied else float("nan"),
    }


def _f1(truth: list[int], guess: list[int], average: str) -> float:
    """F1 = 2 hits / (labels + guesses) of each class that occurs, averaged evenly or by its labels.

    scikit-learn's answer to the bit, without the second and a half that it takes to load.
    """
    classes = np.union1d(truth, guess)[:, None]
    labelled, guessed = np.equal(classes, truth), np.equal(classes, guess)  # (K, N)
    labels = labelled.sum(1)
    f1 = 2 * (labelled & guessed).sum(1) / (labels + guessed.sum(1))
    return float(np.average(f1, weights=labels if average == "weighted" else None))


def of_task(task: str, prediction: Tensor, labels: Tensor) -> dict[str, float]:
    """The metrics of a task, on the CPU, from (N,) scores or (N, K) logits."""
    measure = {"regression": regression, "classification": classification}[task]
    return measure(prediction.detach().cpu(), torch.as_tensor(labels).cpu())
