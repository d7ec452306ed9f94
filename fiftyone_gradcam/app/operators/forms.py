"""Pieces that the forms share."""

from __future__ import annotations

import glob
import os

from fiftyone.operators import types

from ...dataset.embeddings import embedding_fields
from ...dataset.fields import label_fields
from ...dataset.reviews import left_out, left_out_words
from ...training.known_recipes import RECIPES, find_recipe
from ..texts import markdown

AUTOMATIC = "automatic"
FEATURES = {  # backbones whose features are told apart
    AUTOMATIC: "Automatic: what is at hand",
    "mobilenet_v2": "mobilenet_v2",
    "squeezenet1_1": "squeezenet1_1",
    "resnet18": "resnet18",
    "resnet50": "resnet50",
    "small_cnn": "small_cnn (for small images)",
}


def label_field_input(ctx, inputs: types.Object, name: str = "label_field") -> str | None:
    """Let the user choose a field of labels; returns the choice, None if there is none."""
    names = label_fields(ctx.dataset)
    if not names:
        refuse(
            inputs,
            f"no_{name}",
            f"{ctx.dataset.name!r} has no classification field. Import labelled folders first",
        )
        return None
    default = "ground_truth" if "ground_truth" in names else names[0]
    choices = types.Dropdown()
    for choice in names:
        choices.add_choice(choice, label=choice)
    inputs.enum(
        name,
        choices.values(),
        default=default,
        required=True,
        label="Label field",
        description="The field that holds the samples' own labels",
        view=choices,
    )
    return ctx.params.get(name) or default


def choice_input(
    inputs: types.Object,
    name: str,
    choices: dict[str, str],
    default: str | None,
    label: str,
    description: str = "",
    required: bool = True,
) -> None:
    """A drop-down list: values with what is shown for them."""
    view = types.Dropdown()
    for value, shown in choices.items():
        view.add_choice(value, label=shown)
    inputs.enum(
        name,
        view.values(),
        default=default,
        required=required,
        label=label,
        description=description,
        view=view,
    )


def recipe_inputs(ctx, inputs: types.Object) -> str:
    """Let the user choose a recipe; returns the choice."""
    titles = {name: f"{name}: {recipe.title}" for name, recipe in RECIPES.items()}
    choice_input(inputs, "recipe", titles, "default", "Recipe", required=False)
    chosen = chosen_recipe(ctx)
    inputs.view(f"about_{chosen}", types.Notice(label=RECIPES[chosen].source))
    return chosen


def chosen_recipe(ctx) -> str:
    """The name of the recipe that was chosen."""
    name = ctx.params.get("recipe") or "default"
    find_recipe(name)  # refuses one that there is not
    return name


def backbone_inputs(
    ctx,
    inputs: types.Object,
    default: str,
    choices: dict[str, str],
    from_scratch: bool = True,
    recipe: dict | None = None,
) -> None:
    """Let the user choose a backbone and where its weights come from.

    Args:
        ctx, inputs: the form
        default, choices: of the backbone; AUTOMATIC may be among them
        from_scratch: whether a backbone may have no weights
        recipe: "backbone" and "weights" that AUTOMATIC stands for
    """
    choice_input(inputs, "backbone", choices, default, "Backbone", required=not recipe)
    backbone = ctx.params.get("backbone") or default
    if backbone == AUTOMATIC and recipe:
        backbone = recipe["backbone"]
    if backbone == AUTOMATIC:
        return
    if backbone == "small_cnn":
        inputs.view(
            "from_scratch",
            types.Notice(label="small_cnn is trained from scratch; it suits small images"),
        )
        return
    at_hand = "at hand" if has_cached_weights(backbone) else "downloaded once"
    sources = {"imagenet": f"ImageNet, {at_hand}", "file": "A file of weights"}
    if from_scratch:
        sources["none"] = "None: train from scratch"
    first = "imagenet"
    if recipe:
        first, own = AUTOMATIC, sources.get(recipe["weights"], "ImageNet if it can be had")
        sources = {AUTOMATIC: f"as in the recipe ({own})", **sources}
    choice_input(inputs, "weights", sources, first, "Pretrained weights", required=not recipe)
    if ctx.params.get("weights") == "file":
        weights_file_input(ctx, inputs)


def weights_file_input(ctx, inputs: types.Object) -> None:
    """Let the user name a file of weights, and refuse one that is none."""
    inputs.str("weights_file", required=True, label="Weights file", description="Its path")
    path = os.path.expanduser(ctx.params.get("weights_file") or "")
    if path and not os.path.isfile(path):
        refuse(inputs, "no_weights_file", f"There is no file {path!r}")
    elif path and not _may_hold_weights(path):
        refuse(inputs, "no_weights_file", f"{path!r} is no file of weights as torch saves them")


