"""What a dataset holds, so that it can be compared: no ids, no times, no names of files."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
from typing import TYPE_CHECKING

import fiftyone as fo
import numpy as np
import torch
from bson import json_util

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset.feature_files import feature_files
from fiftyone_gradcam.dataset.files import FEATURES, OWNERS, dataset_folder, files_folder
from fiftyone_gradcam.dataset.heatmaps import heatmap_fields
from fiftyone_gradcam.dataset.review_state import HISTORY, ISSUE, REVIEW
from fiftyone_gradcam.dataset.reviews import OPTIONS
from fiftyone_gradcam.dataset.spool import READY, spools

if TYPE_CHECKING:
    from stories import Place

PASSING = ("_id", "_rand", "_dataset_id", "last_modified_at", "created_at", "_media_type", "mtime")
TIMES = ("seconds", "imported", "at", "timestamp", "trained", "version", "created", "date")
OF_DECISIONS = ("time", "step", "id")  # moments, and what tells one decision from others
MOMENT = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d+)?)?")
OF_IDS = ("basis",)  # digests of the ids of samples, which are others in each dataset


def digest(data: bytes) -> str:
    """A short name of some bytes."""
    return hashlib.sha256(data).hexdigest()[:12]


def plain(value: object) -> object:
    """A value of the database without what differs from call to call."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in sorted(value.items()) if k not in PASSING and v is not None}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return digest(value)
    if isinstance(value, float):
        return float(f"{value:.4g}")
    return _pixels(value) if isinstance(value, str) and os.path.isabs(value) else value


def _pixels(path: str) -> str:
    """The contents of a heatmap file in place of its path; other paths as they are."""
    if "heatmaps" not in path.split(os.sep):
        return path
    if not os.path.isfile(path):
        return "gone"
    with open(path, "rb") as file:
        return digest(file.read())


def samples_of(dataset: fo.Dataset) -> list[tuple[str, object]]:
    """All values of all samples, by file."""
    documents = list(dataset._sample_collection.find())
    paths = {str(document["_id"]): document["filepath"] for document in documents}
    found = []
    for document in documents:
        path = document["filepath"]
        values = {k: v for k, v in document.items() if k != "filepath"}
        found.append((path, plain(without_moments(_by_path(values, paths), paths))))
    return sorted(found, key=lambda pair: (pair[0], json.dumps(pair[1], default=str)))


def _by_path(values: dict, paths: dict[str, str]) -> dict:
    """Values of a sample whose similar images are named by their paths instead of their ids."""
    near = (values.get(ISSUE) or {}).get("neighbors")
    if not near:
        return values
    return {**values, ISSUE: {**values[ISSUE], "neighbors": [paths[i] for i in near]}}


def without_moments(values: dict, paths: dict[str, str]) -> dict:
    """Values of a sample whose decisions do not say when they were made, and with which others."""
    review, lines = values.get(REVIEW), values.get(HISTORY)
    if review:
        values = {**values, REVIEW: {k: v for k, v in review.items() if k not in OF_DECISIONS}}
    if lines:
        values = {**values, HISTORY: [_decision(line, paths) for line in lines]}
    return values


def _decision(line: str, paths: dict[str, str]) -> dict:
    facts = json_util.loads(line, json_options=OPTIONS)
    facts["before"] = _by_path(facts["before"], paths)
    return {name: value for name, value in facts.items() if name not in OF_DECISIONS}


def without_times(value: object) -> object:
    """Facts without when."""
    if isinstance(value, dict):
        return {k: without_times(v) for k, v in sorted(value.items()) if k not in TIMES + OF_IDS}
    if isinstance(value, list | tuple):
        return [without_times(item) for item in value]
    return plain(value)


def run_of(dataset: fo.Dataset, key: str) -> dict:
    """A run, its weights too."""
    run = fg.load_run(dataset, key)
    state = run.load_model().state_dict()
    weights = digest(b"".join(np.ascontiguousarray(x).tobytes() for x in state.values()))
    epochs = [[row["epoch"], f"{row['train_loss']:.3g}"] for row in run.history]
    return {"classes": run.classes, "epochs": epochs, "weights": weights, "best": run.best_epoch}


