"""The table of runs and the words about one: of damaged, imported, canceled and gone ones."""

from dataclasses import replace

import pytest
from panel_contexts import context, end, make_dataset, requests

from fiftyone_gradcam.app.panels.run_rows import (
    _accuracy,
    describe_runs,
    is_canceled,
    with_trainings,
)
from fiftyone_gradcam.app.panels.runs import _describe, describe_run, other_measures
from fiftyone_gradcam.dataset.run import Run
from fiftyone_gradcam.dataset.runs import load_run, save_run
from fiftyone_gradcam.jobs import queue

RECIPE = {
    "backbone": "small_cnn", "epochs": 3, "optimizer": "adam", "learning_rate": 0.001,
    "batch_size": 8, "image_size": 32, "resize": "squash",
}  # fmt: skip
ROWS = [{"epoch": n, "train_loss": 1.0, "train_accuracy": 0.5} for n in (1, 2)]
RUN = Run("a_", "x", ["a", "b_"], RECIPE, ROWS, 2, "own", "/none", canceled=False)
EMPTY = {"key": "", "backbone": "", "training": "", "val_accuracy": "", "recorded": ""}


@pytest.fixture
def dataset(name):
    return make_dataset(name)


def test_an_accuracy_has_an_interval_if_it_is_known_how_many_images_it_is_of():
    for accuracy, count, words in (
        (None, 5, "not validated"),
        (0.75, None, "75.0%"),
        (0.75, 0, "75.0%"),
        (0.5, 2, "50.0% (9.5% to 90.5%)"),
        (0.0, 1, "0.0% (0.0% to 79.3%)"),
    ):
        assert _accuracy(replace(RUN, val_accuracy=accuracy, val_images=count)) == words


def test_a_damaged_record_is_a_row_and_the_others_stay(dataset):
    save_run(dataset, replace(RUN, key="old", canceled=None))
    save_run(dataset, replace(RUN, key="made", history=[]))
    info = dataset.get_run_info("old")
    info.config.recipe = None
    dataset.update_run_config("old", info.config)
    made, old = describe_runs(dataset)
    recorded = load_run(dataset, "made").trained
    words = {"backbone": "small_cnn", "training": "small_cnn, weights from a file"}
    assert made == EMPTY | words | {
        "key": "made", "val_accuracy": "not validated", "recorded": made["recorded"],
    }  # fmt: skip
    assert made["recorded"].startswith(recorded[8:10])
    assert made["recorded"].endswith(recorded[11:16])
    damaged = {"backbone": "damaged record", "training": "damaged record"}
    assert old == EMPTY | damaged | {"key": "old"}
    words, traces, layout = describe_run(dataset, "old")
    assert words.startswith("**old** cannot be shown: ")
    assert (traces[0]["x"], layout["xaxis"]["range"]) == ([], [0, 1.02])
    assert other_measures(dataset) == ""


def test_a_row_of_a_training_says_which_backbone_if_its_job_does(dataset, submit):
    def row(verb: str, **given) -> dict:
        job = submit(verb, **given)
        (found,) = with_trainings(dataset, [])
        job.cancel()
        queue.forget_job(job.id)
        return found

    waits = "waits to be trained"
    for given, backbone in (
        ({}, "resnet18"),  # of the default recipe
        ({"backbone": "small_cnn"}, "small_cnn"),
        ({"resume": True, "backbone": "small_cnn"}, ""),
        ({"recipe": "gone"}, ""),
        ({"recipe": {"backbone": "small_cnn"}}, ""),
    ):
        training = f"{backbone}, {waits}" if backbone else waits
        expected = EMPTY | {"key": "k", "backbone": backbone, "training": training}
        assert row("fine_tune", key="k", **given) == expected, given
    save_run(dataset, RUN)
    for given, key, backbone in (
        ({"run": "a_"}, "a__corrected", "small_cnn"),
        ({"run": "a_", "labels": "before_review"}, "a__before_review", "small_cnn"),
        ({"run": "a_", "key": "own"}, "own", "small_cnn"),
        ({"run": "gone"}, "gone_corrected", ""),
    ):
        found = row("retrain", **given)
        assert (found["key"], found["backbone"]) == (key, backbone)
    job = submit("predict", run="a_")
    assert with_trainings(dataset, []) == []  # no training
    job.cancel()


