"""The fields that hold predictions and heatmaps of a run, found by the facts stored with them."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping

import fiftyone as fo

from .fields import field_info
from .files import HEATMAPS, dataset_folder, heatmap_folder, remove_heatmap_files, sweep_heatmaps
from .heatmaps import heatmap_fields
from .shown import forget_colors


def fields_of_run(dataset: fo.Dataset, key: str) -> list[str]:
    """Return the names of the fields that this plugin wrote for a run."""
    names = dataset.get_field_schema()
    return [name for name in names if field_info(dataset, name).get("run") == key]


def values_lost(
    dataset: fo.Dataset, ids: Collection[str], wanted: Mapping[str, dict]
) -> tuple[str, int] | None:
    """Find values of other samples that would be deleted if some samples got new values.

    A field holds values of one run, made with the same options: other values are deleted.

    Args:
        dataset: the dataset; the fields need not exist
        ids: the ids of the samples that get values
        wanted: by field name, the facts that would be stored with the field; of a fact that is a
            dictionary, such as "heatmap", only the given keys are compared

    Returns:
        the key of the run whose values would be deleted, and the number of samples that would
        lose them; None if nothing would be deleted
    """
    for name, facts in wanted.items():
        info = field_info(dataset, name)
        if not info.get("run") or all(_matches(info.get(key), facts[key]) for key in facts):
            continue
        if lost := len(set(dataset.exists(name).values("id")).difference(ids)):
            return info["run"], lost
    return None


def _matches(noted: object, fact: object) -> bool:
    if isinstance(fact, dict):
        return isinstance(noted, dict) and all(noted.get(key) == fact[key] for key in fact)
    return noted == fact


def rename_run_in_fields(dataset: fo.Dataset, names: list[str], key: str, new_key: str) -> None:
    """Store the new key of a renamed run with its fields."""
    for name in names:
        field = dataset.get_field(name)
        field.info = {**field.info, "run": new_key}
        field.description = (field.description or "").replace(f"run {key!r}", f"run {new_key!r}")
        field.save()


def delete_fields(dataset: fo.Dataset, names: list[str]) -> int:
    """Delete fields, and their heatmap files unless another field of any dataset uses them.

    Returns:
        the number of files deleted
    """
    shown = [name for name in heatmap_fields(dataset) if name in names]
    paths = [path for name in shown for path in dataset.values(f"{name}.map_path") if path]
    dataset.delete_sample_fields(names)
    forget_colors(dataset, names)
    count = remove_heatmap_files(dataset, paths)
    for name in names:
        folder = heatmap_folder(dataset, name)
        if os.path.isdir(folder) and not os.listdir(folder):
            os.rmdir(folder)
    return count


def sweep_deleted_fields(dataset: fo.Dataset) -> int:
    """Delete heatmap files of fields that no longer exist, such as after an interrupted deletion.

    Returns:
        the number of files deleted
    """
    home, schema = os.path.join(dataset_folder(dataset), HEATMAPS), dataset.get_field_schema()
    names = os.listdir(home) if os.path.isdir(home) else []
    return sweep_heatmaps(dataset, [name for name in names if name not in schema])
