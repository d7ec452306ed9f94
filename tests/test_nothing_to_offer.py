"""What is offered, printed or done only if there is a reason to, and what may be left out."""

import os

import fiftyone.operators as foo
import pytest
from bson import ObjectId
from fiftyone.operators import types
from form_fields import form
from made_runs import make_run, some_digits
from panel_contexts import context

import fiftyone_gradcam as fg
from fiftyone_gradcam.app.operators.training_summary import _too_few
from fiftyone_gradcam.app.panels import path
from fiftyone_gradcam.app.panels.classifier import ClassifierPanel
from fiftyone_gradcam.dataset import run_files
from fiftyone_gradcam.dataset.files import dataset_folder, run_folder


@pytest.fixture
def dataset(name, tmp_path):
    """18 digits in three classes."""
    yield from some_digits(tmp_path, name, per_class=6)


def deleting(dataset, key: str) -> dict[str, types.Property]:
    request = {"dataset_name": dataset.name, "params": {"key": key}}
    uri = "@gradcam/classifier/delete_run"
    return form("delete_run", foo.executor.ExecutionContext(request, operator_uri=uri))


def test_fields_of_a_run_are_offered_for_deletion_if_it_wrote_some(dataset):
    make_run(dataset, "made", files=False)
    found = deleting(dataset, "made")
    assert "fields" not in found
    assert "record of 'made' will be deleted" in found["gone"].view.label
    fg.predict(dataset, "made", heatmaps=(), progress=False)
    found = deleting(dataset, "made")
    assert found["fields"].view.label.endswith(": prediction, prediction_scores")
    assert "its predictions and its heatmaps will be deleted" in found["gone"].view.label


def test_predictions_are_compared_with_others_if_there_are_any(dataset):
    make_run(dataset, "made", files=False)
    panel, state = ClassifierPanel(), {"tab": "evaluate"}

    def choices() -> list[str]:
        panel.read(context(dataset, state))
        shown = types.Object()
        panel.draw_comparison_choice(context(dataset, state), shown)
        return [name for one in shown.properties.values() for name in one.type.values]

    fg.predict(dataset, "made", heatmaps=(), progress=False)
    assert choices() == []
    fg.predict(dataset, "made", "other", heatmaps=(), progress=False)
    assert len(choices()) == 2  # nothing, and the other one


def test_a_tick_estimates_nothing_that_is_not_due(dataset, monkeypatch):
    panel, state = ClassifierPanel(), {"tab": "jobs"}
    panel.read(context(dataset, state))
    state |= {"times_due": None, "stale_due": None, "is_busy": False}
    estimated = []
    monkeypatch.setattr(path, "estimate", lambda *_, **__: estimated.append(1))
    panel.on_tick(context(dataset, state))
    assert estimated == []
    state["times_due"] = 1e12
    panel.on_tick(context(dataset, state))
    assert estimated


def test_a_training_that_starts_over_cannot_be_resumed_from_the_one_before(dataset, monkeypatch):
    """It may be killed before it has saved a state of its own."""
    state = os.path.join(run_folder(dataset, "key"), run_files.STATE)
    os.makedirs(os.path.dirname(state))
    with open(state, "w") as file:
        file.write("of an earlier training")

    def cut_off(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(run_files, "prepare_folder", cut_off)
    options = {"backbone": "small_cnn", "weights": "none", "epochs": 1, "overwrite": True}
    with pytest.raises(KeyboardInterrupt):
        fg.fine_tune(dataset, "key", **options)
    assert not os.path.exists(state)


def test_a_line_is_printed_after_each_epoch(dataset, capsys):
    fg.fine_tune(dataset, "key", backbone="small_cnn", weights="none", epochs=2)
    printed = capsys.readouterr().out
    lines = [line.strip() for line in printed.replace("\r", "\n").splitlines()]
    assert [x.split(":")[0] for x in lines if x.startswith("epoch ")] == ["epoch 1", "epoch 2"]
    assert "None" not in printed


def test_what_a_job_prints_is_kept_in_the_folder_of_its_dataset(dataset, submit, service):
    job = submit("fine_tune", key="key")
    own = service.get(ObjectId(job.id)).metadata["log"]
    assert own == os.path.join(dataset_folder(dataset), "jobs")


def test_cards_are_given_to_a_page_that_has_none_yet(dataset):
    dataset.set_values("label_quality", [0.1] + [1.0] * (len(dataset) - 1))
    request = {"dataset_name": dataset.name, "params": {}}
    uri = "@gradcam/classifier/review_cards"
    ctx = foo.executor.ExecutionContext(request, operator_uri=uri)
    first = foo.get_operator(uri).execute(ctx)["cards"][0]["id"]
    assert first == dataset.values("id")[0]


@pytest.mark.parametrize(
    ("found", "words"), [({}, "there are none{}."), ({"a": 3}, "those{} are all of 'a'.")]
)
def test_a_training_says_what_images_there_are(dataset, found, words):
    start = "A classifier needs training images of two classes, and "
    assert _too_few({"samples": dataset}, found).startswith(start + words.format(""))
    view = {"samples": dataset.limit(1)}
    assert _too_few(view, found).startswith(start + words.format(" in this view"))
