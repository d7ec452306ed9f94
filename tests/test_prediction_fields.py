"""The fields of predictions and heatmaps, and the samples that lack a value, by hand."""

import os

import fiftyone as fo
import numpy as np
import pytest
from made_runs import make_run, some_digits

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset.prediction_fields import (
    HEATMAP_ATTRIBUTES,
    PREDICTION_ATTRIBUTES,
    VERSUS,
    declared_fields,
    lacking,
)
from fiftyone_gradcam.dataset.predictions import PredictionWriter
from fiftyone_gradcam.dataset.run import Run
from fiftyone_gradcam.dataset.spool import Spool, make_header, spool_folder, spools
from fiftyone_gradcam.dataset.storing import Declared, declare
from fiftyone_gradcam.explain.render import HeatmapOptions

CLASSES = ["a", "b"]
#        index of the label, prediction, fields of heatmaps that have a value
ROWS = [(0, "a", ["cam"]), (1, "a", ["cam", "cam_label"]), (-1, "b", ["cam"]), (0, None, [])]


def test_each_field_says_what_it_holds_and_of_which_run():
    own = {"backbone": "small_cnn"}, [], 0, "own", "/x.pt"
    run = Run("r", "d", CLASSES, *own, trained="2026")
    fields = {
        "predicted": "cam", "contrast": "cam_contrast", "against:contrast": "cam_contrast_against",
        "class:a": "cam_a", "against:class:b": "cam_b_against",
    }  # fmt: skip
    options = HeatmapOptions(signed=True)
    found = declared_fields(run, "p", "p_scores", fields, "own", options, "layer 4")
    facts = {"run": "r", "version": "2026", "classes": CLASSES, "label_field": "own"}
    order = "Class probabilities of run 'r', in the order of its classes"
    assert found.pop("p") == Declared(
        "classification", "Predictions of run 'r'", facts, PREDICTION_ATTRIBUTES
    )
    assert found.pop("p_scores") == Declared("floats", order, facts, {})
    minus = "the predicted class minus that of the sample's own label"
    assert {name: one.words for name, one in found.items()} == {
        "cam": "Grad-CAM of the predicted class, run 'r'",
        "cam_contrast": f"Grad-CAM of {minus}, run 'r'",
        "cam_contrast_against": f"Grad-CAM of what speaks against {minus}, run 'r'",
        "cam_a": "Grad-CAM of the class 'a', run 'r'",
        "cam_b_against": "Grad-CAM of what speaks against the class 'b', run 'r'",
    }
    for kind, name in fields.items():
        more = {"against": "cam_contrast_against"} if kind == "contrast" else {}
        heatmap = {**options.to_dict(), "layer": "layer 4"}
        assert found[name].info == {
            "kind": kind, "prediction_field": "p", **facts, "heatmap": heatmap, **more
        }  # fmt: skip
        versus = VERSUS if "contrast" in kind else {}
        assert (found[name].kind, found[name].attributes) == (
            "heatmap",
            HEATMAP_ATTRIBUTES | versus,
        )


@pytest.mark.parametrize(
    ("fields", "positions"),
    [
        ({}, [3]),
        ({"predicted": "cam"}, [3]),
        ({"predicted": "cam_label"}, [0, 2, 3]),
        ({"label": "cam_label"}, [0, 3]),  # not the one without a label
        ({"contrast": "cam_contrast"}, [1, 3]),  # where the prediction is another class
        ({"against:contrast": "cam_contrast"}, [1, 3]),
        ({"predicted": "cam", "label": "cam_label", "contrast": "cam_contrast"}, [0, 1, 3]),
        ({"class:a": "nowhere"}, [0, 1, 2, 3]),
        ({"label": "nowhere"}, [0, 1, 3]),
    ],
)
def test_the_samples_that_lack_a_value_that_they_should_have(name, fields, positions):
    dataset = fo.Dataset(name)
    dataset.add_samples([fo.Sample(f"/{number}.png") for number in range(len(ROWS))])
    ids, labels = dataset.values("id"), [row[0] for row in ROWS]
    own = (dataset, ids, labels, CLASSES, "p", fields)
    assert lacking(*own) == [0, 1, 2, 3]  # nothing was predicted
    declare(dataset, "p", Declared("classification", "", {}, {}))
    for field in ("cam", "cam_label", "cam_contrast"):
        declare(dataset, field, Declared("heatmap", "", {}, {}))
    for sample, (_, predicted, maps) in zip(dataset, ROWS, strict=True):
        sample["p"] = predicted and fo.Classification(label=predicted)
        for field in maps:
            sample[field] = fo.Heatmap(map_path="/x.png")
        sample.save()
    assert lacking(*own) == positions


