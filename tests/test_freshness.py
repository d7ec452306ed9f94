"""Which values say that they rest on something that has changed: with real verbs, by values."""

import numpy as np
import pytest
import torch
from made_runs import make_run, some_digits

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset.basis import Snapshot, basis_of_training, digest
from fiftyone_gradcam.dataset.freshness import (
    stale_values,
)
from fiftyone_gradcam.dataset.label_scores import count_stale_scores, refresh_label_scores
from fiftyone_gradcam.dataset.runs import list_runs
from fiftyone_gradcam.dataset.since_judged import estimated_before

A, B, C = "digit 0", "digit 1", "digit 2"


@pytest.fixture(scope="module")
def digits_of(tmp_path_factory):
    """What each test has a clone of: 8 digits of each class, split, predicted and judged."""
    folder = tmp_path_factory.mktemp("freshness")
    made = some_digits(folder / "digits", f"fresh {folder.name}", 8)
    dataset = next(made)
    fg.split(dataset)
    make_run(dataset, "first")
    fg.predict(dataset, "first", heatmaps=("predicted", "label", "contrast"))
    labels = [[A, B, C].index(x) for x in dataset.values("ground_truth.label")]
    likely = np.full((24, 3), 0.05)
    likely[np.arange(24), labels] = 0.9
    likely[0] = [0.05, 0.9, 0.05]  # the first 0 looks like a 1, and the last 2 like a 0
    likely[23] = [0.9, 0.05, 0.05]
    fg.find_label_issues(dataset, probabilities=likely)
    yield dataset
    next(made, None)


@pytest.fixture
def dataset(digits_of, name):
    return digits_of.clone(name)


def said(dataset) -> dict[tuple[str, str], str]:
    """What is stale, and why."""
    dataset.reload()
    return {(one.kind, one.name): one.why for one in stale_values(dataset)}


def relabel(dataset, places, label, field="ground_truth") -> None:
    """Edit labels as somebody else does, who knows nothing of scores."""
    for sample_id in np.array(dataset.values("id"))[list(places)]:
        sample = dataset[str(sample_id)]
        sample[field].label = label
        sample.save()


def test_a_digest_tells_pairs_apart_and_knows_no_order():
    pairs = [("1", "a"), ("2", "b")]
    assert digest(pairs) == digest(pairs[::-1])
    others = [[("1", "b"), ("2", "a")], pairs[:1], [*pairs, ("3", "a")], []]
    assert len({digest(pairs), *map(digest, others)}) == 5


def test_what_was_just_made_is_fresh(dataset):
    assert said(dataset) == {}
    assert count_stale_scores(dataset, "prediction") == 0


def test_labels_that_somebody_edits_make_scores_maps_and_issues_stale(dataset):
    before = dict(zip(*dataset.values(["id", "prediction.label_score"]), strict=True))
    relabel(dataset, [1, 2, 9], C)
    contrasts = dataset.values("gradcam_contrast.target")
    wrong = sum(contrasts[place] is not None for place in (1, 2, 9))
    found = said(dataset)
    assert found[("label scores", "prediction")] == "3 labels have changed since"
    assert found[("heatmaps", "gradcam_label")] == "3 labels have changed since"
    assert found[("label issues", "label_quality")] == "labels or samples have changed since"
    assert (("heatmaps", "gradcam_contrast") in found) == (wrong > 0)
    assert ("heatmaps", "gradcam") not in found  # of the predicted class, which is what it was
    # The scores of all classes are there: those of the labels follow without the network.
    assert refresh_label_scores(dataset, "prediction") == 3
    rows = zip(
        *dataset.values(
            ["id", "ground_truth.label", "prediction_scores", "prediction.label_score"]
        ),
        strict=True,
    )
    places = set()
    for place, (sample_id, label, scores, score) in enumerate(rows):
        assert score == scores[[A, B, C].index(label)]
        places |= {place} if score != before[sample_id] else set()
    assert places == {1, 2, 9}
    assert ("label scores", "prediction") not in said(dataset)


def test_lowest_scores_are_those_of_the_labels_as_they_are_now(dataset):
    relabel(dataset, range(8), C)
    view = fg.lowest_scores(dataset)
    rows = zip(*view.values(["ground_truth.label", "prediction_scores"]), strict=True)
    scores = [scores[[A, B, C].index(label)] for label, scores in rows]
    assert scores == sorted(scores) == view.values("prediction.label_score")
    assert len(scores) == 24


def test_a_label_that_no_class_is_has_no_score(dataset):
    relabel(dataset, [4], "$no.class")
    assert count_stale_scores(dataset, "prediction") == 1
    assert refresh_label_scores(dataset, "prediction") == 1
    assert dataset.values("prediction.label_score")[4] is None


