"""The verbs on real FiftyOne datasets."""

import os

import fiftyone as fo
import numpy as np
import pytest
import torch
from conftest import QUICK, REPOSITORY, save_digits
from fiftyone import ViewField as F
from forking import run_python
from PIL import Image

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset.files import dataset_folder
from fiftyone_gradcam.dataset.views import accuracy
from fiftyone_gradcam.explain.measures import measure
from fiftyone_gradcam.images.batches import Images
from fiftyone_gradcam.model.backbones import get_backbone


def test_stored_predictions_are_those_of_the_model(trained):
    run = fg.load_run(trained, "quick")
    model = run.load_model()
    view = trained.take(20, seed=1)
    (batch,) = Images(view.values("filepath"), 16).batches(20)
    with torch.no_grad():
        logits = model(get_backbone("small_cnn").normalize(batch.images)).double()
    probabilities = logits.softmax(1).numpy()
    for sample, row, expected in zip(view, probabilities, logits.numpy(), strict=True):
        prediction = sample.prediction
        assert prediction.label == run.classes[row.argmax()]
        assert prediction.confidence == pytest.approx(row.max(), abs=1e-5)
        assert prediction.logits == pytest.approx(expected, abs=1e-4)
        own = run.classes.index(sample.ground_truth.label)
        assert prediction.label_score == pytest.approx(row[own], abs=1e-5)
        top = np.sort(row)
        assert prediction.margin == pytest.approx(top[-1] - top[-2], abs=1e-5)
        assert prediction.entropy == pytest.approx(-(row * np.log(row)).sum(), abs=1e-4)
        assert sample.prediction_scores == pytest.approx(row, abs=1e-5)


def test_heatmap_files_show_the_stored_class_in_the_frame_of_the_image(trained):
    from test_cam import whole_network_map

    run = fg.load_run(trained, "quick")
    model = run.load_model()
    for sample in trained.take(5, seed=2):
        for field, target in (
            (sample.gradcam, sample.prediction.label),
            (sample.gradcam_label, sample.ground_truth.label),
        ):
            assert (field.target, field.method) == (target, "gradcam")
            (batch,) = Images([sample.filepath], 16).batches(1)
            index = torch.tensor([run.classes.index(target)])
            x = get_backbone("small_cnn").normalize(batch.images)
            _, cam = whole_network_map(model, "small_cnn", x, index)
            assert field.peak == pytest.approx(float(cam.max()), rel=1e-4)
            expected = measure(cam[0].numpy().astype(np.float32))
            assert (field.focus, field.border) == pytest.approx(
                (expected.focus, expected.border), abs=1e-3
            )
            assert field.centroid == pytest.approx(expected.centroid, abs=1e-3)
            assert field.layer == "features.stage3"
            pixels = np.asarray(Image.open(field.map_path))
            assert pixels.dtype == np.uint8
            assert pixels.shape == (16, 16)
            large = torch.nn.functional.interpolate(
                cam[None], (16, 16), mode="bicubic", align_corners=False
            )[0, 0].clamp(0, float(cam.max()))
            assert pixels / 255 == pytest.approx((large / cam.max()).numpy(), abs=0.08)
            assert not field.map_path.startswith(str(REPOSITORY))


def test_attributes_are_declared_and_fields_tell_the_class_order(trained):
    schema = trained.get_field_schema(flat=True)
    for path in ("prediction.label_score", "prediction.margin", "prediction.entropy"):
        assert isinstance(schema[path], fo.FloatField)
    for attribute in ("target", "method", "layer", "peak", "focus", "centroid", "border"):
        assert f"gradcam.{attribute}" in schema
    info = trained.get_field("prediction_scores").info
    assert info["classes"] == ["digit 0", "digit 1", "digit 2"]
    assert info["run"] == "quick"
    active = trained.app_config.active_fields.paths
    assert {"ground_truth", "prediction", "gradcam"} <= set(active)
    assert "gradcam_label" not in active


