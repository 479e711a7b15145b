"""What the released code does instead, body by body, each under the name of its option (chapter "Paper and code").

Nothing here is our method. The paper's bodies stand where they are used, with a small table that picks one of the two.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import masks, transport
from ..config import DynamicsConfig

# ---- backbone ---------------------------------------------------------------------------------------------


def bags_of_steps(states: Tensor) -> Tensor:
    """positional=none: nothing says where a step stands."""
    return states


def zero_cls(embed: nn.Module, width: int) -> None:
    """cls=zeros: nothing is trained. Zeros are prepended to the features there; without a bias that is the same."""
    embed.register_buffer("cls", torch.zeros(width), persistent=False)


class PostNormEncoder(nn.Module):
    """backbone=official: PyTorch's post-norm layer, feed-forward of width D (B2)."""

    def __init__(self, width: int, heads: int, layers: int, dropout: float) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(width, heads, width, dropout, "gelu", batch_first=True)
        self.layers = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)

    def forward(self, target: Tensor, source: Tensor, real: Tensor) -> Tensor:
        return self.layers(target, src_key_padding_mask=~real)


class DecoderFusion(nn.Module):
    """backbone=official: PyTorch's decoder layer, a self-attention before the cross-attention (B2)."""

    def __init__(self, width: int, heads: int, layers: int, dropout: float) -> None:
        super().__init__()
        layer = nn.TransformerDecoderLayer(width, heads, 4 * width, dropout=0.1, batch_first=True)  # as released
        self.layers = nn.TransformerDecoder(layer, layers)

    def read_head(self, target: Tensor, source: Tensor, real: Tensor, target_real: Tensor | None = None) -> Tensor:
        """(B, D); every step is computed for it, as released."""
        target_real = real if target_real is None else target_real
        return self.layers(target, source, tgt_key_padding_mask=~target_real, memory_key_padding_mask=~real)[:, 0]


def three_layers(features: int, width: int, outputs: int, task: str, dropout: float) -> nn.Sequential:
    """head=official: for a regression three linear layers, nothing bent between the last two (B4)."""
    if task == "classification":
        return nn.Sequential(nn.Linear(features, features), nn.Tanh(), nn.Linear(features, outputs))
    return nn.Sequential(
        nn.Linear(features, features), nn.Tanh(), nn.Linear(features, width), nn.Dropout(dropout), nn.Linear(width, 1)
    )


# ---- alignment dynamics -----------------------------------------------------------------------------------


def released_target(config: DynamicsConfig, first: Tensor, second: Tensor, lengths: Tensor) -> Tensor:
    """solver=official: what the released loop returns, which is no plan (S1 to S5). (B, T, 2W+1)"""
    directions = [F.normalize(states.detach(), dim=2) for states in (first, second)]
    cost = 1 - directions[0] @ directions[1].transpose(1, 2)
    assert config.barrier is not None  # its settings have seen to that
    return transport.official(cost, lengths, config.window, config.mu, config.barrier)


def unmasked_softmax(scores: Tensor, real: Tensor) -> Tensor:
    """fitter_head=softmax_unmasked: slots outside the sequence take mass, and are cut off later (F1)."""
    return scores.softmax(2)


def mirrored(mixing: Tensor) -> Tensor:
    """impute_orientation=official: A Z1 in place of its transpose, a sum over the second index (F2)."""
    return mixing


def head_in_last_out(states: Tensor) -> Tensor:
    """ot_positions=official: (B, T+1, D) -> (B, T, D), places 0 to l-1 take part in the transport (S6)."""
    return states[:, :-1]


def last_step_empty(imagined: Tensor, head: Tensor, impute_head: str) -> Tensor:
    """ot_positions=official, the way back: (B, T, D) -> (B, T+1, D), and nothing for the last step (S6).

    impute_head=mixture leaves the head what the transport made of it (F4).
    """
    imagined = F.pad(imagined, (0, 0, 0, 1))
    return imagined if impute_head == "mixture" else torch.cat([head, imagined[:, 1:]], dim=1)


# ---- losses -----------------------------------------------------------------------------------------------


def raw_products(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """contrastive=official: products instead of directions, one way, no temperature, summed over the batch (T2)."""
    same = torch.arange(len(first), device=first.device)
    return F.cross_entropy(first @ second.T, same, reduction="sum")


def over_all_cells(weights: Tensor, target: Tensor, real: Tensor) -> Tensor:
    """fit_reduction=full: the mean over all l * l cells of a sample, summed over the batch (F3)."""
    inside = (weights - target).square().masked_fill(~masks.open_band(real, weights.shape[2] // 2), 0)
    return (inside.sum((1, 2)) / real.sum(1).square()).sum()


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
