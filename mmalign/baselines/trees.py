"""What a network must be better than: scikit-learn's extra trees on plain numbers of each sequence.

Geurts, Ernst and Wehenkel, "Extremely randomized trees", Machine Learning 63 (2006). A backbone that they beat is a
finding, and a reason to train it better before anything is said of imputation. Rows `trees` and `trees-both`. The
fitted forest is kept as tensors, so that it is saved and restored like any weights, and nothing is unpickled.

Axes: B samples, T steps, D features, F numbers of a sample, R trees, V nodes of all of them, K outputs.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
from torch import Tensor, nn

from ..batch import Batch, DataSpec, Samples
from ..errors import InputError
from ..settings import Count, CountOr0, Settings
from .constant import InOneGo


@dataclass(frozen=True, kw_only=True)
class TreesConfig(Settings):
    """The forest; what is not said is scikit-learn's default."""

    trees: Annotated[Count, "R"] = 100
    steps: Annotated[CountOr0, "each step is told by itself where no training sample has more of them"] = 20


class Trees(InOneGo[TreesConfig]):
    """Extra trees on the visible modality."""

    config_type = TreesConfig
    modalities = 1
    grown = ("leaves", "roots", "feature", "threshold", "below")

    def __init__(self, spec: DataSpec, config: TreesConfig) -> None:
        super().__init__(spec, config)
        self.leaves = nn.Parameter(torch.zeros(1, spec.outputs), requires_grad=False)  # (leaves, K)
        # One tree of one leaf, until it is fitted.
        self.register_buffer("roots", torch.zeros(1, dtype=torch.int32))  # (R,)
        self.register_buffer("feature", torch.full((1,), -1, dtype=torch.int32))  # (V,) which number is asked for
        self.register_buffer("threshold", torch.zeros(1, dtype=torch.float64))  # (V,)
        self.register_buffer("below", torch.zeros(1, 2, dtype=torch.int32))  # (V, 2) the nodes to go on to, or a leaf
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))  # told one by one

    def learn_scales(self, samples: Samples) -> None:
        """How many steps there are to be told one by one."""
        longest = int(samples.lengths.max())
        self.steps.fill_(longest if longest <= self.config.steps else 0)

    def fit_to(self, batches: list[Batch]) -> None:
        numbers = torch.cat([self.numbers(batch) for batch in batches]).cpu().numpy()
        labels = torch.cat([batch.labels for batch in batches]).cpu().numpy()
        kind = ExtraTreesRegressor if self.spec.task == "regression" else ExtraTreesClassifier
        forest = kind(self.config.trees, random_state=int(torch.randint(2**31, ())), n_jobs=1).fit(numbers, labels)
        columns = forest.classes_ if self.spec.task == "classification" else [0]
        tables = _tables([tree.tree_ for tree in forest.estimators_], columns, self.spec.outputs)
        self.load_state_dict(tables | {"steps": self.steps})

    def load_state_dict(self, state: dict[str, Tensor], *options: object, **more: object) -> object:
        """A forest of any size, in place of the one there is; a file may hold none, whose paths never end.

        Raises:
            ValueError: a node leads back, or out of the forest.
        """
        inner = state["feature"] >= 0
        place = torch.arange(len(inner), device=inner.device)[:, None]
        ahead, leaves = state["below"][inner], state["below"][~inner]
        sound = (ahead > place[inner]).all() and (ahead < len(place)).all() and (leaves < len(state["leaves"])).all()
        if not (sound and (leaves >= 0).all() and state["roots"].clamp(0, len(place) - 1).equal(state["roots"])):
            raise InputError("its trees lead nowhere")
        device = self.leaves.device
        for name, value in state.items():
            if name == "leaves":
                self.leaves = nn.Parameter(torch.empty_like(value, device=device), requires_grad=False)
            elif name in self._buffers:
                self._buffers[name] = torch.empty_like(value, device=device)
        return super().load_state_dict(state, *options, **more)

    def numbers(self, batch: Batch) -> Tensor:
        """(B, F): mean, spread, least, largest, first and last of each feature, and every step of a short sequence."""
        real, last = batch.real[..., None], batch.lengths[:, None, None] - 1
        told = []
        for values in batch.features[: self.modalities]:  # (B, T, D)
            values = values.masked_fill(~real, 0)
            mean = values.sum(1) / batch.lengths[:, None]
            spread = ((values - mean[:, None]).masked_fill(~real, 0).square().sum(1) / batch.lengths[:, None]).sqrt()
            least, largest = (values.masked_fill(~real, end) for end in (torch.inf, -torch.inf))
            final = values.gather(1, last.expand(-1, 1, values.shape[2]))[:, 0]
            told += [mean, spread, least.amin(1), largest.amax(1), values[:, 0], final]
            steps = int(self.steps)
            each = values.new_zeros(len(values), steps, values.shape[2])
            each[:, : values.shape[1]] = values[:, :steps]
            told.append(each.flatten(1))
        return torch.cat(told, dim=1)

    def predict(self, batch: Batch) -> Tensor:
        """(B,) the mean of the trees, or (B, K) the logarithms of their mean shares."""
        numbers = self.numbers(batch)
        node = self.roots.long().expand(len(batch), -1)  # (B, R)
        while not (ended := self.feature[node] < 0).all():
            left = numbers.gather(1, self.feature[node].clamp(min=0).long()) <= self.threshold[node]
            ahead = torch.where(left, self.below[node, 0], self.below[node, 1])
            node = torch.where(ended, node, ahead.long())
        mean = self.leaves[self.below[node, 0].long()].mean(1)  # (B, K)
        return mean.clamp(min=1e-6).log() if self.spec.task == "classification" else mean[:, 0]


class TreesBoth(Trees):
    """Extra trees on both modalities, as `double` has them."""

    needs_every_victim = True
    modalities = 2


def _tables(trees: list, columns: list, outputs: int) -> dict[str, Tensor]:
    """Trees of scikit-learn, one after the other: where a node leads; a leaf asks feature -1 and leads to its row."""
    starts = np.cumsum([0] + [tree.node_count for tree in trees])
    feature = np.concatenate([np.where(tree.children_left < 0, -1, tree.feature) for tree in trees])
    below = np.concatenate(
        [
            np.stack([tree.children_left, tree.children_right], axis=1) + start
            for tree, start in zip(trees, starts[:-1], strict=True)
        ]
    )
    ends = feature < 0
    below[ends] = np.arange(ends.sum())[:, None]
    leaves = np.zeros((int(ends.sum()), outputs), np.float32)
    leaves[:, columns] = np.concatenate([tree.value[:, 0] for tree in trees])[ends]
    tables = {"leaves": leaves, "below": below.astype(np.int32), "feature": feature.astype(np.int32)}
    tables |= {"threshold": np.concatenate([tree.threshold for tree in trees]), "roots": starts[:-1].astype(np.int32)}
    return {name: torch.from_numpy(values) for name, values in tables.items()}
