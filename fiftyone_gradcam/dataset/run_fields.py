"""Fields that the predictions of a run wrote: found by what is stored with them."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping

import fiftyone as fo

from .fields import field_info
from .files import HEATMAPS, dataset_folder, heatmap_folder, remove_heatmap_files, sweep_heatmaps
from .heatmaps import heatmap_fields
from .shown import forget_colors


def fields_of_run(dataset: fo.Dataset, key: str) -> list[str]:
    """Names of the fields that this plugin wrote for a run."""
    names = dataset.get_field_schema()
    return [name for name in names if field_info(dataset, name).get("run") == key]


def values_lost(
    dataset: fo.Dataset, ids: Collection[str], wanted: Mapping[str, dict]
) -> tuple[str, int] | None:
    """What would be deleted of other samples if some got values: a field holds values of one run,
    made alike.

    Args:
        dataset: which has the fields, or not
        ids: of the samples that get values
        wanted: by the names of fields, facts that would be stored with them; of those in a
            dictionary, such as "heatmap", only those that it names count

    Returns:
        the run whose values these are, and of how many samples; None if nothing would be deleted
    """
    for name, facts in wanted.items():
        info = field_info(dataset, name)
        if not info.get("run") or all(_says(info.get(key), facts[key]) for key in facts):
            continue
        if lost := len(set(dataset.exists(name).values("id")).difference(ids)):
            return info["run"], lost
    return None


def _says(noted: object, fact: object) -> bool:
    if isinstance(fact, dict):
        return isinstance(noted, dict) and all(noted.get(key) == fact[key] for key in fact)
    return noted == fact


def rename_run_in_fields(dataset: fo.Dataset, names: list[str], key: str, new_key: str) -> None:
    """Let fields say that another run wrote them."""
    for name in names:
        field = dataset.get_field(name)
        field.info = {**field.info, "run": new_key}
        field.description = (field.description or "").replace(f"run {key!r}", f"run {new_key!r}")
        field.save()


def delete_fields(dataset: fo.Dataset, names: list[str]) -> int:
    """Delete fields, and the heatmap files that no other field shows, of any dataset.

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
    """Delete heatmap files of fields that are gone, as where a deletion was cut short.

    Returns:
        the number of files deleted
    """
    home, schema = os.path.join(dataset_folder(dataset), HEATMAPS), dataset.get_field_schema()
    names = os.listdir(home) if os.path.isdir(home) else []
    return sweep_heatmaps(dataset, [name for name in names if name not in schema])
