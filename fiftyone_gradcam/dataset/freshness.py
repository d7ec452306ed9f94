"""Find stored values that are stale because labels, splits or runs have changed since.

Where the database can compare values with the current labels sample by sample, it counts the
differences. Otherwise the digest that was stored with the values is compared with a current one
(see `basis`). Values of earlier versions, which have no digest, count as fresh.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import fiftyone as fo

from .basis import Snapshot
from .evaluation import prediction_fields
from .fields import field_info, path_in
from .heatmaps import heatmap_fields
from .label_scores import count_stale_scores
from .label_totals import label_issues_info
from .layouts import RESTS_ON, facts_of_field, layouts
from .review_state import default_label_field
from .runs import list_runs, newest_run, trained_at
from .since_judged import changes_since_judged


def _changed(count: int) -> str:
    return "1 label has changed since" if count == 1 else f"{count} labels have changed since"


# The name of `refresh_label_scores`, which refreshes label scores; it is fast and not a verb.
SCORES = "refresh_label_scores"
SPLIT_CHANGED = "the split has changed since it was trained: it may have learned from test images"


@dataclass(frozen=True)
class Stale:
    """Stored values that are stale.

    Attributes:
        kind: "predictions", "label scores", "heatmaps", "label issues", "evaluation",
            "embeddings", "layout", "anomalies", "leaks" or "run"
        name: the name of the field, or the key of the evaluation, layout or run
        why: what has changed, in words
        verb: the verb that refreshes the values, or `SCORES`; None if nothing does
        given: the arguments of the verb by name, without the samples
    """

    kind: str
    name: str
    why: str
    verb: str | None = None
    given: dict = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.kind[0].upper()}{self.kind[1:]} {self.name!r}: {self.why}"


def stale_values(dataset: fo.Dataset) -> list[Stale]:
    """Return all values of a dataset that are stale."""
    snapshots: dict[str, Snapshot] = {}

    def now(label_field: str) -> Snapshot:
        if label_field not in snapshots:
            snapshots[label_field] = Snapshot(dataset, label_field)
        return snapshots[label_field]

    versions = {key: trained_at(dataset, key) for key in list_runs(dataset)}
    found = [*_of_issues(dataset), *_of_predictions(dataset, versions)]
    found += _of_evaluations(dataset)
    found += _of_runs(dataset, now)
    for name in dataset.get_field_schema():
        info = field_info(dataset, name)
        if info.get("kind") == "embeddings":
            found += _of_embeddings(name, info, versions)
        elif info.get("basis"):
            found += _of_basis(dataset, name, info, now)
    found += _of_layouts(dataset, versions, now)
    return found


def _of_predictions(dataset: fo.Dataset, versions: dict[str, str]) -> Iterator[Stale]:
    """Yield predictions of runs that were trained again, and scores and heatmaps of old labels."""
    for name in prediction_fields(dataset):
        info = field_info(dataset, name)
        key = info["run"]
        maps = [x for x in heatmap_fields(dataset) if _is_of(dataset, x, name)]
        again = {"run": key, "prediction_field": name, **_kinds(dataset, maps)}
        if key in versions and info.get("version") not in (None, versions[key]):
            why = f"run {key!r} was trained again since"
            yield Stale("predictions", name, why, "predict", again)
            continue
        if info.get("label_field") and dataset.get_field(info["label_field"]) is None:
            why = f"the label field {info['label_field']!r} they were compared with was deleted"
            yield Stale("label scores", name, why)
            continue
        if count := count_stale_scores(dataset, name):
            yield Stale("label scores", name, _changed(count), SCORES, {"prediction_field": name})
        for one in maps:
            if count := _stale_maps(dataset, one):
                verb = "predict" if key in versions else None
                yield Stale("heatmaps", one, _changed(count), verb, again)


def _is_of(dataset: fo.Dataset, name: str, prediction_field: str) -> bool:
    """Return whether a field holds heatmaps that belong to a prediction field."""
    return field_info(dataset, name).get("prediction_field") == prediction_field


def _kinds(dataset: fo.Dataset, maps: list[str]) -> dict:
    """Return the arguments with which `predict` computes heatmap fields again as they are."""
    kinds = {name: str(field_info(dataset, name).get("kind")) for name in maps}
    own = {name: kind for name, kind in kinds.items() if not kind.startswith("against:")}
    given: dict = {
        "heatmaps": [kind for kind in own.values() if not kind.startswith("class:")],
        "heatmap_classes": [
            kind.removeprefix("class:") for kind in own.values() if kind.startswith("class:")
        ],
    }
    for name, kind in own.items():
        ending = "" if kind == "predicted" else f"_{kind}"
        if name.endswith(ending):
            given["heatmap_field"] = name.removesuffix(ending)
        how = dict(field_info(dataset, name).get("heatmap") or {})
        how.pop("layer", None)
        given |= how
    return given


def _stale_maps(dataset: fo.Dataset, name: str) -> int:
    """Count the heatmaps of a field that were computed for another label than the current one."""
    info = field_info(dataset, name)
    kind = str(info.get("kind")).removeprefix("against:")
    label_field = info.get("label_field")
    if kind not in ("label", "contrast") or dataset.get_field(label_field) is None:
        return 0
    made_for = "target" if kind == "label" else "versus"
    label = {"$ifNull": [f"${path_in(dataset, label_field)}", None]}
    there = {f"{name}.{made_for}": {"$type": "string"}}
    differs = {"$expr": {"$ne": [f"${name}.{made_for}", label]}}
    return dataset._sample_collection.count_documents({"$and": [there, differs]})


def _of_issues(dataset: fo.Dataset) -> Iterator[Stale]:
    """Yield label issues whose labels have changed since."""
    noted = label_issues_info(dataset)
    names = [name for name in noted.get("fields", ()) if dataset.get_field(name) is not None]
    if not names:
        return
    label_field = noted.get("label_field") or default_label_field(dataset)
    again = ("find_label_issues", {"label_field": label_field})
    if dataset.get_field(label_field) is None:
        yield Stale("label issues", names[0], f"the label field {label_field!r} was deleted")
        return
    changes = changes_since_judged(dataset, noted)
    if changes is None:
        return
    if changes.elsewhere:
        yield Stale("label issues", names[0], "labels or samples have changed since", *again)
    elif changes.decided and not changes.open:
        why = f"{changes.words} since, and no suspicious label is left: a new check may find more"
        yield Stale("label issues", names[0], why, *again)


def _of_evaluations(dataset: fo.Dataset) -> Iterator[Stale]:
    """Yield evaluations of this plugin's predictions whose labels or predictions have changed."""
    known = prediction_fields(dataset)
    for key in dataset.list_evaluations(type="classification"):
        config = dataset.get_evaluation_info(key).config  # those that cannot be read are not listed
        name, label_field = config.pred_field, config.gt_field
        if dataset.get_field(key) is None:
            continue
        gone = [x for x in (name, label_field) if dataset.get_field(x) is None]
        if gone:
            yield Stale("evaluation", key, f"the field {gone[0]!r} was deleted")
        elif name in known:
            label = {"$ifNull": [f"${path_in(dataset, label_field)}", None]}
            right = {"$eq": [{"$ifNull": [f"${name}.label", None]}, label]}
            there = {key: {"$type": "bool"}}
            differs = {"$expr": {"$ne": [f"${key}", right]}}
            count = dataset._sample_collection.count_documents({"$and": [there, differs]})
            if count:
                why = f"{count} labels or predictions have changed since"
                why = why if count > 1 else "1 label or prediction has changed since"
                run = field_info(dataset, name).get("run")
                given = {"run": run, "key": key, "label_field": label_field}
                is_run = run in list_runs(dataset)
                verb = "evaluate" if is_run else None
                yield Stale("evaluation", key, why, verb, given)