def test_a_run_of_an_earlier_version_that_cannot_be_resumed_is_not_canceled(dataset):
    for canceled, found in ((True, True), (False, False), (None, False)):
        assert is_canceled(dataset, replace(RUN, canceled=canceled)) is found


def test_a_run_is_described_in_words():
    start = "**a\\_**: small_cnn, adam, learning rate 0.001, batches of 8, "
    words = f"{start}2 of 3 epochs; kept: epoch 2. Classes: a, b\\_."
    assert _describe(RUN, False, "") == words
    canceled = words.replace("epochs; kept", "epochs; canceled; kept")
    assert _describe(RUN, True, "after 1 correction") == f"{canceled} Trained after 1 correction."
    loaded = "**a\\_**: small_cnn, weights from a file, images of 32 pixels (squash). Classes: "
    for count, more in ((10, ""), (11, " and 1 more")):
        names = [f"c{n}" for n in range(count)]
        found = _describe(replace(RUN, history=[], classes=names), False, "")
        assert found == f"{loaded}{', '.join(names[:10])}{more}."
    findings = [{"severity": "warning", "message": "a*"}, {"severity": "error", "message": "b"}]
    found = _describe(replace(RUN, findings=findings), False, "")
    assert found == f"{words}\n\n- Warning: a\\*\n\n- Error: b"


def test_accuracies_on_other_samples_are_not_compared(dataset):
    def said(*measured: dict | None, accuracy: float | None = 0.5) -> str:
        for key in dataset.list_runs():
            dataset.delete_run(key)
        for key, one in zip("ab", measured, strict=True):
            save_run(dataset, replace(RUN, key=key, val_accuracy=accuracy, measured=one))
        return other_measures(dataset)

    same, other = {"samples": "1", "labels": "1"}, {"samples": "2", "labels": "1"}
    assert said(same, same) == ""
    assert said(same, other).startswith("These accuracies were measured on different samples: ")
    assert "compare\\_runs()" not in said(same, other)  # which the App calls otherwise
    assert said(same, other, accuracy=None) == ""  # there are none


def test_what_is_gone_is_read_again_and_has_nothing_to_compare_with(
    panel, dataset, submit, service
):
    save_run(dataset, RUN)
    state = {"tab": "runs"}
    panel.read(context(dataset, state))
    panel.on_resume_run(context(dataset, state))  # another page has resumed it
    assert queue.list_jobs(dataset) == []
    assert (state["tab"], state["shown_run"]) == ("runs", "a_")
    drawn = panel.render(context(dataset, state)).type.properties
    assert "compare" not in drawn["run_actions"].type.properties  # with what?
    ctx = context(dataset, state)
    panel.on_compare_runs(ctx)
    (asked,) = requests(ctx, "prompt_user_for_operation")
    assert asked["params"] == {"a": None, "b": "a_"}
    buttons = drawn["run_buttons"].to_json()["type"]["properties"]["train"]["view"]
    assert (buttons["label"], buttons["variant"]) == ("Train another classifier", "text")
    job = submit("fine_tune", key="new", backbone="small_cnn")
    end(service, job)
    dataset.delete_run("a_")
    panel.read(context(dataset, state))
    assert (state["runs"], state["run_keys"], state["shown_run"]) == ([], [], None)
    drawn = panel.render(context(dataset, state)).to_json()["type"]["properties"]
    assert drawn["no_runs"]["default"].startswith("There are no trained classifiers here yet.")
    buttons = [x["view"] for x in drawn["run_buttons"]["type"]["properties"].values()]
    assert [(x["label"], x["variant"]) for x in buttons] == [
        *(("Train a classifier", "contained"), ("Import run", "text"), ("Refresh", "text")),
    ]
    assert "run_words" not in drawn
