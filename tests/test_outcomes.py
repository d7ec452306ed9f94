"""What the App says of a result, of a job and of its run, in whole sentences."""

import os
from types import SimpleNamespace

import fiftyone as fo
import pytest
from fiftyone.operators import types
from form_errors import BY_NAME
from reviewable import make_reviewable

from fiftyone_gradcam.app.operators.predict import Predict
from fiftyone_gradcam.app.operators.relocate import Relocate
from fiftyone_gradcam.app.operators.verb import Verb
from fiftyone_gradcam.app.showing import view_as_text
from fiftyone_gradcam.dataset.fields import describe_field
from fiftyone_gradcam.dataset.run import BEFORE_REVIEW
from fiftyone_gradcam.workflow.relocating import Relocated

RIGHT = SimpleNamespace(is_correction=True)
KEPT = SimpleNamespace(is_correction=False)


class Suggestion:
    """What a search for a learning rate comes to."""

    path = "/x.png"

    def __str__(self) -> str:
        return "Suggested: 0.1"


@pytest.fixture
def dataset(name):
    """Four samples with predictions: one label of three is as predicted."""
    dataset = make_reviewable(name)
    yield dataset
    dataset.delete()


@pytest.mark.parametrize(
    ("verb", "given", "label"),
    [
        ("fine_tune", {"key": "k"}, "Train 'k'"),
        ("fine_tune", {"key": "k", "resume": True}, "Resume the training of 'k'"),
        ("predict", {"run": "r"}, "Predict with 'r'"),
        ("predict", {"run": "r", "resume": True}, "Resume predicting with 'r'"),
        ("evaluate", {"run": "r"}, "Evaluate 'r'"),
        ("compare_runs", {"a": "r", "b": "s"}, "Compare 'r' and 's'"),
        ("retrain", {"run": "r"}, "Retrain 'r' on corrected labels"),
        (
            "retrain",
            {"run": "r", "labels": BEFORE_REVIEW},
            "Retrain 'r' on the labels before review",
        ),
        ("find_leaks", {}, "Find leaks between splits"),
        ("import_folders", {"path": "/photos/pets/"}, "Import 'pets'"),
        ("import_folders", {"path": "/"}, "Import '/'"),
    ],
)
def test_a_job_is_named_after_what_it_works_on(verb, given, label):
    assert BY_NAME[verb].job_label(given) == label


def test_an_orchestrator_names_a_run_by_its_job(dataset):
    ctx = fo.operators.executor.ExecutionContext(
        {"dataset_name": dataset.name, "params": {"run": "r"}}, operator_uri="@gradcam/classifier/x"
    )
    assert BY_NAME["evaluate"].resolve_run_name(ctx) == "Evaluate 'r'"
    assert BY_NAME["evaluate"].expected_seconds({"run": "r"}) is None
    assert BY_NAME["evaluate"].target({"run": "r"}) is None
    assert BY_NAME["evaluate"].takes_long({"run": "r"})