def split_note(dataset: fo.Dataset, key: str) -> str | None:
    """Return a warning if a run may have learned from the images that are now held out."""
    config = dataset.get_run_info(key).config
    basis = getattr(config, "basis", None) or {}
    if not _may_have_learned(basis, Snapshot(dataset, config.label_field)):
        return None
    words = SPLIT_CHANGED.replace("it was", f"run {key!r} was", 1)
    return words[0].upper() + words[1:]


def _may_have_learned(basis: Mapping, now: Snapshot) -> bool:
    """Return whether the split has changed since a training, unless it holds out the same images.

    Args:
        basis: the result of `basis_of_training`; empty for a run that was trained elsewhere
        now: the current splits
    """
    if basis.get("split") in (None, now.split()):
        return False
    return basis.get("held_out") != now.held_out()


def _of_runs(dataset: fo.Dataset, now) -> Iterator[Stale]:
    """Yield the newest run, if it was trained with other labels or another split."""
    key = newest_run(dataset)
    config = dataset.get_run_info(key).config if key else None
    basis = getattr(config, "basis", None)
    if not basis or dataset.get_field(config.label_field) is None:
        return
    snapshot, retrain = now(config.label_field), ("retrain", {"run": key})
    if _may_have_learned(basis, snapshot):
        yield Stale("run", key, SPLIT_CHANGED, *retrain)
    elif basis.get("labels") not in (None, snapshot.learned()):
        yield Stale("run", key, "labels have changed since it was trained", *retrain)


