"""The choices of a recipe as fields of a form: what is left empty is as in the recipe."""

from __future__ import annotations

from dataclasses import dataclass

from fiftyone.operators import types

from ...training.known_recipes import RECIPES
from .forms import AUTOMATIC, choice_input

RESIZES = {
    "squash": "squashing: the whole image, its aspect ratio lost",
    "crop": "cropping: the central square",
    "letterbox": "letterboxing: the whole image, bars beside it",
}
AUTO = "auto"
AUTOMATIC_RESIZE = "whichever is best on features of up to 300 labelled images"
FREEZES = {
    "none": "nothing: all layers learn",
    "backbone": "all but the new layers: quick, for few images",
}
OPTIMIZERS = {"adamw": "AdamW", "adam": "Adam", "sgd": "SGD with momentum"}
SCHEDULES = {
    "cosine": "falls to 0 by a cosine",
    "constant": "stays",
    "one_cycle": "one cycle, up and down",
}
BALANCES = {
    "none": "no",
    "weights": "yes: their loss counts more",
    "sampling": "yes: they are drawn more often",
}
SWITCHES = {True: "yes", False: "no"}
# Of `Recipe`, which imports torch; a test holds them to it.
DEFAULTS = {
    "backbone": "resnet18",
    "weights": "imagenet",
    "batch_size": 16,
    "freeze": "none",
    "optimizer": "adamw",
    "head_lr_factor": 10.0,
    "weight_decay": 0.01,
    "schedule": "cosine",
    "label_smoothing": 0.0,
    "class_balance": "none",
    "early_stopping": 0,
    "seed": 0,
    "horizontal_flip": True,
    "vertical_flip": False,
    "scale": 0.0,
    "rotation": 0.0,
    "elastic": 0.0,
    "brightness": 0.0,
    "contrast": 0.0,
    "noise": 0.0,
    "cutout": 0.0,
    "mixup": 0.0,
}


@dataclass(frozen=True)
class Choice:
    """A choice of a recipe.

    Attributes:
        name: as `Recipe` has it
        label: in the form
        options: values with what is shown for them; None for a number
        least, most: of a number; a float `least` makes it a number with decimals
        note: what the number means
        default: in words, where `Recipe` decides by the backbone or the weights
    """

    name: str
    label: str
    options: dict | None = None
    least: float = 0
    most: float | None = None
    note: str = ""
    default: str = ""


LEARNING = (
    Choice("batch_size", "Batch size", least=1),
    Choice(
        "learning_rate",
        "Learning rate",
        least=0.0,
        most=10,
        default="0.0001 with pretrained weights, 0.001 with SGD",
    ),
    Choice("image_size", "Image size", least=16, default="the backbone's, mostly 224"),
    Choice(
        "resize",
        "Images become square by",
        {AUTO: AUTOMATIC_RESIZE, **RESIZES},
        default="whichever is best for pretrained weights, else squashing",
    ),
    Choice("freeze", "Frozen", FREEZES),
    Choice("optimizer", "Optimizer", OPTIMIZERS),
    Choice("schedule", "Schedule of the learning rate", SCHEDULES),
    Choice("head_lr_factor", "New layers learn faster by", least=0.0, most=1000),
    Choice("weight_decay", "Weight decay", least=0.0, most=10),
    Choice("dropout", "Dropout", least=0.0, most=0.99, default="the backbone's own"),
    Choice("label_smoothing", "Label smoothing", least=0.0, most=0.99),
    Choice("class_balance", "Make up for rare classes", BALANCES),
    Choice(
        "early_stopping",
        "Early stopping",
        note="End after so many validations without improvement; 0: never.",
    ),
    Choice(
        "images_per_class",
        "Images per class",
        least=1,
        note="For a quick try: train on so many of each class.",
        default="all",
    ),
    Choice("seed", "Seed"),
)
AUGMENTATION = (
    Choice("horizontal_flip", "Mirror images at random", SWITCHES),
    Choice("vertical_flip", "Turn images upside down at random", SWITCHES),
    Choice(
        "translation",
        "Translation",
        note="Shift by up to so many pixels.",
        default="a tenth of the image size",
    ),
    Choice("scale", "Scale", least=0.0, most=0.99, note="Change the size by up to this share."),
    Choice("rotation", "Rotation", least=0.0, most=180, note="Turn by up to so many degrees."),
    Choice("brightness", "Brightness", least=0.0, most=1, note="Change it by up to this share."),
    Choice("contrast", "Contrast", least=0.0, most=1, note="Change it by up to this share."),
    Choice(
        "noise",
        "Salt-and-pepper noise",
        least=0.0,
        most=1,
        note="This share of the pixels turns black or white.",
    ),
    Choice("cutout", "Cutout", least=0.0, most=1, note="A grey square of this share of the side."),
    Choice("elastic", "Elastic deformation", least=0.0, note="Bend by up to so many pixels."),
    Choice("mixup", "MixUp", least=0.0, note="Mix pairs of images; 0.2 is common, 0 is never."),
)


def recipe_value(recipe: str, name: str, default: object = None) -> object:
    """A choice of a named recipe; torch is not needed for it."""
    return RECIPES[recipe].choices.get(name, DEFAULTS.get(name, default))


def choice_inputs(inputs: types.Object, recipe: str, choices: tuple[Choice, ...]) -> None:
    """Add a field for each choice, empty, with what the recipe has."""
    for choice in choices:
        own = recipe_value(recipe, choice.name)
        if choice.options is not None:
            shown = choice.options.get(own) or choice.default or f"the first {own} stages"
            options = {AUTOMATIC: f"as in the recipe ({shown})"}
            options |= {_as_text(value): words for value, words in choice.options.items()}
            choice_input(
                inputs, choice.name, options, AUTOMATIC, choice.label, choice.note, required=False
            )
            continue
        add = inputs.float if isinstance(choice.least, float) else inputs.int
        shown = choice.default if own is None else own
        words = f"{choice.note} Default: {shown}".strip()
        add(choice.name, min=choice.least, max=choice.most, label=choice.label, description=words)


def chosen(params: dict, choices: tuple[Choice, ...]) -> dict:
    """The choices that were filled in."""
    found = {}
    for choice in choices:
        value = params.get(choice.name)
        if value in (None, "", AUTOMATIC):
            continue
        if choice.options is not None:
            value = {_as_text(own): own for own in choice.options}.get(value, value)
        found[choice.name] = value
    return found


def _as_text(value: object) -> str:
    return SWITCHES[value] if isinstance(value, bool) else value