def layout_of(dataset: fo.Dataset, key: str) -> dict:
    """A layout of embeddings: what it is of, and where each image is."""
    found = dataset.load_brain_results(key, cache=False)
    if found is None:
        return {}
    paths = dict(zip(*dataset.values(["id", "filepath"]), strict=True))
    rows = zip(found.sample_ids, found.points, strict=True)
    points = {paths[i]: [f"{x:.3g}" for x in point] for i, point in rows}
    return {"of": dataset.get_brain_info(key).config.model, "points": points}


def evaluation_of(dataset: fo.Dataset, key: str) -> dict:
    """An evaluation: of what, and what came of it."""
    found, config = (
        dataset.load_evaluation_results(key, cache=False),
        dataset.get_evaluation_info(key).config,
    )
    if found is None:
        return {}
    names = [str(x) for x in found.classes]
    pairs = sorted(zip(found.ytrue.tolist(), found.ypred.tolist(), strict=True), key=str)
    return {"of": [config.pred_field, config.gt_field], "classes": names, "pairs": pairs}


def view_of(dataset: fo.Dataset, name: str) -> list:
    """A saved view: what it is said to be, and its images in order."""
    info = dataset.get_saved_view_info(name)
    return [info["description"], dataset.load_saved_view(name).values("filepath")]


def kept_features(dataset: fo.Dataset) -> dict:
    """What is kept of images, by what has seen them and by file."""
    home = os.path.join(dataset_folder(dataset), FEATURES)
    paths = {bytes.fromhex(i): p for i, p in zip(*dataset.values(["id", "filepath"]), strict=True)}
    found: dict[str, dict] = {}
    for name in os.listdir(home) if os.path.isdir(home) else ():
        own = found.setdefault(name, {})
        for file in feature_files(os.path.join(home, name)):
            rows = file.rows(np.arange(len(file.values)))
            for key, row in zip(file.keys(), rows, strict=True):
                own.setdefault(paths[key[:12]], digest(row.tobytes()))
    return found


def state_of(dataset: fo.Dataset) -> dict:
    """All that a dataset holds."""
    dataset.reload()
    schema = {
        name: [type(field).__name__, field.description, without_times(field.info)]
        for name, field in dataset.get_field_schema(flat=True).items()
        if name.split(".")[0] not in ("created_at", "last_modified_at", "metadata")
    }
    return {
        "samples": samples_of(dataset),
        "schema": schema,
        "runs": {key: run_of(dataset, key) for key in sorted(dataset.list_runs())},
        "label schemas": without_times(dataset.label_schemas),
        "layouts": {key: layout_of(dataset, key) for key in dataset.list_brain_runs()},
        "evaluations": {key: evaluation_of(dataset, key) for key in dataset.list_evaluations()},
        "views": {name: view_of(dataset, name) for name in dataset.list_saved_views()},
        "active": sorted(getattr(dataset.app_config.active_fields, "paths", None) or []),
    }


def users_values(dataset: fo.Dataset, names: tuple[str, ...] = ("mine", "ground_truth")) -> list:
    """What is the user's own: fields that no verb writes."""
    dataset.reload()
    return sorted(
        (document["filepath"], json.dumps([plain(document.get(n)) for n in names]))
        for document in dataset._sample_collection.find()
    )


def waiting_values(dataset: fo.Dataset, names: tuple[str, ...]) -> dict[str, dict]:
    """By file, values that have been decided on and wait on disk for whoever calls next."""
    paths = dict(zip(*dataset.values(["id", "filepath"]), strict=True))
    found: dict[str, dict] = {}
    for spool in spools(dataset, READY):
        for sample_id, values in spool.rows():
            chosen = {n: plain(values[n]) for n in names if values.get(n) is not None}
            found.setdefault(paths[sample_id], {}).update(chosen)
    return found


