"""What is said to be stale of values, runs and layouts that nobody computed: facts by hand."""

import fiftyone as fo
import numpy as np
import pytest

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset.basis import (
    Snapshot,
    all_labels,
    basis_of_training,
    digest,
    now_text,
)
from fiftyone_gradcam.dataset.fields import describe_field
from fiftyone_gradcam.dataset.freshness import SPLIT_CHANGED, Stale, split_note, stale_values
from fiftyone_gradcam.dataset.references import METHOD

LABELS = ["a", "a", "b", "b", "c", None]
SCORES = [[0.8, 0.1, 0.1]] * 6
THEN, LATER = "2026-01-02T03:04:05.678", "2026-02-02T03:04:05.678"


@pytest.fixture
def dataset(name) -> fo.Dataset:
    """Labels, and predictions of a run, which are always "a"."""
    dataset = fo.Dataset(name)
    samples = [fo.Sample(filepath=f"/{place}.png") for place in range(6)]
    for sample, label, scores in zip(samples, LABELS, SCORES, strict=True):
        sample["own"] = label and fo.Classification(label=label)
        score = label and scores["abc".index(label)]
        found = fo.Classification(label="a", confidence=0.8, label_score=score)
        sample["found"], sample["found_scores"] = found, scores
    for sample, tag in zip(samples, ("train", "train", "train", "val", "test"), strict=False):
        sample.tags = [tag]
    dataset.add_samples(samples, dynamic=True)
    describe(dataset)
    return dataset


def describe(dataset, name="found", **facts) -> None:
    own = {"run": "r", "label_field": "own", "classes": ["a", "b", "c"]}
    describe_field(dataset, name, "by hand", **(own | facts))


def register(dataset, key="r", trained=THEN, **facts) -> None:
    """Record a run, without any file."""
    own = {"label_field": "own", "trained": trained, "labels": "current"}
    dataset.register_run(key, dataset.init_run(method=METHOD, **(own | facts)))


def relabel(dataset, place: int, label: str) -> None:
    sample = dataset[dataset.values("id")[place]]
    sample["own"] = fo.Classification(label=label)
    sample.save()


def test_predictions_are_stale_once_their_run_was_trained_again(dataset):
    assert stale_values(dataset) == []  # there is no such run, and scores are those of the labels
    register(dataset)
    assert stale_values(dataset) == []  # an earlier version stored no version of the run
    relabel(dataset, 2, "c")
    relabel(dataset, 3, "a")
    (one,) = stale_values(dataset)
    assert one == Stale(
        "label scores",
        "found",
        "1 label has changed since",  # b and c have the same score
        "refresh_label_scores",
        {"prediction_field": "found"},
    )
    assert str(one) == "Label scores 'found': 1 label has changed since"
    describe(dataset, version=THEN)
    assert [one.kind for one in stale_values(dataset)] == ["label scores"]
    describe(dataset, version=LATER)
    given = {"run": "r", "prediction_field": "found", "heatmaps": [], "heatmap_classes": []}
    why = "run 'r' was trained again since"  # and so nothing is said of their scores
    assert stale_values(dataset) == [Stale("predictions", "found", why, "predict", given)]
    describe(dataset, label_field="gone")
    why = "the label field 'gone' they were compared with was deleted"
    assert stale_values(dataset) == [Stale("label scores", "found", why)]
    describe(dataset, label_field=None)
    assert stale_values(dataset) == []


def add_maps(dataset, name: str, targets: list, versus: list, **facts) -> None:
    for sample, target, other in zip(dataset, targets, versus, strict=True):
        if target:
            sample[name] = fo.Heatmap(map=np.zeros((1, 1)), target=target, versus=other)
            sample.save()
    dataset.add_dynamic_sample_fields(fields=name)
    own = {"run": "r", "prediction_field": "found", "label_field": "own"}
    describe_field(dataset, name, "by hand", **(own | facts))


def test_heatmaps_are_stale_if_they_are_of_another_label(dataset):
    how = {"heatmap": {"method": "gradcam", "layer": "features.7", "signed": True}}
    add_maps(dataset, "map_label", ["a", "b", "b", "c", "c", None], [None] * 6, kind="label", **how)
    twos = ["a", None, "a", "a", "a", None]
    others = [None, None, "b", "b", "b", None]
    add_maps(dataset, "map_contrast", twos, others, kind="contrast", **how)
    add_maps(dataset, "against", twos, others, kind="against:contrast", **how)
    add_maps(dataset, "map_b", ["b"] * 6, [None] * 6, kind="class:b", **how)
    add_maps(dataset, "other", ["b"] * 6, [None] * 6, kind="label", prediction_field="own")
    given = {
        "run": "r",
        "prediction_field": "found",
        "heatmaps": ["label", "contrast"],
        "heatmap_classes": ["b"],
        "heatmap_field": "map",
        "method": "gradcam",
        "signed": True,
    }
    # The first contrast has no other class: it was none. A sample without a map has none to renew.
    wanted = {
        "map_label": Stale("heatmaps", "map_label", "2 labels have changed since", None, given),
        "map_contrast": Stale("heatmaps", "map_contrast", "1 label has changed since", None, given),
        "against": Stale("heatmaps", "against", "1 label has changed since", None, given),
    }
    assert {one.name: one for one in stale_values(dataset)} == wanted
    register(dataset)
    assert {one.verb for one in stale_values(dataset)} == {"predict"}
    # Fields with names of their own say nothing of the name of all.
    for name in ("map_label", "map_contrast"):
        dataset.rename_sample_field(name, f"{name}s")
    assert all("heatmap_field" not in one.given for one in stale_values(dataset))
    for name in ("map_labels", "map_contrasts", "against"):
        dataset.delete_sample_field(name)
    add_maps(dataset, "seen", ["a"] * 6, [None] * 6, kind="predicted", **how)
    describe(dataset, version=LATER)
    (one,) = stale_values(dataset)
    assert (one.given["heatmaps"], one.given["heatmap_field"]) == (["predicted"], "seen")
    describe(dataset, label_field="gone")
    add_maps(dataset, "lost", ["a"] * 6, [None] * 6, kind="label", label_field="gone")
    assert {one.name for one in stale_values(dataset)} == {"found"}
    describe(dataset)
    assert stale_values(dataset) == []


