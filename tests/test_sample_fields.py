"""Which samples and labels a form is about, if nobody chooses."""

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from fiftyone.operators import types

from fiftyone_gradcam.app.operators.predicted_fields import field_names, store_input
from fiftyone_gradcam.app.operators.sample_fields import (
    DATASET,
    SELECTED,
    SHOWN,
    default_target,
    label_field_input,
    own_label_fields,
)
from fiftyone_gradcam.dataset import run_files
from fiftyone_gradcam.dataset.fields import describe_field
from fiftyone_gradcam.dataset.run_files import STATE, can_resume


@pytest.fixture
def dataset(name):
    """Ten samples with labels of two people, and the predictions and heatmaps of a run."""
    dataset = fo.Dataset(name)
    for number in range(10):
        patches = fo.Detections(detections=[fo.Detection(), fo.Detection()])
        sample = fo.Sample(f"/{number}.png", patch=patches)
        for field in ("mine", "yours"):
            sample[field] = fo.Classification(label="a")
        if number < 7:
            sample["prediction"] = fo.Classification(label="a")
        if number < 4:
            sample["gradcam"] = fo.Heatmap()
        dataset.add_sample(sample)
    for field in ("prediction", "gradcam"):
        describe_field(dataset, field, "Of r", run="r", label_field="mine")
    yield dataset
    dataset.delete()


def context(dataset, view=None, selected=(), **params) -> foo.executor.ExecutionContext:
    request = {"dataset_name": dataset.name, "params": params, "selected": [*selected]}
    if view is not None:
        request["view"] = view._serialize()
    return foo.executor.ExecutionContext(request_params=request)


def test_the_samples_of_a_form(dataset):
    ids, some, patches = dataset.values("id")[:2], dataset.limit(3), dataset.to_patches("patch")
    #      view, selected: what each kind of form is about
    table = [
        (None, (), ("DATASET", "DATASET", "DATASET")),
        (None, ids, ("DATASET", "SELECTED_SAMPLES", "SELECTED_SAMPLES")),
        (some, (), ("DATASET", "DATASET", "CURRENT_VIEW")),
        (some, ids, ("DATASET", "SELECTED_SAMPLES", "SELECTED_SAMPLES")),
        (some, ["no id", 3], ("DATASET", "DATASET", "CURRENT_VIEW")),
        (patches, (), ("BASE_VIEW", "BASE_VIEW", "CURRENT_VIEW")),
    ]
    for view, selected, wanted in table:
        ctx = context(dataset, view, selected)
        assert tuple(default_target(ctx, x) for x in (DATASET, SELECTED, SHOWN)) == wanted


def asked(dataset, is_rare: bool, **params) -> tuple[str | None, list[str]]:
    """The choice of labels, and what is offered."""
    inputs = types.Object()
    found = label_field_input(context(dataset, **params), inputs, is_rare=is_rare)
    return found, [x for one in inputs.properties.values() for x in getattr(one.type, "values", [])]


def test_the_labels_of_a_form(dataset):
    every = ["mine", "yours", "prediction"]
    assert own_label_fields(context(dataset)) == ["mine", "yours"]
    for is_rare in (False, True):
        assert asked(dataset, is_rare) == ("mine", every)
        assert asked(dataset, is_rare, label_field="yours") == ("yours", every)
    dataset.delete_sample_field("yours")
    every.remove("yours")
    assert asked(dataset, True) == ("mine", [])
    assert asked(dataset, False) == ("mine", every)
    assert asked(dataset, True, label_field="mine") == ("mine", [])
    assert asked(dataset, True, label_field="prediction") == ("prediction", every)  # as it was
    dataset.rename_sample_field("mine", "ground_truth")
    dataset.clone_sample_field("ground_truth", "a first one")
    assert asked(dataset, True)[0] == "ground_truth"
    dataset.delete_sample_fields(["ground_truth", "a first one"])
    assert asked(dataset, True) == ("prediction", [])  # there are no others
    dataset.delete_sample_field("prediction")
    assert asked(dataset, True) == (None, [])


def test_where_predictions_are_stored(dataset):
    def stored(run: str, **params) -> tuple[list[str], list[str]]:
        inputs, ctx = types.Object(), context(dataset, **params)
        store_input(ctx, inputs, run)
        words = [x.label for one in inputs.properties.values() for x in one.view.choices]
        return list(field_names(ctx, run).values()), words

    assert stored("r") == (["prediction", "gradcam"], [])
    assert stored("s") == (
        ["prediction_s", "gradcam_s"],
        [
            "In new fields: prediction_s and gradcam_s",
            "In prediction and gradcam: replaces those of r (7 samples)",  # the most of both
        ],
    )
    assert stored("s", store="replace")[0] == ["prediction", "gradcam"]
    assert stored("s", prediction_to="own")[0] == ["own", "gradcam_s"]
    assert stored("s", prediction_field="other", gradcam_to="cam")[0] == ["other", "cam"]
    assert stored("pretrained classifier") == (["imagenet", "imagenet_cam"], [])
    # Names that hold the values of yet another run are taken.
    for number in ("", "_2"):
        dataset.clone_sample_field("prediction", f"prediction_s{number}")
        describe_field(dataset, f"prediction_s{number}", "Of t", run="t", label_field="mine")
    assert stored("s")[0] == ["prediction_s_3", "gradcam_s_3"]
    describe_field(dataset, "prediction_s_2", "Of s", run="s", label_field="mine")
    assert stored("s")[0] == ["prediction_s_2", "gradcam_s_2"]


def test_only_a_key_of_a_run_can_be_resumed(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(run_files, "run_folder", lambda dataset, key: f"{tmp_path}/runs/{key}")
    for key in ("k", "k.2", "not a key", ".."):
        (tmp_path / "runs" / key).mkdir(parents=True, exist_ok=True)
        (tmp_path / "runs" / key / STATE).touch()
    found = [
        key for key in ("k", "gone", "k.2", "not a key", "..", "", "/") if can_resume(dataset, key)
    ]
    assert found == ["k"]
