"""resize="auto": chosen by leave-one-out accuracy, said, and recorded."""

from __future__ import annotations

import dataclasses
import os
import shutil

import fiftyone as fo
import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset import resizing as of_dataset
from fiftyone_gradcam.dataset.files import FEATURES, dataset_folder
from fiftyone_gradcam.dataset.resizing import settled_for
from fiftyone_gradcam.dataset.training_sets import training_data
from fiftyone_gradcam.images.decode import DEFAULT
from fiftyone_gradcam.model.backbones import get_backbone
from fiftyone_gradcam.model.network import Network
from fiftyone_gradcam.progress import CancelledError
from fiftyone_gradcam.review.linear import RIDGES, leave_one_out
from fiftyone_gradcam.training import resize_features
from fiftyone_gradcam.training.recipe import Recipe
from fiftyone_gradcam.training.resize_features import features_by_way
from fiftyone_gradcam.training.resizing import (
    compare_resizes,
    images_compared,
    images_to_compare,
    settle_resize,
)
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
    paths = [f"/photos/{number}.png" for number in range(633)]
    chosen = images_to_compare(labels, paths, 0)
    assert np.bincount(labels[chosen]).tolist() == [270, 30]  # no class of three
    assert images_compared(labels) == 300
    assert (images_to_compare(labels, paths, 0) == chosen).all()
    assert (images_to_compare(labels, paths, 1) != chosen).any()
    many = np.repeat(np.arange(200), 5)
    found = images_to_compare(many, [f"/{number}.png" for number in range(1000)], 0)
    assert len(found) == images_compared(many) == 300
    assert len(np.unique(many[found])) == 75
    one = np.zeros(100, np.int64)
    assert len(images_to_compare(one, paths[:100], 0)) == images_compared(one) == 0


def test_the_images_stay_the_same_when_others_are_added_left_out_or_labeled_differently():
    """Or nothing that was computed for them could be used again."""
    labels, paths = np.repeat([0, 1], 300), [f"/a/photos/{number}.png" for number in range(600)]
    before = {paths[i] for i in images_to_compare(labels, paths, 0)}
    moved = [path.replace("/a/", "/b/c/") for path in paths]
    assert {paths[i] for i in images_to_compare(labels, moved, 0)} == before
    gone = np.delete(np.arange(600), [3, 5, 400])
    now = {paths[gone[i]] for i in images_to_compare(labels[gone], [paths[i] for i in gone], 0)}
    assert len(before - now) <= 3
    labels[[0, 1, 2, 301]] = 1 - labels[[0, 1, 2, 301]]
    assert len(before - {paths[i] for i in images_to_compare(labels, paths, 0)}) <= 4


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
    capsys.readouterr()
    named = fg.fine_tune(dataset, "named", recipe, resize="crop", **options)
    assert named.recipe["resize"] == "crop"
    # 7/8 of 60 of 120 x 60 pixels.
    seen = "The network sees only the central square: 62% of the images' area is outside it"
    advice = ". resize='squash' or 'letterbox' uses the whole image"
    assert seen + advice in capsys.readouterr().out
    few = dataset.match_tags("train").limit(38)
    assert fg.fine_tune(few, "few", recipe, **options).recipe["resize"] == "crop"
    printed = capsys.readouterr().out
    assert seen in printed
    assert advice not in printed
    data = training_data(dataset, "ground_truth", recipe.with_resize("crop"))
    settled, _, *sets = _settled(dataset, recipe, *data, "cpu", False)
    assert [settled.resize, *(one.images.resize for one in sets)] == [chosen] * 3


@pytest.fixture
def passes(monkeypatch):
    """The number of images of each forward pass of a comparison."""
    counts, original = [], resize_features._pooled

    def pooled(network, pixels):
        counts.append(len(pixels))
        return original(network, pixels)

    monkeypatch.setattr(resize_features, "_pooled", pooled)
    return counts


def choose(dataset, recipe, capsys, progress=False):
    """What is said of the choice on all images of a dataset."""
    settled_for(dataset, recipe, "ground_truth", "cpu", progress)
    return capsys.readouterr().out


