"""Check the parameters of operators before they are used.

The App's server accepts requests from anyone who can reach its port, so a parameter can be any JSON
value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from fiftyone.operators import types

from ...dataset.stages import check_stages

MOST_LETTERS = 4096  # in a string: no path and no name is longer
MOST_TEXTS = 10_000
MOST_NUMBER = 2**53  # larger integers are not exact in JSON


@dataclass(frozen=True)
class Kind:
    """A kind of parameter.

    Attributes:
        words: the name of the kind in messages
        fits: a function that returns whether a value, which is not None, is of this kind
    """

    words: str
    fits: Callable[[object], bool]


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= MOST_LETTERS and "\0" not in value


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= MOST_NUMBER  # false for NaN and infinity


def _is_whole(value: object) -> bool:
    return _is_number(value) and value == int(value)


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and len(value) <= MOST_TEXTS and all(map(_is_text, value))


def _is_path(value: object) -> bool:
    if isinstance(value, dict):
        value = value.get("absolute_path") or ""
    return _is_text(value)


TEXT = Kind(f"a string of at most {MOST_LETTERS} characters", _is_text)
WHOLE = Kind("a whole number", _is_whole)
NUMBER = Kind("a number", _is_number)
SWITCH = Kind("true or false", lambda value: isinstance(value, bool))
TEXTS = Kind("a list of texts", _are_texts)
PATH = Kind(
    f"a string of at most {MOST_LETTERS} characters, or a file of the file explorer", _is_path
)
ANYTHING = Kind("anything", lambda value: True)  # for parameters that are not used

# The parameters of all forms; a test checks that they match the forms.
KINDS: dict[str, Kind] = {
    **dict.fromkeys(
        [
            *("label_field", "prediction_field", "heatmap_field", "prediction_to", "gradcam_to"),
            *("imagenet_to", "imagenet_cam_to", "run", "key", "new_key", "name", "label"),
            *("recipe", "backbone", "weights", "store"),
            *("label_from", "split_from", "level", "pattern", "skip"),
            *("how", "way", "groups", "method", "layer", "interpolation", "storage", "resize"),
            *("freeze", "optimizer", "schedule", "class_balance", "horizontal_flip"),
            *("vertical_flip", "colormap", "field", "embeddings", "normal"),
            *("image_column", "label_column", "split_column"),
            *("decision", "new_class", "a", "b", "precision", "decoder", "opened_for"),
        ],
        TEXT,
    ),
    **dict.fromkeys(
        [
            *("epochs", "watch", "batch_size", "image_size", "early_stopping", "seed", "folds"),
            *("images_per_class", "translation", "count", "steps", "height", "resolution"),
            *("count_train", "count_val", "count_test", "max_pixels", "pictures"),
        ],
        WHOLE,
    ),
    **dict.fromkeys(
        [
            *("learning_rate", "head_lr_factor", "weight_decay", "dropout", "label_smoothing"),
            *("rotation", "brightness", "contrast", "noise", "cutout", "elastic", "mixup"),
            *("alpha", "train", "val", "test", "false_alarms"),
        ],
        NUMBER,
    ),
    **dict.fromkeys(
        [
            *("advanced", "overwrite", "near", "signed", "fields", "split_folders"),
            *("contact_sheet", "keep_truncated", "keep_masks", "predicted", "runner_up"),
            *("include_excluded", "sure", "temperature", "heatmaps", "road"),
        ],
        SWITCH,
    ),
    **dict.fromkeys(
        [
            *("path", "folder", "weights_file", "table", "class_names", "csv_path", "out"),
            *("old", "new"),
        ],
        PATH,
    ),
    "heatmap_classes": TEXTS,
    "training_estimate": ANYTHING,
}
# Parameters that have another kind in some forms.
KINDS_IN = {
    "predict": {"scale": TEXT, "label": SWITCH, "contrast": SWITCH},
    "fine_tune": {"scale": NUMBER},
    "preview_augmentation": {"scale": NUMBER},
}


def check_params(verb: str, params: object) -> None:
    """Check the kinds of parameters.

    Unknown parameters are ignored, because they are not used.

    Raises:
        ValueError: if a parameter is of the wrong kind; the message names the first
    """
    if not isinstance(params, dict):
        raise ValueError(f"Parameters must be names and values, not a {type(params).__name__}")
    known = KINDS | KINDS_IN.get(verb, {})
    for name, value in params.items():
        kind = known.get(name)
        if kind is not None and value is not None and value != "" and not kind.fits(value):
            raise ValueError(f"{name} must be {kind.words}, not {_shown(value)}")


def check_view(ctx) -> None:
    """Refuse view stages that FiftyOne would build, but that do more than select samples.

    Raises:
        ValueError: if a stage is refused; the message names it
    """
    own = (str(ctx.dataset._doc.id), ctx.dataset.name)
    for stages in (ctx.request_params.get("view"), ctx.params.get("custom_view_target")):
        if stages is not None:
            check_stages(stages, *own)
    extended = ctx.request_params.get("extended") or {}
    if not isinstance(extended, dict) or not all(isinstance(x, dict) for x in extended.values()):
        raise ValueError("The view of the request cannot be read")
    check_stages(
        [{"_cls": name, "kwargs": [*map(list, x.items())]} for name, x in extended.items()], *own
    )


def faults(inputs: types.Object, params: dict) -> Iterator[tuple[str, str]]:
    """Yield names and messages of parameters that a form does not offer, or out of its range."""
    for name, field in inputs.properties.items():
        value, kind, label = params.get(name), field.type, _label(name, field)
        if value is None or value == "":
            continue
        wanted = _kind_of(kind)
        if wanted is not None and not wanted.fits(value):
            yield name, f"{label} must be {wanted.words}, not {_shown(value)}"
        elif isinstance(kind, types.Enum) and value not in kind.values:
            offered = ", ".join(map(str, kind.values[:12])) + ", ..." * (len(kind.values) > 12)
            yield name, f"{label}: {_shown(value)} is not among {offered}"
        elif isinstance(kind, types.Number):
            if kind.min is not None and value < kind.min:
                yield name, f"{label} must be at least {kind.min}, not {_shown(value)}"
            elif kind.max is not None and value > kind.max:
                yield name, f"{label} must be at most {kind.max}, not {_shown(value)}"


def _kind_of(declared: types.BaseType) -> Kind | None:
    """Return the kind of a form field's values; None for elements without a value."""
    if isinstance(declared, types.Number):
        return WHOLE if declared.int else NUMBER
    kinds = {types.String: TEXT, types.Boolean: SWITCH, types.List: TEXTS, types.File: PATH}
    return next((kind for known, kind in kinds.items() if isinstance(declared, known)), None)


def _label(name: str, field: types.Property) -> str:
    label = getattr(field.view, "label", None) if field.view is not None else None
    return label or name


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:  # Python does not print numbers with thousands of digits
        return "a number of thousands of digits"
    return text if len(text) <= 60 else f"{text[:60]}…"
