"""The fields and heatmap colors that the App shows when it opens a dataset.

Colors are stored with the dataset before the App loads it. Each heatmap field has one color, and
its opacity follows the heatmap. This is painted correctly from the start, and does not change the
photo where the heatmap is near zero. A color scale would not work: the App ignores a stored one
when it first paints the tiles, and tiles lose their heatmaps if it is set while they load.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import fiftyone as fo

from ..explain.signed import AGAINST
from .fields import classification_fields, field_info, is_owned
from .heatmaps import heatmap_fields

OPACITY = 0.7
VALUE_OPACITY = 0.5  # for a color scale, whose lowest color covers the photo too
# On photos of insects, fruit and walls, orange and red are the least visible colors; violet, blue,
# green and magenta are the most visible. Evidence against a class has the complementary color.
COLORS = {
    "predicted": ("#ff00ff", "#00ff00"),
    "label": ("#00ffff", "#ff0000"),
    "runner_up": ("#ffff00", "#0000ff"),
    "contrast": ("#80ff00", "#8000ff"),
}
CLASS_COLORS = ("#4040ff", "#bfff00", "#ff0080", "#00ff80", "#9050ff", "#00bfff", "#ff4040")
OTHER_COLOR = "#ff00ff"
# Default heatmap fields of `predict`, and their kinds.
USUAL = {
    "gradcam": "predicted",
    "gradcam_label": "label",
    "gradcam_runner_up": "runner_up",
    "gradcam_contrast": "contrast",
    "gradcam_contrast_against": AGAINST + "contrast",
}
# Words on tiles, by field: FiftyOne writes black or white on these colors, and both are legible
# (a contrast of 4.5). It would choose others each time that the page is loaded.
LABEL_COLOR = "#078478"
WORD_COLORS = {"prediction": "#3a73d5", "issue": "#c3540a", "suggested_label": "#a74fc4"}
# Of further fields, such as the predictions of a second run.
MORE_COLORS = ("#cd369a", "#2a8718", "#8b7400", "#6f65de", "#e12b2b", "#0f7cb3", "#757575")
# Earlier versions stored exactly this in every dataset without a color scheme.
EARLIER = {"color_by": "value", "opacity": 0.4, "default_colorscale": "jet"}


def prepare_colors(dataset: fo.Dataset, label_field: str) -> None:
    """Store colors for labels, and for the default fields of this plugin, in a new dataset.

    So the App knows them before there are heatmaps: tiles that show heatmaps lose them if colors
    are set later.
    """
    words = {label_field: LABEL_COLOR} | WORD_COLORS
    fields = [{"path": name, "fieldColor": color} for name, color in words.items()]
    dataset.app_config.color_scheme = fo.ColorScheme(fields=[*_prepared(), *fields])
    dataset.save()


def plan_colors(
    dataset: fo.Dataset, kinds: Mapping[str, str], classes: list[str]
) -> dict[str, str]:
    """Store colors for heatmap fields that will be written; existing colors are kept.

    Args:
        dataset: the dataset that the heatmaps will be written to
        kinds: the kind of heatmap by field name
        classes: the classes of the run, see `color_of`

    Returns:
        the color of each field
    """
    _read_again(dataset)
    scheme = _with_colors(dataset, dataset.app_config.color_scheme)
    entries = {entry["path"]: dict(entry) for entry in scheme.fields if entry.get("path")}
    for name, kind in kinds.items():
        entry = entries.setdefault(name, {"path": name})
        entry["fieldColor"] = entry.get("fieldColor") or color_of(kind, classes)
    scheme.fields = list(entries.values())
    dataset.app_config.color_scheme = scheme
    dataset.save()
    return {name: entries[name]["fieldColor"] for name in kinds}


def show_fields(dataset: fo.Dataset, names: list[str]) -> None:
    """Make further fields visible when the App opens the dataset.

    Only one heatmap field is visible, because overlaid heatmaps cannot be distinguished: the first
    one in `names`, or else the one that is visible already. Each heatmap field of this plugin gets
    a color. Other choices that were made in the App are kept.
    """
    _read_again(dataset)
    config = dataset.app_config
    maps = heatmap_fields(dataset)
    active = config.active_fields
    if active is None:
        # Of the plugin's fields only those that are asked for: words would hide small photos.
        own = [x for x in classification_fields(dataset) if is_owned(dataset.get_field(x))]
        paths = [x for x in classification_fields(dataset) if x not in own or x in names]
        active = fo.ActiveFields(paths=paths)
    if active.exclude:
        hidden = set(maps) - set(with_one_heatmap([], names, maps))
        kept = hidden if set(maps) & set(names) else set()
        paths = [path for path in active.paths if path not in names or path in hidden]
        active.paths = [*dict.fromkeys([*paths, *sorted(kept)])]
    else:
        active.paths = with_one_heatmap(active.paths, names, maps)
    config.active_fields = active
    config.color_scheme = _with_colors(dataset, config.color_scheme)
    dataset.save()


def paint_by_value(dataset: fo.Dataset) -> None:
    """Make the App paint heatmaps with its color scale, at half opacity, when it opens the dataset.

    The scale itself is a setting of the App: a scale stored with the dataset is ignored when tiles
    are first painted.
    """
    _read_again(dataset)
    scheme = _with_colors(dataset, dataset.app_config.color_scheme)
    scheme.color_by, scheme.opacity = "value", VALUE_OPACITY
    dataset.app_config.color_scheme = scheme
    dataset.save()


def with_one_heatmap(active: Iterable[str], wanted: Iterable[str], maps: Iterable[str]) -> list:
    """Return the active paths and the wanted ones, with at most one heatmap field among them.

    Args:
        active: the paths that are active
        wanted: the paths to add; the first heatmap field among them replaces the active one
        maps: names of the dataset's heatmap fields
    """
    maps = set(maps)
    first = next((path for path in wanted if path in maps), None)
    first = first or next((path for path in active if path in maps), None)
    paths = dict.fromkeys([*active, *wanted])
    return [path for path in paths if path not in maps or path == first]


def active_heatmaps(dataset: fo.Dataset) -> list[str]:
    """Return the names of the heatmap fields that the App shows when it opens the dataset."""
    active = dataset.app_config.active_fields
    if active is None:
        return []
    return [
        name for name in heatmap_fields(dataset) if (name in active.paths) != bool(active.exclude)
    ]


def forget_colors(dataset: fo.Dataset, names: Iterable[str]) -> None:
    """Remove fields that no longer exist from the color scheme."""
    _read_again(dataset)
    scheme, names = dataset.app_config.color_scheme, set(names)
    if scheme is None:
        return
    scheme.fields = [entry for entry in scheme.fields or [] if entry.get("path") not in names]
    scheme.colorscales = [x for x in scheme.colorscales or [] if x.get("path") not in names]
    dataset.save()


def color_of(kind: str | None, classes: list[str]) -> str:
    """Return the color of a kind of heatmap: "predicted", "class:<name>", "against:<kind>" etc.

    Args:
        kind: the kind, as stored with the field
        classes: the classes of the run; their order determines their colors
    """
    kind = kind or ""
    name = kind.removeprefix(AGAINST)
    if name in COLORS:
        return COLORS[name][kind != name]
    label = name.removeprefix("class:")
    if label == name or label not in classes:
        return OTHER_COLOR
    number = classes.index(label) + (len(CLASS_COLORS) // 2 if kind != name else 0)
    return CLASS_COLORS[number % len(CLASS_COLORS)]


def is_earlier(scheme: fo.ColorScheme) -> bool:
    """Return whether a color scheme is the one that earlier versions stored."""
    return {
        "color_by": scheme.color_by,
        "opacity": scheme.opacity,
        "default_colorscale": (scheme.default_colorscale or {}).get("name"),
    } == EARLIER


@dataclass(frozen=True)
class StoredColors:
    """The colors stored with a dataset.

    Attributes:
        colors: the colors of this plugin's heatmap and classification fields, by field name
        color_by: what labels are colored by, "field" or "value"
        opacity: the opacity of labels in [0, 1]
    """

    colors: dict[str, str]
    color_by: str | None
    opacity: float | None


def stored_colors(dataset: fo.Dataset) -> StoredColors | None:
    """Return the colors that are currently stored with a dataset; None if there are none."""
    dataset._doc.reload("app_config")
    scheme = dataset.app_config.color_scheme
    if scheme is None:
        return None
    entries = {entry.get("path"): entry.get("fieldColor") for entry in scheme.fields or []}
    every = [*heatmap_fields(dataset), *classification_fields(dataset)]
    own = [name for name in every if is_owned(dataset.get_field(name))]
    colors = {name: entries[name] for name in own if entries.get(name)}
    return StoredColors(colors, scheme.color_by, scheme.opacity)


def _with_colors(dataset: fo.Dataset, scheme: fo.ColorScheme | None) -> fo.ColorScheme:
    """Return a color scheme with an entry for each heatmap and label field of this plugin.

    Existing colors are kept, and so is the user's choice of what labels are colored by. If this is
    "value", the App paints heatmaps with its color scale.
    """
    scheme = fo.ColorScheme() if scheme is None else scheme
    if is_earlier(scheme):
        scheme.color_by = scheme.opacity = scheme.default_colorscale = None
    if scheme.color_by is None:  # use the App's setting, which the user may have changed
        scheme.color_by = "value" if fo.app_config.color_by == "value" else "field"
    if scheme.opacity is None:
        scheme.opacity = OPACITY
    entries = {entry.get("path"): dict(entry) for entry in scheme.fields or []}
    for name in [path for path in entries if _is_obsolete(dataset, entries[path])]:
        del entries[name]
    for name in heatmap_fields(dataset):
        if is_owned(dataset.get_field(name)):
            entry = entries.setdefault(name, {"path": name})
            info = field_info(dataset, name)
            color = color_of(info.get("kind"), info.get("classes", []))
            entry["fieldColor"] = entry.get("fieldColor") or color
    # A pool of colors that the user has stored is used for words.
    for name in () if scheme.color_pool else classification_fields(dataset):
        if is_owned(dataset.get_field(name)):
            entry = entries.setdefault(name, {"path": name})
            entry["fieldColor"] = entry.get("fieldColor") or _word_color(name, entries)
    scheme.fields = list(entries.values())
    return scheme


def _word_color(name: str, entries: Mapping[str, Mapping]) -> str:
    """Return the color of a classification field: one that no other field has, if possible."""
    taken = {entry.get("fieldColor") for path, entry in entries.items() if path != name}
    own = (WORD_COLORS.get(name), *MORE_COLORS)
    return next(
        (x for x in own if x and x not in taken), MORE_COLORS[len(entries) % len(MORE_COLORS)]
    )


def _is_obsolete(dataset: fo.Dataset, entry: dict) -> bool:
    """Return whether an entry holds only a color of this plugin, for a field that is deleted."""
    colors = {color for pair in COLORS.values() for color in pair} | {*CLASS_COLORS, OTHER_COLOR}
    colors |= {*MORE_COLORS}
    is_ours = entry.get("fieldColor") in colors
    is_ours = is_ours and not any(entry.get(key) for key in entry.keys() - {"path", "fieldColor"})
    is_prepared = {key: entry.get(key) for key in ("path", "fieldColor")} in _prepared()
    return is_ours and not is_prepared and dataset.get_field(entry.get("path")) is None


def _prepared() -> list[dict]:
    """Return the color entries of the default heatmap fields."""
    return [{"path": name, "fieldColor": color_of(kind, [])} for name, kind in USUAL.items()]


def _read_again(dataset: fo.Dataset) -> None:
    """Save the dataset, then reload its App settings, which another process may have changed."""
    dataset.save()
    dataset._doc.reload("app_config")
