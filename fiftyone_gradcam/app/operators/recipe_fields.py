"""Form fields for the options of a recipe; empty fields keep the values of the recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fiftyone.operators import types

from ...arguments import MOST_SEED
from ...dataset.runs import list_runs, load_run
from ...model.cached_weights import DEFAULT, default_backbone
from ...training.known_recipes import RECIPES, find_recipe
from .forms import AUTOMATIC, choice_input, number_input
from .labels import label_of

RESIZES = {
    "squash": "Squash: the whole image, stretched to a square",
    "crop": "Crop: the central square",
    "letterbox": "Letterbox: the whole image, with bars beside it",
}
AUTO = "auto"
AUTOMATIC_RESIZE = "Automatic: the best of the three, on features of up to 300 labeled images"
FREEZES = {
    "none": "None: all layers are trained",
    "backbone": "All but the new layers: fast, for few images; less accurate if unlike photos",
}
OPTIMIZERS = {"adamw": "AdamW", "adam": "Adam", "sgd": "SGD with momentum"}
SCHEDULES = {
    "cosine": "Cosine: falls to 0",
    "constant": "Constant",
    "one_cycle": "One cycle: up, then down",
}
BALANCES = {
    "none": "No",
    "weights": "Yes: a higher weight in the loss",
    "sampling": "Yes: sample them more often",
}
SWITCHES = {True: "yes", False: "no"}
SWITCH_LABELS = {"yes": "Yes", "no": "No"}
# Defaults of `Recipe`, which imports torch; a test checks that they match.
DEFAULTS = {
    "backbone": DEFAULT,
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
    """An option of a recipe.

    Attributes:
        name: the name of the attribute of `Recipe`
        options: the values with the texts to show for them; None for a number
        least, most: the range of a number; if `least` is a float, decimals are allowed
        note: the meaning of the number
        default: the default in words, if `Recipe` chooses it by the backbone or the weights
    """

    name: str
    options: dict | None = None
    least: float = 0
    most: float | None = None
    note: str = ""
    default: str = ""


LEARNING = (
    Choice("batch_size", least=1),
    Choice(
        "learning_rate",
        least=1e-9,
        most=10,
        default="0.0001 with pretrained weights, 0.001 with SGD",
    ),
    Choice("image_size", least=16, default="the network's, mostly 224", note="In pixels."),
    Choice(
        "resize",
        options={AUTO: AUTOMATIC_RESIZE, **RESIZES},
        default="the best for pretrained weights, else squash",
    ),
    Choice("freeze", options=FREEZES),
    Choice("optimizer", options=OPTIMIZERS),
    Choice("schedule", options=SCHEDULES),
    Choice("head_lr_factor", least=0.001, most=1000),
    Choice("weight_decay", least=0.0, most=10),
    Choice("dropout", least=0.0, most=0.99, default="as the network has it"),
    Choice("label_smoothing", least=0.0, most=0.99),
    Choice("class_balance", options=BALANCES),
    Choice("early_stopping", note="After this many validations without improvement; 0: never."),
    Choice("images_per_class", least=1, note="For a quick try.", default="all"),
    Choice("seed", most=MOST_SEED),
)
AUGMENTATION = (
    Choice("horizontal_flip", options=SWITCHES, note="At random."),
    Choice("vertical_flip", options=SWITCHES, note="At random."),
    Choice("translation", note="By up to this many pixels.", default="a tenth of the image size"),
    Choice("scale", least=0.0, most=0.99, note="In or out by up to this share."),
    Choice("rotation", least=0.0, most=180, note="By up to this many degrees."),
    Choice("brightness", least=0.0, most=1, note="Change it by up to this share."),
    Choice("contrast", least=0.0, most=1, note="Change it by up to this share."),
    Choice("noise", least=0.0, most=1, note="This share of the pixels turns black or white."),
    Choice("cutout", least=0.0, most=1, note="Cover a square of this share of the side in gray."),
    Choice("elastic", least=0.0, most=1000, note="Bend by up to this many pixels."),
    Choice("mixup", least=0.0, most=100, note="Mix pairs of images; 0.2 is common, 0 is never."),
)
OF_RUN = "run "  # prefix of the key of a run to repeat; no name of a recipe starts with it
# All options of `Recipe`; a test checks that they match.
CHOICES = (
    *("backbone", "weights", "image_size", "resize", "hidden", "dropout", "freeze", "head_epochs"),
    *("gradual_unfreezing", "optimizer", "momentum", "learning_rate", "head_lr_factor"),
    *("weight_decay", "schedule", "warmup", "epochs", "batch_size", "images_per_class", "seed"),
    *("mixed_precision", "label_smoothing", "class_balance", "validate_every", "early_stopping"),
    *("ema", "horizontal_flip", "vertical_flip", "translation", "scale", "crop", "rotation"),
    *("elastic", "brightness", "contrast", "noise", "cutout", "mixup"),
)


@dataclass(frozen=True)
class Base:
    """The recipe, or the run to repeat, whose options are the defaults of the form.

    Attributes:
        recipe: the name of a recipe
        choices: the options of the run to repeat; empty for a recipe
        title: the name of the recipe or run, to be used after "as in"
    """

    recipe: str
    choices: Mapping[str, object]
    title: str

    def value(self, name: str) -> object:
        """Return the value of an option, without importing PyTorch."""
        own = self.choices or RECIPES[self.recipe].choices
        if name == "backbone" and name not in own:
            return default_backbone()
        return recipe_value(own, name)

    @property
    def named_backbone(self) -> str:
        """The backbone that a training has if none is passed."""
        return recipe_value(self.choices or RECIPES[self.recipe].choices, "backbone")


def base_input(ctx, inputs: types.Object) -> Base:
    """Add a field for a recipe or a run to repeat, and return the choice."""
    titles = {name: recipe.title for name, recipe in RECIPES.items()}
    for key in reversed(list_runs(ctx.dataset)):
        titles[OF_RUN + key] = f"As run {key}"
    choice_input(inputs, "recipe", titles, "default", label_of("recipe"))
    return chosen_base(ctx)


def chosen_base(ctx) -> Base:
    """Return the recipe, or the run to repeat, that was chosen."""
    name = ctx.params.get("recipe") or "default"
    if not name.startswith(OF_RUN):
        find_recipe(name)  # raises an error if it does not exist
        return Base(name, {}, "the recipe")
    key = name.removeprefix(OF_RUN)
    recipe = load_run(ctx.dataset, key).recipe
    return Base("default", {n: x for n, x in recipe.items() if n in CHOICES}, f"run {key}")


def recipe_value(choices: Mapping[str, object], name: str) -> object:
    """Return an option of a recipe, or else the default of all recipes."""
    return choices.get(name, DEFAULTS.get(name))


def choice_inputs(inputs: types.Object, base: Base, choices: tuple[Choice, ...], verb: str) -> None:
    """Add an empty field for each option, which shows the value of the recipe or run."""
    for choice in choices:
        own, label = base.value(choice.name), label_of(choice.name, verb)
        if choice.options is not None:
            words = choice.options.get(own) or choice.default or f"the first {own} stages"
            words = SWITCH_LABELS.get(words, words)
            options = {AUTOMATIC: f"As in {base.title}: {words}"}
            for value, shown in choice.options.items():
                options[_as_text(value)] = SWITCH_LABELS.get(shown, shown)
            choice_input(inputs, choice.name, options, AUTOMATIC, label, choice.note)
            continue
        shown = choice.default if own is None else own
        if isinstance(shown, float):
            shown = f"{shown:g}"
        number_input(inputs, choice.name, label, f"{shown}", choice.note, choice.least, choice.most)


def chosen(params: dict, choices: tuple[Choice, ...]) -> dict:
    """Return the options that were filled in."""
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
