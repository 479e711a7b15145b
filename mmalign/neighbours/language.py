"""A small causal language model, and words for it where the data have none (chapter "DeepMLF").

The model is one of the library `transformers`: built from a configuration, or by name with its trained weights.
Axes beside those of the package: V words, S positions (a first one, the words, what is appended).
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..clusters import centres
from ..errors import InputError, line_of
from ..method.encoders import Standardise

BUILT = ("gpt2", "llama")  # layouts of the small models; any other name is for `from_pretrained`


class Codebook(nn.Module):
    """Features -> words: the number of the nearest K-means centre, in standard deviations."""

    def __init__(self, features: int, words: int, cut: float) -> None:
        super().__init__()
        self.standardise = Standardise(features, cut)
        self.register_buffer("centres", torch.zeros(words, features))

    def learn(self, values: Tensor) -> None:
        """Fit the centres to (N, D) real steps of samples that may be seen."""
        self.standardise.learn(values)
        self.centres.copy_(centres(self._scaled(values), len(self.centres), seed=0, starts=1))

    def _scaled(self, values: Tensor) -> Tensor:
        return self.standardise(values[None], torch.ones(1, len(values), dtype=torch.bool, device=values.device))[0]

    def forward(self, values: Tensor) -> Tensor:
        """(N, D) -> (N,) words from 0 to V-1."""
        # Distances one by one: through a matrix product they would depend a little on who else is there.
        exact = "donot_use_mm_for_euclid_dist"
        return torch.cdist(self._scaled(values), self.centres, compute_mode=exact).argmin(1)


class Ids(nn.Module):
    """Features that are words already, as one column of numbers."""

    def __init__(self, features: int, words: int) -> None:
        super().__init__()
        if features != 1:
            raise InputError(f"words=ids needs a text modality of one column, the word's number, found {features}")
        self.words = words

    def learn(self, values: Tensor) -> None:
        """Check that the numbers are words of the model."""
        self(values)

    def forward(self, values: Tensor) -> Tensor:
        """(N, 1) -> (N,) words from 0 to V-1."""
        words = values[:, 0].long()
        if ((words != values[:, 0]) | (words < 0) | (words >= self.words)).any():
            raise InputError(f"words must be whole numbers from 0 to {self.words - 1}, found {values[:, 0].tolist()}")
        return words


class LanguageModel(nn.Module):
    """A causal decoder whose hidden states others may change between two layers."""

    def __init__(self, name: str, words: int, width: int, layers: int, heads: int, longest: int) -> None:
        super().__init__()
        with _quiet():
            self.net = _build(name, words, width, layers, heads, longest)
        _untie(self.net)
        config = self.net.config
        self.width, self.heads, self.words = config.hidden_size, config.num_attention_heads, config.vocab_size
        self.longest = config.max_position_embeddings
        first = config.bos_token_id if config.bos_token_id is not None else config.eos_token_id
        self.first = self.words - 1 if first is None else first

    @property
    def layers(self) -> nn.ModuleList:
        """Its blocks, whatever the layout calls them: the one list that has as many entries as there are layers."""
        count = self.net.config.num_hidden_layers
        lists = (part for part in self.net.base_model.modules() if isinstance(part, nn.ModuleList))
        return next(part for part in lists if len(part) == count)

    def embed(self, words: Tensor) -> Tensor:
        """(B, T) -> (B, T+1, D): the embeddings, behind that of the first position, which holds no word."""
        return self.net.get_input_embeddings()(F.pad(words, (1, 0), value=self.first))

    @torch.no_grad()
    def start_embeddings(self, centres: Tensor) -> None:
        """Let the embeddings of the first words be a random map of (N, D) centres: what is alike starts alike.

        A trained model's embeddings have such a geometry. Next words alone give one only where they depend on it.
        """
        weight = self.net.get_input_embeddings().weight
        draw = torch.Generator().manual_seed(0)
        mapped = centres @ torch.randn(centres.shape[1], self.width, generator=draw)
        weight[: len(centres)] = mapped * (weight.std() / mapped.std().clamp(min=1e-6))

    def forward(
        self, states: Tensor, real: Tensor, places: Tensor, between: Mapping[int, Callable[[Tensor], Tensor]]
    ) -> Tensor:
        """(B, S, D) embeddings -> (B, S, D) hidden states; each position reads itself and what is before it.

        Args:
            states: (B, S, D).
            real: (B, S) bool, False where nobody may read.
            places: (B, S) the position that each is told to stand at.
            between: what happens to the states behind some layers, by number of layer.
        """
        with _hooked(self.layers, between):
            answer = self.net.base_model(
                inputs_embeds=states, attention_mask=real.long(), position_ids=places, use_cache=False
            )
        return answer.last_hidden_state

    def logits(self, states: Tensor) -> Tensor:
        """(B, T, D) hidden states -> (B, T, V) scores of the next word."""
        return self.net.get_output_embeddings()(states)


def next_word_loss(logits: Tensor, words: Tensor, real: Tensor) -> Tensor:
    """Mean cross entropy of the real words, each told from those before it. ()

    logits: (B, T, V), entry t from what is before word t; words: (B, T); real: (B, T) bool.
    """
    return F.cross_entropy(logits[real], words[real])


def counted_perplexity(train: Sequence[Tensor], valid: Sequence[Tensor], words: int, before: int) -> float:
    """Perplexity on `valid` of a model that only counts: how often a word stood behind the `before` words.

    `before` is 0 (unigram) or 1 (bigram). Every count starts at 1 for a word alone and is shared out by the
    unigram for a pair, so that nothing is impossible.

    >>> text = [torch.tensor([0, 1, 0, 1, 0, 1])]
    >>> round(counted_perplexity(text, text, 2, before=0), 2), round(counted_perplexity(text, text, 2, before=1), 2)
    (2.0, 1.19)
    """
    counts, pairs = torch.ones(words), torch.zeros(words + 1, words)
    for text in train:
        counts += torch.bincount(text, minlength=words)
        pairs.index_put_((F.pad(text, (1, 0), value=words)[:-1], text), torch.ones(len(text)), accumulate=True)
    alone = counts / counts.sum()  # (V,)
    chance = alone.expand(words + 1, -1)
    if before:
        chance = (pairs + alone) / (pairs.sum(1, keepdim=True) + 1)
    rows = [chance[F.pad(text, (1, 0), value=words)[:-1], text] for text in valid]
    return (-torch.cat(rows).log().mean()).exp().item()


def token_ids(texts: Sequence[str], name: str) -> tuple[Tensor, Tensor]:
    """Strings -> (N, T, 1) words and (N,) lengths, by the tokeniser of a trained model: features for words="ids".

    Raises:
        ValueError: there is no such tokeniser at hand.
    """
    with _quiet():
        tokeniser = _pretrained(_transformers().AutoTokenizer, name)
    found = [torch.tensor(tokeniser(text)["input_ids"], dtype=torch.float32)[:, None] for text in texts]
    return nn.utils.rnn.pad_sequence(found, batch_first=True), torch.tensor([len(one) for one in found])


def _transformers() -> ModuleType:
    """The library, which takes seconds to load, when it is wanted."""
    try:
        import transformers
    except ImportError:
        raise InputError(
            "deepmlf needs the package transformers; install it with pip install mmalign[language]"
        ) from None
    return transformers


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No bars and no remarks of the library."""
    logging = _transformers().utils.logging
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)