@pytest.mark.parametrize(
    ("verb", "result", "given", "outcome"),
    [
        (
            "evaluate",
            SimpleNamespace(
                interval=(0.5, 0.98765), right=9, count=10, accuracy=0.9,
                calibration_error=0.12345, key="eval_r",
            ),
            {},
            {
                "summary": "9 of 10 are right: 90.0% (95% interval 50.0% to 98.8%), calibration "
                "error 0.123. The Model Evaluation panel shows 'eval_r'"
            },
        ),
        (
            "save_views", ["a", "b"], {},
            {"summary": "Saved 2 views. Find them in the list of saved views"},
        ),
        (
            "export_run", "/x/run-r", {"run": "r"},
            {"summary": "Exported 'r' to /x/run-r", "changed": False, "place": "/x/run-r"},
        ),
        ("import_run", "the run 'r'", {}, {"summary": "Imported the run 'r'"}),
        ("rename_run", None, {"key": "r", "new_key": "s"}, {"summary": "Renamed 'r' to 's'"}),
        (
            "delete_run", ["prediction"], {"key": "r"},
            {"summary": "Deleted 'r'", "gone": ["prediction"]},
        ),
        (
            "report", "/x.html", {},
            {"summary": "Report written to /x.html", "changed": False, "place": "/x.html"},
        ),
        (
            "export_reviews", "/x.csv", {},
            {"summary": "Reviews written to /x.csv", "changed": False, "place": "/x.csv"},
        ),
        (
            "review", [RIGHT, KEPT, RIGHT], {},
            {
                "summary": "3 labels reviewed, 2 corrected. “Undo review” reverts this",
                "reviewed": True,
            },
        ),
        (
            "review", [KEPT], {},
            {
                "summary": "1 label reviewed, 0 corrected. “Undo review” reverts this",
                "reviewed": True,
            },
        ),
        (
            "accept_sure", [RIGHT, RIGHT], {},
            {
                "summary": "2 labels corrected. “Undo review” reverts this in one step",
                "reviewed": True,
            },
        ),
        ("undo_review", [KEPT, KEPT], {}, {"summary": "2 decisions are undone", "reviewed": True}),
        (
            "export_overlays", ["/x/1.png", "/x/contact_sheet_1.jpg", "/x/contact_sheet_2.jpg"], {},
            {
                "summary": "Wrote 3 pictures to /x", "changed": False, "place": "/x",
                "picture": "/x/contact_sheet_1.jpg",
            },
        ),
        (
            "export_overlays", ["/contact_sheets/1.png"], {},  # there is none
            {
                "summary": "Wrote 1 pictures to /contact_sheets", "changed": False,
                "place": "/contact_sheets",
            },
        ),
        (
            "mean_heatmaps", {"a": "/x/a.png", "b": "/x/b.png"}, {"folder": "/x"},
            {
                "summary": "Wrote the mean heatmaps of 2 classes to /x", "changed": False,
                "place": "/x", "picture": os.path.join("/x", "means.png"),
            },
        ),
        (
            "explanation_quality",
            {
                "deletion": {"heatmap": 0.5, "gaussian": 0.5},
                "insertion": {"heatmap": 0.5, "gaussian": 0.5},
            },
            {},
            {
                "summary": "By 0 of 2 measures, heatmaps explain the predictions better than a "
                "spot in the center of each image (a Gaussian): deletion (low is good) 0.50, not "
                "better than 0.50; insertion (high is good) 0.50, not better than 0.50"
            },
        ),
        (
            "split", {"train": {"a": 3, "b": 2}, "val": {"a": 1}}, {},
            {"summary": "Split: 5 train, 1 val"},
        ),
        (
            "compute_embeddings", SimpleNamespace(shape=(4, 512)), {"field": "seen"},
            {"summary": "4 embeddings of 512 numbers are in 'seen'"},
        ),
        (
            "find_learning_rate", Suggestion(), {},
            {"summary": "Suggested: 0.1", "picture": "/x.png", "changed": False},
        ),
        ("sanity_check", "It learns", {}, {"summary": "It learns", "changed": False}),
        ("find_leaks", [], {}, {"summary": "No image is in two splits"}),
    ],
)  # fmt: skip
def test_a_result_in_words(verb, result, given, outcome):
    assert BY_NAME[verb].outcome(result, given) == outcome


@pytest.mark.parametrize(
    ("missing", "different", "words"),
    [
        ((), (), "3 of 3 samples now have their files in /x"),
        (("/a",), (), "3 of 4 samples now have their files in /x; 1 files are not there"),
        ((), ("/a", "/b"), "3 of 5 samples now have their files in /x; 2 are other files"),
    ],
)
def test_moved_files_that_were_found_or_not(missing, different, words):
    found = Relocated(moved=3, missing=[*missing], different=[*different])
    assert Relocate().outcome(found, {"new": "/x"}) == {"summary": words}


