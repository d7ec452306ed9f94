"""Which heatmaps a person can choose to see, one at a time, and what their colors mean."""

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


@dataclass(frozen=True)
class Choice:
    """Heatmaps that are shown together.

    Attributes:
        label: its name for a person
        paths: the field, and that of what speaks against the class if the maps are signed
        words: what the color of each means
    """

    label: str
    paths: tuple[str, ...]
    words: tuple[str, ...]


def heatmap_choices(dataset: fo.Dataset) -> list[Choice]:
    """All that can be shown: predicted class, label, runner-up, contrast, then classes and other
    fields. Fields of other names than the usual are named."""
    found = []
    for name in heatmap_fields(dataset):
        kind = str(field_info(dataset, name).get("kind") or "")
        if not kind.startswith(AGAINST):
            found.append((_rank(kind), name, kind))
    found.sort(key=lambda one: (one[0], one[1] not in USUAL))
    return [_choice(dataset, name, kind) for _, name, kind in found]


def heatmap_names(
    kinds: Sequence[str], classes: Sequence[str], field: str, signed: bool
) -> dict[str, str]:
    """The field of each kind of heatmap that `predict` writes; a class stands as "class:<name>",
    and what speaks against a class as "against:<kind>".

    Args:
        kinds, classes, field, signed: its arguments `heatmaps`, `heatmap_classes`,
            `heatmap_field` and `signed`
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
    """Paths to make active for one choice of heatmaps, and what is not a heatmap as it is.

    Args:
        active: paths that are active
        maps: names of the dataset's heatmap fields
        choice: what is to be seen; None for no heatmap
    """
    rest = [path for path in active if path not in maps]
    return [*rest, *(choice.paths if choice is not None else ())]


def store_choice(dataset: fo.Dataset, path: str | None) -> None:
    """Let the App show a choice of heatmaps when it opens the dataset again, too.

    Args:
        dataset: whose active fields are stored
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
        return  # all but some are shown, as a person has chosen
    active.paths = with_choice(active.paths, maps, choice)
    config.active_fields = active
    dataset.save()


def _choice(dataset: fo.Dataset, name: str, kind: str) -> Choice:
    try:
        against = against_field(dataset, name)
    except ValueError:  # it was deleted
        against = None
    of_class = kind.removeprefix("class:")
    label = NAMES.get(kind) or (of_class if of_class != kind else name)
    if name not in USUAL and label != name:
        label = f"{label} ({name})"
    what = WHAT.get(kind) or (repr(of_class) if of_class != kind else "")
    if kind == "contrast":
        words = ["speaks for the predicted class rather than for the label"]
        words += ["speaks for the label rather than for the predicted class"]
    elif what:
        words = [f"evidence for {what}, from none to most"]
        words += [f"speaks against {what}"]
    else:
        words = [f"{name}, from low to high", f"{name}: negative"]
    paths = (name,) if against is None else (name, against)
    return Choice(label, paths, tuple(words[: len(paths)]))


def _rank(kind: str) -> int:
    known = list(NAMES)
    if kind in known:
        return known.index(kind)
    return len(known) + (not kind.startswith("class:"))
