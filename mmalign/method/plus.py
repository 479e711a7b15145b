"""mm-align-plus: few labels and many pairs (chapters "When imputation pays" and "When alignment pays").

Complete pairs without a label say two things: what the victim looks like beside what is visible, and, once somebody
reads both, what the answer would be. So there are two halves. The first, which needs no answers but for the teacher:

    space       an encoder for each modality, drawn together by pairs (`shared_space`), where plans are wanted
    dynamics    a fitter foretells those plans from the visible sequence (`mixing`)
    translator  imagines the victim's observations (`translator`), through the plans or step to step
    teacher     a backbone learns the task from both modalities of the labelled

In the second a student, a copy of the teacher, learns to answer from the visible sequence and the imagined one what
the teacher answers from the true pair, labelled or not. Every part is a switch. This is ours, not the paper's.
"""

import math
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import transport
from ..batch import VICTIM, VISIBLE, Batch, DataSpec, Samples
from ..config import BackboneConfig
from ..errors import InputError
from ..settings import Chance, Count, CountOr0, Positive, Weight, each
from ..system import Data, Stage, Step
from .backbone import Backbone
from .controls import PARTNERS, anyone, beside
from .denoising import TwoPaths
from .encoders import Standardise
from .mixing import KNOWN, TAUGHT, Fitted, Weights, choices, way
from .shared_space import SharedSpace
from .translator import Translator

Teachers = Literal["complete", "shuffled", "shuffled-within", "answers-shuffled", "self", "mean"]
QUICK = 2.0  # times the learning rate, where much is to be learnt from many pairs
SEEING = ("complete", "shuffled", "shuffled-within", "answers-shuffled")  # teachers that see victims


@dataclass(frozen=True, kw_only=True)
class MMAlignPlusConfig(BackboneConfig):
    """The parts of mm-align-plus and its controls."""

    only_with: ClassVar = {
        "imagined": {"teacher": SEEING},
        **each("weights", "translator_layers", imagined=True, teacher=SEEING),
        "window": {"weights": (*TAUGHT, "uniform", "random")},
        "fitter_width": {"weights": (*TAUGHT, "random")},
        **each("mu", "space", weights=TAUGHT),
        "softening": {"distil": True},
        "teacher_decay": {"teacher": "mean"},
        **each("preparing_share", "chosen", teacher=SEEING),
    }

    teacher: Annotated[
        Teachers,
        "who is followed: a reader of true pairs; controls: of shuffled pairs, shuffled among like labels, of true "
        'pairs but with somebody else\'s answer; "self" and "mean" see no victim',
    ] = "complete"
    distil: Annotated[Weight, "weight of the distance from the teacher's answer; 0: labels alone"] = 1.0
    softening: Annotated[Positive, "temperature of both answers of a classification in that distance"] = 2.0
    teacher_decay: Annotated[Chance, "of the moving average of teacher=mean"] = 0.99
    imagined: Annotated[bool, "the student sees the imagined victim; False: the visible sequence alone"] = True
    translator_layers: Annotated[CountOr0, "blocks that look back at the whole; 0: a linear map, no context"] = 2
    weights: Annotated[
        Weights,
        'how steps are brought together: step to step, by fitted plans ("transport"), by the fitted choice of each of '
        'the victim\'s steps ("one-sided"), by the truth where data know it, or evenly over the window, by attention, '
        "by a fitter left as drawn",
    ] = "identity"
    space: Annotated[bool, "plans in a space that pairs have drawn together; False: between the teacher's states"] = (
        True
    )
    window: Annotated[CountOr0, "W, half-width of the band, in steps"] = 3
    mu: Annotated[Positive, "entropy strength, in units of the cosine cost (0 to 2)"] = 0.05
    fitter_width: Annotated[Count, "features of one direction of the fitter's GRU"] = 32
    preparing_share: Annotated[Chance, "of the epochs, before the student learns"] = 0.5
    chosen: Annotated[
        Literal["validation", "last"],
        "whose weights stay: those that validation likes best, the teacher's for the student to follow, then the "
        "student's; or the last",
    ] = "validation"
    least: Annotated[Count, "samples that a stage sees in an epoch, if need be more than once each"] = 1000

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.distil and self.teacher in ("answers-shuffled", "self", "mean"):
            raise InputError(f"teacher={self.teacher} is followed or nothing, found distil=0")

    @property
    def sees_victim(self) -> bool:
        """Whether training looks at victims; any gain must beat the controls that do not."""
        return self.teacher in SEEING

    @property
    def imagines(self) -> bool:
        """Whether the student is shown an imagined victim."""
        return self.imagined and self.sees_victim


