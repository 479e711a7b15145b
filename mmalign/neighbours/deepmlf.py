"""DeepMLF: learnable tokens behind the words of a frozen language model, to which sound and sight are let in by layers.

DeepMLF: Multimodal language model with learnable tokens for deep fusion in sentiment analysis, arXiv 2504.11082.
Chapter "DeepMLF". The original has no absent modalities; what stands in for them here is ours. Our data have no
strings: the words are K-means codes of one modality's steps. S positions: a first one, T words, n fusion tokens.
"""

import copy
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, ClassVar, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import masks
from ..batch import Batch, DataSpec, Samples, is_known
from ..errors import InputError, whole
from ..method.readout import Readout
from ..settings import Chance, Count, CountOr0, Weight, each
from ..system import Part, Stage, Step
from .language import BUILT, Codebook, Ids, LanguageModel, counted_perplexity, next_word_loss
from .senses import Neighbour, NeighbourConfig


@dataclass(frozen=True, kw_only=True)
class DeepMLFConfig(NeighbourConfig):
    """The language model, the fusion, the curriculum. `width` and `heads` are of the audiovisual encoders."""

    only_with: ClassVar = {
        **each("codes", "language_width", "language_layers", "language_heads", "longest", lm=BUILT),
        **each("gate", "combine", fusion_depth=True),
        **each("lambda_text", "gamma", streams=("both", "text")),
        "lambda_av": {"streams": ("both", "av")},
    }

    lm: Annotated[str, 'a small model of this layout, or "llama"; any other: name or folder of a trained one'] = "gpt2"
    words: Annotated[Literal["codebook", "ids"], '"ids": the text modality is one column of word numbers'] = "codebook"
    codes: Annotated[Count, "words of a small model: K-means centres, or with words=ids the numbers there are"] = 64
    language_width: Annotated[Count, "D of a small model; original: 768 and above"] = 32
    language_layers: Annotated[Count, "of a small model; original: 12 to 36"] = 8
    language_heads: Annotated[Count, "of a small model"] = 4
    longest: Annotated[int, whole(2), "positions of a small model: the first, the words, the fusion tokens"] = 128
    language_epochs: Annotated[CountOr0, "first stage, next words only; 0 leaves a small model at random"] = 6
    av_epochs: Annotated[CountOr0, "second stage, the audiovisual encoders alone"] = 4
    train_language: Annotated[bool, "True: the language model is not frozen in the last stage"] = False

    fusion_tokens: Annotated[Count, "n; original: 8 to 20"] = 8
    fusion_depth: Annotated[CountOr0, "fused layers, from the top down; original: 5 to 7"] = 5
    gate: Annotated[
        Literal["sigmoid0", "tanh0", "none"],
        'half open at first, as released; "tanh0" is shut then, "none" always open',
    ] = "sigmoid0"
    combine: Annotated[bool, "the words too pass the fused layers' feed-forward nets, as released"] = True
    positions: Annotated[
        Literal["packed", "fixed"], 'fusion tokens stand behind the last word; code: "fixed", behind the padding'
    ] = "packed"
    permute: Annotated[Chance, "share of the embedding's features in another order of the words, training only"] = 0.0
    streams: Annotated[
        Literal["both", "text", "av"], '"text" or "av": treat the others as absent everywhere, for comparison'
    ] = "both"
    dropout: Annotated[Chance, "in the fused layers and the head"] = 0.1

    lambda_tokens: Annotated[Weight, "weight of each fusion token's own answer"] = 1.0
    lambda_text: Annotated[Weight, "weight of the last word's own answer"] = 1.0
    lambda_av: Annotated[Weight, "weight of the audiovisual encoder's own answer"] = 1.0
    gamma: Annotated[Weight, "weight of the next words, in nats"] = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.language_width % self.language_heads:
            raise InputError(
                f"language_width must be a multiple of language_heads = {self.language_heads}, "
                f"found {self.language_width}"
            )
        if self.lm not in BUILT and self.words == "codebook":
            raise InputError(f"lm {self.lm!r} knows its own words: use words=ids, or one of {', '.join(BUILT)}")


