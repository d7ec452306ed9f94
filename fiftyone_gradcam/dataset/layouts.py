"""Layouts of `show_embeddings`: visualizations of FiftyOne Brain that say what they rest on."""

from __future__ import annotations

from collections.abc import Iterator

import fiftyone as fo

from .fields import field_info

RESTS_ON = "rests_on"  # in the configuration of the visualization
FIELD_FACTS = ("network", "run", "version")  # what tells embeddings in a field from earlier ones


def layouts(dataset: fo.Dataset) -> Iterator[tuple[str, object]]:
    """Keys and configurations of the layouts that say what they rest on."""
    for key in dataset.list_brain_runs():
        try:
            config = dataset.get_brain_info(key).config
        except Exception:  # of a kind that this FiftyOne cannot read
            continue
        if isinstance(getattr(config, RESTS_ON, None), dict):
            yield key, config


def facts_of_field(dataset: fo.Dataset, name: str) -> dict:
    """What tells the embeddings in a field from those that were there before; empty of a field
    that this plugin has not written."""
    info = field_info(dataset, name)
    return {fact: info[fact] for fact in FIELD_FACTS if info.get(fact) is not None}


def rename_run_in_layouts(dataset: fo.Dataset, key: str, new_key: str) -> None:
    """Let layouts say that another run saw the images."""
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