class MMAlignPlus(TwoPaths[MMAlignPlusConfig]):
    """A student that answers from what is visible and imagined what a teacher answers from both modalities."""

    config_type = MMAlignPlusConfig
    pairs = labelled = samples = 0  # how many there are to learn from

    def __init__(self, spec: DataSpec, config: MMAlignPlusConfig) -> None:
        super().__init__(spec, config)
        self.backbone = Backbone(spec, config, encoders=2 if config.imagines else 1)  # the student
        if config.sees_victim:
            self.teacher = Backbone(spec, config)
        elif config.teacher == "mean":
            self.teacher = deepcopy(self.backbone)
        if config.imagines:
            brought = way(config.weights, spec, config, config.window, config.fitter_width)
            self.translator = Translator(spec, config, config.translator_layers, brought)
        if config.weights in TAUGHT and config.space:
            self.shared = SharedSpace(spec, config, config.window, config.mu)

    @classmethod
    def from_data(cls, data: Data, config: MMAlignPlusConfig | None = None, *, seed: int = 0) -> Self:
        """A new model for `data`; with weights=oracle or foretold it keeps what they know of their alignment.

        Raises:
            ValueError: `data` lack what this system needs.
        """
        model = super().from_data(data, config, seed=seed)
        if model.config.weights in KNOWN:
            source: Any = getattr(data, "source", None)
            if source is None or "match" not in source.answers or tuple(source.features)[:2] != model.spec.modalities:
                raise InputError(
                    f"weights={model.config.weights} needs data that know their alignment, which {data!r} do not"
                )
            model.translator.way.known = (
                source.answers["match"] if model.config.weights == "oracle" else source.foretold()
            )
        return model

    def groups(self) -> dict[str, list[nn.Parameter]]:
        """The parameters of each part; the fitter's are "dynamics"."""
        groups = {name: [*part.parameters()] for name, part in self.named_children()}
        if self.config.imagines and isinstance(self.translator.way, Fitted):
            groups["dynamics"] = [*self.translator.way.parameters()]
            theirs = {id(one) for one in groups["dynamics"]}
            groups["translator"] = [one for one in groups["translator"] if id(one) not in theirs]
        return groups

    def learn_scales(self, samples: Samples) -> None:
        """Take the scales of features and labels from the training samples, and how many of which there are."""
        learnt: dict[int, Standardise] = {}
        for place, scale in self._scales():
            if place in learnt:
                scale.load_state_dict(learnt[place].state_dict())
            else:
                scale.learn(samples.seen(place))
                learnt[place] = scale
        for network in self._networks():
            network.answer.learn_scale(samples)
        self.samples, self.pairs = len(samples), int(samples.complete.sum())
        self.labelled = int(samples.labelled.sum())

    def _networks(self) -> list[Backbone]:
        """Those that answer: the student, and the teacher if it is another."""
        return [part for part in self.children() if isinstance(part, Backbone)]

    def _scales(self) -> Iterator[tuple[int, Standardise]]:
        """Every scale of features, with the place of its modality."""
        for network in self._networks():
            yield from enumerate(embed.standardise for embed in network.embed)
        if self.config.imagines:
            yield 0, self.translator.encode.embed.standardise
            yield 1, self.translator.scale
            if isinstance(self.translator.way, Fitted):
                yield 0, self.translator.way.encode.embed.standardise
        if hasattr(self, "shared"):
            yield from enumerate(encoder.embed.standardise for encoder in self.shared.encoders)

    # ---- the order of things ------------------------------------------------------------------------------

    def preparing(self, epochs: int) -> int:
        """The epochs before validation can choose: where the last weights stay, all but the last.

        A teacher can be judged from the first by a student that is shown the imagined victim, as its copy; a student
        that is not is nobody before it learns. The controls that see no victim are trained on labels alone.
        """
        if not self.config.sees_victim:
            return 0
        if self.config.chosen == "last":
            return epochs - 1
        return 0 if self.config.imagines else self._students_first(epochs)

    def turns(self, epochs: int) -> dict[int, tuple[str, ...]]:
        """The student begins as a copy of the best teacher, which is soon past its best where labels are few.

        Who stays is chosen in the student's part alone: before it the translator has not finished.
        """
        judged = self.config.imagines and self.config.chosen == "validation"
        return {self._students_first(epochs): ("teacher", "backbone")} if judged else {}

    def _students_first(self, epochs: int) -> int:
        """The epoch, of some, in which the student begins."""
        return int(self.config.preparing_share * epochs) if self.config.sees_victim else 0

    def stages(self, epoch: int, epochs: int) -> list[Stage]:
        """First what needs no student, then the student; each with a learning rate that falls to the end of its part.

        A single epoch holds both.
        """
        first = self._students_first(epochs)
        stages = []
        if self.config.sees_victim and epoch < max(first, epochs == 1):
            stages += self._preparation(epoch, max(first, 1))
        if epoch >= first:
            pace = 1 - (epoch - first) / (epochs - first)
            step = Step("student", self.student_loss, ("backbone",), pace)
            # Whoever follows a teacher has no need to see the few labelled more often than the others.
            part = "mingled" if self.config.sees_victim and self.config.distil else "all"
            stages += [Stage(part, (step,))] * self._rounds(self.samples)
        return stages

    def _preparation(self, epoch: int, epochs: int) -> list[Stage]:
        """Space, fitter, translator on all pairs; the teacher on the labelled, a third as long where they are few."""
        pace, third, steps = 1 - epoch / epochs, math.ceil(epochs / 3), []
        if hasattr(self, "shared") and epoch < third:  # then it stands still, for the fitter to arrive
            steps.append(Step("space", self.space_loss, ("shared",), QUICK * (1 - epoch / third)))
        if self.config.weights in TAUGHT:
            steps.append(Step("fit", self.fitting_loss, ("dynamics",), QUICK * pace))
        if self.config.imagines:
            steps.append(Step("translate", self.translation_loss, ("translator",), QUICK * pace))
        on_pairs = [Stage("pairs", tuple(steps))] * self._rounds(self.pairs) if steps else []
        return on_pairs + self._lessons(epoch, epochs)

    def _lessons(self, epoch: int, epochs: int) -> list[Stage]:
        """The teacher's passes over its labels: where validation chooses one at first, so that it can stop them early.

        In all they are as many as if they were spread evenly; the learning rate falls with those that are left.
        """
        often = self._rounds(self.labelled, self.pairs // 3)

        def done(number: int) -> int:
            grown = number + (often - 1) * number**2 // epochs
            return grown if self.config.chosen == "validation" else often * number

        step = Step("teach", self.teaching_loss, ("teacher",), 1 - done(epoch) / done(epochs))
        return [Stage("labelled", (step,))] * (done(epoch + 1) - done(epoch))

    def _rounds(self, count: int, wanted: int = 0) -> int:
        """How often an epoch goes over `count` samples."""
        return max(1, math.ceil(max(wanted, self.config.least) / count)) if count else 1

    # ---- the losses ---------------------------------------------------------------------------------------

    def space_loss(self, batch: Batch) -> dict[str, Tensor]:
        """Of the shared space: true pairs against strangers."""
        return {"space": self.shared.loss(self.paired(batch))}

    def fitting_loss(self, batch: Batch) -> dict[str, Tensor]:
        """How far the foretold alignment is from the plan (the paper's Eq. 12)."""
        pairs = self.paired(batch)
        fitter: Fitted = self.translator.way
        return {"fit": fitter.loss(self.transport_target(pairs), pairs)}

    def translation_loss(self, batch: Batch) -> dict[str, Tensor]:
        """How far the imagined victims are from the true ones."""
        return {"translate": self.translator.loss(self.paired(batch))}

    def teaching_loss(self, batch: Batch) -> dict[str, Tensor]:
        """The task from both modalities; where the victim is absent, an imagined one stands in."""
        here = batch.complete
        told = self.paired(batch.rows(here)) if here.any() else batch.rows(here)
        if self.config.imagines and not here.all():
            told = Batch.join([told, self.with_imagined(batch.rows(~here))]) if len(told) else self.with_imagined(batch)
        if not len(told):
            return {}
        return {"task": self.teacher.task_loss(self.teacher.from_both(told), told.labels)}

    def student_loss(self, batch: Batch) -> dict[str, Tensor]:
        """The label where it is shown, and the teacher's answer where there is one; every sample weighs the same."""
        answer = self.predict_missing(batch)
        share = batch.labelled.float().mean()
        parts = {"label": share * self.backbone.task_loss(answer, batch.labels)}
        followed = batch.complete if self.config.sees_victim else torch.ones_like(batch.complete)
        if self.config.distil and followed.any():
            with torch.no_grad():
                target = self._followed(batch.rows(followed))
            weight = self.config.distil * followed.float().mean()
            parts["follow"] = weight * self.distance(answer[followed], target)
        return parts

    def distance(self, answer: Tensor, target: Tensor) -> Tensor:
        """How far an answer is from a teacher's: squared error in label spreads, or softened KL divergence. ()

        The square of the temperature keeps the gradient's size (Hinton, Vinyals and Dean, arXiv 1503.02531).
        """
        if self.spec.task == "regression":
            return self.backbone.task_loss(answer, target)
        soft = self.config.softening
        ours, theirs = (F.log_softmax(logits / soft, dim=1) for logits in (answer, target))
        return soft**2 * F.kl_div(ours, theirs, reduction="batchmean", log_target=True)

    def _followed(self, batch: Batch) -> Tensor:
        """The answers of whoever is followed: from the true pairs, or from what a control has instead."""
        if self.config.teacher == "self":  # the same network under other dropout
            return self.predict_missing(batch)
        network = self.teacher.eval()
        if self.config.teacher == "mean":
            return network.from_visible(batch)
        shown = beside(batch, anyone(batch)) if self.config.teacher == "answers-shuffled" else self.paired(batch)
        return network.from_both(shown)

    def paired(self, batch: Batch) -> Batch:
        """Complete samples as the control has them: with their own victims, or with those of others."""
        partners = PARTNERS.get(self.config.teacher)
        return beside(batch, partners(batch)) if partners else batch

    @torch.no_grad()
    def after_step(self, step: Step, batch: Batch) -> None:
        """While a teacher learns, the student is its copy; a teacher that is a moving average follows the student."""
        if step.name == "teach" and self.config.imagines:
            self.backbone.load_state_dict(self.teacher.state_dict())
        if self.config.teacher == "mean":
            for mine, theirs in zip(self.teacher.parameters(), self.backbone.parameters(), strict=True):
                mine.lerp_(theirs, 1 - self.config.teacher_decay)

    # ---- alignment and imputation -------------------------------------------------------------------------

    @torch.no_grad()
    def transport_target(self, batch: Batch) -> Tensor:
        """(B, T, 2W+1): what the fitter is to learn, l times a plan of complete samples, in the space or without."""
        if hasattr(self, "shared"):
            first, second = self.shared(batch)
        else:
            first, second = (self.teacher.encode(batch, modality)[:, 1:] for modality in (VISIBLE, VICTIM))
        window, mu = self.config.window, self.config.mu
        if self.config.weights == "one-sided":
            return choices(first, second, batch.real, window, mu)
        return transport.align(first, second, batch.lengths, window=window, mu=mu).band * batch.lengths[:, None, None]

    def alignment(self, batch: Batch) -> Tensor:
        """(B, T, 2W+1): the fitter's, from the visible sequence alone; of weights=transport, one-sided or random."""
        fitter: Fitted = self.translator.way
        return fitter.weights(batch)

    @torch.no_grad()
    def with_imagined(self, batch: Batch) -> Batch:
        """The same samples, all with an imagined victim, whether they have one or not."""
        training = self.translator.training
        if training:  # asked, for to go through all modules takes a tenth of a millisecond
            self.translator.eval()
        imagined = self.translator.imagine(batch)
        if training:
            self.translator.train()
        return replace(batch, features=(batch.visible, imagined))

    def impute(self, batch: Batch) -> Tensor:
        """(B, T+1, D): the student's hidden states of the imagined victim, head first.

        `model.with_imagined(batch).victim` (B, T, D2) is what is imagined itself, in the victim's own unit.
        """
        return self.backbone.encode(self.with_imagined(batch), VICTIM)

    # ---- answers ------------------------------------------------------------------------------------------

    def predict_complete(self, batch: Batch) -> Tensor:
        """The teacher's answer; without a teacher that sees victims, the student's."""
        return self.teacher.from_both(batch) if self.config.sees_victim else self.predict_missing(batch)

    def predict_missing(self, batch: Batch) -> Tensor:
        """The student's answer, from the visible modality alone; the victim is not read, present or not."""
        if self.config.imagines:
            return self.backbone.from_both(self.with_imagined(batch))
        return self.backbone.from_visible(batch)
