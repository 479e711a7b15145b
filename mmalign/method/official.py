"""What the released code does instead, body by body, each under the name of its option (chapter "Paper and code").

Nothing here is our method. The paper's bodies stand where they are used, with a small table that picks one of the two.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

# ---- training ---------------------------------------------------------------------------------------------


def clipped_with_leftovers(
    system: nn.Module, loss: Tensor, groups: Mapping[str, list[nn.Parameter]], moves: Sequence[str], clip: float
) -> None:
    """clip_scope=all: one norm over everything, stale gradients of what does not move included (T3)."""
    for name in moves:
        for one in groups[name]:
            one.grad = None
    loss.backward()
    nn.utils.clip_grad_norm_([*system.parameters()], clip)


class TestSetHasASay:
    """select=official: what would be reported is the best test score among the epochs that validation found best (E2).

    A callback of `fit`, which itself never reads the test split: whoever wants this brings the `measure`.

    >>> import mmalign
    >>> data = mmalign.load("planted", samples=50)
    >>> peek = TestSetHasASay(lambda system: mmalign.evaluate(system, mmalign.data.Split(data.test.samples)))
    >>> model = mmalign.Single.from_data(data)
    >>> history = mmalign.fit(model, data, mmalign.TrainConfig(epochs=3), progress=False, callbacks=[peek])
    >>> peek.reported(history)["mae"] <= mmalign.evaluate(model, data.test)["mae"]
    True
    """

    __test__ = False  # it is no test of pytest's

    def __init__(self, measure: Callable[[Any], dict[str, float]]) -> None:
        self.measure = measure

    def __call__(self, system: Any, history: Any) -> None:
        """Look at the test set where validation has just improved."""
        row = history.rows[-1]
        if history.best_epoch == row["epoch"]:
            row["test"] = self.measure(system)

    def reported(self, history: Any) -> dict[str, float]:
        """The scores that the released code would print."""
        seen = [row["test"] for row in history.rows if "test" in row]
        return min(seen, key=lambda score: score["mae"] if "mae" in score else -score["accuracy"])
