"""The form of predict: what it asks before something is deleted, and what it hands to the verb."""

import fiftyone.operators as foo
import numpy as np
import pytest
from fiftyone.operators.executor import ExecutionContext
from made_runs import CLASSES, digits_with_two_runs

import fiftyone_gradcam as fg
from fiftyone_gradcam.app.operators.predict import HOW, KINDS
from fiftyone_gradcam.dataset import runs
from fiftyone_gradcam.dataset.fields import describe_field, field_name
from fiftyone_gradcam.dataset.predictions import PredictionWriter
from fiftyone_gradcam.dataset.run import pretrained
from fiftyone_gradcam.explain.render import HeatmapOptions

URI = "@gradcam/classifier/predict"
PRETRAINED = "pretrained classifier"
REPLACE = {"store": "replace"}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Twelve digits with two runs; the first has predicted all."""
    yield from digits_with_two_runs(tmp_path_factory.mktemp("form") / "digits", "form of predict")


def context(samples, **params) -> ExecutionContext:
    """Of a view that is open in the App."""
    dataset = samples._root_dataset
    view = [] if samples is dataset else samples._serialize()
    return ExecutionContext(
        request_params={"dataset_name": dataset.name, "view": view, "params": params},
        operator_uri=URI,
    )


def fields_of(samples, **params) -> dict:
    inputs = foo.get_operator(URI).resolve_input(context(samples, **params))
    return inputs.to_json()["type"]["properties"]


def would_delete(samples, params: dict) -> bool:
    """Whether the verb refuses the same call."""
    dataset, run = samples._root_dataset, params["run"]
    start = "imagenet" if run == PRETRAINED else "prediction"
    maps = "imagenet_cam" if run == PRETRAINED else "gradcam"
    if run == "second" and params.get("store") != "replace":
        field, heat = "prediction_second", "gradcam_second"
    else:
        field, heat = start, maps
    field, maps = params.get(f"{start}_to", field), params.get(f"{maps}_to", heat)
    if run == PRETRAINED:
        run = pretrained(dataset, params.get("backbone", "resnet18"), "imagenet", "squash")
    else:
        run = fg.load_run(dataset, run)
    names = {k: f"{maps}_{k}" for k, (_, on) in KINDS.items() if params.get(k, on)}
    if "predicted" in names:
        names["predicted"] = maps
    for name in params.get("heatmap_classes", ()):
        names[f"class:{name}"] = f"{maps}_{field_name(name)}"
    options = HeatmapOptions(**{k: v for k, v in params.items() if k in (*HOW, "layer")})
    for kind in [k for k in names if options.signed or k == "contrast"]:
        names[f"against:{kind}"] = f"{names[kind]}_against"
    ids = samples.values("id")
    labels = np.zeros(len(ids), np.int64)
    writer = PredictionWriter(
        dataset, run, field, names, "ground_truth", options, ids, labels, overwrite=False
    )
    try:
        writer.check_others([])
    except ValueError as error:
        return "for 8 samples that are not among these" in str(error)
    return False


@pytest.mark.parametrize(
    ("params", "asks"),
    [
        ({"run": "second"}, False),  # new fields
        ({"run": "second", **REPLACE}, True),
        ({"run": "first"}, False),
        ({"run": "second", "prediction_to": "mine", "gradcam_to": "mine_cam"}, False),
        # The heatmaps are still those of first.
        ({"run": "second", **REPLACE, "prediction_to": "mine"}, True),
        ({"run": "second", "prediction_to": "mine", "predicted": False, "label": True}, False),
        ({"run": "first", "method": "hirescam"}, True),
        ({"run": "first", "method": "hirescam", "predicted": False, "label": True}, False),
        ({"run": "first", "resolution": 32}, True),
        ({"run": "first", "signed": True}, True),
        ({"run": "first", "scale": "pair"}, True),
        ({"run": "first", "storage": "database"}, True),
        ({"run": "first", "interpolation": "nearest"}, True),
        ({"run": "first", "layer": "features.0"}, True),
        ({"run": "first", "label": True, "contrast": True}, False),
        ({"run": "first", "heatmap_classes": CLASSES[:1]}, False),
        ({"run": PRETRAINED, "backbone": "squeezenet1_1"}, False),
        ({"run": PRETRAINED, "imagenet_to": "prediction"}, True),
        ({"run": PRETRAINED, "imagenet_cam_to": "gradcam"}, True),
    ],
)
def test_it_asks_exactly_where_the_verb_would_refuse(dataset, params, asks):
    some = dataset.limit(4)
    assert would_delete(some, params) == asks
    fields = fields_of(some, **params)
    assert ("overwrite" in fields) == ("others" in fields) == asks
    if asks:
        words = "Delete the values of first for 8 other samples"
        assert fields["overwrite"]["view"]["label"] == words
        agreed = fields_of(some, overwrite=True, **params)
        assert "overwrite" in agreed
        assert "others" not in agreed
    # Of all samples nothing is lost: they get new values.
    assert "overwrite" not in fields_of(dataset, **params)


def test_it_asks_for_a_run_that_was_trained_again_under_its_key(dataset, name):
    clone = dataset.clone(name)
    some = clone.limit(4)
    assert "overwrite" not in fields_of(some, run="first")
    runs.save_run(clone, runs.load_run(clone, "first"))
    assert would_delete(some, {"run": "first"})
    assert "overwrite" in fields_of(some, run="first")
    clone.delete_sample_fields(["prediction", "prediction_scores", "gradcam"])
    assert "overwrite" not in fields_of(some, run="first")


def test_heatmaps_are_made_by_default_as_the_verb_makes_them():
    own = HeatmapOptions().to_dict()
    assert own.pop("layer") is None
    assert own == HOW


def test_it_asks_by_the_resize_of_earlier_predictions(dataset, name):
    clone = dataset.clone(name)
    clone.clone_sample_field("prediction", "imagenet")
    clone.clone_sample_field("gradcam", "imagenet_cam")
    some, model = clone.limit(4), {"run": PRETRAINED, "backbone": "squeezenet1_1"}
    facts = {"run": "squeezenet1_1/imagenet", "version": "imagenet, crop"}
    describe_field(clone, "imagenet", "", **facts)
    describe_field(clone, "imagenet_cam", "", **facts, heatmap=HOW)
    assert "overwrite" not in fields_of(some, **model)  # "auto" is the resize of those
    assert "overwrite" not in fields_of(some, **model, resize="crop")
    assert "overwrite" in fields_of(some, **model, resize="squash")


def test_the_app_shows_the_heatmaps_that_were_made(dataset):
    operator = foo.get_operator(URI)
    own = {"prediction_field": "prediction", "heatmap_field": "gradcam_new"}
    found = operator.outcome(dataset, {"heatmaps": ("predicted", "label"), **own})
    assert found["fields"] == ["prediction", "gradcam_new"]
    labels, predicted = dataset.values(["ground_truth.label", "prediction.label"])
    wrong = sum(a != b for a, b in zip(labels, predicted, strict=True))
    said = f"{wrong} not as labeled" if wrong else "none differs from its label"
    assert found["summary"].startswith(f"Predicted 12 images, {said}. Turn")
    assert found["mistakes"] == ("prediction" if wrong else None)
    # There is no field for the predicted class: those that are active stay.
    found = operator.outcome(dataset, {"heatmaps": ("label",), **own})
    assert found["fields"] == ["prediction", "gradcam"]


def test_what_the_verb_is_given(dataset):
    def given(**params) -> dict:
        found = foo.get_operator(URI).arguments(context(dataset, **params))
        assert found.pop("samples")._root_dataset is dataset
        return found

    plain = {"prediction_field": "prediction", "heatmap_field": "gradcam"}
    assert given(run="first") == {"run": "first", "heatmaps": ("predicted",), **plain}
    chosen = {"overwrite": True, "method": "hirescam", "signed": True, "layer": "features.0",
              "scale": "run", "resolution": 32, "batch_size": 3, "storage": "database",
              "precision": "float32", "decoder": "torchcodec",
              "interpolation": "nearest", "heatmap_classes": ["digit 1"]}  # fmt: skip
    assert given(
        run="second", predicted=False, label=True, runner_up=True, contrast=True,
        prediction_to="mine", gradcam_to="cam", **chosen,
    ) == {
        "run": "second", "heatmaps": ("label", "runner_up", "contrast"),
        "prediction_field": "mine", "heatmap_field": "cam", **chosen,
    }  # fmt: skip
    assert given(run=PRETRAINED) == {
        "run": "resnet18", "heatmaps": ("predicted",), "prediction_field": "imagenet",
        "heatmap_field": "imagenet_cam", "weights": "imagenet", "resize": "auto",
    }  # fmt: skip