def test_evaluations_are_stale_if_predictions_or_labels_are_others(dataset):
    dataset.clone_sample_field("found", "guess")
    describe(dataset, "guess", run=None)  # of somebody else
    for key, field in (("ours", "found"), ("theirs", "guess")):
        dataset.evaluate_classifications(field, gt_field="own", eval_key=key)
    assert stale_values(dataset) == []
    ids = dataset.values("id")
    dataset.set_values("found.label", {ids[0]: "b"}, key_field="id")
    dataset.set_values("guess.label", {ids[0]: "b"}, key_field="id")
    given = {"run": "r", "key": "ours", "label_field": "own"}
    one = Stale("evaluation", "ours", "1 label or prediction has changed since", None, given)
    assert stale_values(dataset) == [one]
    register(dataset)
    dataset.set_values("found.label", {ids[1]: "b"}, key_field="id")
    why = "2 labels or predictions have changed since"
    assert stale_values(dataset) == [Stale("evaluation", "ours", why, "evaluate", given)]
    dataset.rename_sample_field("own", "truth")
    found = [one for one in stale_values(dataset) if one.kind == "evaluation"]
    why = "the field 'own' was deleted"
    assert found == [Stale("evaluation", key, why) for key in ("ours", "theirs")]
    # Others than of classes, and those that cannot be read, are not looked at.
    for field in ("x", "y"):
        dataset.set_values(field, [fo.Regression(value=0.5)] * 6)
    dataset.evaluate_regressions("x", gt_field="y", eval_key="of_numbers")
    dataset.delete_sample_field("y")
    record = dataset._doc.evaluations["theirs"]
    record.config["cls"] = "os.path.join"  # is none of an evaluation
    record.save()
    assert [one.name for one in stale_values(dataset) if one.kind == "evaluation"] == ["ours"]
    dataset.delete_sample_field("ours")  # which says what each sample was found to be
    assert not [one for one in stale_values(dataset) if one.kind == "evaluation"]


def test_only_the_newest_run_can_be_stale_and_only_by_what_it_is_known_to_rest_on(dataset):
    register(dataset, "old", "2025", basis={"split": "other", "held_out": "other"})
    register(dataset)
    assert stale_values(dataset) == []  # of what it rests on nothing is known
    assert split_note(dataset, "r") is None
    note = "The split has changed since run 'old' was trained: it may have learned from test images"
    assert split_note(dataset, "old") == note

    def why(**basis) -> list[Stale]:
        info = dataset.get_run_info("r")
        info.config.basis = basis
        dataset.update_run_config("r", info.config)
        return stale_values(dataset)

    now = Snapshot(dataset, "own")
    given = ("retrain", {"run": "r"})
    assert why(split=now.split(), held_out="other", labels=now.learned()) == []
    assert why(split="other", held_out=now.held_out()) == []
    assert why(held_out="other", labels=now.learned()) == []
    assert why(split="other", held_out="other", labels="other") == [
        Stale("run", "r", SPLIT_CHANGED, *given)
    ]
    words = "labels have changed since it was trained"
    assert why(labels="other") == [Stale("run", "r", words, *given)]
    dataset.delete_sample_field("own")
    assert not [one for one in stale_values(dataset) if one.kind == "run"]


def test_embeddings_are_stale_once_their_run_was_trained_again_or_is_gone(dataset):
    dataset.add_sample_field("seen", fo.VectorField)

    def why(**facts) -> list[Stale]:
        describe_field(dataset, "seen", "", kind="embeddings", **facts)
        return stale_values(dataset)

    assert why() == why(run="r") == why(version=THEN) == []
    assert why(run="r", version=THEN) == [Stale("embeddings", "seen", "run 'r' was deleted")]
    register(dataset)
    assert why(run="r", version=THEN) == why(run="r") == []
    given = {"run_or_backbone": "r", "field": "seen"}
    words = "run 'r' was trained again since"
    assert why(run="r", version=LATER) == [
        Stale("embeddings", "seen", words, "compute_embeddings", given)
    ]


