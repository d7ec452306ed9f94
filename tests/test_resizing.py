"""resize="auto": chosen by leave-one-out accuracy, said, and recorded."""

from __future__ import annotations

import dataclasses

import fiftyone as fo
import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset import resizing as of_dataset
from fiftyone_gradcam.dataset.training_sets import training_data
from fiftyone_gradcam.model.backbones import get_backbone
from fiftyone_gradcam.model.network import Network
from fiftyone_gradcam.review.linear import RIDGES, leave_one_out
from fiftyone_gradcam.training import resizing
from fiftyone_gradcam.training.recipe import Recipe
from fiftyone_gradcam.training.resizing import compare_resizes, images_to_compare, settle_resize
from fiftyone_gradcam.workflow.training import _settled


def test_leave_one_out_equals_fits_without_each_image():
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 8)
    features = random.normal(size=(24, 5)) + labels[:, None] * 0.7
    found = leave_one_out(features, labels)
    values = (features - features.mean(0)) / features.std(0)
    wanted = np.eye(3)[labels]
    errors, corrects = [], []
    for ridge in RIDGES * np.linalg.eigvalsh(values @ values.T).clip(0).mean():
        outside = np.zeros((24, 3))
        for i in range(24):
            # The intercept is not shrunk: a column of ones, without a penalty.
            rest = np.arange(24) != i
            x = np.column_stack([values[rest], np.ones(23)])
            penalty = ridge * np.diag([1.0] * 5 + [0])
            weights = np.linalg.solve(x.T @ x + penalty, x.T @ wanted[rest])
            outside[i] = np.append(values[i], 1) @ weights
        errors.append(((outside - wanted) ** 2).sum(1).mean())
        corrects.append(outside.argmax(1) == labels)
    best = int(np.argmin(errors))
    assert found.error == pytest.approx(errors[best], rel=1e-9)
    assert (found.correct == corrects[best]).all()
    assert found.accuracy == corrects[best].mean()


def test_which_images_are_compared():
    labels = np.repeat([0, 1, 2, -1], [500, 30, 3, 100])
    chosen = images_to_compare(labels, 0)
    assert np.bincount(labels[chosen]).tolist() == [270, 30]  # no class of three
    assert (images_to_compare(labels, 0) == chosen).all()
    assert (images_to_compare(labels, 1) != chosen).any()
    many = images_to_compare(np.repeat(np.arange(200), 5), 0)
    assert len(many) == 300
    assert len(np.unique(np.repeat(np.arange(200), 5)[many])) == 75
    assert not len(images_to_compare(np.zeros(100, np.int64), 0))


def draw(folder, place, count=48, size=(120, 60)):
    """Oblong pictures of two classes, told by the color of a patch; where it lies is up to the
    caller. A patch of the other color is in every picture too, where "crop" sees it alone, or
    nobody."""
    folder.mkdir()
    random, paths = np.random.default_rng(3), []
    for number in range(count):
        image = Image.fromarray(random.integers(90, 160, (*size[::-1], 3), dtype=np.uint8))
        left, top = place(random)
        color = (255, 40, 40) if number % 2 else (40, 40, 255)
        ImageDraw.Draw(image).rectangle((left, top, left + 14, top + 14), color)
        paths.append(str(folder / f"{number:02d}.png"))
        image.save(paths[-1])
    return paths, np.arange(count) % 2


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Of a squeezenet, with random weights that no two images are the same to."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        state = get_backbone("squeezenet1_1").build(2).state_dict()
    path = str(tmp_path_factory.mktemp("weights") / "squeezenet.pt")
    torch.save(state, path)
    return path


@pytest.fixture
def recipe(weights) -> Recipe:
    return Recipe(backbone="squeezenet1_1", weights=weights, image_size=32)


def at_the_edge(random):
    return int(random.choice([1, 104])), int(random.integers(0, 45))


def test_what_lies_outside_of_the_square_is_shown(tmp_path, recipe, capsys):
    """Nothing of the patches is in the central square: only the others can tell the classes."""
    paths, labels = draw(tmp_path / "edge", at_the_edge)
    found = settle_resize(recipe, paths, labels, "cpu")
    assert found.resize in ("squash", "letterbox")
    assert dataclasses.replace(found, resize="auto") == recipe
    reported = capsys.readouterr().out
    assert f"resize={found.resize!r} is chosen by the leave-one-out accuracy" in reported
    assert "features of 48 images: squash 1.000, crop 0." in reported


def test_what_a_process_knows_is_not_compared_again(tmp_path, recipe, monkeypatch, capsys):
    paths, labels = draw(tmp_path / "edge", at_the_edge)
    calls = []
    original = resizing.compare_resizes
    monkeypatch.setattr(
        resizing, "compare_resizes", lambda *a, **k: calls.append(1) or original(*a, **k)
    )
    first = settle_resize(recipe, paths, labels, "cpu")
    assert settle_resize(recipe, paths, labels, "cpu") == first
    assert len(calls) == 1
    settle_resize(recipe, paths, 1 - labels, "cpu")
    assert len(calls) == 2


def test_square_images_have_no_letterbox(tmp_path, recipe):
    paths, labels = draw(tmp_path / "square", lambda r: (40, 20), size=(60, 60))
    found = compare_resizes(paths, labels, network_of(recipe))
    assert set(found.found) == {"squash", "crop"}
    paths[3] = str(tmp_path / "gone.png")
    assert compare_resizes(paths, labels, network_of(recipe)).images == 47