@pytest.fixture
def dataset(tmp_path, name):
    yield from some_digits(tmp_path / "digits", name, per_class=2)


def canceled_after(images: int):
    def progress(done: int, total: int, message: str) -> None:
        if done >= images:
            raise fg.CancelledError

    return progress


def test_what_is_canceled_describes_its_part_but_not_the_values_of_another_run(dataset, capsys):
    make_run(dataset, "a")
    make_run(dataset, "b", seed=1)

    def field() -> tuple:
        found = dataset.get_field("prediction")
        return found.info["run"], found.info.get("partial"), found.description

    with pytest.raises(fg.CancelledError, match=r"^Canceled: 2 of 6 images have predictions by"):
        fg.predict(dataset, "a", heatmaps=(), batch_size=2, progress=canceled_after(2))
    part = {"samples": 2, "of": 6}
    assert field() == ("a", part, "Predictions of run 'a' (a part: 2 of 6 samples)")
    fg.predict(dataset, "a", heatmaps=(), resume=True, progress=False)
    assert field() == ("a", None, "Predictions of run 'a'")
    seen = dataset.values("prediction.logits")
    with pytest.raises(fg.CancelledError, match="on disk: the fields keep their values until all"):
        fg.predict(dataset, "b", heatmaps=(), batch_size=2, progress=canceled_after(2))
    assert field() == ("a", None, "Predictions of run 'a'")
    assert np.array_equal(dataset.values("prediction.logits"), seen)
    # It goes on with its own values, whatever else waits.
    score = Declared("float", "", {}, {})
    other = Spool.create(dataset, make_header({"score": score}, ["score"]))
    other.add({sample_id: {"score": 1.0} for sample_id in dataset.values("id")})
    os.replace(other.path, os.path.join(spool_folder(dataset), "0.waiting"))  # the first
    capsys.readouterr()
    fg.predict(dataset, "b", heatmaps=(), resume=True, progress=False)
    assert "2 of 6 images already have values of 'b'\n" in capsys.readouterr().out
    assert field() == ("b", None, "Predictions of run 'b'")
    assert [list(one.fields) for one in spools(dataset)] == [["score"]]
    found = dataset.values("prediction.logits")
    fg.predict(dataset, "b", heatmaps=(), progress=False)
    assert np.allclose(found, dataset.values("prediction.logits"), atol=1e-5)


def test_fields_of_one_name_are_refused(dataset):
    run, ids = make_run(dataset, "a", files=False), dataset.values("id")
    own = ("ground_truth", HeatmapOptions(), ids, np.zeros(6, int))
    for prediction, maps in (
        ("p", {"predicted": "p"}),
        ("p", {"predicted": "p_scores"}),
        ("p", {"predicted": "cam", "label": "cam"}),
    ):
        with pytest.raises(ValueError, match="^Fields must have different names, not p, p_scores"):
            PredictionWriter(dataset, run, prediction, maps, *own)


def test_values_of_others_that_would_be_deleted_are_counted(dataset):
    make_run(dataset, "a", files=False)
    make_run(dataset, "b", seed=1, files=False)
    fg.predict(dataset, "a", heatmaps=(), progress=False)
    words = (
        "^Field 'prediction' holds values of run 'a' for 4 samples that are not among these. "
        "Choose another name, or pass overwrite=True to delete them$"
    )
    with pytest.raises(ValueError, match=words):
        fg.predict(dataset.limit(2), "b", heatmaps=())
    assert dataset.count("prediction") == 6
    fg.predict(dataset.limit(2), "b", heatmaps=(), overwrite=True, progress=False)
    assert dataset.count("prediction") == 2
