"""Layouts of `show_embeddings`: FiftyOne Brain visualizations with facts about their sources."""

from __future__ import annotations

from collections.abc import Iterator

import fiftyone as fo

from .fields import field_info

RESTS_ON = "rests_on"  # key in the configuration of the visualization
FIELD_FACTS = ("network", "run", "version")  # facts that identify the embeddings in a field


def layouts(dataset: fo.Dataset) -> Iterator[tuple[str, object]]:
    """Yield the keys and configurations of the layouts that have facts about their sources."""
    for key in dataset.list_brain_runs():
        try:
            config = dataset.get_brain_info(key).config
        except Exception:  # of a kind that this version of FiftyOne cannot read
            continue
        if isinstance(getattr(config, RESTS_ON, None), dict):
            yield key, config


def facts_of_field(dataset: fo.Dataset, name: str) -> dict:
    """Return the facts that identify the embeddings in a field.

    They are empty for a field that this plugin did not write.
    """
    info = field_info(dataset, name)
    return {fact: info[fact] for fact in FIELD_FACTS if info.get(fact) is not None}


def rename_run_in_layouts(dataset: fo.Dataset, key: str, new_key: str) -> None:
    """Store the new key of a renamed run with its layouts."""
    for name, config in list(layouts(dataset)):
        rests_on = dict(getattr(config, RESTS_ON))
        if rests_on.get("run") == key:
            rests_on["run"] = new_key
            config.model = str(config.model).replace(f"run {key!r}", f"run {new_key!r}", 1)
        elif (rests_on.get("facts") or {}).get("run") == key:
            rests_on["facts"] = {**rests_on["facts"], "run": new_key}
        else:
            continue
        given = rests_on.get("given") or {}
        if given.get("run_or_backbone") == key:
            rests_on["given"] = {**given, "run_or_backbone": new_key}
        setattr(config, RESTS_ON, rests_on)
        config.build().update_run_config(dataset, name, config)
