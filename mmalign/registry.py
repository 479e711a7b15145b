"""SYSTEMS and DATASETS: the only file that knows all the names.

What a name stands for is imported when it is first used, so that the names themselves cost nothing.
"""

import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from . import named
from .config import OFFICIAL_MODEL, OFFICIAL_TRAIN, BackboneConfig, Condition, TrainConfig, settings
from .data.speech import SPEECH
from .errors import InputError, one_of
from .files import nameable
from .settings import Settings

if TYPE_CHECKING:
    from .data import Source, Splits
    from .system import System


@dataclass(frozen=True)
class SystemEntry:
    """A system's name stands for a class and the settings that differ from its defaults."""

    place: str  # "package.module:Class", or "folder/file.py:Class" of a system of one's own
    about: str
    model: dict[str, object] = field(default_factory=dict)
    train: dict[str, object] = field(default_factory=dict)

    @property
    def kind(self) -> "type[System[Any]]":
        """Its class.

        Raises:
            ValueError: there is none, or it is no whole system; only one's own can be that wrong.
        """
        from .system import System

        kind = named.find(self.place)
        if not issubclass(kind, System):
            raise InputError(f"{self.place} is no mmalign.System")
        if inspect.isabstract(kind):
            raise InputError(f"{self.place} lacks {', '.join(sorted(kind.__abstractmethods__))}")
        return kind

    @property
    def digest(self) -> str | None:
        """Of the source of a system of one's own, which decides its results; of ours the version does."""
        return None if self.place.startswith("mmalign.") else named.digest(self.kind)

    def configure(self, **changes: object) -> BackboneConfig:
        """The configuration of its model, with changes."""
        return settings(self.kind.config_type, self.model, **changes)

    def configure_training(self, **changes: object) -> TrainConfig:
        """The configuration of its training, with changes."""
        return settings(TrainConfig, self.train, **changes)


SYSTEMS = {
    "single": SystemEntry("mmalign.baselines.bounds:Single", "lower bound: the visible modality alone"),
    "double": SystemEntry("mmalign.baselines.bounds:Double", "upper bound: both modalities, always"),
    "constant": SystemEntry(
        "mmalign.baselines.constant:Constant", "the median label, or the commonest class", train={"epochs": 1}
    ),
    "trees": SystemEntry(
        "mmalign.baselines.trees:Trees", "extra trees on the visible modality, no network", train={"epochs": 1}
    ),
    "trees-both": SystemEntry(
        "mmalign.baselines.trees:TreesBoth", "extra trees on both modalities, always", train={"epochs": 1}
    ),
    "zero-fill": SystemEntry("mmalign.baselines.fills:ZeroFill", "zeros stand in for the victim"),
    "copy": SystemEntry("mmalign.baselines.fills:Copy", "the visible sequence stands in for the victim"),
    "mfm": SystemEntry(
        "mmalign.baselines.mfm:MFM", "the victim decoded from factors, guessed from the visible modality"
    ),
    "smil": SystemEntry(
        "mmalign.baselines.smil:SMIL", "one vector between cluster centres stands in for the victim; meta-learning"
    ),
    "modal-trans": SystemEntry(
        "mmalign.baselines.modal_trans:ModalTrans", "the victim translated from the visible modality, and back"
    ),
    "mm-align": SystemEntry("mmalign.method.model:MMAlign", "the paper's method"),
    "mm-align-official": SystemEntry(
        "mmalign.method.model:MMAlign",
        "the same with every departure of its released code",
        OFFICIAL_MODEL,
        OFFICIAL_TRAIN,
    ),
    "mm-align-plus": SystemEntry(
        "mmalign.method.plus:MMAlignPlus", "ours: the imputed answer follows the complete one, labelled or not"
    ),
    "late-fusion": SystemEntry(
        "mmalign.neighbours.late_fusion:LateFusion", "a model for each modality, trained apart, then averaged"
    ),
    "mla": SystemEntry(
        "mmalign.neighbours.mla:MLA", "modalities in turn through one guarded head; the surer weigh more"
    ),
    "deepmlf": SystemEntry(
        "mmalign.neighbours.deepmlf:DeepMLF",
        "tokens behind the words of a frozen language model, which sound and sight reach layer by layer",
        train={"epochs": 30},  # the first 10 prepare
    ),
    "scale": SystemEntry(
        "mmalign.neighbours.scale:SCALE",
        "pre-trained without labels, like modalities drawn together",
        train={"epochs": 50, "batch_size": 64},  # of 20 to pre-train; a large batch is a choice of negatives
    ),
    "deep-sets": SystemEntry(
        "mmalign.neighbours.deep_sets:DeepSets", "what is present is a set, and what is absent is not in it"
    ),
}