def test_layouts_are_made_again_only_if_it_is_known_how(dataset):
    fg.show_embeddings(dataset, embeddings=np.eye(6, 3), method="pca", brain_key="k")
    samples = Snapshot(dataset, "own").samples()

    def why(**rests_on) -> list[tuple]:
        config = dataset.get_brain_info("k").config
        config.rests_on = rests_on
        config.build().update_run_config(dataset, "k", config)
        return [(x.kind, x.name, x.why, x.verb, x.given) for x in stale_values(dataset)]

    gone = ("layout", "k", "run 'r' was deleted")
    assert why(run="r", samples=samples, given={}) == [(*gone, None, {})]
    register(dataset, "s")
    again = {"run_or_backbone": "s", "brain_key": "k"}
    assert why(run="r", samples=samples) == [(*gone, "show_embeddings", again)]
    assert why(run="r") == [(*gone, None, {})]  # of some samples only
    register(dataset)
    assert why(run="r", samples=samples) == why(run="r", version=THEN) == []
    old = ("layout", "k", "run 'r' was trained again since")
    assert why(run="r", version=LATER, samples=samples) == [(*old, None, {})]
    assert why(run="r", version=LATER, given={"seed": 1}) == [(*old, None, {})]
    given = {"run": "r", "version": LATER, "samples": "other", "given": {"seed": 1}}
    assert why(**given) == [(*old, "show_embeddings", {"seed": 1, "brain_key": "k"})]
    more = ("layout", "k", "samples were added or deleted since")
    assert why(samples="other") == [(*more, None, {})]
    assert why() == []


def test_leaks_and_anomalies_rest_on_splits_and_normal_images(dataset):
    for name in ("leak", "odd", "odd_map"):
        dataset.add_sample_field(name, fo.StringField)
    now = Snapshot(dataset, "own")
    describe_field(dataset, "leak", "", basis={"split": now.split()})
    facts = {"false_alarms": 0.05, "fields": ["odd"], "label_field": "own"}
    normal = {"normal": now.named("a"), "label": "a"}
    describe_field(dataset, "odd", "", basis=normal, **facts)
    assert stale_values(dataset) == []
    relabel(dataset, 2, "c")
    assert not [one for one in stale_values(dataset) if one.kind == "anomalies"]
    relabel(dataset, 2, "a")
    dataset.select(dataset.values("id")[5]).tag_samples("val")
    given = {"normal": "a", "label_field": "own", "false_alarms": 0.05, "heatmaps": False}
    given |= {"anomaly_field": "odd"}
    why = "other images are labeled 'a' now"
    split = "the split has changed since"
    leaks = Stale("leaks", "leak", split, "find_leaks", {"leak_field": "leak"})

    def found() -> list[Stale]:
        return [one for one in stale_values(dataset) if one.kind in ("anomalies", "leaks")]

    assert found() == [leaks, Stale("anomalies", "odd", why, "find_anomalies", given)]
    describe_field(dataset, "odd", "", basis=normal, **facts | {"fields": ["odd", "odd_map"]})
    given |= {"heatmaps": True, "heatmap_field": "odd_map"}
    assert found()[1] == Stale("anomalies", "odd", why, "find_anomalies", given)
    dataset.rename_sample_field("own", "truth")
    assert found()[1] == Stale("anomalies", "odd", "the label field 'own' was deleted")


def test_a_training_rests_on_splits_and_on_the_labels_of_a_whole_dataset(dataset):
    before = now_text()
    now, found = Snapshot(dataset, "own"), basis_of_training(dataset, "own", "current")
    ids, at = dataset.values("id"), found.pop("at")
    assert before <= at <= now_text()
    assert found == {
        "split": digest(zip(ids, ["train", "train", "train", "val", "test"], strict=False)),
        "held_out": digest([(ids[4], "")]),
        "labels": digest(zip(ids[:4], LABELS[:4], strict=True)),
    }
    for given in ((dataset.limit(9), "own", "current"), (dataset, "own", "before_review")):
        assert "labels" not in basis_of_training(*given)
    assert (now.ids, now.values) == (ids, {})
    assert now.labels == dict(zip(ids[:5], LABELS[:5], strict=True))
    assert now.all_labels() == all_labels(dataset[:1]) == digest(now.labels.items())
    assert now.named("a") == digest([(ids[0], "a"), (ids[1], "a")])
    assert now.samples() == digest((i, "") for i in ids)
    dataset.set_values("text", ["x", "", None, "y", "z", "x"])
    texts = Snapshot(dataset, "text", ["found_scores"])
    assert texts.labels == {ids[0]: "x", ids[3]: "y", ids[4]: "z", ids[5]: "x"}
    assert {i: row["found_scores"] for i, row in texts.values.items()} == dict.fromkeys(
        ids, SCORES[0]
    )
    gone = Snapshot(dataset, "gone")
    assert (gone.labels, gone.ids, gone.parts) == ({}, ids, now.parts)
    dataset.untag_samples("test")
    assert Snapshot(dataset, "own").held_out() == digest([(ids[3], "")])
