"""What "Why?" says of a dataset without a classifier: at once, in the words of the App."""

from __future__ import annotations

import os
import subprocess
import sys

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from bson import ObjectId
from fiftyone.operators.delegated import DelegatedOperationService
from made_runs import make_run

import fiftyone_gradcam as fg
from fiftyone_gradcam.app.operators.without_classifier import without_classifier
from fiftyone_gradcam.dataset.storing import Declared, declare
from fiftyone_gradcam.jobs import processes, queue

TRAIN = (
    "There is no classifier yet whose predictions could be explained. In the panel "
    "Grad-CAM classifier, under Steps, press 'Train a classifier'."
)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """PyTorch's cache of weights, empty."""
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    return folder


@pytest.fixture
def dataset(name):
    dataset = fo.Dataset(name)
    dataset.add_sample(fo.Sample("/x.png", ground_truth=fo.Classification(label="a")))
    return dataset


def test_a_pretrained_network_is_named_only_if_it_is_on_this_machine(dataset, cache):
    assert without_classifier(dataset, "prediction") == TRAIN
    (cache / "mobilenet_v2-7ebf99e0.pth").write_bytes(b"")
    assert without_classifier(dataset, "prediction") == (
        f"{TRAIN} Or predict with a pretrained network, such as mobilenet_v2, which is on this "
        f"machine: under 'All actions', press 'Predict with Grad-CAM heatmaps'."
    )
    # The buttons are called so.
    labels = [
        foo.get_operator(f"@gradcam/classifier/{verb}").config.label
        for verb in ("fine_tune", "predict")
    ]
    assert labels == ["Train a classifier", "Predict with Grad-CAM heatmaps"]


def test_a_training_that_is_running_is_waited_for(dataset, cache, monkeypatch):
    own, service = processes.name_of(os.getpid()), DelegatedOperationService()
    monkeypatch.setattr(processes, "start_worker", lambda *args: own)
    for verb, given in (("find_leaks", {}), ("fine_tune", {"key": "k"})):
        job = queue.submit(verb, {"samples": dataset, **given}, dataset)
        service.set_running(ObjectId(job.id), run_link=own)
        found = without_classifier(dataset, "prediction")
        assert found.startswith("There is no classifier yet, but a training is running. Come") == (
            verb == "fine_tune"
        )
        assert (found == TRAIN) == (verb == "find_leaks")
        if verb == "fine_tune":
            job.cancel()
            service.set_failed(ObjectId(job.id))
        service.delete_operation(ObjectId(job.id))
    assert without_classifier(dataset, "prediction") == TRAIN


def test_with_a_run_or_with_predictions_there_is_something_to_explain(digits, name, cache):
    dataset = fg.import_folders(str(digits), name)
    facts = {"run": "resnet18/imagenet", "classes": ["a"], "label_field": "ground_truth"}
    declare(dataset, "seen", Declared("classification", "", facts, {}))
    assert without_classifier(dataset, "seen") is None
    assert without_classifier(dataset, "prediction") == TRAIN
    make_run(dataset, "made", files=False)
    assert without_classifier(dataset, "prediction") is None


def test_nothing_is_loaded_to_say_so(dataset, cache):
    code = (
        "import sys; import fiftyone as fo\n"
        "from fiftyone_gradcam.app.operators.explain_call import ExplainSample\n"
        f"dataset = fo.load_dataset({dataset.name!r})\n"
        "given = {'id': str(dataset.first().id), 'classes': None, 'against': None}\n"
        "given |= {'prediction_field': None, 'way': None}\n"
        "print(ExplainSample().answer(dataset, given))\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *_, answer, has_torch = done.stdout.splitlines()
    assert (answer, has_torch) == (str({"missing": TRAIN}), "False")
