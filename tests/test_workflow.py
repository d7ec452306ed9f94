"""The verbs on real FiftyOne datasets."""

import os
from types import SimpleNamespace

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
from fiftyone_gradcam.dataset.training_sets import digest_of, training_data
from fiftyone_gradcam.dataset.views import accuracy
from fiftyone_gradcam.explain.measures import measure
from fiftyone_gradcam.images.batches import Images
from fiftyone_gradcam.model.backbones import get_backbone
from fiftyone_gradcam.training.recipe import Recipe
from fiftyone_gradcam.workflow import training


def test_a_run_is_recorded_and_comes_back(trained):
    run = fg.load_run(trained, "quick")
    assert run.classes == ["digit 0", "digit 1", "digit 2"]
    assert [row["epoch"] for row in run.history] == [1, 2, 3, 4, 5, 6]
    assert run.val_accuracy >= 0.9
    assert run.recipe["backbone"] == "small_cnn"
    assert run.recipe["seed"] == 0
    assert fg.list_runs(trained) == ["quick"]
    assert trained.load_run_results("quick").history == run.history
    model = run.load_model()
    assert isinstance(model, torch.nn.Module)
    assert not model.training
    assert str(REPOSITORY) not in run.checkpoint


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
    with pytest.raises(ValueError, match="no name for a field"):
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
    assert "1 sample is of a class that 'quick' does not know" in capsys.readouterr().out
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
    with pytest.raises(ValueError, match="no classification field"):
        fg.predict(bare, fg.load_run(trained, "quick"), label_field="truth")


def test_bad_arguments_of_fine_tune(trained, tmp_path, name):
    before = (trained.list_runs(), os.listdir(os.path.join(dataset_folder(trained), "runs")))
    cases = [
        ({"key": "quick"}, ValueError, "'quick' exists already.*overwrite=True"),
        ({"key": "no key"}, ValueError, "'no key' is no run key"),
        ({"backbone": "resnet19"}, ValueError, "Unknown backbone 'resnet19'"),
        ({"weights": "/gone.pth"}, FileNotFoundError, "No weights file at '/gone.pth'"),
        ({"weights": "imagenet"}, ValueError, "no ImageNet weights"),
        ({"epoch": 3}, ValueError, "no option 'epoch'"),
        ({"label_field": "labels"}, ValueError, "'labels' is no classification field"),
    ]
    for options, error, message in cases:
        with pytest.raises(error, match=message):
            fg.fine_tune(trained, **{"key": "new", **QUICK, **options})
    one = trained.match(F("ground_truth.label") == "digit 0")
    with pytest.raises(ValueError, match="at least two classes.*'digit 0'"):
        fg.fine_tune(one, "new", **QUICK)
    fresh = fg.import_folders(str(save_digits(tmp_path / "d", per_class=3)), name)
    with pytest.raises(ValueError, match=r"tagged 'train'. Call split\(\) first"):
        fg.fine_tune(fresh, "new", **QUICK)
    after = (trained.list_runs(), os.listdir(os.path.join(dataset_folder(trained), "runs")))
    assert after == before


def test_a_view_is_trained_on_as_it_is_and_singles_are_told(tmp_path, name, capsys):
    dataset = fg.import_folders(str(save_digits(tmp_path / "d", per_class=8)), name)
    twos = dataset.match(F("ground_truth.label") == "digit 2").values("id")
    run = fg.fine_tune(dataset.exclude(twos[1:]), "view", **{**QUICK, "epochs": 1})
    assert run.classes == ["digit 0", "digit 1", "digit 2"]
    printed = capsys.readouterr().out
    assert "on 17 images" not in printed  # progress is off in tests
    assert "'digit 0' (8), 'digit 1' (8), 'digit 2' (1)" in printed
    assert "No sample is tagged 'val'" in printed
    assert run.val_accuracy is None
    replaced = fg.fine_tune(dataset.exclude(twos), "view", overwrite=True, **{**QUICK, "epochs": 1})
    assert fg.load_run(dataset, "view").classes == replaced.classes == ["digit 0", "digit 1"]


