"""What a trainable thing promises, so that one loop trains them all and one test visits them all.

The smallest system there is: it answers with the labels' mean, in the only way that training knows.

>>> import mmalign
>>> class Mean(mmalign.System[mmalign.EncoderConfig]):
...     config_type = mmalign.EncoderConfig
...     def __init__(self, spec, config):
...         super().__init__(spec, config)
...         self.answer = nn.Parameter(torch.zeros(spec.outputs))
...     def stages(self, epoch, epochs):
...         return [mmalign.Stage("all", (mmalign.Step("task", self.loss),))]
...     def loss(self, batch):
...         return {"task": mmalign.losses.task(self.predict(batch), batch.labels)}
...     def predict(self, batch):
...         return self.answer.expand(len(batch), -1)[:, 0]
>>> data = mmalign.load("planted", samples=100)
>>> history = mmalign.fit(Mean.from_data(data), data, progress=False)

`book/contribute.md` walks through one that has something to learn from.
"""

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, Self, TypeVar

import torch
from safetensors.torch import save
from torch import Tensor, nn

from .batch import Batch, DataSpec, Samples
from .errors import InputError, Rule, check, line_of, one_of, whole
from .files import write_whole
from .gate.tensors import read_tensors
from .settings import Settings, settings

LARGEST = 2**28  # weights of a system: 1 GB, and four times as much while it is trained


class Step(NamedTuple):
    """What is done with one batch: which loss moves which parameters."""

    name: str  # "task", "fit", "denoise"
    loss: Callable[[Batch], dict[str, Tensor]]  # named parts, each (); their sum is minimised; none: no step
    moves: tuple[str, ...] = ("backbone",)  # keys of `System.groups`; everything else is frozen
    pace: float = 1.0  # share of the learning rate


