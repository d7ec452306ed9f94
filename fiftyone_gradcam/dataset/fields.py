"""The fields of a dataset: find them, check their types, and mark those that this plugin wrote."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Mapping

import fiftyone as fo
from fiftyone.core.odm import get_db_conn

from ..folders.path_names import check_name
from ..similar import did_you_mean
from .durable import durable

OWNER = "@gradcam/classifier"
MOST_BYTES = 240  # in a name: file systems allow 255, and temporary files need some of them


def root_dataset(samples: fo.core.collections.SampleCollection) -> fo.Dataset:
    """Return the dataset of a dataset or view, and check that it holds images.

    Raises:
        TypeError: if samples is not a FiftyOne dataset or view of images; the message says what to
            do instead
    """
    if not isinstance(samples, fo.core.collections.SampleCollection):
        raise TypeError(
            f"Expected a FiftyOne dataset or view, not {type(samples).__name__}. "
            f"Load one with fo.load_dataset(name)"
        )
    dataset = samples._root_dataset
    if remedy := _remedy(samples, dataset):
        raise TypeError(f"A classifier needs one image per sample. {remedy}")
    return dataset


def _remedy(samples: fo.core.collections.SampleCollection, dataset: fo.Dataset) -> str | None:
    """Return what to do about samples that are not single images; None if they are."""
    name = dataset.name
    if samples._is_patches:
        return (
            f"This is a view of patches of {name!r}. Write them to folders with "
            f"view.export(folder, dataset_type=fo.types.ImageClassificationDirectoryTree), and "
            f"call import_folders() on these"
        )
    if samples._is_frames or samples._is_clips or dataset.media_type == fo.core.media.VIDEO:
        return (
            f"{name!r} holds videos. Write their frames to image files and make a dataset of "
            f"these: dataset.to_frames(sample_frames=True).clone(name)"
        )
    if samples._is_dynamic_groups:
        return f"This view groups samples of {name!r}. Pass view.flatten(), or leave group_by out"
    if dataset.media_type == fo.core.media.GROUP:
        return (
            f"{name!r} is a grouped dataset. Make a dataset of one of its slices: "
            f"dataset.select_group_slices(slice).clone(name)"
        )
    if dataset.media_type not in (fo.core.media.IMAGE, None):
        return f"{name!r} holds media of type {dataset.media_type!r}. Choose a dataset of images"
    return None


def whole(samples: fo.core.collections.SampleCollection) -> fo.core.collections.SampleCollection:
    """Return the same samples in the same order with all fields.

    Stages that select or exclude fields are removed, because they would hide fields that are read
    or written.
    """
    dataset = root_dataset(samples)
    hiding = (fo.SelectFields, fo.ExcludeFields)
    stages = [] if samples is dataset else samples._stages
    if not any(isinstance(stage, hiding) for stage in stages):
        return samples
    view = dataset.view()
    for stage in stages:
        if not isinstance(stage, hiding):
            view = view.add_stage(stage)
    return view


def refresh(dataset: fo.Dataset) -> None:
    """Reload a dataset if its fields, info or runs differ from those in the database.

    They differ if another process has changed them, or a call in this one was interrupted. The
    dataset is reloaded only then, because this is slow and discards unsaved changes to samples.
    """

    def stored(fields: list[dict], prefix: str = "") -> dict[str, dict | None]:
        found = {}
        for field in fields:
            name = "id" if field["name"] == "_id" else field["name"]
            if not name.startswith("_"):  # internal fields of FiftyOne are not in the schema
                found[prefix + name] = field.get("info") or None
                found |= stored(field.get("fields") or [], f"{prefix}{name}.")
        return found

    parts = dict.fromkeys(("sample_fields", "info", "runs"), 1)
    record = get_db_conn().datasets.find_one({"_id": dataset._doc.id}, parts)
    fields = dataset.get_field_schema(flat=True).items()
    if record is None or (
        stored(record["sample_fields"]) != {path: field.info or None for path, field in fields}
        or (record.get("info") or {}) != (dataset._doc.info or {})
        or (record.get("runs") or {}).keys() != dataset._doc.runs.keys()
    ):
        dataset.reload()


def check_label_field(samples: fo.core.collections.SampleCollection, label_field: str) -> None:
    """Check that a field holds one label for each sample.

    Raises:
        ValueError: if it does not; the message lists the fields that do
    """
    label_path(root_dataset(samples), label_field)


def label_path(dataset: fo.Dataset, label_field: str) -> str:
    """Return the path of labels: "<field>.label" for classifications, "<field>" for strings.

    Raises:
        ValueError: if the field does not hold one label for each sample; the message lists the
            fields that do
    """
    own = label_fields(dataset)
    if label_field in own:
        return path_in(dataset, label_field)
    known = ", ".join(own) or "none"
    field = dataset.get_field(label_field) if isinstance(label_field, str) else None
    kind = getattr(field, "document_type", None)
    if kind is not None and issubclass(kind, fo.Classifications):
        how = (
            "holds several labels for each sample. Choose a field with one, or make one, such as "
            'dataset.set_values("label", [...])'
        )
    elif kind is not None and issubclass(kind, fo.Label):
        how = (
            f"holds {kind.__name__}, not one label for each image. To classify objects, write them "
            f"to folders with dataset.to_patches({label_field!r}).export(folder, "
            f"dataset_type=fo.types.ImageClassificationDirectoryTree), and call import_folders()"
        )
    else:
        how = f"is not a classification field or string field of {dataset.name!r}"
    raise ValueError(
        f"{label_field!r} {how}. {did_you_mean(label_field, own)}Its fields of labels: {known}"
    )


def path_in(dataset: fo.Dataset, label_field: str) -> str:
    """Return `label_path` without checks, for a field that holds labels or does not exist."""
    is_text = isinstance(dataset.get_field(label_field), fo.StringField)
    return label_field if is_text else f"{label_field}.label"


def label_fields(dataset: fo.Dataset) -> list[str]:
    """Return the names of the top-level fields that hold one label for each sample.

    Classification fields come first, then string fields that this plugin did not write.
    """
    schema = dataset.get_field_schema(ftype=fo.StringField)
    texts = [n for n, x in schema.items() if n != "filepath" and not is_owned(x)]
    return [*classification_fields(dataset), *texts]


def classification_fields(dataset: fo.Dataset) -> list[str]:
    """Return the names of the top-level fields of type `fo.Classification`."""
    kind = {"ftype": fo.EmbeddedDocumentField, "embedded_doc_type": fo.Classification}
    return list(dataset.get_field_schema(**kind))


def labels_of(
    samples: fo.core.collections.SampleCollection, label_field: str
) -> tuple[list[str], list[str], list[str | None]]:
    """Return ids, file paths and labels (None where unlabeled) of a collection, in its order."""
    path = label_path(root_dataset(samples), label_field)
    ids, paths, labels = whole(samples).values(["id", "filepath", path])
    return ids, paths, [label or None for label in labels]


def class_counts(labels: list[str | None]) -> dict[str, int]:
    """Return the number of samples of each class, in alphabetical order of the classes."""
    return dict(sorted(Counter(label for label in labels if label is not None).items()))


def check_writable(dataset: fo.Dataset, kinds: Mapping[str, type | None], overwrite: bool) -> None:
    """Check that fields can be written: their names are valid, and they hold no values of the user.

    Fields that this plugin wrote have its name in their `info`, and may be written again.

    Args:
        dataset: the dataset that the fields will be written to
        kinds: by field name, the label type that the field will hold; None for plain values
        overwrite: whether values of other fields of the right type may be replaced

    Raises:
        ValueError: if a field cannot be written; the message names it and says what to do
    """
    for name, kind in kinds.items():
        if not isinstance(name, str) or not name.isidentifier() or name.startswith("_"):
            raise ValueError(
                f"{name!r} is not a valid field name. Use letters, digits and underscores, "
                f"a letter first"
            )
        if len(os.fsencode(name)) > MOST_BYTES:
            raise ValueError(
                f"{name[:40] + '…'!r} is too long for the name of a field, which names a folder of "
                f"heatmaps too and may have {MOST_BYTES} bytes. Choose a shorter one"
            )
        check_name(name, "A field")  # heatmaps are stored in a folder with this name
        existing = dataset.get_field(name)
        if existing is None:
            continue
        if getattr(existing, "document_type", None) is not kind:
            raise ValueError(
                f"Field {name!r} of {dataset.name!r} holds values of another type. "
                f"Choose another name"
            )
        # Interrupted passes of earlier versions have left empty fields.
        if not overwrite and not is_owned(existing) and has_values(dataset, name):
            raise ValueError(
                f"Field {name!r} of {dataset.name!r} was not written by this plugin. Choose "
                f"another name, or pass overwrite=True to replace its values"
            )


def has_values(dataset: fo.Dataset, name: str) -> bool:
    """Return whether any sample has a value in a field, which must exist."""
    return len(dataset.exists(name).limit(1)) > 0


def field_name(words: str) -> str:
    """Convert words to a suffix of a field name; shorten it if it is too long for a file name."""
    name = re.sub(r"\W+", "_", words).strip("_") or "_"
    if len(os.fsencode(name)) <= MOST_BYTES // 2:
        return name
    digest = hashlib.sha256(os.fsencode(words)).hexdigest()[:8]
    return f"{os.fsencode(name)[: MOST_BYTES // 2 - 9].decode(errors='ignore')}_{digest}"


def is_owned(field: fo.Field) -> bool:
    """Return whether this plugin wrote a field."""
    return (field.info or {}).get("written_by") == OWNER


def describe_field(dataset: fo.Dataset, name: str, description: str, **info) -> None:
    """Mark a field as this plugin's, with a description for the App and facts in its info."""
    describe_fields(dataset, {name: (description, info)})


