"""What a training is made of: every choice in one record, checked before anything starts."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from ..images.geometry import check_resize
from .backbones import get_backbone


@dataclass(frozen=True)
class Recipe:
    """How a classifier is trained.

    Attributes:
        backbone: a row of the table of backbones
        weights: "imagenet", "none", or the path of a weights file
        epochs: passes over the training images, at least 1
        batch_size: images per step, at least 1
        learning_rate: peak AdamW learning rate of the backbone; None takes 1e-4 for pretrained
            weights and the backbone's own rate from scratch
        head_lr_factor: the last layer learns this many times faster when the rest is pretrained
        weight_decay: AdamW weight decay, at least 0
        warmup: share of all steps over which the rate rises, in [0, 1); then it falls as a cosine
        label_smoothing: in [0, 1)
        horizontal_flip: mirror half of the training images
        zoom: enlarge training images by up to this share of their area, at least 0
        translation: shift training images by up to this share of the side, in [0, 0.5]
        image_size: side of the square that the model sees, in pixels; None takes the backbone's
        resize: how an image becomes that square: "squash" (the whole image, its aspect ratio lost),
            "crop" (the central square, 7/8 of the shorter side) or "letterbox" (the whole image,
            bars beside it)
        seed: of the new layers, the order of images, augmentation and dropout
    """

    backbone: str = "resnet18"
    weights: str = "imagenet"
    epochs: int = 5
    batch_size: int = 16
    learning_rate: float | None = None
    head_lr_factor: float = 10.0
    weight_decay: float = 0.01
    warmup: float = 0.1
    label_smoothing: float = 0.0
    horizontal_flip: bool = True
    zoom: float = 0.0
    translation: float = 0.1
    image_size: int | None = None
    resize: str = "squash"
    seed: int = 0

    def __post_init__(self):
        backbone = get_backbone(self.backbone)
        if self.image_size is None:
            object.__setattr__(self, "image_size", backbone.image_size)
        if self.learning_rate is None:
            scratch = backbone.family.scratch_learning_rate
            object.__setattr__(self, "learning_rate", scratch if self.from_scratch else 1e-4)
        check_resize(self.resize)
        if backbone.family.size_option and self.image_size != backbone.image_size:
            raise ValueError(
                f"{self.backbone} is made for images of {backbone.image_size} pixels, not "
                f"image_size={self.image_size!r}"
            )
        for name, low in (("epochs", 1), ("batch_size", 1), ("image_size", 16), ("seed", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < low:
                raise ValueError(f"{name} must be a whole number of at least {low}, not {value!r}")
        for name, low, high in (
            ("learning_rate", 0, 10),
            ("head_lr_factor", 0, 1000),
            ("weight_decay", -1e-12, 10),
            ("zoom", -1e-12, 10),
        ):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not low < value <= high:
                raise ValueError(f"{name} must lie in ({max(low, 0)}, {high}], not {value!r}")
        for name, high in (("warmup", 1), ("label_smoothing", 1), ("translation", 0.5)):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0 <= value <= high or value == 1:
                raise ValueError(f"{name} must lie in [0, {high}), not {value!r}")

    @property
    def from_scratch(self) -> bool:
        """Whether no pretrained weights are used."""
        return self.weights == "none"

    def to_dict(self) -> dict:
        """A JSON-ready dictionary; `Recipe(**d)` gives the recipe back."""
        return dataclasses.asdict(self)