def _may_hold_weights(path: str) -> bool:
    """Whether a file begins like those of torch.save: a ZIP archive, or a pickle of old."""
    try:
        with open(path, "rb") as file:
            return file.read(2) in (b"PK", b"\x80\x02")
    except OSError:
        return False


def has_cached_weights(backbone: str) -> bool:
    """Whether PyTorch has the ImageNet weights of a backbone; found out without PyTorch."""
    cache = os.environ.get("XDG_CACHE_HOME", os.path.join("~", ".cache"))
    home = os.environ.get("TORCH_HOME", os.path.join(cache, "torch"))
    names = os.path.join(os.path.expanduser(home), "hub", "checkpoints", f"{backbone}-*.pth")
    return bool(glob.glob(names))


def chosen_weights(ctx, backbone: str) -> str:
    """The verb's `weights` argument, from what was filled in."""
    if backbone == "small_cnn":
        return "none"
    weights = ctx.params.get("weights") or "imagenet"
    return ctx.params.get("weights_file") if weights == "file" else weights


def embeddings_input(ctx, inputs: types.Object) -> str | None:
    """Let the user choose what images are compared by; returns the field of embeddings that is
    chosen, None where a network is to compute some."""
    if names := embedding_fields(ctx.dataset):
        choices = {AUTOMATIC: "features of a pretrained network"}
        choices |= {name: f"the field {name}" for name in names}
        choice_input(
            inputs, "embeddings", choices, AUTOMATIC, "Images are compared by", required=False
        )
    return chosen_embeddings(ctx)


def pretrained_inputs(ctx, inputs: types.Object) -> None:
    """Let the user choose the pretrained network that images are compared by."""
    networks = {name: shown for name, shown in FEATURES.items() if name != "small_cnn"}
    backbone_inputs(ctx, inputs, AUTOMATIC, networks, from_scratch=False)


def features_inputs(ctx, inputs: types.Object) -> None:
    """Let the user choose what finds near duplicates: a network, or embeddings in a field."""
    if embeddings_input(ctx, inputs) is None:
        pretrained_inputs(ctx, inputs)


def chosen_features(ctx) -> dict[str, str]:
    """The verb's `embeddings`, or its `backbone` and `weights` arguments; nothing if they are left
    to it."""
    field = chosen_embeddings(ctx)
    return {"embeddings": field} if field else chosen_backbone(ctx)


def chosen_backbone(ctx) -> dict[str, str]:
    """The verb's `backbone` and `weights` arguments; nothing if they are left to it."""
    backbone = ctx.params.get("backbone") or AUTOMATIC
    if backbone == AUTOMATIC:
        return {}
    return {"backbone": backbone, "weights": chosen_weights(ctx, backbone)}


def chosen_embeddings(ctx) -> str | None:
    """The field of embeddings that was chosen, if one was."""
    field = ctx.params.get("embeddings")
    return None if field in (None, "", AUTOMATIC) else field


def excluded_input(ctx, inputs: types.Object, default: bool = False) -> None:
    """Let the user take samples too that reviews have left out, where there are any."""
    found = left_out(ctx.dataset)
    if found:
        words = f"Take excluded and unclear samples too ({left_out_words(found)})"
        inputs.bool("include_excluded", default=default, label=words)


def more(ctx, inputs: types.Object, name: str = "advanced", label: str = "Advanced") -> bool:
    """A switch for more fields; returns whether it is on."""
    inputs.bool(name, default=False, label=label, view=types.SwitchView())
    return bool(ctx.params.get(name))


def new_key_check(ctx, inputs: types.Object, key: str | None) -> None:
    """Refuse a name that a new run cannot have."""
    if key and not key.isidentifier():
        refuse(inputs, "bad_key", "Use letters, digits and underscores in the name of the run")
    elif key and key in ctx.dataset.list_runs():
        refuse(inputs, "taken_key", f"Run {key!r} exists already. Choose another name")


def tell(inputs: types.Object, name: str, message: str, kind: type = types.Notice) -> None:
    """Show a message: as it is, for the App reads Markdown there, and classes have any name."""
    inputs.view(name, kind(label=markdown(message)))


def refuse(inputs: types.Object, name: str, message: str) -> None:
    """Show why the form cannot be sent, and keep it from being sent."""
    field = inputs.view(name, types.Error(label=markdown(message)))
    field.invalid = True
    field.error_message = message