def test_views(trained):
    scores = trained.values("prediction.label_score")
    low = fg.lowest_scores(trained)
    assert low.values("prediction.label_score") == sorted(scores)
    assert (
        fg.highest_scores(trained, count=7).values("prediction.label_score")
        == sorted(scores, reverse=True)[:7]
    )
    ones = fg.lowest_scores(trained, "digit 1", count=5)
    assert set(ones.values("ground_truth.label")) == {"digit 1"}
    plain = trained.match(F("ground_truth.label") == "digit 1").sort_by("prediction.label_score")
    assert ones.values("id") == plain.values("id")[:5]
    rows = zip(
        *trained.values(["id", "ground_truth.label", "prediction.label", "prediction.confidence"]),
        strict=True,
    )
    wrong = sorted(((c, i) for i, y, p, c in rows if y != p), reverse=True)
    assert fg.mistakes(trained).values("id") == [i for _, i in wrong]
    with pytest.raises(ValueError, match=r"No sample has the label 'cat'.*digit 0"):
        fg.lowest_scores(trained, "cat")
    with pytest.raises(ValueError, match="count .*0"):
        fg.lowest_scores(trained, count=0)
    with pytest.raises(ValueError, match=r"no field 'other'.*predict\(\) first"):
        fg.mistakes(trained, prediction_field="other")


def test_the_query_of_a_new_python_session(trained):
    code = (
        "import fiftyone as fo\n"
        "from fiftyone import ViewField as F\n"
        f"dataset = fo.load_dataset({trained.name!r})\n"
        "view = dataset.match(F('ground_truth.label') == 'digit 2')"
        ".sort_by('prediction.label_score')\n"
        "print(view.values('prediction.label_score'))\n"
    )
    found = eval(run_python(code).splitlines()[-1])
    assert found == sorted(found)
    assert found == fg.lowest_scores(trained, "digit 2").values("prediction.label_score")


def test_a_second_prediction_replaces_the_first_and_its_files(trained):
    folder = os.path.join(dataset_folder(trained), "heatmaps", "gradcam")
    before = set(os.listdir(folder))
    part = trained.limit(10)
    fg.predict(part, "quick")
    after = set(os.listdir(folder))
    assert len(before) == len(after) == len(trained)
    assert len(before - after) == 10
    assert all(os.path.exists(path) for path in trained.values("gradcam.map_path"))


def test_a_prediction_cut_short_keeps_what_was_stored_and_no_loose_files(
    tmp_path, name, monkeypatch
):
    from fiftyone_gradcam.dataset import predictions

    monkeypatch.setattr(predictions, "FLUSH_SAMPLES", 10)
    dataset = fg.import_folders(str(save_digits(tmp_path / "d", per_class=12)), name)
    run = fg.fine_tune(dataset.view(), "r", **{**QUICK, "epochs": 1})

    def interrupt(done, total, message):
        if done >= 25:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fg.predict(dataset, run, batch_size=5, progress=interrupt)
    stored = dataset.exists("gradcam").values("gradcam.map_path")
    assert 10 <= len(stored) < 25
    folder = os.path.join(dataset_folder(dataset), "heatmaps", "gradcam")
    assert {os.path.join(folder, file) for file in os.listdir(folder)} == set(stored)
    assert len(fg.predict(dataset, run)) == 36


def test_fields_of_others_are_not_overwritten_unasked(trained):
    trained.add_sample_field(
        "theirs", fo.EmbeddedDocumentField, embedded_doc_type=fo.Classification
    )
    trained.add_sample_field("number", fo.IntField)
    first = trained.first()
    first["theirs"] = fo.Classification(label="precious")
    first.save()
    with pytest.raises(ValueError, match=r"'theirs'.*not written by this plugin.*overwrite=True"):
        fg.predict(trained, "quick", prediction_field="theirs")
    with pytest.raises(ValueError, match="'number'.*another type"):
        fg.predict(trained, "quick", prediction_field="number", overwrite=True)
    with pytest.raises(ValueError, match="not a valid field name"):
        fg.predict(trained, "quick", heatmap_field="a.b")
    with pytest.raises(ValueError, match="different names"):
        fg.predict(trained, "quick", prediction_field="p", heatmap_field="p")
    assert trained.get_field("theirs_scores") is None
    fg.predict(trained.limit(2), "quick", prediction_field="theirs", overwrite=True)
    assert trained.first().theirs.label.startswith("digit")