def test_a_view_without_validation_images_is_judged_by_those_of_its_dataset(trained):
    recipe = Recipe(backbone="small_cnn", weights="none", image_size=16)
    train, val = (trained.match_tags(tag) for tag in ("train", "val"))
    _, _, judged = training_data(train, "ground_truth", recipe)
    assert judged.images.paths == val.values("filepath")
    part = val.limit(5)
    own = trained.select([*train.values("id"), *part.values("id")])
    _, _, judged = training_data(own, "ground_truth", recipe)
    assert judged.images.paths == part.values("filepath")
    for tags in ("val", "test", ["val", "test"]):  # and none of them is ever trained on
        with pytest.raises(ValueError, match="all of these samples are tagged 'val' or 'test'"):
            training_data(trained.match_tags(tags), "ground_truth", recipe)


def test_a_training_knows_its_images_and_labels_again():
    def data(labels: list[int], *paths: str) -> SimpleNamespace:
        return SimpleNamespace(images=SimpleNamespace(paths=paths), labels=np.array(labels))

    own = digest_of(data([0, 1], "a", "b"), None)
    assert digest_of(data([0, 1], "a", "b")) == own
    for other in (data([0, 0], "a", "b"), data([0, 1], "a", "c"), data([1, 0], "a", "b")):
        assert digest_of(other) != own


def test_a_run_is_recorded_whole_or_not_at_all(trained, monkeypatch, capsys):
    def fail(*args, **kwargs):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(fo.Dataset, "register_run", fail)
        with pytest.raises(OSError, match="disk full"):
            fg.fine_tune(trained, "broken", **{**QUICK, "epochs": 2})
    assert trained.list_runs() == ["quick"]
    assert "'broken', resume=True) resumes it" in capsys.readouterr().out
    with pytest.raises(ValueError, match="'broken' of .* was interrupted. Pass resume=True"):
        fg.fine_tune(trained, "broken", **{**QUICK, "epochs": 2})
    with pytest.raises(ValueError, match="'broken' of .* was interrupted, and is no run yet"):
        fg.load_run(trained, "broken")
    with pytest.raises(ValueError, match="began with backbone='small_cnn', and cannot resume"):
        fg.fine_tune(trained, "broken", "default", resume=True)
    with pytest.raises(ValueError, match="nothing to train on: all of these samples are tagged"):
        fg.fine_tune(trained.match_tags("val"), "view", **QUICK)
    capsys.readouterr()
    run = fg.fine_tune(trained, "broken", resume=True, progress=False)
    assert "epoch 2:" not in capsys.readouterr().out
    assert [row["epoch"] for row in run.history] == [1, 2]
    fg.delete_run(trained, "broken")
    assert os.listdir(os.path.join(dataset_folder(trained), "runs")) == ["quick"]


def test_what_is_begun_anew_does_not_go_on_with_the_old(trained, monkeypatch):
    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(fo.Dataset, "register_run", stop)
        with pytest.raises(KeyboardInterrupt):
            fg.fine_tune(trained, "begun", **{**QUICK, "epochs": 1})
    with monkeypatch.context() as patch:
        patch.setattr(training, "train", stop)  # before the first epoch has ended
        with pytest.raises(KeyboardInterrupt):
            fg.fine_tune(trained, "begun", overwrite=True, **{**QUICK, "epochs": 1, "seed": 5})
    with pytest.raises(ValueError, match="no training 'begun' to resume"):
        fg.fine_tune(trained, "begun", resume=True)
    with pytest.raises(ValueError, match="no training run 'begun'"):  # nothing is left of it
        fg.delete_run(trained, "begun")


def test_tags_of_split_folders_are_told(tmp_path, name, capsys):
    for part, count in (("train", 3), ("valid", 2)):
        save_digits(tmp_path / part, per_class=count)
    fg.import_folders(str(tmp_path), name)
    assert "Tagged by their folders: train 9, val 6\n" in capsys.readouterr().out