def test_reviews_make_label_issues_stale_once_none_is_left(dataset):
    ids = dataset.values("id")
    assert dataset.count("suggested_label") == 2
    fg.review(dataset.select(ids[0]), "accept")
    found = said(dataset)
    assert ("label issues", "label_quality") not in found  # the other is still to be looked at
    assert ("label scores", "prediction") not in found  # a review has them follow
    assert found[("heatmaps", "gradcam_label")] == "1 label has changed since"
    fg.review(dataset.select(ids[23]), "exclude")
    why = "1 label was corrected and 1 sample was left out since, and no suspicious label is left"
    why += ": a new check may find more"
    assert said(dataset)[("label issues", "label_quality")] == why
    words = "1 label was corrected and 1 sample was left out"
    assert estimated_before(dataset) == ("ground_truth", words)
    # What reviews do is told from what is changed beside them.
    relabel(dataset, [12], A)
    found = said(dataset)
    assert found[("label issues", "label_quality")] == "labels or samples have changed since"
    relabel(dataset, [12], B)
    fg.undo_review(dataset, 2)
    assert said(dataset) == {}
    assert estimated_before(dataset) is None
    dataset.delete_samples(ids[5])
    why = "labels or samples have changed since"
    assert said(dataset)[("label issues", "label_quality")] == why


def test_judging_a_part_again_does_not_vouch_for_the_rest(dataset):
    relabel(dataset, [20], A)
    part = dataset[:18]  # 8 and 8 and 2: two classes can be judged
    fg.find_label_issues(part, probabilities=np.eye(3)[[0] * 8 + [1] * 8 + [2] * 2])
    assert ("label issues", "label_quality") in said(dataset)
    labels = [[A, B, C].index(x) for x in dataset.values("ground_truth.label")]
    fg.find_label_issues(dataset, probabilities=np.eye(3)[labels])
    assert ("label issues", "label_quality") not in said(dataset)
    # Nor for the rest of a field that another call has left behind.
    fields = {f"{x}_field": f"second_{x}" for x in ("quality", "suggestion", "issue")}
    relabel(dataset, [20], B)
    labels[20] = 1
    fg.find_label_issues(dataset, probabilities=np.eye(3)[labels], **fields)
    assert said(dataset).keys() & {("label issues", x) for x in fields.values()} == set()
    fg.find_label_issues(part, probabilities=np.eye(3)[[0] * 8 + [1] * 8 + [2] * 2])
    assert ("label issues", "label_quality") in said(dataset)


def test_a_label_that_was_changed_after_it_was_kept_is_judged_like_any_other(dataset):
    ids = dataset.values("id")
    fg.review(dataset.select(ids[1:3]), "keep")
    relabel(dataset, [1], C)
    likely = np.full((24, 3), 0.05)
    likely[np.arange(24), np.repeat([0, 1, 2], 8)] = 0.9
    fg.find_label_issues(dataset, probabilities=likely)
    assert dataset.values("label_quality")[:4] == pytest.approx([0.9, 0.05, 1.0, 0.9])


def test_a_run_that_is_trained_again_or_gone_leaves_stale_values(dataset):
    fg.predict(dataset, make_run(dataset, "second", seed=1), "other", ())
    fg.compute_embeddings(dataset, "second", "seen")
    assert said(dataset) == {}
    dataset.delete_run("second")
    make_run(dataset, "second", seed=2)
    found = {one.name: one for one in stale_values(dataset)}
    assert {name: one.why for name, one in found.items()} == dict.fromkeys(
        ("other", "seen"), "run 'second' was trained again since"
    )
    assert (found["other"].verb, found["other"].given["prediction_field"]) == ("predict", "other")
    fg.predict(dataset, "second", "other", ())
    fg.compute_embeddings(dataset, "second", "seen", overwrite=True)
    assert said(dataset) == {}
    dataset.delete_run("second")
    assert said(dataset) == {("embeddings", "seen"): "run 'second' was deleted"}


def test_heatmaps_are_made_again_as_they_were(dataset):
    relabel(dataset, [1], C)
    again = next(one for one in stale_values(dataset) if one.name == "gradcam_label")
    assert (again.verb, again.given["run"]) == ("predict", "first")
    assert sorted(again.given["heatmaps"]) == ["contrast", "label", "predicted"]
    fg.predict(dataset, **again.given)
    assert dataset.values("gradcam_label.target")[1] == C
    assert set(said(dataset)) == {("label issues", "label_quality")}
    dataset.delete_run("first")  # and so nothing can make them again
    relabel(dataset, [2], C)
    dataset.reload()
    gone = next(one for one in stale_values(dataset) if one.name == "gradcam_label")
    assert (gone.why, gone.verb) == ("1 label has changed since", None)


