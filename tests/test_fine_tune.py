"""What is trained on, recorded and refused by `fine_tune`, on real FiftyOne datasets."""

import os
from types import SimpleNamespace

import fiftyone as fo
import numpy as np
import pytest
import torch
from conftest import QUICK, REPOSITORY, save_digits
from fiftyone import ViewField as F

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset.files import dataset_folder
from fiftyone_gradcam.dataset.training_sets import digest_of, training_data
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


def test_bad_arguments_of_fine_tune(trained, tmp_path, name):
    before = (trained.list_runs(), os.listdir(os.path.join(dataset_folder(trained), "runs")))
    cases = [
        ({"key": "quick"}, ValueError, "'quick' exists already.*overwrite=True"),
        ({"key": "no key"}, ValueError, "'no key' is not a valid run key"),
        ({"backbone": "resnet19"}, ValueError, "Unknown backbone 'resnet19'"),
        ({"weights": "/gone.pth"}, FileNotFoundError, "No weights file at '/gone.pth'"),
        ({"weights": "imagenet"}, ValueError, "no ImageNet weights"),
        ({"epoch": 3}, ValueError, "no option 'epoch'"),
        ({"label_field": "labels"}, ValueError, "'labels' is not a classification field"),
    ]
    for options, error, message in cases:
        with pytest.raises(error, match=message):
            fg.fine_tune(trained, **{"key": "new", **QUICK, **options})
    one = trained.match(F("ground_truth.label") == "digit 0")
    with pytest.raises(ValueError, match="at least two classes.*'digit 0'"):
        fg.fine_tune(one, "new", **QUICK)
    fresh = fg.import_folders(str(save_digits(tmp_path / "d", per_class=3)), name)
    fresh.limit(2).tag_samples("val")  # a split, by which nothing is to be trained on
    with pytest.raises(ValueError, match=r"tagged 'train'. Call split\(\) first"):
        fg.fine_tune(fresh, "new", **QUICK)
    after = (trained.list_runs(), os.listdir(os.path.join(dataset_folder(trained), "runs")))
    assert after == before


def test_a_view_is_trained_on_as_it_is_and_singles_are_reported(tmp_path, name, capsys):
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
    with pytest.raises(ValueError, match="'broken' of .* was interrupted, and is not a run yet"):
        fg.load_run(trained, "broken")
    with pytest.raises(ValueError, match="started with backbone='small_cnn', and cannot resume"):
        fg.fine_tune(trained, "broken", "default", resume=True)
    with pytest.raises(ValueError, match="nothing to train on: all of these samples are tagged"):
        fg.fine_tune(trained.match_tags("val"), "view", **QUICK)
    clone = trained.clone()
    clone.untag_samples("train")  # which are then samples of no split: only a view means them
    with pytest.raises(ValueError, match="No sample of .* is tagged 'train'. Call split.. first"):
        fg.fine_tune(clone, "whole", **{**QUICK, "epochs": 1})
    clone.delete()
    capsys.readouterr()
    run = fg.fine_tune(trained, "broken", resume=True, progress=False)
    assert "epoch 2:" not in capsys.readouterr().out
    assert [row["epoch"] for row in run.history] == [1, 2]
    fg.delete_run(trained, "broken")
    assert os.listdir(os.path.join(dataset_folder(trained), "runs")) == ["quick"]


def test_a_training_that_starts_over_takes_nothing_of_the_old(trained, monkeypatch):
    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(fo.Dataset, "register_run", stop)
        with pytest.raises(KeyboardInterrupt):
            fg.fine_tune(trained, "started", **{**QUICK, "epochs": 1})
    with monkeypatch.context() as patch:
        patch.setattr(training, "train", stop)  # before the first epoch has ended
        with pytest.raises(KeyboardInterrupt):
            fg.fine_tune(trained, "started", overwrite=True, **{**QUICK, "epochs": 1, "seed": 5})
    with pytest.raises(ValueError, match="no training 'started' to resume"):
        fg.fine_tune(trained, "started", resume=True)
    with pytest.raises(ValueError, match="no training run 'started'"):  # nothing is left of it
        fg.delete_run(trained, "started")
    # Until a replacement is complete, the earlier run stays, and can be resumed.
    fg.fine_tune(trained, "started", **{**QUICK, "epochs": 1})
    with monkeypatch.context() as patch:
        patch.setattr(training, "train", stop)
        with pytest.raises(KeyboardInterrupt):
            fg.fine_tune(trained, "started", overwrite=True, **{**QUICK, "epochs": 1, "seed": 5})
    run = fg.fine_tune(trained, "started", resume=True, epochs=2)
    assert [row["epoch"] for row in run.history] == [1, 2]
    assert run.recipe["seed"] == 0
    fg.delete_run(trained, "started")


def test_tags_of_split_folders_are_reported(tmp_path, name, capsys):
    for part, count in (("train", 3), ("valid", 2)):
        save_digits(tmp_path / part, per_class=count)
    fg.import_folders(str(tmp_path), name)
    assert "Split tags from the folders: train 9, val 6\n" in capsys.readouterr().out
