"""Make labels editable in FiftyOne's Annotate, and keep the labels as they were imported."""

from __future__ import annotations

from collections.abc import Mapping

import fiftyone as fo

from .fields import path_in
from .import_record import IMPORTED_LABEL
from .storing import Declared, declare

ADDED_CLASSES = "review_classes"  # in a dataset's info: by field, classes that decisions added
FEW = 5  # up to this number of classes are shown as radio buttons, more as a dropdown


def keep_imported_labels(
    dataset: fo.Dataset, label_field: str, labels: Mapping[str, str | None]
) -> None:
    """Create a field with the labels as they were imported, by which later edits are recognized.

    Samples that an earlier version imported get the labels of their folders. A field of this name
    that this plugin did not write is left unchanged, unless it holds exactly these labels: then
    it comes from an import that was killed before it could store the description of the field.

    Args:
        dataset: the dataset that is imported into
        label_field: the field of the classes
        labels: labels according to the folder, by file path
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
    """Return whether a field has neither info nor a description."""
    return not (field.info or field.description)


def _holds(dataset: fo.Dataset, labels: Mapping[str, str | None]) -> bool:
    """Return whether the field of imported labels holds labels of the folder and no others."""
    paths, values = dataset.values(["filepath", IMPORTED_LABEL])
    found = {path: value for path, value in zip(paths, values, strict=True) if value}
    return bool(found) and all(labels.get(path) == value for path, value in found.items())


def activate_labels(dataset: fo.Dataset, label_field: str) -> None:
    """Make the labels of a field editable in Annotate: list its classes in an active schema.

    If there is a schema already, only the classes are added; it is not activated.
    """
    classes = sorted(filter(None, dataset.distinct(path_in(dataset, label_field))))
    schema = dataset.label_schemas.get(label_field)
    if schema is None:
        schema = dataset.generate_label_schemas(label_field, scan_samples=False)
        set_classes(dataset, label_field, schema, classes)
        dataset.activate_label_schemas(label_field, prepend=True)
    else:
        add_classes(dataset, label_field, classes)


def add_classes(
    dataset: fo.Dataset, label_field: str, classes: list[str], in_review: bool = False
) -> None:
    """Add classes to the label schema of a field, if the schema lists classes.

    Args:
        dataset, label_field: the field
        classes: the classes
        in_review: whether a decision adds them; see `remove_unused_classes`
    """
    schema = dataset.label_schemas.get(label_field)
    known = (schema or {}).get("classes")
    new = set(classes) - set(known) if known else set()
    if not new:
        return
    if in_review:  # first: a decision that is repeated finds the classes listed
        _record(dataset, label_field, _added(dataset, label_field) | new)
    set_classes(dataset, label_field, schema, sorted({*known, *new}))


def remove_unused_classes(dataset: fo.Dataset, label_field: str, classes: set[str | None]) -> None:
    """Remove those classes from the label schema of a field that a decision added and no label has.

    Args:
        dataset, label_field: the field
        classes: the classes of decisions that were undone; None for no label
    """
    schema = dataset.label_schemas.get(label_field)
    known, added = (schema or {}).get("classes") or [], _added(dataset, label_field)
    gone = classes & added & set(known)
    if gone and (gone := gone - set(dataset.distinct(path_in(dataset, label_field)))):
        set_classes(dataset, label_field, schema, [x for x in known if x not in gone])
        _record(dataset, label_field, added - gone)


def _added(dataset: fo.Dataset, label_field: str) -> set[str]:
    """Return the classes of a field that decisions have added."""
    return set(dataset.info.get(ADDED_CLASSES, {}).get(label_field, ()))


def _record(dataset: fo.Dataset, label_field: str, classes: set[str]) -> None:
    """Store the classes of a field that decisions have added."""
    others = dataset.info.get(ADDED_CLASSES, {})
    dataset.info[ADDED_CLASSES] = {**others, label_field: sorted(classes)}
    dataset.save()


def set_classes(dataset: fo.Dataset, label_field: str, schema: dict, classes: list[str]) -> None:
    """Store a label schema with these classes; if there are none, labels are typed as text."""
    schema = {key: value for key, value in schema.items() if key != "classes"}
    if classes:
        schema |= {"classes": classes, "component": "radio" if len(classes) <= FEW else "dropdown"}
    dataset.update_label_schema(label_field, schema)
