"""What a small dataset holds, and how it is made so again after an input that was accepted."""

from __future__ import annotations

import fiftyone as fo

import fiftyone_gradcam as fg

OF_FIFTYONE = ("created_at", "last_modified_at", "metadata")


def state_of(dataset: fo.Dataset) -> dict:
    """Values, fields and runs."""
    dataset.reload()
    documents = [
        {k: str(v) for k, v in document.items() if k not in OF_FIFTYONE and v is not None}
        for document in dataset._sample_collection.find().sort("_id")
    ]
    tags = [document.pop("tags", "[]") for document in documents]
    info = {k: v for k, v in dataset.info.items() if k != "splits"}
    return {
        "samples": documents,
        "tags": (tags, dataset.info.get("splits")),
        "fields": [*dataset.get_field_schema()],
        "runs": dataset.list_runs(),
        "info": str(info),
        "datasets": fo.list_datasets(),
    }


def restored(dataset: fo.Dataset, before: dict) -> None:
    """Take away what verbs have added: fields, runs and splits."""
    new = [name for name in dataset.get_field_schema() if name not in before["fields"]]
    if new:
        dataset.delete_sample_fields(new)
    tags, split = before["tags"]
    dataset.set_values("tags", [eval(text) for text in tags])
    dataset.info["splits"] = split
    dataset.save()
    for key in set(fg.list_runs(dataset)) - set(before["runs"]):
        fg.delete_run(dataset, key)