def test_what_a_network_has_computed_is_kept_and_only_labels_are_judged_again(
    dataset, recipe, passes, capsys, tmp_path
):
    """A comparison rests on files, network, weights, sizes and labels: of these, only changed
    labels leave the features as they are."""
    dataset.tag_samples("all")
    dataset.untag_samples(["train", "val"])
    first, reports = choose(dataset, recipe, capsys), []
    assert "features of 48 images" in first
    assert sum(passes) == 3 * 48  # all are oblong
    again = choose(dataset, recipe, capsys, lambda *found: reports.append(found))
    assert again == first
    assert (sum(passes), reports) == (3 * 48, [])  # nothing to do, and no step to report
    # Labels that have changed count, with the same features: as if compared for the first time.
    ids, labels = dataset.values("id"), dataset.values("ground_truth.label")
    swapped = {ids[place]: f"class {place % 3 % 2}" for place in range(12)}
    dataset.set_values("ground_truth.label", swapped, key_field="id")
    changed = choose(dataset, recipe, capsys)
    assert sum(passes) == 3 * 48
    assert changed != first
    shutil.rmtree(os.path.join(dataset_folder(dataset), FEATURES))
    assert choose(dataset, recipe, capsys) == changed
    assert sum(passes) == 2 * 3 * 48
    dataset.set_values("ground_truth.label", dict(zip(ids, labels, strict=True)), key_field="id")
    # A file that has changed and an image that is new are the only ones that are looked at.
    passes.clear()
    path = dataset.first().filepath
    Image.open(path).transpose(Image.Transpose.ROTATE_180).save(path)
    new = str(tmp_path / "new.png")
    Image.open(path).save(new)
    dataset.add_sample(fo.Sample(new, ground_truth=fo.Classification(label="class 1")))
    assert "features of 49 images" in choose(dataset, recipe, capsys)
    assert passes == [2, 2, 2]
    # Another network, or the same at another size, computes its own features.
    passes.clear()
    other = dataclasses.replace(recipe, image_size=64)
    choose(dataset, other, capsys)
    assert sum(passes) == 3 * 49
    choose(dataset, recipe, capsys)
    assert sum(passes) == 3 * 49


def test_a_training_uses_what_finding_label_issues_has_computed(dataset, recipe, passes, capsys):
    options = {"backbone": recipe.backbone, "weights": recipe.weights, "image_size": 32}
    options |= {"device": "cpu", "progress": False}
    fg.find_label_issues(dataset, **options)
    assert sum(passes) == 3 * 44  # of those that are tagged train
    said = capsys.readouterr().out
    fg.fine_tune(dataset, "after", freeze="backbone", epochs=1, **options)
    assert sum(passes) == 3 * 44
    line = next(x for x in said.splitlines() if x.startswith("resize="))
    assert line in capsys.readouterr().out


def test_a_comparison_that_was_canceled_goes_on(dataset, recipe, passes, capsys):
    def stop(done, total, message):
        if done >= 20:
            raise CancelledError

    with pytest.raises(CancelledError):
        choose(dataset, recipe, capsys, stop)
    assert sum(passes) == 3 * 32
    reports = []
    choose(dataset, recipe, capsys, lambda *found: reports.append(found[:2]))
    assert sum(passes) == 3 * 44
    assert reports == [(44, 44)]


def test_square_images_among_others_count_as_squashed_and_are_kept_as_such(tmp_path, recipe):
    oblong, _ = draw(tmp_path / "edge", at_the_edge, 24)
    square, _ = draw(tmp_path / "square", lambda r: (40, 20), 24, (60, 60))
    network = network_of(recipe)
    nothing = lambda *_: None  # noqa: E731
    found, is_there = features_by_way([*oblong, *square], network, DEFAULT, nothing)
    assert is_there.all()
    np.testing.assert_array_equal(found["letterbox"][24:], found["squash"][24:])
    assert (found["letterbox"][:24] != found["squash"][:24]).any(1).all()
    assert set(features_by_way(square, network, DEFAULT, nothing)[0]) == {"squash", "crop"}


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
        found.append((paths, labels.tolist(), rest[3]))
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
