"""Create fields that are marked as this plugin's, and write all values of a sample at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import fiftyone as fo
from bson import ObjectId
from fiftyone.core.odm import bulk_write, create_field
from pymongo import UpdateOne

from .durable import durable
from .fields import OWNER, describe_fields, field_info, has_values

# Values by sample id and field path.
Rows = Mapping[str, Mapping[str, Any]]
DOCUMENTS = {"classification": fo.Classification, "heatmap": fo.Heatmap}
TYPES = {
    "float": fo.FloatField,
    "int": fo.IntField,
    "text": fo.StringField,
    "list": fo.ListField,
    "bool": fo.BooleanField,
}
PLAIN = {"float": fo.FloatField, "text": fo.StringField, "vector": fo.VectorField}
LISTS = {"floats": fo.FloatField, "texts": fo.StringField}
AT_ONCE = 20_000  # ids in one database query


@dataclass(frozen=True)
class Declared:
    """The type, description and facts of a field.

    Attributes:
        kind: "classification", "heatmap", "float", "text"; "floats" or "texts" for a list of them;
            "vector" for an array
        words: the description that the App shows
        info: facts stored in the field's info, in addition to the mark of this plugin
        attributes: types of the label's attributes by name: "float", "int", "text", "list" or
            "bool"
    """

    kind: str
    words: str
    info: dict
    attributes: dict[str, str]

    @property
    def document(self) -> type[fo.Label] | None:
        """The FiftyOne label type; None for plain values."""
        return DOCUMENTS.get(self.kind)


def declare(dataset: fo.Dataset, name: str, declared: Declared, part: dict | None = None) -> None:
    """Create a field, or take over an existing one; see `declare_all`."""
    declare_all(dataset, {name: declared}, part)


def declare_all(
    dataset: fo.Dataset, fields: Mapping[str, Declared], part: dict | None = None
) -> None:
    """Create fields, or take over existing ones, and mark them as this plugin's.

    All new fields are created in a single write, because each takes as long as many.

    Args:
        dataset: the dataset
        fields: the type, description and facts of each field, by its name
        part: while not all samples have their value: "samples", the number of those that have one,
            and "of", the number of those that will get one
    """
    new = {name: one for name, one in fields.items() if dataset.get_field(name) is None}
    if new:
        with durable():  # before the values, which must not exist without this mark
            _add(dataset, {name: _field(name, one, part) for name, one in new.items()})
    old = {name: one for name, one in fields.items() if name not in new}
    describe(dataset, old, part)
    attributes = {
        f"{name}.{attribute}": _attribute(attribute, kind)
        for name, one in old.items()
        for attribute, kind in one.attributes.items()
        if dataset.get_field(f"{name}.{attribute}") is None
    }
    if attributes:
        _add(dataset, attributes)


def _add(dataset: fo.Dataset, fields: dict[str, fo.Field]) -> None:
    dataset.add_dynamic_sample_fields(fields)  # those that are given, whatever samples hold


def _field(name: str, declared: Declared, part: dict | None) -> fo.Field:
    words, info = _described(declared, part)
    signed = {"description": words, "info": {"written_by": OWNER, **info}}
    if declared.kind in PLAIN:
        return create_field(name, PLAIN[declared.kind], **signed)
    if declared.kind in LISTS:
        return create_field(name, fo.ListField, subfield=LISTS[declared.kind], **signed)
    return create_field(
        name,
        fo.EmbeddedDocumentField,
        embedded_doc_type=declared.document,
        fields=[_attribute(n, kind) for n, kind in declared.attributes.items()],
        **signed,
    )


def describe(dataset: fo.Dataset, fields: Mapping[str, Declared], part: dict | None = None) -> None:
    """Store the descriptions and facts of fields in a single write; see `declare`."""
    describe_fields(dataset, {name: _described(one, part) for name, one in fields.items()})


def _described(declared: Declared, part: dict | None) -> tuple[str, dict]:
    if part is None:
        return declared.words, declared.info
    partly = f"{declared.words} (a part: {part['samples']} of {part['of']} samples)"
    return partly, {**declared.info, "partial": part}


def _attribute(name: str, kind: str) -> fo.Field:
    return create_field(name, TYPES[kind])


def is_other(dataset: fo.Dataset, name: str, declared: Declared) -> bool:
    """Return whether a field holds other values: of another run, other options, or a user."""
    if dataset.get_field(name) is None:
        return False
    info = field_info(dataset, name)
    info.pop("partial", None)
    return info != {"written_by": OWNER, **declared.info} and has_values(dataset, name)


def write_rows(dataset: fo.Dataset, rows: Rows) -> None:
    """Store values; all values of a sample are written together."""
    now = datetime.utcnow()
    writes = [
        UpdateOne({"_id": ObjectId(i)}, {"$set": {**values, "last_modified_at": now}})
        for i, values in rows.items()
        if values
    ]
    if writes:  # one command: FiftyOne's batcher would split it into small ones
        bulk_write(writes, dataset._sample_collection, batcher=False)
        fo.Sample._reload_docs(dataset._sample_collection_name, sample_ids=list(rows))


def clear_fields(dataset: fo.Dataset, names: list[str], ids: list[str] | None = None) -> None:
    """Delete the values of fields, for all samples or for those with some ids."""
    if ids is None:
        dataset.clear_sample_fields(names)
        return
    for start in range(0, len(ids), AT_ONCE):
        write_rows(dataset, {i: dict.fromkeys(names) for i in ids[start : start + AT_ONCE]})
