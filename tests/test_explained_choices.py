"""How one image is explained: as its heatmaps were made or as is asked for, and with what notes."""

from dataclasses import replace

import fiftyone as fo
import pytest
from made_runs import CLASSES, make_run, some_digits

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset import runs
from fiftyone_gradcam.dataset.fields import describe_field, field_info


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Nine digits with predictions and heatmaps by a run "made", of a layer of its own."""
    folder = tmp_path_factory.mktemp("chosen")
    for dataset in some_digits(folder, "explained choices", per_class=3):
        make_run(dataset, "made", files=False)
        options = {"layer": "features.stage2", "method": "layercam", "progress": False}
        fg.predict(dataset, "made", **options)
        yield dataset


def stored_as(dataset, **facts) -> None:
    """Store other facts with the heatmaps, as other calls of `predict` would."""
    info = dict(field_info(dataset, "gradcam"))
    info.pop("written_by", None)
    changed = info | {"heatmap": dict(info["heatmap"]) | facts}
    describe_field(dataset, "gradcam", "changed", **changed)


def test_the_method_and_the_layer_are_those_of_the_stored_heatmaps(dataset):
    sample = dataset.first()
    found = fg.explain_sample(sample)
    assert (found.method, found.layer) == ("layercam", "features.stage2")
    assert abs(found.maps[0].cam).max() == pytest.approx(sample.gradcam.peak, rel=1e-4)
    found = fg.explain_sample(sample, method="hirescam")
    assert (found.method, found.layer) == ("hirescam", "features.stage2")
    stored_as(dataset, method="scorecam", layer="features.stage3")  # which is slow
    found = fg.explain_sample(sample)
    assert (found.method, found.layer) == ("gradcam", "features.stage3")
    assert fg.explain_sample(sample, method="layercam").method == "layercam"
    stored_as(dataset, method="layercam", layer="features.stage2")
    # Heatmaps of another field, another run or another class are nothing to go by.
    assert fg.explain_sample(sample, prediction_field="nothing").method == "gradcam"
    info = dict(field_info(dataset, "gradcam"))
    others = {"run": "other", "kind": "label", "prediction_field": "other", "heatmap": None}
    for other in ({name: value} for name, value in others.items()):
        describe_field(dataset, "gradcam", "changed", **info | other)
        found = fg.explain_sample(sample)
        assert (found.method, found.layer) == ("gradcam", "features.stage3"), other
    describe_field(dataset, "gradcam", "changed", **info)


def test_the_predicted_class_has_no_contrast_with_itself(dataset):
    sample = dataset.first()
    predicted, label = sample.prediction.label, sample.ground_truth.label
    assert fg.explain_sample(sample, against=predicted).contrast is None
    for other in {*CLASSES} - {predicted}:
        found = fg.explain_sample(sample, against=other, way="finercam").contrast
        assert (found.label, found.other, found.way) == (predicted, other, "finercam")
    wrong = next(x for x in dataset if x.prediction.label != x.ground_truth.label)
    share = wrong.prediction_scores[CLASSES.index(wrong.ground_truth.label)]
    said = f"The label {wrong.ground_truth.label!r} gets {share:.1%}."
    assert fg.explain_sample(wrong).words[0].endswith(said)
    maps = [one.label for one in fg.explain_sample(sample, classes=CLASSES[::-1]).maps]
    assert maps == [*dict.fromkeys([predicted, label, *CLASSES[::-1]])]


def test_neighbors_are_training_images_only_if_some_have_the_tag(dataset):
    sample = dataset.first()
    for wrong in (True, 1.5, -1):
        with pytest.raises(ValueError, match=f"neighbors must be .* at least 0, not {wrong}"):
            fg.explain_sample(sample, neighbors=wrong)
    fg.compute_embeddings(dataset, "made", progress=False)  # at the layer that features are of
    found = fg.explain_sample(sample, "made", prediction_field="nothing")
    assert (found.neighbors_are, len(found.neighbors)) == ("images", 6)
    assert fg.explain_sample(sample, neighbors=0).neighbors_are == "images"
    last = dataset.skip(7)
    last.tag_samples("train")
    found = fg.explain_sample(sample, "made", prediction_field="nothing")
    assert found.neighbors_are == "training images"
    assert {one.sample_id for one in found.neighbors} == {*last.values("id")}
    last.untag_samples("train")


def test_without_features_neighbors_are_those_of_the_issue(dataset):
    make_run(dataset, "bare", seed=3, files=False)
    first, second, third = dataset.limit(3)
    judged = {"label_field": "ground_truth", "fields": ["label_quality", "suggested_label"]}
    kind = {"embedded_doc_type": fo.Classification}
    dataset.add_sample_field("issue", fo.EmbeddedDocumentField, **kind)
    ids = [third.id, "no id", "0" * 24, second.id, dataset.last().id]
    first["issue"] = fo.Classification(label="outlier", neighbors=ids)
    first.save()
    describe_field(dataset, "issue", "made up", **judged)
    found = fg.explain_sample(first, "bare", neighbors=4)
    assert [(x.sample_id, x.cosine) for x in found.neighbors] == [
        (third.id, None), (second.id, None),
    ]  # fmt: skip
    assert [x.label for x in found.neighbors] == [
        third.ground_truth.label, second.ground_truth.label,
    ]  # fmt: skip
    assert found.neighbors_are == "images"
    dataset.skip(7).tag_samples("train")  # of which the check of labels knows nothing
    found = fg.explain_sample(first, "bare", neighbors=1)
    assert [x.sample_id for x in found.neighbors] == [third.id]
    assert found.neighbors_are == "images"
    dataset.untag_samples("train")
    assert fg.explain_sample(second, "bare").neighbors == ()
    dataset.delete_sample_field("issue")
    fg.delete_run(dataset, "bare")


def test_a_run_that_was_trained_again_is_used_with_a_note(dataset):
    sample = dataset.first()
    run = fg.load_run(dataset, "made")
    runs.save_run(dataset, replace(run, val_accuracy=0.8))
    found = fg.explain_sample(sample)
    assert found.notes[0] == (
        "Run 'made' was trained again after it made the predictions in 'prediction'. The new "
        "version is used."
    )
    assert fg.explain_sample(sample, "made").notes == ()
    info = dict(field_info(dataset, "prediction"))
    version = fg.load_run(dataset, "made").version
    describe_field(dataset, "prediction", "changed", **info | {"version": version})
    assert fg.explain_sample(sample).notes == ()
    # What is stored is compared with what is predicted only if both are of one network.
    kept = sample.prediction.label
    sample.prediction.label = "other"
    sample.save()
    assert len(fg.explain_sample(sample).notes) == 1
    assert fg.explain_sample(sample, "made").notes == ()
    sample.prediction = None
    sample.save()
    assert fg.explain_sample(sample).notes == ()
    sample.prediction = fo.Classification(label=kept)
    sample["mine"] = fo.Classification(label="other")  # nobody knows of which network
    sample.save()
    assert fg.explain_sample(sample, prediction_field="mine").notes == (
        "There are no predictions in 'mine'. The newest run, 'made', is used.",
    )
    dataset.delete_sample_field("mine")


def test_a_key_that_looks_like_that_of_another_classifier_is_a_run(dataset):
    sample, info = dataset.first(), dict(field_info(dataset, "prediction"))
    for key in ("imagenet", "network"):
        run = make_run(dataset, key, files=False)
        facts = info | {"run": key, "version": run.version}
        describe_field(dataset, "prediction", "changed", **facts)
        assert fg.explain_sample(sample).run == key
        fg.delete_run(dataset, key, fields=False)
    # An early version did not record how images were resized.
    facts = info | {"run": "squeezenet1_1/imagenet", "version": "imagenet"}
    describe_field(dataset, "prediction", "changed", **facts)
    with pytest.raises(ValueError, match="no training run 'squeezenet1_1/imagenet'"):
        fg.explain_sample(sample)
    describe_field(dataset, "prediction", "changed", **info)


def test_a_sample_without_a_label_is_explained_too(dataset, name):
    run = fg.load_run(dataset, "made")
    bare = fo.Dataset(name)
    bare.add_sample(fo.Sample(dataset.first().filepath, tags=["val"]))
    found = fg.explain_sample(bare.first(), run)
    assert (found.label, found.label_field) == (None, "ground_truth")
    assert found.words[0].endswith("There is no label in 'ground_truth'.")
    words = "This image is in the split 'val': the network learns nothing from it."
    assert words not in found.words  # nobody knows what an imported network has learned from
    assert words in fg.explain_sample(bare.first(), replace(run, basis={"x": 1})).words
    with pytest.raises(ValueError, match="'mine' is not a classification field"):
        fg.explain_sample(bare.first(), run, label_field="mine")
    text = dataset.limit(1)
    text.set_values("text", ["digit 2"])
    found = fg.explain_sample(text.first(), label_field="text")
    assert (found.label, found.label_field) == ("digit 2", "text")
    dataset.delete_sample_field("text")