def test_bad_arguments_of_predict(trained):
    with pytest.raises(ValueError, match="no training run 'gone'. Its runs: quick"):
        fg.predict(trained, "gone")
    for both in (("both",), "both"):
        with pytest.raises(
            ValueError,
            match="heatmaps may be any of predicted, label, runner_up, contrast, not 'both'",
        ):
            fg.predict(trained, "quick", heatmaps=both)
    with pytest.raises(ValueError, match="not 'lable'. Did you mean 'label'\\?$"):
        fg.predict(trained, "quick", heatmaps="lable")
    for option in ({"weights": "imagenet"}, {"resize": "crop"}):
        for run in ("quick", fg.load_run(trained, "quick")):
            with pytest.raises(ValueError, match="are for a pretrained backbone; run 'quick' is"):
                fg.predict(trained, run, **option)
    with pytest.raises(ValueError, match="batch_size .*0"):
        fg.predict(trained, "quick", batch_size=0)
    with pytest.raises(TypeError, match="Expected a FiftyOne dataset or view, not str"):
        fg.predict("name", "quick")


def test_corrupt_images_are_named_and_lose_their_old_prediction(tmp_path, name, capsys):
    root = save_digits(tmp_path / "d", per_class=12)
    dataset = fg.import_folders(str(root), name)
    fg.split(dataset)
    run = fg.fine_tune(dataset, "r", **{**QUICK, "epochs": 1})
    fg.predict(dataset, run)
    victim = dataset.first()
    (root / "digit 0" / os.path.basename(victim.filepath)).write_bytes(b"broken")
    heatmap = victim.gradcam.map_path
    assert os.path.exists(heatmap)
    view = fg.predict(dataset, run)
    assert len(view) == 35
    printed = capsys.readouterr().out
    assert "Left out 1 image:" in printed
    assert os.path.basename(victim.filepath) in printed
    victim.reload()
    assert victim.prediction is None
    assert victim.prediction_scores is None
    assert victim.gradcam is None
    assert not os.path.exists(heatmap)
    assert dataset.count("gradcam") == len(os.listdir(os.path.dirname(heatmap))) == 35
    with pytest.raises(ValueError, match="None of 1 files can be read.*not an image"):
        fg.predict(dataset.select(victim.id), run, prediction_field="other", heatmaps=())
    assert dataset.get_field("other") is None
    # A call that finds nothing else left to do says so, and does not fail.
    before = dataset.values("prediction_scores")
    assert len(fg.predict(dataset, run, resume=True)) == 35
    printed = capsys.readouterr().out
    assert "35 of 36 images already have values of" in printed
    assert os.path.basename(victim.filepath) in printed
    assert dataset.values("prediction_scores") == before
    found = fg.evaluate(dataset.view(), run)
    assert found.count == 35
    assert any("1 sample without a label, or that cannot be decoded" in x for x in found.notes)


def test_own_labels_unknown_to_the_run(tmp_path, trained, name, capsys):
    other = fg.import_folders(str(save_digits(tmp_path / "d", per_class=4)), name)
    run = fg.load_run(trained, "quick")
    sample = other.first()
    sample.ground_truth.label = "cat"
    sample.save()
    last = other.last()
    last.ground_truth = None
    last.save()
    fg.predict(other, run, heatmaps=("label",))
    assert "1 sample has a class that 'quick' does not know" in capsys.readouterr().out
    sample.reload()
    last.reload()
    for unknown in (sample, last):
        assert unknown.prediction.label.startswith("digit")
        assert unknown.prediction.label_score is None
        assert unknown.gradcam_label is None
    assert other.get_field("gradcam") is None
    assert len(fg.lowest_scores(other)) == 10
    other.set_values("ground_truth", [fo.Classification(label="cat")] * len(other))
    with pytest.raises(ValueError, match=r"trained on other classes \(digit 0.*holds \(cat\)"):
        fg.predict(other, run, prediction_field="p2")
    assert other.get_field("p2") is None


def test_unlabelled_images_can_be_predicted(tmp_path, trained, name):
    paths = trained.limit(3).values("filepath")
    bare = fo.Dataset(name)
    bare.add_samples([fo.Sample(path) for path in paths])
    assert len(fg.predict(bare, fg.load_run(trained, "quick"))) == 3
    assert bare.values("prediction.label_score") == [None] * 3
    assert len(fg.lowest_scores(bare)) == len(fg.highest_scores(bare)) == 0
    bare.add_sample_field(
        "ground_truth", fo.EmbeddedDocumentField, embedded_doc_type=fo.Classification
    )
    assert len(fg.mistakes(bare)) == 0  # what has no label is no mistake
    assert accuracy(bare) is None
    sample = bare.first()
    sample["ground_truth"] = fo.Classification(label=sample.prediction.label)
    sample.save()
    assert accuracy(bare) == 1.0
    with pytest.raises(ValueError, match="not a classification field"):
        fg.predict(bare, fg.load_run(trained, "quick"), label_field="truth")