def describe_fields(dataset: fo.Dataset, described: Mapping[str, tuple[str, dict]]) -> None:
    """Mark fields as this plugin's, in a single write.

    Args:
        dataset: the dataset with the fields
        described: the description and facts of each field, by field name
    """
    changed = {}
    for name, (words, info) in described.items():
        field, signed = dataset.get_field(name), {"written_by": OWNER, **info}
        if (field.description, field.info) != (words, signed):  # because saving is slow
            changed[field] = (words, signed)
    if not changed:
        return
    kinds = dataset._sample_doc_cls
    kinds._reload_fields()
    for field, (words, signed) in changed.items():
        record = kinds._get_field_doc(field.path)
        record.description, record.info = words, signed
    with durable():  # before the values, which must not exist without this mark
        dataset.save()
    for field, (words, signed) in changed.items():
        field.description, field.info = words, signed


def index(dataset: fo.Dataset, paths: list[str]) -> None:
    """Create missing database indexes for paths, so that samples are found and sorted fast."""
    known = dataset.list_indexes()
    for path in paths:
        if path not in known:
            dataset.create_index(path)


def field_info(dataset: fo.Dataset, name: str) -> dict:
    """Return the facts stored with a field of this plugin; empty for any other field."""
    field = dataset.get_field(name)
    return dict(field.info) if field is not None and is_owned(field) else {}
