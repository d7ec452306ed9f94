"""Views that hide fields, labels that are strings, and samples that are no single images."""

import os

import fiftyone as fo
import pytest
from fiftyone import ViewField as F
from made_runs import make_run, some_digits

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset.evaluation import confusion_counts, samples_between
from fiftyone_gradcam.dataset.fields import label_fields, label_path, whole
from fiftyone_gradcam.dataset.views import accuracy, label_issues

QUIET = {"progress": False, "device": "cpu"}
CHECK = {"backbone": "small_cnn", "weights": "none", "folds": 2, "epochs": 1, "image_size": 16}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    made = some_digits(tmp_path_factory.mktemp("kinds") / "digits", "kinds of samples", per_class=6)
    dataset = next(made)
    make_run(dataset, "run", files=False)
    dataset.set_values("text", dataset.values("ground_truth.label"))
    wrong = dataset.limit(3)
    wrong.set_values("text", ["digit 2", "digit 2", None])
    wrong.set_values("ground_truth", [fo.Classification(label="digit 2")] * 2 + [None])
    yield dataset
    next(made, None)


@pytest.fixture(scope="module")
def predicted(dataset):
    """Twice the same, once by labels of a classification, and once by strings."""
    fg.predict(dataset, "run", **QUIET)
    names = {"prediction_field": "by_text", "heatmap_field": "cam_text"}
    fg.predict(dataset, "run", label_field="text", **names, **QUIET)
    return dataset


HIDING = {
    "select": lambda view: view.select_fields("ground_truth"),
    "select nothing": lambda view: view.select_fields(),
    "exclude": lambda view: view.exclude_fields(["ground_truth", "prediction", "text"]),
}


@pytest.mark.parametrize("how", HIDING)
def test_views_that_hide_fields_give_the_same_samples(predicted, how):
    plain = predicted.match(F("filepath").contains_str("1")).sort_by("filepath", reverse=True)
    hiding = HIDING[how](plain)
    ids = plain.values("id")
    assert len(ids) >= 4
    for verb in (fg.lowest_scores, fg.highest_scores, fg.mistakes):
        assert verb(hiding).values("id") == verb(plain).values("id")
        assert len(verb(plain)) >= 1
    assert accuracy(hiding) == accuracy(plain)
    assert fg.predict(hiding, "run", **QUIET).values("id") == ids
    counts = confusion_counts(plain, "ground_truth", "prediction")
    assert confusion_counts(hiding, "ground_truth", "prediction") == counts
    quality = fg.explanation_quality(hiding, "run", steps=2, **QUIET)
    assert quality == fg.explanation_quality(plain, "run", steps=2, **QUIET)
    # What remains is a view of the user's: its other stages, in their order.
    view = whole(hiding)
    assert [type(stage) for stage in view._stages] == [fo.Match, fo.SortBy]
    predicted.save_view("saved", fg.mistakes(hiding))
    assert predicted.load_saved_view("saved").values("id") == fg.mistakes(plain).values("id")
    predicted.delete_saved_view("saved")
    plain = predicted.sort_by("filepath", reverse=True)
    hiding = HIDING[how](plain)
    fg.find_label_issues(plain, **CHECK, **QUIET)
    issues = label_issues(plain).values("id")
    assert label_issues(hiding).values("id") == issues
    assert fg.find_label_issues(hiding, **CHECK, **QUIET).values("id") == issues


def test_leaks_are_found_in_views_that_hide_fields(dataset):
    dataset.match(F("filepath").contains_str("000")).tag_samples("train")
    dataset.match(F("filepath").contains_str("001")).tag_samples("test")
    first, second = dataset.match_tags("train").first(), dataset.match_tags("test").first()
    with open(first.filepath, "rb") as source, open(second.filepath, "wb") as target:
        target.write(source.read())
    found = fg.find_leaks(dataset.exclude_fields("ground_truth"), near=False)
    assert set(found.values("id")) == {first.id, second.id}
    assert found.values("leak.label") == ["exact", "exact"]
    dataset.untag_samples(["train", "test"])