def system(name: str) -> SystemEntry:
    """A system of ours by its name, or one's own by its place: `package.module:Class`, `folder/file.py:Class`.

    Raises:
        ValueError: no such name. Whether there is such a class is asked when it is used.
    """
    if isinstance(name, str) and ":" in name:
        return SystemEntry(name, "a system of one's own")
    one_of("system", name, tuple(SYSTEMS))
    return SYSTEMS[name]


@dataclass(frozen=True)
class DatasetEntry:
    """A data set's name stands for a reader and the pair that is used when none is given."""

    read: Callable[[Path, tuple[str, ...], dict[str, object]], "Source"]  # of its folder, a pair, its options
    pair: tuple[str, str]
    about: str
    folder: str | None = None  # in the data folder; None where nothing is read from there
    others: tuple[str, ...] = ()  # modalities beside those of the pair
    to_check: Callable[[Path, tuple[str, ...]], tuple[str, ...]] = lambda folder, pair: pair  # what a check reads
    config: str | None = None  # of its options, where they are settings: the place of the class
    sentiment: bool = False  # labels are scores of it: then acc7 and corr are measured too

    def configure(self, options: dict[str, object]) -> dict[str, object]:
        """Its options, each in one form: 1 and 1.0 are one setting."""
        if self.config is None:
            return options
        filled: Settings = settings(named.find(self.config), {}, **options)
        return {name: getattr(filled, name) for name in options}

    @property
    def modalities(self) -> tuple[str, ...]:
        return self.pair + self.others


def _known(dataset: str, options: dict[str, Any], *known: str) -> dict[str, Any]:
    """The options of a data set, or an error that names the first unknown one."""
    for option in options:
        one_of(f"option of {dataset}", option, known)
    return options


def _smartwatch(folder: Path, pair: tuple[str, ...], options: dict[str, Any]) -> "Source":
    from .data import smartwatch

    return smartwatch.read("magnitude" in pair, **_known("smartwatch", options, "folds"))


def _spelling(folder: Path, pair: tuple[str, ...], options: dict[str, Any]) -> "Source":
    from .data import spelling

    return spelling.read(**options)


def _planted(folder: Path, pair: tuple[str, ...], options: dict[str, Any]) -> "Source":
    from .data import planted

    return planted.read("third" in pair, **options)


def _arrays(folder: Path, pair: tuple[str, ...], options: dict[str, Any]) -> "Source":
    from .data import arrays

    return arrays.read(folder, **_known("arrays", options, "task"))


def _speech(name: str, visible: str, victim: str, other: str) -> DatasetEntry:
    """People who speak: text, video and audio from the files in the folder of that name."""

    def read(folder: Path, pair: tuple[str, ...], options: dict[str, Any]) -> "Source":
        from .data import folders

        return folders.read(name, folder, pair, **_known(name, options, "longest", "loss"))

    def to_check(folder: Path, pair: tuple[str, ...]) -> tuple[str, ...]:
        from .data import folders

        return folders.to_check(name, folder, pair)

    about, scored = SPEECH[name].about, not SPEECH[name].classes
    folder = name.replace("-", "_")
    return DatasetEntry(read, (visible, victim), about, folder, (other,), to_check, sentiment=scored)


DATASETS = {
    "smartwatch": DatasetEntry(
        _smartwatch, ("acc", "gyro"), "7 shoulder exercises seen by a watch; embedded", others=("magnitude",)
    ),
    "spelling": DatasetEntry(
        _spelling,
        ("letters", "sounds"),
        "117 000 English words, written and spoken; embedded",
        config="mmalign.data.spelling:SpellingConfig",
    ),
    "planted": DatasetEntry(
        _planted,
        ("first", "second"),
        "generated, true alignment known; embedded",
        others=("third",),
        config="mmalign.data.planted:PlantedConfig",
    ),
    "ict-mmmo": _speech("ict-mmmo", "audio", "video", "text"),
    "arrays": DatasetEntry(_arrays, ("visible", "victim"), "your own arrays", "arrays.npz"),
    "pom": _speech("pom", "audio", "video", "text"),  # whose text is not published for training
    "youtube": _speech("youtube", "text", "audio", "video"),
    "mosi": _speech("mosi", "text", "audio", "video"),
    "mosei": _speech("mosei", "text", "audio", "video"),
    "sims": _speech("sims", "text", "audio", "video"),
    "meld": _speech("meld", "text", "audio", "video"),
}


def data_folder(given: str | Path | None = None) -> Path:
    """Where data sets lie: `given`, else MMALIGN_DATA, else the user's cache folder."""
    told = given or os.environ.get("MMALIGN_DATA")
    if told:
        return nameable(told)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mmalign"
    except RuntimeError:  # HOME is not set, and the system knows no such user
        raise InputError("no folder is known here: HOME is not set; say --data-dir, or set MMALIGN_DATA") from None