def _build(name: str, words: int, width: int, layers: int, heads: int, longest: int) -> nn.Module:
    """A small model with random weights, or a trained one by name."""
    library = _transformers()
    if name not in BUILT:
        return _pretrained(library.AutoModelForCausalLM, name)
    common = {"vocab_size": words + 1, "bos_token_id": words, "eos_token_id": None}
    if name == "gpt2":
        still = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0)
        config = library.GPT2Config(
            n_embd=width, n_layer=layers, n_head=heads, n_positions=longest,
            activation_function="gelu_pytorch_tanh",  # what its default computes, in one pass
            **still, **common,
        )  # fmt: skip
    else:
        config = library.LlamaConfig(
            hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers, num_attention_heads=heads,
            max_position_embeddings=longest, **common,
        )  # fmt: skip
    return library.AutoModelForCausalLM.from_config(config)


def _pretrained(kind: type, name: str) -> object:
    try:
        return kind.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise InputError(f"{name!r} is no language model at hand: {line_of(error)}") from None


def _untie(net: nn.Module) -> None:
    """Give the output embedding weights of its own: a file of weights holds no tensor twice."""
    out = net.get_output_embeddings()
    out.weight = nn.Parameter(out.weight.detach().clone())


@contextlib.contextmanager
def _hooked(layers: nn.ModuleList, between: Mapping[int, Callable[[Tensor], Tensor]]) -> Iterator[None]:
    """Inside, what a layer hands on is first changed by `between[layer]`."""

    def hook(change: Callable[[Tensor], Tensor]) -> Callable:
        def changed(layer: nn.Module, given: object, answer: Tensor | tuple) -> Tensor | tuple:
            # A layer answers with a tensor or, in other versions of the library, a tuple that starts with it.
            return (change(answer[0]), *answer[1:]) if isinstance(answer, tuple) else change(answer)

        return changed

    handles = [layers[number].register_forward_hook(hook(change)) for number, change in between.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
