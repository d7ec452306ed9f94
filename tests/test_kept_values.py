"""Stored predictions and networks are used for the run that made them, and for no other."""

from dataclasses import replace

import numpy as np
import pytest
from made_runs import digits_with_two_runs, make_run

import fiftyone_gradcam as fg
from fiftyone_gradcam.app.operators.fine_tune import FineTune
from fiftyone_gradcam.dataset.class_probabilities import class_probabilities, field_of_run
from fiftyone_gradcam.dataset.classifiers import way_before
from fiftyone_gradcam.dataset.fields import describe_field
from fiftyone_gradcam.dataset.live import LiveTraining
from fiftyone_gradcam.dataset.run import pretrained
from fiftyone_gradcam.passes.engine import no_report


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    yield from digits_with_two_runs(
        tmp_path_factory.mktemp("kept values") / "digits", "kept values"
    )


def test_predictions_of_an_earlier_version_of_a_run_are_not_its_own(dataset):
    run = fg.load_run(dataset, "first")
    assert field_of_run(dataset, run) == "prediction"
    assert field_of_run(dataset, replace(run, trained="2000-01-01")) is None
    assert field_of_run(dataset, fg.load_run(dataset, "second")) is None


def test_probabilities_that_are_not_whole_are_computed(dataset):
    run = fg.load_run(dataset, "first")
    before = np.array(dataset.values("prediction_scores"))
    sample = dataset.first()
    sample["prediction_scores"] = before[0, :2].tolist()
    sample.save()
    computed = []
    found = class_probabilities(dataset, run, "cpu", lambda *x: computed.append(x[:2]))
    assert computed == [(1, 1)]
    np.testing.assert_allclose(found.probabilities, before, atol=1e-5)
    sample["prediction_scores"] = before[0].tolist()
    sample.save()
    again = class_probabilities(dataset, run, "cpu", no_report).probabilities
    np.testing.assert_array_equal(again, before)


def test_a_pretrained_network_is_resized_as_before_by_the_same_weights_alone(dataset):
    dataset.add_sample_field("seen", dataset.get_field("prediction").__class__, **{
        "embedded_doc_type": dataset.get_field("prediction").document_type})  # fmt: skip
    facts = {"run": "squeezenet1_1/imagenet", "version": "imagenet, letterbox"}
    describe_field(dataset, "seen", "Of a network", **facts)
    for weights, way in (("imagenet", "letterbox"), ("/other.pth", None)):
        run = pretrained(dataset, "squeezenet1_1", weights, "crop")
        assert way_before(dataset, run, "seen") == way
    other = pretrained(dataset, "squeezenet1_0", "imagenet", "crop")
    assert way_before(dataset, other, "seen") is None
    dataset.delete_sample_field("seen")


def test_a_training_shows_the_heatmaps_that_it_has_recorded(dataset):
    run = fg.load_run(dataset, "first")
    shown = {"summary": f"Saved {run}", "run": "first"}
    assert FineTune().outcome(run, {}) == shown
    # The App says so if the epochs did not help.
    early = FineTune().outcome(replace(run, best_epoch=0), {})["summary"]
    assert "(best: the new layers alone)" in early
    assert early.endswith("The recipe 'linear-probe' may be as good in a fraction of the time")
    head = [{**run.history[0], "epoch": 0}]  # canceled when only the new layers had been trained
    for history in ([], head):
        assert replace(run, best_epoch=0, history=history).advice == ""
    assert replace(run, best_epoch=1).advice == ""
    recorded = replace(run, watch={"ids": [], "maps": "/a.npz", "strip": "/a.png"})
    assert FineTune().outcome(recorded, {}) == {**shown, "picture": "/a.png"}


def test_the_curves_of_a_training_go_with_its_run(dataset):
    make_run(dataset, "third", files=False)
    live = LiveTraining(dataset, "third", epochs=3)
    live([], [], None)
    assert live.read()["epochs"] == 3
    fg.delete_run(dataset, "third")
    assert live.read() is None