def test_strings_are_labels_as_classifications_are(predicted, tmp_path):
    assert label_fields(predicted)[0] == "ground_truth"
    assert "text" in label_fields(predicted)
    assert label_path(predicted, "text") == "text"
    assert label_path(predicted, "ground_truth") == "ground_truth.label"
    assert predicted.values("by_text.label_score") == predicted.values("prediction.label_score")
    pairs = (("prediction", "ground_truth"), ("by_text", "text"))
    for verb in (fg.lowest_scores, fg.highest_scores, fg.mistakes):
        first, second = (verb(predicted, prediction_field=field).values("id") for field, _ in pairs)
        assert first == second
    ones, others = (fg.lowest_scores(predicted, "digit 2", prediction_field=f) for f, _ in pairs)
    assert ones.values("id") == others.values("id")
    assert len(ones) == 8  # two of them by a wrong label
    counts, same = (confusion_counts(predicted, label, field) for field, label in pairs)
    assert counts == same
    assert sum(counts.values()) == 17
    between, again = (
        samples_between(predicted, label, field, "digit 2", "digit 0").values("id")
        for field, label in pairs
    )
    assert between == again
    for number, field in enumerate(("ground_truth", "text")):
        fg.export_folders(predicted, str(tmp_path / str(number)), label_field=field)
    trees = [sorted(p.relative_to(tmp_path / n) for p in (tmp_path / n).rglob("*")) for n in "01"]
    assert trees[0] == trees[1]
    means = fg.mean_heatmaps(predicted, class_field="text")
    assert (means["digit 2"] == fg.mean_heatmaps(predicted)["digit 2"]).all()
    fg.find_label_issues(predicted, quality_field="q_text", suggestion_field="s_text",
                         issue_field="i_text", label_field="text", **CHECK, **QUIET)  # fmt: skip
    fg.find_label_issues(predicted, **CHECK, **QUIET)
    assert predicted.values("q_text") == predicted.values("label_quality")
    run = fg.fine_tune(
        predicted.exclude_fields("text"), "of_text", label_field="text", backbone="small_cnn",
        weights="none", epochs=1, image_size=16, batch_size=4, **QUIET,
    )  # fmt: skip
    assert run.label_field == "text"
    assert run.classes == ["digit 0", "digit 1", "digit 2"]
    paths = fg.export_overlays(predicted.limit(2), str(tmp_path / "o"), "cam_text", progress=False)
    assert len(paths) == 3


def test_what_is_no_single_image_is_refused_with_what_to_do(predicted, tmp_path):
    name = predicted.name
    other = fo.Dataset(f"{name} other")
    path = predicted.first().filepath
    box = fo.Detections(detections=[fo.Detection(label="a", bounding_box=[0, 0, 0.5, 0.5])])
    several = fo.Classifications(classifications=[fo.Classification(label="a")])
    other.add_sample(fo.Sample(path, boxes=box, several=several, number=3))
    grouped = fo.Dataset(f"{name} grouped")
    group = fo.Group()
    samples = [fo.Sample(path, group=group.element(side)) for side in ("left", "right")]
    grouped.add_samples(samples)
    video = fo.Dataset(f"{name} video")
    video.media_type = "video"
    try:
        cases = [
            (other.to_patches("boxes"), "view of patches .*import_folders"),
            (predicted.group_by("ground_truth.label"), r"groups samples .*view.flatten\(\)"),
            (grouped, "grouped dataset. Make .*select_group_slices"),
            (grouped.select_group_slices("left"), "grouped dataset. Make .*select_group_slices"),
            (video, "holds videos. .*to_frames"),
        ]
        for samples, message in cases:
            for verb in (fg.lowest_scores, lambda x: fg.predict(x, "run"), fg.find_label_issues):
                with pytest.raises(TypeError, match=message):
                    verb(samples)
        one = grouped.select_group_slices("left").clone(f"{name} left")
        assert len(fg.predict(one, fg.load_run(predicted, "run"), heatmaps=(), **QUIET)) == 1
        one.delete()
        for field, message in (
            ("boxes", "'boxes' holds Detections, not one label .*to_patches"),
            ("several", "'several' holds several labels for each sample"),
            ("number", "'number' is not a classification field .*Its fields of labels: "),
            ("gone", "'gone' is not a classification field"),
        ):
            with pytest.raises(ValueError, match=message):
                fg.find_label_issues(other, label_field=field)
            with pytest.raises(ValueError, match=message):
                fg.split(other, label_field=field)
    finally:
        for made in (other, grouped, video):
            made.delete()
    assert os.path.exists(path)