class FusionBlock(nn.Module):
    """What stands behind a fused layer: the tokens look at sound and sight, then a feed-forward net; both gated."""

    def __init__(self, layer: nn.Module, width: int, heads: int, source: int, config: DeepMLFConfig) -> None:
        super().__init__()
        self.tokens, self.gate, self.combine = config.fusion_tokens, config.gate, config.combine
        self.norm_in, self.norm_mid = nn.LayerNorm(width), nn.LayerNorm(width)
        # Scores are divided by the root of a head's width; the released code takes that of all heads together.
        self.attend = nn.MultiheadAttention(width, heads, bias=False, kdim=source, vdim=source, batch_first=True)
        self.feed = copy.deepcopy(layer.mlp)  # biases included, which the released code leaves behind
        self.alpha = nn.Parameter(torch.zeros(2)) if config.gate != "none" else None
        self.drop = nn.Dropout(config.dropout)

    def gates(self) -> Tensor:
        """(2,) how far the attention and the feed-forward net are let in."""
        if self.alpha is None:
            return self.norm_in.weight.new_ones(2)
        return self.alpha.sigmoid() if self.gate == "sigmoid0" else self.alpha.tanh()

    def look(self, tokens: Tensor, sound: Tensor, real: Tensor, heard: Tensor) -> Tensor:
        """(B, n, D) what the tokens take from (B, T, d) sound and sight; nothing where nothing is heard."""
        seen, _ = self.attend(self.norm_in(tokens), sound, sound, key_padding_mask=~real, need_weights=False)
        return seen * heard[:, None, None]

    def forward(self, states: Tensor, sound: Tensor, real: Tensor, heard: Tensor) -> Tensor:
        """(B, S, D) states of words and tokens, (B, T, d), (B, T) real steps, (B,) -> (B, S, D)"""
        look_gate, feed_gate = self.gates()
        words, tokens = states[:, : -self.tokens], states[:, -self.tokens :]
        tokens = tokens + look_gate * self.drop(self.look(tokens, sound, real, heard))
        moved = torch.cat([words, tokens], dim=1) if self.combine else tokens
        moved = moved + feed_gate * self.drop(self.feed(self.norm_mid(moved)))
        return moved if self.combine else torch.cat([words, moved], dim=1)


class Reading(NamedTuple):
    """What the model makes of a batch, before any answer."""

    words: Tensor  # (B, T+1, D) last hidden states of the first position and the words
    tokens: Tensor  # (B, n, D) last hidden states of the fusion tokens
    text: Tensor  # (B, D) the last real word's, or what stands for no words at all
    sound: Tensor  # (B, d) mean of sound and sight, or what stands for silence
    said: Tensor  # (B, T) bool, the real words
    heard: Tensor  # (B,) bool, some audiovisual modality is there

    @property
    def whole(self) -> Tensor:
        """(B, 2D+d) what the answer is read from."""
        return torch.cat([self.tokens.mean(1), self.text, self.sound], dim=1)


