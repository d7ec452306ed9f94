"""Fields of a dataset: which exist, which this plugin wrote, and how values are stored."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

import fiftyone as fo

from ..folders.path_names import MOST_BYTES, check_name
from ..similar import did_you_mean

OWNER = "@gradcam/classifier"
HEATMAP_COLORS = "jet"
HEATMAP_OPACITY = 0.4


def root_dataset(samples: fo.core.collections.SampleCollection) -> fo.Dataset:
    """The dataset of a collection.

    Raises:
        TypeError: if it is no FiftyOne collection of images
    """
    if not isinstance(samples, fo.core.collections.SampleCollection):
        raise TypeError(
            f"Expected a FiftyOne dataset or view, not {type(samples).__name__}. "
            f"Load one with fo.load_dataset(name)"
        )
    if samples.media_type not in (fo.core.media.IMAGE, None):
        raise TypeError(
            f"{samples._root_dataset.name!r} holds media of type {samples.media_type!r}; "
            f"a classifier needs images"
        )
    return samples._root_dataset


def check_label_field(samples: fo.core.collections.SampleCollection, label_field: str) -> None:
    """Refuse a field that holds no classifications.

    Raises:
        ValueError: naming the fields that do
    """
    own = classification_fields(root_dataset(samples))
    if label_field not in own:
        raise ValueError(
            f"{label_field!r} is no classification field of {samples._root_dataset.name!r}. "
            f"{did_you_mean(label_field, own)}Its classification fields: {', '.join(own) or 'none'}"
        )


def classification_fields(dataset: fo.Dataset) -> list[str]:
    """Names of the top-level fields that hold one `fo.Classification` each."""
    return [
        name
        for name, kind in dataset.get_field_schema(
            ftype=fo.EmbeddedDocumentField, embedded_doc_type=fo.Classification
        ).items()
        if "." not in name
    ]


def labels_of(
    samples: fo.core.collections.SampleCollection, label_field: str
) -> tuple[list[str], list[str], list[str | None]]:
    """Ids, file paths and labels (None where unlabelled) of a collection, in its order."""
    check_label_field(samples, label_field)
    ids, paths, labels = samples.values(["id", "filepath", f"{label_field}.label"])
    return ids, paths, labels


def class_counts(labels: list[str | None]) -> dict[str, int]:
    """Number of samples of each class, classes in order."""
    return dict(sorted(Counter(label for label in labels if label is not None).items()))


def check_writable(dataset: fo.Dataset, kinds: Mapping[str, type | None], overwrite: bool) -> None:
    """Refuse field names that FiftyOne cannot store, or that hold somebody else's values.

    Fields that this plugin wrote carry its name in their `info` and may be written again.

    Args:
        dataset: where the fields are to be
        kinds: type of label that each field is to hold, None for plain values
        overwrite: whether the values of other fields of the right type may be replaced

    Raises:
        ValueError: naming the field and the remedy
    """
    for name, kind in kinds.items():
        if not isinstance(name, str) or not name.isidentifier() or name.startswith("_"):
            raise ValueError(
                f"{name!r} is no name for a field. Use letters, digits and underscores, "
                f"a letter first"
            )
        check_name(name, "A field", MOST_BYTES - len(".part"))  # heatmaps get a folder of its name
        existing = dataset.get_field(name)
        if existing is None:
            continue
        if getattr(existing, "document_type", None) is not kind:
            raise ValueError(
                f"Field {name!r} of {dataset.name!r} holds values of another type. "
                f"Choose another name"
            )
        if not overwrite and not is_owned(existing):
            raise ValueError(
                f"Field {name!r} of {dataset.name!r} was not written by this plugin. Choose "
                f"another name, or pass overwrite=True to replace its values"
            )


def field_name(words: str) -> str:
    """Words as the end of a field's name."""
    return re.sub(r"\W+", "_", words).strip("_") or "_"


def is_owned(field: fo.Field) -> bool:
    """Whether this plugin wrote a field."""
    return (field.info or {}).get("written_by") == OWNER


def describe_field(dataset: fo.Dataset, name: str, description: str, **info) -> None:
    """Sign a field as this plugin's, with a description that the App shows and facts for code."""
    field = dataset.get_field(name)
    signed = {"written_by": OWNER, **info}
    if (field.description, field.info) != (description, signed):  # saving takes FiftyOne a while
        field.description, field.info = description, signed
        field.save()


def index(dataset: fo.Dataset, paths: list[str]) -> None:
    """Let the database find and sort samples by values quickly."""
    known = dataset.list_indexes()
    for path in paths:
        if path not in known:
            dataset.create_index(path)


def field_info(dataset: fo.Dataset, name: str) -> dict:
    """The facts stored with a field of this plugin; empty for any other field."""
    field = dataset.get_field(name)
    return dict(field.info or {}) if field is not None and is_owned(field) else {}


def show_fields(dataset: fo.Dataset, names: list[str]) -> None:
    """Make fields visible when the App opens the dataset, beside those that are already.

    Heatmaps get a colour scale and let the image through, unless the dataset has colour settings.
    """
    config = dataset.app_config
    active = config.active_fields
    if active is None:
        active = fo.ActiveFields(paths=classification_fields(dataset))
    if active.exclude:
        active.paths = [path for path in active.paths if path not in names]
    else:
        active.paths = [*active.paths, *(name for name in names if name not in active.paths)]
    config.active_fields = active
    if config.color_scheme is None:
        config.color_scheme = fo.ColorScheme(
            color_by="value", opacity=HEATMAP_OPACITY, default_colorscale={"name": HEATMAP_COLORS}
        )
    dataset.save()