class Stage(NamedTuple):
    """One pass over one part of the training data; every batch goes through every step in turn."""

    split: str  # a part of `data.Split`: "complete", "pairs", "labelled", "mingled", "imputed", "paired" or "all"
    steps: tuple[Step, ...]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Random numbers of torch from `seed` inside, undisturbed outside, on graphics cards too where any is in use."""
    cards = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=cards):
        torch.manual_seed(seed)
        yield


class Part(Protocol):
    """What a system is shown of one side of the data; `data.Split` is one."""

    @property
    def samples(self) -> Samples: ...
    @property
    def complete(self) -> "Part": ...
    def batches(self, size: int, shuffle: torch.Generator | None = None) -> Iterator[Batch]: ...
    def __len__(self) -> int: ...


class Data(Protocol):
    """What a system is built for; `data.Splits` is one."""

    @property
    def train(self) -> Part: ...
    @property
    def spec(self) -> DataSpec: ...


Config = TypeVar("Config", bound=Settings)


class System(nn.Module, ABC, Generic[Config]):
    """A model with its own way of training. `mmalign.fit` and `mmalign.evaluate` take any of them.

    A subclass must name its `config_type` and say `stages` and `predict`; the rest it may.
    """

    config_type: type[Config]
    warmup: int = 0  # epochs that only prepare; none of them can be chosen as the best
    in_one_go: ClassVar[bool] = False  # True: fitted before the first epoch; of a training it reads the seed alone
    needs_every_victim: ClassVar[bool] = False  # True: works only where no victim is absent
    needs_visible: ClassVar[bool] = True  # False: works where any modality may be absent
    most_modalities: ClassVar[int] = 2
    grown: ClassVar[tuple[str, ...]] = ()  # parts of the state whose first axis is as long as training made it

    def __init__(self, spec: DataSpec, config: Config) -> None:
        super().__init__()
        self.spec, self.config = spec, config

    # ---- what each system must say ------------------------------------------------------------------

    @abstractmethod
    def stages(self, epoch: int, epochs: int) -> list[Stage]:
        """What epoch number `epoch` (from 0) of `epochs` consists of."""

    @abstractmethod
    def predict(self, batch: Batch) -> Tensor:
        """(B,) scores in the units of the labels, or (B, K) logits."""

    # ---- what it may say ----------------------------------------------------------------------------

    def groups(self) -> dict[str, list[nn.Parameter]]:
        """The parameters of each optimiser. By default one has them all."""
        return {"backbone": [*self.parameters()]}

    def learn_scales(self, samples: Samples) -> None:
        """Take the scales of features and labels from the training samples. By default nothing."""

    def preparing(self, epochs: int) -> int:
        """How many of some epochs only prepare; none of them can be chosen as the best. By default `warmup`."""
        return self.warmup

    def turns(self, epochs: int) -> dict[int, tuple[str, ...]]:
        """Epochs that begin a new part of training, and the members that go back to their best so far as it begins.

        Each part has a best of its own: what training leaves is the last part's, and patience waits for it. By default
        there are none.
        """
        return {}

    def prepare(self, epoch: int, train: Part) -> None:
        """What must look at the training samples before an epoch: clusters, say. By default nothing."""

    def after_step(self, step: Step, batch: Batch) -> None:
        """What changes besides the weights, once `step` has seen `batch`: a moving average, say. By default nothing.

        It is the place for it: a loss may be asked as often as one likes, and changes nothing.
        """

    # ---- what all of them can do --------------------------------------------------------------------

    @classmethod
    def check_samples(cls, samples: Samples) -> None:
        """Raise `InputError` where these samples lack what this system needs, or have more than it takes."""
        if len(samples.features) > cls.most_modalities:
            raise InputError(f"{cls.__name__} takes {cls.most_modalities} modalities, found {len(samples.features)}")
        if cls.needs_every_victim and not samples.complete.all():
            raise InputError(f"{cls.__name__} needs the victim of every sample: load with survival=1, setting='B'")
        if cls.needs_visible and not samples.present[:, 0].all():
            raise InputError(f"{cls.__name__} needs the visible modality of every sample: setting R drops it")

    @classmethod
    def from_data(cls, data: Data, config: Config | None = None, *, seed: int = 0) -> Self:
        """A new model for `data`: its widths, its task, the scales of its training samples.

        Raises:
            ValueError: `data` lack what this system needs.
        """
        cls.check_samples(data.train.samples)
        config = config or cls.config_type()
        weights = sum(math.prod(shape) for shape in (cls._shapes(data.spec, config) or {}).values())
        if weights > LARGEST:
            raise InputError(
                f"{cls.__name__} would have {weights:.3g} weights, more than {LARGEST:.3g}: make it smaller"
            )
        with seeded(seed):
            model = cls(data.spec, config)
        model.learn_scales(data.train.samples)
        return model

    @classmethod
    def _shapes(cls, spec: DataSpec, config: Config) -> dict[str, torch.Size] | None:
        """The weights that such a model would have, without their memory; None where only building it can tell."""
        try:
            with torch.device("meta"), seeded(0):
                return {name: value.shape for name, value in cls(spec, config).state_dict().items()}
        except (RuntimeError, NotImplementedError):  # it looks at numbers while it is built
            return None

    def save(self, path: str | Path, **more: object) -> None:
        """Write weights, scales, configuration and what the data were to one safetensors file, whole or not at all.

        Args:
            path: the file.
            more: what else is to be remembered beside them, in terms of JSON.

        Raises:
            ValueError: the place cannot be written.
        """
        about = {"system": type(self).__name__, "spec": asdict(self.spec), "config": asdict(self.config), **more}
        tensors = {name: value.detach().cpu().contiguous() for name, value in self.state_dict().items()}
        write_whole(path, save(tensors, {"mmalign": json.dumps(about, default=lambda number: number.item())}))

    @classmethod
    def restore(cls, path: str | Path) -> Self:
        """The model that `save` wrote. Nothing in the file is run.

        Raises:
            ValueError: not such a file, or of another system.
        """
        about, tensors = read_saved(path)
        if about.get("system") != cls.__name__:
            raise InputError(f"{path} holds {about.get('system', 'no mmalign model')}, expected {cls.__name__}")
        try:
            spec = _spec_of({"class_names": [], **about["spec"]})  # names: the first release did not keep them
            config = _config_of(about, cls.config_type)
            layers = [value for name, value in about["config"].items() if name.endswith("layers")]
            if max(layers, default=0) > len(tensors):  # each has weights of its own
                raise InputError(f"it has {len(tensors)} tensors for {max(layers)} layers")
            expected = sum(math.prod(shape) for shape in (cls._shapes(spec, config) or {}).values())
            if expected > 10**6 + 2 * sum(value.numel() for value in tensors.values()):
                raise InputError(f"it describes {expected:.3g} weights and does not hold them")
            with seeded(0):
                model = cls(spec, config)
            model.load_state_dict(tensors)
        except Exception as error:  # a configuration that is none can raise anything
            raise InputError(f"{path} does not fit {cls.__name__}: {line_of(error)}") from None
        return model.eval()


def read_saved(path: str | Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What a file that `System.save` wrote says of its model, and the tensors.

    Raises:
        ValueError: it is no such file.
    """
    return read_tensors(path, "a model that mmalign saved")


def _spec_of(told: dict[str, Any]) -> DataSpec:
    """What a file says of the data that its model was built for, each part checked for its kind."""
    names = Rule("names", lambda found: isinstance(found, list) and all(isinstance(one, str) for one in found))
    count = whole(1, 10**6)
    widths = Rule("widths", lambda found: isinstance(found, list) and all(count.holds(one) for one in found))
    for name, rule in {"modalities": names, "widths": widths, "class_names": names, "classes": count}.items():
        check(name, told[name], rule)
    if not 2 <= len(told["widths"]) == len(told["modalities"]) <= 20:
        raise InputError(f"it has {len(told['modalities'])} modalities and {len(told['widths'])} widths")
    one_of("task", told["task"], ("regression", "classification"))
    parts: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in told.items()}
    return DataSpec(**parts)


def _config_of(about: dict[str, Any], kind: type[Config]) -> Config:
    """What a file says of its settings. The first release, which kept no class names, had some that nothing read."""
    if "class_names" in about["spec"]:
        return kind(**about["config"])
    known = {one.name for one in fields(kind)}
    return settings(kind, {name: value for name, value in about["config"].items() if name in known})


def by_presence(batch: Batch, complete: Callable[[Batch], Tensor], missing: Callable[[Batch], Tensor]) -> Tensor:
    """Predict each sample by the path it has the data for, and put the answers back in order."""
    here = batch.complete
    if here.all():
        return complete(batch)
    if not here.any():
        return missing(batch)
    answers = torch.cat([complete(batch.rows(here)), missing(batch.rows(~here))])
    order = torch.cat([here.nonzero()[:, 0], (~here).nonzero()[:, 0]])
    return answers[order.argsort()]