def network_of(recipe: Recipe) -> Network:
    from fiftyone_gradcam.training.frozen import frozen_network

    return frozen_network(dataclasses.replace(recipe, resize="crop"), "cpu")


def test_few_images_say_nothing(tmp_path, recipe, capsys):
    paths, labels = draw(tmp_path / "few", at_the_edge, count=38)
    assert settle_resize(recipe, paths, labels, "cpu").resize == "crop"
    assert "resize='crop': there are too few labeled images" in capsys.readouterr().out
    assert settle_resize(recipe, paths, labels, "cpu", otherwise="squash").resize == "squash"


def test_recipes_leave_it_to_the_images_or_not():
    assert Recipe(backbone="resnet18").resize == "auto"
    assert Recipe(backbone="resnet18", resize="crop").resize == "crop"
    assert Recipe(backbone="resnet18", weights="none").resize == "squash"
    assert Recipe(backbone="resnet18", weights="none", resize="auto").resize == "squash"
    assert Recipe(backbone="small_cnn", weights="/x.pt").resize == "squash"
    with pytest.raises(ValueError, match="one of squash, crop, letterbox, auto, not 'fit'"):
        Recipe(resize="fit")


@pytest.fixture
def dataset(tmp_path):
    paths, labels = draw(tmp_path / "edge", at_the_edge)
    dataset = fo.Dataset()
    dataset.add_samples(
        fo.Sample(
            path,
            ground_truth=fo.Classification(label=f"class {label}"),
            tags=["train" if number < 44 else "val"],
        )
        for number, (path, label) in enumerate(zip(paths, labels, strict=True))
    )
    yield dataset
    dataset.delete()


def test_runs_and_resumed_trainings_hold_what_was_chosen(dataset, recipe, capsys):
    chosen = settle_resize(
        recipe,
        *(dataset.match_tags("train").values("filepath"), np.arange(44) % 2, "cpu"),
    ).resize
    options = {"device": "cpu", "progress": False, "freeze": "backbone", "epochs": 1}
    first = fg.fine_tune(dataset, "auto", recipe, **options)
    assert first.recipe["resize"] == chosen != "crop"
    resumed = fg.fine_tune(
        dataset, "auto", resume=True, **{**options, "epochs": 2}, backbone="squeezenet1_1"
    )
    assert resumed.recipe["resize"] == chosen
    named = fg.fine_tune(dataset, "named", recipe, resize="crop", **options)
    assert named.recipe["resize"] == "crop"
    data = training_data(dataset, "ground_truth", recipe.with_resize("crop"))
    settled, _, *sets = _settled(recipe, *data, "cpu", False)
    assert [settled.resize, *(one.images.resize for one in sets)] == [chosen] * 3


def test_pretrained_prediction_and_label_issues_take_the_same(dataset, weights, monkeypatch):
    """And what a field was predicted with stays, whatever other images would say."""
    from fiftyone_gradcam.dataset import classifiers

    module = Network.of_backbone(
        get_backbone("squeezenet1_1"),
        get_backbone("squeezenet1_1").build(1000),
        [str(i) for i in range(1000)],
        *(224, "squash", "cpu"),
    ).module
    path = weights.replace("squeezenet.pt", "whole.pt")
    torch.save(module.state_dict(), path)
    options = {"heatmaps": (), "weights": path, "device": "cpu", "progress": False}
    fg.predict(dataset.limit(4), "squeezenet1_1", "few", **options)
    version = dataset.get_field("few").info["version"]
    assert version == f"{path}, squash"  # too few to compare
    fg.predict(dataset.limit(4), "squeezenet1_1", "named", resize="crop", **options)
    run = classifiers.find_classifier(dataset, "squeezenet1_1", path)
    assert classifiers.way_before(dataset, run, "named") == "crop"
    again = classifiers.shown_best(dataset, run, "named", None, "cpu", False)
    assert again.version == f"{path}, crop"


def test_the_images_to_train_on_choose_how_all_are_resized(dataset, recipe, monkeypatch):
    found = []

    def settle(recipe, paths, labels, *rest):
        found.append((paths, labels.tolist(), rest[-1]))
        return recipe.with_resize("squash")

    monkeypatch.setattr(of_dataset, "settle_resize", settle)

    def settled(samples, **options) -> str:
        return of_dataset.settled_for(
            samples, recipe, "ground_truth", "cpu", False, **options
        ).resize

    assert settled(dataset) == "squash"
    train = dataset.match_tags("train")
    names = [int(x[-1]) for x in train.values("ground_truth.label")]
    assert found.pop() == (train.values("filepath"), names, "crop")
    val = dataset.match_tags("val")  # none of these are to train on
    assert settled(val, otherwise="letterbox") == "squash"
    assert found.pop()[::2] == (val.values("filepath"), "letterbox")
    for chosen, field in ((recipe.with_resize("crop"), "ground_truth"), (recipe, "gone")):
        own = of_dataset.settled_for(dataset, chosen, field, "cpu", False, "letterbox")
        assert own.resize == "letterbox" if field == "gone" else "crop"
    assert found == []