def test_evaluations_count_what_differs(dataset):
    fg.evaluate(dataset, "first")
    assert said(dataset) == {}
    place = dataset.values("eval_first").index(True)
    relabel(dataset, [place], {A: B, B: C, C: A}[dataset.values("ground_truth.label")[place]])
    found = {one.name: one for one in stale_values(dataset)}
    assert found["eval_first"].why == "1 label or prediction has changed since"
    fg.evaluate(dataset, **found["eval_first"].given)
    assert ("evaluation", "eval_first") not in said(dataset)


def test_another_split_is_reported_of_leaks_and_of_the_newest_run(dataset):
    config = dataset.get_run_info("first").config
    now = Snapshot(dataset, "ground_truth")
    config.basis = {"split": now.split(), "labels": now.learned()}
    dataset.update_run_config("first", config)
    fg.find_leaks(dataset, near=False)
    assert said(dataset) == {}
    # What was learned and validated with are labels of these samples, and not of those to test.
    for tag, is_stale in (("train", True), ("val", True), ("test", False)):
        place = next(i for i, tags in enumerate(dataset.values("tags")) if tag in tags)
        label = dataset.values("ground_truth.label")[place]
        relabel(dataset, [place], {A: B, B: C, C: A}[label])
        why = "labels have changed since it was trained" if is_stale else None
        assert said(dataset).get(("run", "first")) == why
        relabel(dataset, [place], label)
    tests = dataset.match_tags("test").values("id")
    fg.split(dataset, seed=7)
    assert dataset.match_tags("test").values("id") != tests
    why = "the split has changed since it was trained: it may have learned from test images"
    assert said(dataset) == {
        ("run", "first"): why,
        ("leaks", "leak"): "the split has changed since",
    }
    note = "T" + why.replace("it was trained", "run 'first' was trained")[1:]
    assert note in fg.evaluate(dataset, "first").notes


def test_a_split_that_holds_out_the_same_images_is_no_reason_to_doubt(dataset):
    config = dataset.get_run_info("first").config
    basis = {**basis_of_training(dataset, "ground_truth", "current"), "at": ""}
    del basis["labels"]
    config.basis = basis
    dataset.update_run_config("first", config)

    def moved(tag: str, to: str | None) -> dict:
        """What is stale if all samples of a split are in another meanwhile."""
        ids = dataset.match_tags(tag).values("id")
        own = dataset.select(ids)
        own.untag_samples(tag)
        if to:
            own.tag_samples(to)
        found = {name for kind, name in said(dataset) if kind == "run"}
        notes = [x for x in fg.evaluate(dataset, "first").notes if "may have learned" in x]
        assert bool(notes) == bool(found)
        if to:
            dataset.select(ids).untag_samples(to)
        dataset.select(ids).tag_samples(tag)
        return found

    assert moved("train", None) == moved("train", "dev") == set()
    assert moved("val", "dev") == set()
    assert moved("test", "dev") == {"first"}  # now "val" is what runs are judged by
    one = dataset.select(dataset.match_tags("train").values("id")[0])
    one.untag_samples("train")
    one.tag_samples("test")
    assert ("run", "first") in said(dataset)


def test_a_renamed_field_of_labels_is_said_to_be_gone(dataset):
    dataset.rename_sample_field("ground_truth", "truth")
    found = said(dataset)
    assert found[("label issues", "label_quality")] == "the label field 'ground_truth' was deleted"
    assert "'ground_truth'" in found[("label scores", "prediction")]


def test_values_of_an_earlier_version_are_taken_as_fresh(dataset):
    for key in ("basis", "began"):
        dataset.info["label_issues"].pop(key)
    dataset.save()
    relabel(dataset, [1], C)
    assert ("label issues", "label_quality") not in said(dataset)


def layout(dataset, **given):
    return fg.show_embeddings(dataset, method="pca", progress=False, **given)


