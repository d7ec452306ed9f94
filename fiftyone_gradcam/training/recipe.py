"""All options of a training in one record, which is checked before the training starts."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import le, lt

import numpy as np

from ..arguments import MOST_SEED, check_storable
from ..images.geometry import RESIZES, check_resize
from ..model.backbones import get_backbone
from ..similar import did_you_mean
from .duration import AUGMENTATIONS, AUTO, settled_epochs

OPTIMIZERS = ("adamw", "adam", "sgd")
SCHEDULES = ("cosine", "constant", "one_cycle")
CLASS_BALANCES = ("none", "weights", "sampling")


@dataclass(frozen=True)
class Recipe:
    """All options of a training. Named recipes are in `known_recipes`.

    Network
        backbone: name of a backbone, such as "resnet18"
        weights: "imagenet", "none" (train from scratch), or the path of a weights file
        image_size: side of the square input, in pixels; by default (None), that of the backbone
        resize: how images are resized: "crop" (the central square, 7/8 of the shorter side, as in
            ImageNet training), "squash" (the whole image, without keeping its aspect ratio),
            "letterbox" (the whole image, with padding) or "auto" (the best of these on features of
            up to 300 training images; the run records which); by default (None), "auto" with
            pretrained weights, and "squash" from scratch and for small_cnn
        hidden: widths of new hidden layers before the last layer, such as (256, 256)
        dropout: dropout probability before the last layer and after each hidden layer, in [0, 1);
            by default (None), that of the backbone

    Optimization
        freeze: "none", "backbone" (all layers except the new ones), or the number of stages,
            counted from the image (see `describe`), whose weights and batch norm statistics are
            frozen
        head_epochs: number of epochs to first train only the new layers, on features that are
            computed once, before all layers that are not frozen are trained (Kumar et al., arXiv
            2202.10054)
        gradual_unfreezing: unfreeze the stages one after another, from the last to the first, which
            joins in the last epoch (Howard and Ruder, arXiv 1801.06146, section 3.3)
        optimizer: "adamw", "adam" or "sgd"
        momentum: momentum of "sgd", in [0, 1)
        learning_rate: maximum learning rate; by default (None), 1e-4 for pretrained weights (1e-3
            with "sgd"), and a rate that depends on the backbone from scratch
        head_lr_factor: factor of the learning rate of new layers, relative to pretrained layers
        weight_decay: weight decay, at least 0; with "adam" and "sgd" it is added to the gradient
        schedule: "cosine" (decreases to 0), "constant", or "one_cycle" (increases from 1/25 of the
            maximum, then decreases to 0)
        warmup: fraction of all steps in which the learning rate increases, in [0, 1); with
            "one_cycle", 0 means 0.3
        epochs: number of epochs, at least 1; None means 5, or more if there are few images, to make
            at least 150 steps
        batch_size: images per step, at least 1
        images_per_class: maximum number of training images per class, drawn at random; by default
            (None), no limit
        seed: random seed of new layers, the order of images, augmentation and dropout
        mixed_precision: compute in bfloat16 where that is safe; by default (None), on GPUs that
            support it

    Loss
        label_smoothing: label smoothing, in [0, 1)
        class_balance: "none", "weights" (the loss of rare classes has a larger weight) or
            "sampling" (rare classes are drawn more often), so that all classes count equally

    Validation
        validate_every: number of steps between validations; 0 means after each epoch
        early_stopping: stop after this number of validations without improvement; 0 disables it
        ema: decay per step of an exponential moving average of the weights, which is validated and
            kept, in [0, 1); 0 disables it

    Augmentation of training images (drawn for each image)
        horizontal_flip, vertical_flip: flip half of the images
        translation: shift by up to this number of pixels; by default (None), a tenth of the image
            size, or 0 with a random crop
        scale: zoom in or out by up to this fraction, in [0, 1)
        crop: crop a random part with at least this fraction of the area, and stretch it to the full
            size, in (0, 1]; 1 disables it
        rotation: rotate by up to this number of degrees, in [0, 180]
        elastic: elastic distortion with a maximum displacement of up to this number of pixels
            (Simard et al., ICDAR 2003)
        brightness, contrast: change by up to this fraction, in [0, 1]
        noise: fraction of the pixels that become black or white (salt and pepper), in [0, 1]
        cutout: side of a gray square, as a fraction of the image side, in [0, 1] (DeVries and
            Taylor, arXiv 1708.04552)
        mixup: mix pairs of images with a weight drawn from Beta(mixup, mixup) (Zhang et al., arXiv
            1710.09412); 0 disables it

    Raises:
        ValueError: if an option is invalid; the message names the option and its possible values
    """

    backbone: str = "resnet18"
    weights: str = "imagenet"
    image_size: int | None = None
    resize: str | None = None
    hidden: tuple[int, ...] = ()
    dropout: float | None = None

    freeze: str | int = "none"
    head_epochs: int = 0
    gradual_unfreezing: bool = False
    optimizer: str = "adamw"
    momentum: float = 0.9
    learning_rate: float | None = None
    head_lr_factor: float = 10.0
    weight_decay: float = 0.01
    schedule: str = "cosine"
    warmup: float = 0.1
    epochs: int | None = 5
    batch_size: int = 16
    images_per_class: int | None = None
    seed: int = 0
    mixed_precision: bool | None = None

    label_smoothing: float = 0.0
    class_balance: str = "none"

    validate_every: int = 0
    early_stopping: int = 0
    ema: float = 0.0

    horizontal_flip: bool = True
    vertical_flip: bool = False
    translation: int | None = None
    scale: float = 0.0
    crop: float = 1.0
    rotation: float = 0.0
    elastic: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    noise: float = 0.0
    cutout: float = 0.0
    mixup: float = 0.0

    def __post_init__(self):
        backbone = get_backbone(self.backbone)
        plain = self.from_scratch or not backbone.has_imagenet_weights
        if plain and self.resize == AUTO:
            object.__setattr__(self, "resize", None)
        self._fill(image_size=backbone.image_size, resize="squash" if plain else AUTO)
        rate = 1e-3 if self.optimizer == "sgd" else 1e-4
        scratch = backbone.family.scratch_learning_rate
        self._fill(learning_rate=scratch if self.from_scratch else rate)
        if isinstance(self.hidden, list):  # from JSON
            object.__setattr__(self, "hidden", tuple(self.hidden))
        backbone.check_image_size(self.image_size)
        if self.resize != AUTO:
            check_resize(self.resize, (*RESIZES, AUTO))
        for name, (is_good, words) in _RULES.items():
            value = getattr(self, name)
            for one in value if isinstance(value, tuple) else (value,):
                check_storable(name, one)
            if not is_good(value):
                raise ValueError(f"{name} must be {words}, not {value!r}")
        self._fill(translation=0 if self.crop < 1 else round(0.1 * self.image_size))
        if self.translation > self.image_size // 2:
            raise ValueError(
                f"translation must be at most half of image_size={self.image_size}, not "
                f"{self.translation!r}"
            )

    def _fill(self, **defaults) -> None:
        for name, value in defaults.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)

    @property
    def from_scratch(self) -> bool:
        """Whether no pretrained weights are used."""
        return self.weights == "none"

    @property
    def augments(self) -> bool:
        """Whether training images are augmented."""
        return self.crop < 1 or any(getattr(self, name) for name in AUGMENTATIONS)

    def with_resize(self, resize: str) -> Recipe:
        """Return this recipe with another value of `resize`, if that is "auto"."""
        return dataclasses.replace(self, resize=resize) if self.resize == AUTO else self

    def settled(self, labels: np.ndarray) -> Recipe:
        """Return this recipe with a number of epochs, if that is None.

        Args:
            labels: (n,) class indexes of the training images
        """
        if self.epochs is not None:
            return self
        counts = np.bincount(labels)
        if self.images_per_class is not None:
            counts = np.minimum(counts, self.images_per_class)
        epochs = settled_epochs(int(counts.sum()), self.batch_size)
        return dataclasses.replace(self, epochs=epochs)

    def to_dict(self) -> dict:
        """Convert to a JSON-serializable dictionary; `Recipe(**d)` converts it back."""
        return {**dataclasses.asdict(self), "hidden": list(self.hidden)}


def check_choices(names: Sequence[str]) -> None:
    """Raise an error if a name is not an option of `Recipe`.

    Raises:
        ValueError: naming the most similar options, or all
    """
    known = [field.name for field in dataclasses.fields(Recipe)]
    for name in names:
        if name not in known:
            raise ValueError(
                f"There is no option {name!r}. {did_you_mean(name, known)}"
                f"Options: {', '.join(known)}"
            )


def _is_whole(value: object, low: int = 1) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= low


def _is_number(value: object) -> bool:
    return _is_whole(value, -math.inf) or (isinstance(value, float) and math.isfinite(value))


Rule = tuple[Callable[[object], bool], str]


def _one_of(choices: Sequence) -> Rule:
    return lambda x: x in choices, f"one of {', '.join(map(repr, choices))}"


def _whole(low: int) -> Rule:
    return lambda x: _is_whole(x, low), f"a whole number of at least {low}"


def _in(interval: str, unit: str = "") -> Rule:
    """A number in an interval, written such as "[0, 1)"."""
    low, high = map(float, interval[1:-1].split(","))
    above, below = {"[": le, "(": lt}[interval[0]], {"]": le, ")": lt}[interval[-1]]
    return lambda x: _is_number(x) and above(low, x) and below(x, high), f"{unit}in {interval}"


def _or_none(rule: Rule) -> Rule:
    return lambda x: x is None or rule[0](x), f"None or {rule[1]}"


_RULES: dict[str, Rule] = {
    "optimizer": _one_of(OPTIMIZERS),
    "schedule": _one_of(SCHEDULES),
    "class_balance": _one_of(CLASS_BALANCES),
    "mixed_precision": _one_of((None, False, True)),
    "freeze": (
        lambda x: x in ("none", "backbone") if isinstance(x, str) else _is_whole(x, 0),
        "'none', 'backbone' or a number of stages",
    ),
    "hidden": (
        lambda x: isinstance(x, tuple) and all(_is_whole(width) for width in x),
        "a list of widths of at least 1",
    ),
    "images_per_class": _or_none(_whole(1)),
    "translation": _or_none(_whole(0)),
    "dropout": _or_none(_in("[0, 1)")),
    "learning_rate": _in("(0, 10]"),
    "head_lr_factor": _in("(0, 1000]"),
    "weight_decay": _in("[0, 10]"),
    "crop": _in("(0, 1]"),
    "rotation": _in("[0, 180]", "degrees "),
    "elastic": _in("[0, 1000]", "pixels "),
    "mixup": _in("[0, 100]"),
    "epochs": _or_none(_whole(1)),
    "batch_size": _whole(1),
    "seed": (
        lambda x: _is_whole(x, 0) and x <= MOST_SEED,
        f"a whole number from 0 to {MOST_SEED}",
    ),
    **dict.fromkeys(("head_epochs", "validate_every", "early_stopping"), _whole(0)),
    **dict.fromkeys(("momentum", "warmup", "label_smoothing", "ema", "scale"), _in("[0, 1)")),
    **dict.fromkeys(("brightness", "contrast", "noise", "cutout"), _in("[0, 1]")),
    **dict.fromkeys(
        ("gradual_unfreezing", "horizontal_flip", "vertical_flip"), _one_of((False, True))
    ),
}