def test_samples_that_a_result_is_about_are_shown(dataset):
    dataset.add_sample_field("odd", fo.EmbeddedDocumentField, embedded_doc_type=fo.Classification)
    labels = ["anomaly", "normal", "normal", "normal"]
    dataset.set_values("odd", [fo.Classification(label=label) for label in labels])
    given = {"anomaly_field": "odd", "heatmap_field": "map", "heatmaps": True}
    said = ", the most unusual first"
    for view, words in (
        (dataset.limit(2), f"1 of 2 images is an anomaly{said}"),
        (dataset.limit(1), f"1 of 1 image is an anomaly{said}"),
        (dataset.skip(1), f"0 of 3 images are anomalies{said}"),
    ):
        assert BY_NAME["find_anomalies"].outcome(view, given) == {
            "summary": words, "view": view_as_text(view), "fields": ["odd", "map"],
        }  # fmt: skip
    advice = (
        " in another split; duplicates are shown side by side. To fix this, split the whole "
        "dataset again and keep near duplicates together"
    )
    for view, words in (
        (dataset.limit(1), "1 image has a duplicate"),
        (dataset.limit(2), "2 images have a duplicate"),
    ):
        assert BY_NAME["find_leaks"].outcome(view, {}) == {
            "summary": words + advice, "view": view_as_text(view), "fields": ["leak", "tags"],
        }  # fmt: skip
    view = dataset.limit(1)
    for verb in ("lowest_scores", "highest_scores", "mistakes"):
        found = BY_NAME[verb].outcome(view, {})
        assert found == {"view": view_as_text(view), "changed": False}
    result = SimpleNamespace(index_size=2, key="seen_pca")
    found = BY_NAME["show_embeddings"].outcome(result, {"samples": dataset})
    assert found["view"] == view_as_text(dataset.view())
    assert found["summary"].startswith("2 images laid out: open 'seen_pca' in the Embeddings panel")
    data = {"openKey": "seen_pca", "colorField": "own.label"}
    assert found["panel"] == {"name": "Embeddings", "data": data}


def test_mistakes_are_counted_where_labels_can_be_predicted(dataset):
    given = {"prediction_field": "prediction", "heatmap_field": "gradcam", "heatmaps": ()}
    said = ". Turn heatmaps on and off at the top of the panel"
    right = dataset.match({"own.label": "bird"})
    # The third is predicted as its label says; of the last nothing is known.
    for view, words, mistakes in (
        (dataset, "Predicted 4 images, 1 not as labeled", "prediction"),
        (right, "Predicted 1 image, none differs from its label", None),
    ):
        found = Predict().outcome(view, given)
        assert found["summary"] == words + said
        assert (found["mistakes"], found["fields"]) == (mistakes, ["prediction"])
    describe_field(dataset, "prediction", "Of r", run="r")  # there are no labels
    found = Predict().outcome(dataset, given)
    assert (found["summary"], found["mistakes"]) == (f"Predicted 4 images{said}", None)


def test_an_export_that_only_lists_says_where_its_list_is(dataset):
    given = {"samples": dataset, "label_field": "own"}
    found = BY_NAME["export_folders"].outcome("/x", given)
    assert found["summary"].startswith("Wrote to /x: ")
    assert (found["changed"], found["place"]) == (False, "/x")
    listed = BY_NAME["export_folders"].outcome("/x", {**given, "how": "list"})
    words = found["summary"].removeprefix("Wrote to /x: ")
    assert listed["summary"] == f"Wrote /x/moves.csv: {words} would be written"


def test_augmented_images_are_shown_with_their_path():
    shown = BY_NAME["preview_augmentation"].resolve_output(None)
    assert shown.view.label == "Preview augmentation"
    fields = shown.type.properties
    assert [*fields] == ["picture", "path"]
    assert isinstance(fields["picture"].view, types.ImageView)
    assert fields["path"].view.label == "The picture is at"


def test_forms_of_operators_have_buttons_and_configurations():
    """By hand for the ones that differ; verbs are long, with a button, on samples of a dataset."""
    verbs = {name: one for name, one in BY_NAME.items() if isinstance(one, Verb)}
    short = {name for name, one in verbs.items() if not one.is_long}
    assert short == {
        "lowest_scores", "highest_scores", "mistakes", "mean_heatmaps", "preview_augmentation",
        "export_run", "import_run", "rename_run", "delete_run", "review", "undo_review",
        "accept_sure", "export_reviews", "save_views", "report",
    }  # fmt: skip
    for name, one in verbs.items():
        config, is_long = one.config, name not in short
        assert (config.execute_as_generator, config.allow_delegated_execution) == (is_long, is_long)
        assert (config.dynamic, config.view_target) == (True, one.scope is not None)
    assert {name for name, one in verbs.items() if one.rests_on_labels} == {
        "export_folders", "report", "compare_runs", "retrain", "evaluate",
    }  # fmt: skip
    assert {name for name, one in verbs.items() if not one.needs_dataset} == {"import_folders"}