def test_layouts_rest_on_the_training_of_their_run_and_on_the_samples(dataset):
    fg.predict(dataset, make_run(dataset, "second", seed=1), "other", ())
    layout(dataset, run_or_backbone="second")
    layout(dataset.limit(6), run_or_backbone="second", brain_key="some")
    assert said(dataset) == {}
    # Labels and splits do not move an image, nor does predicting it again.
    relabel(dataset, [1], C)
    fg.split(dataset, seed=7)
    fg.predict(dataset, "second", "other", ())
    assert not [name for kind, name in said(dataset) if kind == "layout"]
    fg.rename_run(dataset, "second", "later")
    dataset.reload()
    assert dataset.get_brain_info("embeddings").config.model == "run 'later', pca (gradcam)"
    assert not [name for kind, name in said(dataset) if kind == "layout"]
    before = dataset.load_brain_results("embeddings").points.copy()
    dataset.delete_run("later")
    make_run(dataset, "later", seed=2)
    why = "run 'later' was trained again since"
    found = {one.name: one for one in stale_values(dataset) if one.kind == "layout"}
    assert {name: one.why for name, one in found.items()} == {"embeddings": why, "some": why}
    # That of a view would be made of all samples: it is not offered.
    assert (found["embeddings"].verb, found["some"].verb) == ("show_embeddings", None)
    assert found["embeddings"].given["run_or_backbone"] == "later"
    fg.show_embeddings(dataset, **found["embeddings"].given)
    layouts = {name for kind, name in said(dataset) if kind == "layout"}
    assert layouts == {"some"}
    after = dataset.load_brain_results("embeddings").points
    assert after.shape == before.shape
    assert not np.allclose(after, before)
    assert dataset.get_brain_info("embeddings").config.model == "run 'later', pca (gradcam)"
    dataset.delete_brain_run("some")
    ids = dataset.values("id")
    dataset.delete_samples(ids[3])
    why = "samples were added or deleted since"
    assert said(dataset)[("layout", "embeddings")] == why
    given = next(x.given for x in stale_values(dataset) if x.kind == "layout")
    fg.show_embeddings(dataset, **given)
    assert ("layout", "embeddings") not in said(dataset)
    dataset.add_sample(dataset.first().copy())  # as many as there were, and others
    assert said(dataset)[("layout", "embeddings")] == why
    dataset.delete_run("later")
    assert said(dataset)[("layout", "embeddings")] == "run 'later' was deleted"
    (gone,) = [one for one in stale_values(dataset) if one.kind == "layout"]
    newest = list_runs(dataset)[-1]
    given = {"run_or_backbone": newest, "brain_key": "embeddings"}
    assert (gone.verb, gone.given) == ("show_embeddings", given)
    fg.show_embeddings(dataset, **gone.given, method="pca")  # that of the newest run instead
    assert ("layout", "embeddings") not in said(dataset)
    assert f"run {newest!r}" in dataset.get_brain_info("embeddings").config.model


def test_layouts_of_embeddings_rest_on_their_field(dataset):
    fg.compute_embeddings(dataset, "first", "seen", progress=False)
    layout(dataset, embeddings="seen")
    layout(dataset, embeddings=np.stack(dataset.values("seen")), brain_key="own")
    assert said(dataset) == {}
    make_run(dataset, "second", seed=1)
    fg.compute_embeddings(dataset, "second", "seen", overwrite=True, progress=False)
    found = {one.name: one for one in stale_values(dataset)}
    assert {name: one.why for name, one in found.items()} == {
        "embeddings": "the embeddings 'seen' were computed again since"
    }
    fg.show_embeddings(dataset, **found["embeddings"].given)
    assert said(dataset) == {}
    dataset.add_sample(dataset.first().copy())
    found = {one.name: one for one in stale_values(dataset) if one.kind == "layout"}
    assert {name: one.verb for name, one in found.items()} == {
        "embeddings": "show_embeddings",
        "own": None,  # nobody knows where its numbers are from
    }
    dataset.delete_sample_field("seen")
    assert said(dataset)[("layout", "embeddings")] == "the embeddings 'seen' were deleted"


def test_layouts_of_networks_from_elsewhere_rest_on_no_run_of_the_dataset(dataset, tmp_path):
    elsewhere = dataset.clone()
    run = fg.load_run(elsewhere, "first")
    torch.save(run.load_model().state_dict(), tmp_path / "own.pt")
    dataset.delete_run("first")
    layout(dataset, run_or_backbone=run)
    file = {"run_or_backbone": "small_cnn", "weights": str(tmp_path / "own.pt")}
    layout(dataset, **file, brain_key="of_file")
    assert not [name for kind, name in said(dataset) if kind == "layout"]
    dataset.add_sample(dataset.first().copy())
    found = {one.name: one.given for one in stale_values(dataset) if one.kind == "layout"}
    again = {**file, "method": "pca", "seed": 0, "brain_key": "of_file"}
    assert found == {"embeddings": {}, "of_file": again}  # a run elsewhere cannot be named here
    elsewhere.delete()