def remains(place: Place) -> list[str]:
    """Files and datasets that are left over when a story is done."""
    own = sorted(set(os.listdir(place.folder)) - {"photos", "out", "exported", "moved"})
    notes = os.path.join(files_folder(), OWNERS)
    parts = [x for x in os.listdir(notes) if ".part" in x] if os.path.isdir(notes) else []
    datasets = [x for x in fo.list_datasets() if place.name in x and x != place.name]
    return [*own, *parts, *datasets, *files_of_nobody(place.dataset)]


def files_of_nobody(dataset: fo.Dataset) -> list[str]:
    """Files in the folder of a dataset that nothing in the dataset refers to."""
    dataset.reload()
    home = dataset_folder(dataset)
    known: set[str] = set()
    for name in heatmap_fields(dataset):
        for attribute in dataset.get_field_schema(flat=True):
            if attribute.startswith(f"{name}.") and attribute.endswith("_path"):
                known |= {path for path in dataset.values(attribute) if path}
    for key in dataset.list_runs():
        run = fg.load_run(dataset, key)
        watch = run.watch or {}
        known |= {run.checkpoint, run.curves, watch.get("maps"), watch.get("strip")}
    known |= {job.log for job in fg.list_jobs(dataset)}  # what their processes printed
    found = []
    for folder, _, names in os.walk(home):
        for name in names:
            path = os.path.join(folder, name)
            parts = os.path.relpath(path, home).split(os.sep)
            resumable = parts[0] == "runs" and len(parts) == 3 and parts[2] == "state.pt"
            is_known = path in known or resumable or len(parts) == 1 or parts[0] == "features"
            if not is_known or ".part" in name:
                found.append(os.path.relpath(path, home))
    return found


def decisions_in(path: str) -> list[dict]:
    """The rows of a table of decisions."""
    own = ("sample_id", *OF_DECISIONS)
    with open(path, newline="", encoding="utf-8") as file:
        return [{k: v for k, v in row.items() if k not in own} for row in csv.DictReader(file)]


def page_in(path: str) -> list[str]:
    """The lines of a page, without when it was made and when what it shows was."""
    with open(path, encoding="utf-8") as file:
        return MOMENT.sub("then", file.read()).split("\n")


def tree_of(folder: str) -> dict[str, object]:
    """All files below a folder, by their contents; of weights the values."""
    found = {}
    for home, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(home, name)
            if name.endswith(".csv"):
                found[os.path.relpath(path, folder)] = decisions_in(path)
                continue
            if name.endswith(".html"):
                found[os.path.relpath(path, folder)] = page_in(path)
                continue
            if name.endswith(".pt"):
                state = torch.load(path, weights_only=True)
                data = b"".join(np.ascontiguousarray(x).tobytes() for x in state.values())
            else:
                with open(path, "rb") as file:
                    data = file.read()
            found[os.path.relpath(path, folder)] = digest(data)
    if "run.json" in found:  # holds a digest of the file of weights, with its times
        with open(os.path.join(folder, "run.json"), encoding="utf-8") as file:
            facts = json.load(file)
        facts.pop("sha256", None)
        found["run.json"] = digest(json.dumps(facts, sort_keys=True).encode())
    return found


def difference(found: object, wanted: object, where: str = "") -> str:
    """The first place where two states differ."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        for key in sorted(found.keys() | wanted.keys(), key=str):
            if words := difference(found.get(key), wanted.get(key), f"{where}/{key}"):
                return words
        return ""
    if isinstance(found, list) and isinstance(wanted, list) and len(found) == len(wanted):
        pairs = enumerate(zip(found, wanted, strict=True))
        return next(filter(None, (difference(*pair, f"{where}/{i}") for i, pair in pairs)), "")
    return "" if found == wanted else f"{where}: {str(found)[:300]} instead of {str(wanted)[:300]}"