def folder_of(name: str, data_dir: str | Path | None = None) -> Path:
    """Where a data set is looked for."""
    one_of("dataset", name, tuple(DATASETS))
    inside = DATASETS[name].folder
    return Path() if inside is None else data_folder(data_dir) / inside  # what is embedded is looked for nowhere


def read(
    name: str, pair: tuple[str, ...] | None = None, data_dir: str | Path | None = None, /, **options: object
) -> "Source":
    """Read a data set, checked but not yet split. Options are the data set's own (`planted`: its knobs)."""
    folder = folder_of(name, data_dir)
    entry = DATASETS[name]
    pair = entry.pair if pair is None else tuple(pair)
    for modality in pair:
        one_of(f"modality of {name}", modality, entry.modalities)
    return entry.read(folder, pair, options)


def follow(options: dict[str, object], seed: int) -> dict[str, object]:
    """Options of a data set whose draw, where it is "seed", is that of the experiment: each seed has fresh samples.

    >>> follow({"draw": "seed", "samples": 60}, 3)
    {'draw': 3, 'samples': 60}
    """
    return options | ({"draw": seed} if options.get("draw") == "seed" else {})


def load(
    name: str,
    pair: tuple[str, ...] | None = None,
    survival: float = 1.0,
    setting: Literal["A", "B", "R"] = "A",
    seed: int = 0,
    labelled: float = 1.0,
    data_dir: str | Path | None = None,
    **options: object,
) -> "Splits":
    """A data set, split, with the victims that nobody may see hidden behind NaN.

    Args:
        name: smartwatch, spelling, planted, ict-mmmo, pom, youtube, mosi, mosei, meld or arrays.
        pair: (visible, victim), or with others behind them for the systems that take more.
        survival: p in (0, 1], the share of samples whose victim is present.
        setting: "A", no victim in validation and test; "B", there with the training rate; "R", every modality
            of every sample stays with chance p, at least one does.
        seed: draws the split (or, where the data set comes split, only the pattern of absence).
        labelled: share of training samples whose label is shown.
        data_dir: where files are looked for; MMALIGN_DATA or the cache folder by default.
        options: the data set's own; draw="seed" draws what is drawn by the same seed.

    Raises:
        ValueError: a name, a value or a file does not fit; the message says which.

    >>> data = load("planted", survival=0.5, setting="A", seed=0)
    >>> len(data.train.complete), len(data.train.missing), len(data.test.complete)
    (300, 300, 0)
    """
    from .data import make_splits

    one_of("dataset", name, tuple(DATASETS))
    pair = DATASETS[name].pair if pair is None else tuple(pair)
    condition = Condition(pair=pair, survival=survival, setting=setting, seed=seed, labelled=labelled)
    return make_splits(read(name, pair, data_dir, **follow(options, seed)), condition)


def from_arrays(
    visible: object,
    victim: object,
    labels: object,
    lengths: object = None,
    missing: object = None,
    task: str | None = None,
    seed: int = 0,
    groups: object = None,
    unlabelled: object = None,
) -> "Splits":
    """Your own data, split 3:1:1 into training, validation and test.

    Args:
        visible: (N, T, D1) numbers; what lies beyond a sample's length is not read. Or N sequences of their own
            lengths; or `Pairs`, which hold the victim, the lengths and who lacks what.
        victim: (N, T, D2) numbers; a sample that is NaN throughout is missing.
        labels: (N,) numbers, or classes under any names.
        lengths: (N,) true lengths; all T by default.
        missing: (N,) bool, True where the victim is to count as missing.
        task: "regression" or "classification"; by default what the labels are: fractions or names. Whole numbers
            could be either, and must say.
        seed: draws the split; 0 to 4 are five folds.
        groups: (N,) samples of one group (a person, a recording) stay on one side.
        unlabelled: (N,) bool, True where the label is not known, whatever stands there. Such samples serve
            training only, and only losses that need no label learn from them.

    Raises:
        ValueError: shapes disagree, or a value is not finite; the message says where.

    >>> import torch
    >>> data = from_arrays(torch.rand(50, 8, 3), torch.rand(50, 8, 2), torch.rand(50))
    >>> len(data.train), len(data.valid), len(data.test)
    (30, 10, 10)
    """
    from .data import arrays, make_splits

    source = arrays.from_memory(visible, victim, labels, lengths, missing, groups, unlabelled, task)
    return make_splits(source, Condition(pair=tuple(source.features), survival=1.0, setting="B", seed=seed))
