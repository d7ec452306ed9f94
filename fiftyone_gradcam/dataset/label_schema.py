"""What lets labels be edited: the label schema of FiftyOne's Annotate, and labels as imported."""

from __future__ import annotations

from collections.abc import Mapping

import fiftyone as fo

from .fields import path_in
from .import_record import IMPORTED_LABEL
from .storing import Declared, declare

FEW = 5  # classes that FiftyOne shows as buttons; more are a list


def keep_imported_labels(
    dataset: fo.Dataset, label_field: str, labels: Mapping[str, str | None]
) -> None:
    """Have a field for the labels as they were imported, so that edits are recognized.

    Samples of an import by an earlier version get what their folder says. A field of this name that
    is somebody else's is left alone, unless it holds just these labels: so it is left by an import
    whose database was killed before it had written down what the field is.

    Args:
        dataset: that is imported into
        label_field: of the classes
        labels: as the folder has them, by path
    """
    field = dataset.get_field(IMPORTED_LABEL)
    if field is not None and not (_is_bare(field) and _holds(dataset, labels)):
        return
    words = f"The label of {label_field!r} as it was imported"
    declare(dataset, IMPORTED_LABEL, Declared("text", words, {"label_field": label_field}, {}))
    if field is not None:
        return
    ids, paths = dataset.values(["id", "filepath"])
    rows = {i: labels[p] for i, p in zip(ids, paths, strict=True) if labels.get(p)}
    if rows:
        dataset.set_values(IMPORTED_LABEL, rows, key_field="id")


def _is_bare(field: fo.Field) -> bool:
    """Whether a field of texts says nothing of what it is."""
    return isinstance(field, fo.StringField) and not (field.info or field.description)


def _holds(dataset: fo.Dataset, labels: Mapping[str, str | None]) -> bool:
    """Whether the field of imported labels holds those of a folder, and nothing else."""
    paths, values = dataset.values(["filepath", IMPORTED_LABEL])
    found = {path: value for path, value in zip(paths, values, strict=True) if value}
    return bool(found) and all(labels.get(path) == value for path, value in found.items())


def activate_labels(dataset: fo.Dataset, label_field: str) -> None:
    """Let Annotate edit the labels of a field: its schema lists the classes, and is active.

    Other choices in a schema that is there already stay, and so does that it is not active.
    """
    classes = sorted(filter(None, dataset.distinct(path_in(dataset, label_field))))
    schema = dataset.label_schemas.get(label_field)
    if schema is None:
        schema = dataset.generate_label_schemas(label_field, scan_samples=False)
        set_classes(dataset, label_field, schema, classes)
        dataset.activate_label_schemas(label_field, prepend=True)
    else:
        add_classes(dataset, label_field, classes)


def add_classes(dataset: fo.Dataset, label_field: str, classes: list[str]) -> None:
    """Let Annotate offer further classes, where it offers any."""
    schema = dataset.label_schemas.get(label_field)
    known = (schema or {}).get("classes")
    if known and set(classes) - set(known):
        set_classes(dataset, label_field, schema, sorted({*known, *classes}))


def set_classes(dataset: fo.Dataset, label_field: str, schema: dict, classes: list[str]) -> None:
    """Store a schema with these classes; without any, a label is typed."""
    schema = {key: value for key, value in schema.items() if key != "classes"}
    if classes:
        schema |= {"classes": classes, "component": "radio" if len(classes) <= FEW else "dropdown"}
    dataset.update_label_schema(label_field, schema)
