"""The heatmaps that a user can choose to see, one at a time, and the meaning of their colors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import fiftyone as fo

from ..explain.signed import AGAINST
from .fields import field_info, field_name
from .heatmaps import against_field, heatmap_fields
from .shown import USUAL

NAMES = {
    "predicted": "Predicted",
    "label": "Label",
    "runner_up": "Runner-up",
    "contrast": "Contrast",
}
WHAT = {
    "predicted": "the predicted class",
    "label": "the label",
    "runner_up": "the second most probable class",
}
# What the strength of a color means. "Why?" has a scale of its own, except for the contrast.
MORE = "Stronger color: more evidence."
MORE_OF_ONE = f"{MORE} 'Why?' uses jet: red = most."
HIGHER = "Stronger color: higher value."


@dataclass(frozen=True)
class Choice:
    """Heatmap fields that are shown together.

    Attributes:
        label: the name that is shown
        paths: the field and, if its heatmaps are signed, the field of the evidence against the
            class
        words: the meaning of the color of each field
        strength: the meaning of the strength of a color, as a sentence
    """

    label: str
    paths: tuple[str, ...]
    words: tuple[str, ...]
    strength: str


def heatmap_choices(dataset: fo.Dataset) -> list[Choice]:
    """Return all heatmaps that can be chosen.

    They are in the order predicted class, label, runner-up, contrast, single classes, other fields.
    Labels of fields that do not have a default name include the name of the field.
    """
    found = []
    for name in heatmap_fields(dataset):
        kind = str(field_info(dataset, name).get("kind"))
        if not kind.startswith(AGAINST):
            found.append((_rank(kind), name, kind))
    found.sort(key=lambda one: (one[0], one[1] not in USUAL))
    return [_choice(dataset, name, kind) for _, name, kind in found]


def heatmap_names(
    kinds: Sequence[str], classes: Sequence[str], field: str, signed: bool
) -> dict[str, str]:
    """Return the field of each kind of heatmap that `predict` writes.

    The kind of a single class is "class:<name>"; that of the evidence against a class is
    "against:<kind>".

    Args:
        kinds, classes, field, signed: the arguments `heatmaps`, `heatmap_classes`,
            `heatmap_field` and `signed` of `predict`
    """
    names = {kind: f"{field}_{kind}" for kind in NAMES if kind in kinds}
    if "predicted" in names:
        names["predicted"] = field
    for name in classes:
        names[f"class:{name}"] = f"{field}_{field_name(name)}"
    for kind in [kind for kind in names if signed or kind == "contrast"]:
        names[AGAINST + kind] = f"{names[kind]}_against"
    return names


def with_choice(active: Sequence[str], maps: Sequence[str], choice: Choice | None) -> list[str]:
    """Return the active paths with their heatmap fields replaced by those of a choice.

    Args:
        active: the paths that are active
        maps: names of the dataset's heatmap fields
        choice: the heatmaps to show; None for no heatmap
    """
    rest = [path for path in active if path not in maps]
    return [*rest, *(choice.paths if choice is not None else ())]


def store_choice(dataset: fo.Dataset, path: str | None) -> None:
    """Store a choice of heatmaps, so that the App shows it when it opens the dataset again.

    Args:
        dataset: the dataset whose active fields are stored
        path: the first field of the choice; None for no heatmap

    Raises:
        ValueError: if there is no such choice
    """
    choices = {one.paths[0]: one for one in heatmap_choices(dataset)}
    if path is not None and path not in choices:
        raise ValueError(
            f"{path!r} is not a heatmap field of {dataset.name!r} to choose. Its heatmap fields: "
            f"{', '.join(choices) or 'none'}"
        )
    choice = choices[path] if path is not None else None
    dataset._doc.reload("app_config")
    config, maps = dataset.app_config, heatmap_fields(dataset)
    active = config.active_fields
    if active is None or active.exclude:
        return  # the user chose to show all fields except some
    active.paths = with_choice(active.paths, maps, choice)
    config.active_fields = active
    dataset.save()


def _choice(dataset: fo.Dataset, name: str, kind: str) -> Choice:
    try:
        against = against_field(dataset, name)
    except ValueError:  # the field was deleted
        against = None
    of_class = kind.removeprefix("class:")
    label = NAMES.get(kind) or (of_class if of_class != kind else name)
    if name not in USUAL and label != name:
        label = f"{label} ({name})"
    what = WHAT.get(kind) or (repr(of_class) if of_class != kind else "")
    if kind == "contrast":
        words = ["speaks for the predicted class rather than for the label"]
        words += ["speaks for the label rather than for the predicted class"]
        strength = MORE
    elif what:
        words = [f"evidence for {what}", f"evidence against {what}"]
        strength = MORE_OF_ONE
    else:
        words = [name, f"{name}: negative"]
        strength = HIGHER
    paths = (name,) if against is None else (name, against)
    return Choice(label, paths, tuple(words[: len(paths)]), strength)


def _rank(kind: str) -> int:
    known = list(NAMES)
    if kind in known:
        return known.index(kind)
    return len(known) + (not kind.startswith("class:"))