class DeepMLF(Neighbour[DeepMLFConfig]):
    """Language first, sound and sight second, fusion last; the language model then stands still.

    The modality named "text" is the text, else the first one; its steps become words by a codebook that is
    fitted on training steps.
    """

    config_type = DeepMLFConfig
    most_modalities = 3

    def __init__(self, spec: DataSpec, config: DeepMLFConfig) -> None:
        text = spec.modalities.index("text") if "text" in spec.modalities else 0
        others = [place for place in range(len(spec.widths)) if place != text]
        super().__init__(replace(spec, widths=tuple(spec.widths[place] for place in others)), config)
        self.spec, self.place, self.others = spec, text, others
        self.warmup = config.language_epochs + config.av_epochs

        size = (config.language_width, config.language_layers, config.language_heads, config.longest)
        self.language = LanguageModel(config.lm, config.codes, *size)
        features, wide, narrow = spec.widths[self.place], self.language.width, config.width
        if config.words == "codebook":
            self.book = Codebook(features, config.codes, config.clip_features)
        else:
            self.book = Ids(features, self.language.words)

        self.absent = nn.Parameter(0.02 * torch.randn(len(others), narrow))  # stands for an absent stream's steps
        self.join, self.join_norm = nn.Linear(len(others) * narrow, narrow), nn.LayerNorm(narrow)
        self.silence = nn.Parameter(torch.zeros(narrow))
        self.wordless = nn.Parameter(torch.zeros(wide))
        self.tokens = nn.Parameter(0.02 * torch.randn(config.fusion_tokens, wide))  # F

        layers = self.language.layers
        if config.fusion_depth > len(layers):
            raise InputError(f"fusion_depth must be at most {len(layers)}, the layers, found {config.fusion_depth}")
        self.fused = tuple(range(len(layers) - config.fusion_depth, len(layers)))  # S
        self.blocks = nn.ModuleList(
            FusionBlock(layers[layer], wide, self.language.heads, narrow, config) for layer in self.fused
        )
        # LayerNorm where the original has BatchNorm, which cannot learn from a batch of one.
        hidden = nn.Linear(2 * wide + narrow, 64), nn.LayerNorm(64), nn.ReLU(), nn.Dropout(config.dropout)
        self.answer = Readout(nn.Sequential(*hidden, nn.Linear(64, spec.outputs)), spec)
        self.token_answer, self.text_answer = (Readout(nn.Linear(wide, spec.outputs), spec) for _ in range(2))
        self.av_answer = Readout(nn.Linear(narrow, spec.outputs), spec)

    # ---- what a system promises -----------------------------------------------------------------------

    def groups(self) -> dict[str, list[nn.Parameter]]:
        parts = (self.senses, self.join, self.join_norm, self.av_answer)
        av = [self.absent, *(one for part in parts for one in part.parameters())]
        language = [*self.language.parameters()]
        taken = {id(one) for one in av + language}
        return {"language": language, "av": av, "fusion": [one for one in self.parameters() if id(one) not in taken]}

    def learn_scales(self, samples: Samples) -> None:
        super().learn_scales(self._without_text(samples))
        self.book.learn(samples.seen(self.place))
        if self.config.words == "codebook":
            self.language.start_embeddings(self.book.centres)

    def stages(self, epoch: int, epochs: int) -> list[Stage]:
        """The curriculum: an epoch belongs to language, to sound and sight, or to their fusion."""
        if epoch < self.config.language_epochs:
            return [Stage("all", (Step("language", self.language_loss, ("language",)),))]
        if epoch < self.warmup:
            return [Stage("all", (Step("av", self.av_loss, ("av",)),))]
        moves = ("av", "fusion", "language") if self.config.train_language else ("av", "fusion")
        return [Stage("all", (Step("task", self.fusion_loss, moves),))]

    def prepare(self, epoch: int, train: Part) -> None:
        """Once language is learnt, the fusion blocks start as copies of what it learnt."""
        if epoch == self.config.language_epochs:
            for layer, block in zip(self.fused, self.blocks, strict=True):
                block.feed.load_state_dict(self.language.layers[layer].mlp.state_dict())

    def predict(self, batch: Batch) -> Tensor:
        return self.answer(self.read(batch).whole)

    # ---- parts ----------------------------------------------------------------------------------------

    def spell(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The words of each sample, (B, T), and which of them are real, (B, T) bool."""
        said = batch.real & batch.present[:, self.place, None]
        if self.config.streams == "av":
            said = torch.zeros_like(said)
        words = torch.zeros_like(said, dtype=torch.long)
        words[said] = self.book(batch.features[self.place][said])
        return words, said

    def hear(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Z, the joined states of sound and sight, (B, T, d), and who has any of them, (B,) bool."""
        batch = self._without_text(batch)
        if self.config.streams == "text":
            batch = replace(batch, present=torch.zeros_like(batch.present))
        streams = [
            self.senses(batch, place)[:, 1:].where(here[:, None, None], self.absent[place])
            for place, here in enumerate(batch.present.T)
        ]
        return self.join_norm(self.join(torch.cat(streams, dim=2))), batch.present.any(1)

    def _without_text(self, batch: Batch) -> Batch:
        features = tuple(batch.features[place] for place in self.others)
        return replace(batch, features=features, present=batch.present[:, self.others])

    def read(self, batch: Batch) -> Reading:
        """Words and fusion tokens go through the language model; behind the fused layers the tokens look around."""
        words, said = self.spell(batch)
        text = self.language.embed(words)  # (B, T+1, D)
        if self.training and self.config.permute:
            text = torch.cat([text[:, :1], shuffle_features(text[:, 1:], said, self.config.permute)], dim=1)
        tokens = self.tokens.expand(len(batch), -1, -1)
        sound, heard = self.hear(batch)
        look = {layer: partial(block, sound=sound, real=batch.real, heard=heard)
                for layer, block in zip(self.fused, self.blocks, strict=True)}  # fmt: skip
        states = self._run(torch.cat([text, tokens], dim=1), said, look)
        words, tokens = states.split([text.shape[1], tokens.shape[1]], dim=1)
        each = torch.arange(len(batch), device=words.device)
        last = words[each, said.sum(1)]  # place 0 holds no word, so word l stands at place l
        return Reading(
            words, tokens, last.where(said.any(1, keepdim=True), self.wordless),
            masks.mean_over(sound, batch.real).where(heard[:, None], self.silence), said, heard,
        )  # fmt: skip

    def bare_states(self, words: Tensor, said: Tensor) -> Tensor:
        """(B, T), (B, T) -> (B, T+1, D): the language model on the words alone."""
        return self._run(self.language.embed(words), said, {})

    def _run(self, states: Tensor, said: Tensor, between: dict) -> Tensor:
        """(B, S, D) -> (B, S, D); whatever is in front of the words or behind them is real."""
        real = F.pad(said, (1, states.shape[1] - said.shape[1] - 1), value=True)  # (B, S)
        places = real.cumsum(1) - 1
        if self.config.positions == "fixed":
            places = torch.arange(real.shape[1], device=real.device).expand_as(real)
        if places.max() >= self.language.longest:
            raise InputError(
                f"the language model has {self.language.longest} positions, found {places.max() + 1}: set longest"
            )
        return self.language(states, real, places, between)

    # ---- losses ---------------------------------------------------------------------------------------

    def language_loss(self, batch: Batch) -> dict[str, Tensor]:
        """Next words, from the words alone."""
        words, said = self.spell(batch)
        return {"language": self._next_words(self.bare_states(words, said), words, said)} if said.any() else {}

    def av_loss(self, batch: Batch) -> dict[str, Tensor]:
        """What sound and sight alone can answer, where there are any."""
        sound, heard = self.hear(batch)
        if not heard.any():
            return {}
        return {"av": _miss(self.av_answer, masks.mean_over(sound, batch.real)[heard], batch.labels[heard])}

    def fusion_loss(self, batch: Batch) -> dict[str, Tensor]:
        """The task, each stream's own answer, and next words, which keep every stream useful."""
        reading, config = self.read(batch), self.config
        labels, spoken, heard = batch.labels, reading.said.any(1), reading.heard
        parts = {"task": _miss(self.answer, reading.whole, labels)}
        each = labels.repeat_interleave(config.fusion_tokens)
        parts["tokens"] = config.lambda_tokens * _miss(self.token_answer, reading.tokens.flatten(0, 1), each)
        if spoken.any():
            parts["text"] = config.lambda_text * _miss(self.text_answer, reading.text[spoken], labels[spoken])
            words, said = self.spell(batch)
            parts["language"] = config.gamma * self._next_words(reading.words, words, said)
        if heard.any():
            parts["av"] = config.lambda_av * _miss(self.av_answer, reading.sound[heard], labels[heard])
        return parts

    def _next_words(self, states: Tensor, words: Tensor, said: Tensor) -> Tensor:
        return next_word_loss(self.language.logits(states[:, :-1]), words, said)

    @torch.no_grad()
    def perplexities(self, train: Batch, valid: Batch) -> dict[str, float]:
        """Perplexity on the words of `valid`: of the language model, and of counting one or two words in `train`.

        A language model that does not beat counting has no language to freeze.
        """
        words, said = self.spell(valid)
        found = {"model": self._next_words(self.bare_states(words, said), words, said).exp().item()}
        texts = [[row[real] for row, real in zip(*self.spell(batch), strict=True)] for batch in (train, valid)]
        for before, name in enumerate(("unigram", "bigram")):
            found[name] = counted_perplexity(*texts, self.language.words, before)
        return found


def shuffle_features(states: Tensor, said: Tensor, share: float) -> Tensor:
    """(B, T, D) embeddings with a random `share` of the features taken from another order of the real words.

    The original's regulariser of the embeddings (its code: SeqAug).
    """
    order = torch.rand(said.shape, device=said.device).masked_fill(~said, torch.inf).argsort(1)  # (B, T)
    moved = states.gather(1, order[:, :, None].expand_as(states))
    chosen = torch.rand(states.shape[2], device=states.device) < share  # (D,)
    return torch.where(chosen & said[:, :, None], moved, states)


def _miss(readout: Readout, vectors: Tensor, labels: Tensor) -> Tensor:
    """The original's loss of an answer: the absolute error in units of the labels' spread, or cross entropy. ()"""
    answers = readout(vectors)
    if readout.task == "classification":
        return readout.loss(answers, labels)
    shown = is_known(labels)
    if not shown.any():
        return answers.sum() * 0
    return (answers - labels)[shown].abs().mean() / readout.label_spread