def _of_embeddings(name: str, info: dict, versions: dict[str, str]) -> Iterator[Stale]:
    """Yield embeddings of a run that was deleted or trained again."""
    key, version = info.get("run"), info.get("version")
    if key is None or version is None:
        return
    if key not in versions:
        yield Stale("embeddings", name, f"run {key!r} was deleted")
    elif version != versions[key]:
        given = {"run_or_backbone": key, "field": name}
        why = f"run {key!r} was trained again since"
        yield Stale("embeddings", name, why, "compute_embeddings", given)


def _of_layouts(dataset: fo.Dataset, versions: dict[str, str], now) -> Iterator[Stale]:
    """Yield layouts whose run or field was deleted or changed, or whose samples are not the same.

    Changes of labels and splits do not matter: they do not affect positions, and colors are always
    those of the current labels.
    """
    for name, config in layouts(dataset):
        rests_on = getattr(config, RESTS_ON)
        key, field_name = rests_on.get("run"), rests_on.get("field")
        if key is not None and key not in versions:
            # That of the newest run takes its place, if it is one of all samples.
            again = {"run_or_backbone": newest_run(dataset), "brain_key": name}
            can = bool(versions) and "samples" in rests_on
            how = ("show_embeddings", again) if can else ()
            yield Stale("layout", name, f"run {key!r} was deleted", *how)
            continue
        if field_name is not None and dataset.get_field(field_name) is None:
            yield Stale("layout", name, f"the embeddings {field_name!r} were deleted")
            continue
        if key is not None and rests_on.get("version") not in (None, versions[key]):
            why = f"run {key!r} was trained again since"
        elif field_name is not None and rests_on["facts"] != facts_of_field(dataset, field_name):
            why = f"the embeddings {field_name!r} were computed again since"
        elif (
            "samples" in rests_on
            and rests_on["samples"] != now(default_label_field(dataset)).samples()
        ):
            why = "samples were added or deleted since"
        else:
            continue
        # A layout of a view would become one of all samples.
        can = "samples" in rests_on and rests_on.get("given") is not None
        given = {**rests_on["given"], "brain_key": name} if can else {}
        yield Stale("layout", name, why, "show_embeddings" if can else None, given)


def _of_basis(dataset: fo.Dataset, name: str, info: dict, now) -> Iterator[Stale]:
    """Yield anomalies found with other normal images, and leaks found between other splits."""
    basis = info["basis"]
    label_field = info.get("label_field") or default_label_field(dataset)
    if "split" in basis and basis["split"] != now(label_field).split():
        given = {"leak_field": name}
        yield Stale("leaks", name, "the split has changed since", "find_leaks", given)
    if "normal" not in basis:
        return
    if dataset.get_field(label_field) is None:
        yield Stale("anomalies", name, f"the label field {label_field!r} was deleted")
    elif basis["normal"] != now(label_field).named(basis["label"]):
        why = f"other images are labeled {basis['label']!r} now"
        given = {"normal": basis["label"], "label_field": label_field}
        given |= {"false_alarms": info["false_alarms"], "heatmaps": len(info["fields"]) > 1}
        given |= dict(zip(("anomaly_field", "heatmap_field"), info["fields"], strict=False))
        yield Stale("anomalies", name, why, "find_anomalies", given)
