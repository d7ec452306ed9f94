"""Choices of a training do what they say, by hand-worked values and networks that give away."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import save_digits
from diagnosing import recipe, sets
from torch import nn

import fiftyone_gradcam as fg
from fiftyone_gradcam.model.backbones import get_backbone
from fiftyone_gradcam.training import per_fold
from fiftyone_gradcam.training.augment import augment, mix
from fiftyone_gradcam.training.learner import Evaluation, Learner, Sums
from fiftyone_gradcam.training.loop import train
from fiftyone_gradcam.training.sources import Batch, Labelled, Pictures

pytestmark = pytest.mark.usefixtures("one_thread")


class Memory(nn.Module):
    """Knows the labels of the images that it has seen, and nothing of others."""

    def __init__(self, classes: int):
        super().__init__()
        self.classes, self.seen = classes, {}

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        logits = torch.zeros(len(pixels), self.classes)
        for row, image in enumerate(pixels):
            if (label := self.seen.get(image.numpy().tobytes())) is not None:
                logits[row, label] = 50.0
        return logits


def test_no_label_is_judged_by_a_network_that_has_seen_it(tmp_path, name, monkeypatch):
    dataset = fg.import_folders(str(save_digits(tmp_path / "d", per_class=6)), name)
    seen_by_each = []

    def memorize(recipe, classes, data: Labelled, **_) -> SimpleNamespace:
        model, backbone = Memory(classes), get_backbone(recipe.backbone)
        for batch in data.images.batches(8, data.positions):
            for image, position in zip(
                backbone.normalize(batch.images), batch.positions, strict=True
            ):
                model.seen[image.numpy().tobytes()] = int(data.labels[position])
        seen_by_each.append(len(model.seen))
        return SimpleNamespace(model=model)

    monkeypatch.setattr(per_fold, "train", memorize)
    view = fg.find_label_issues(
        dataset, folds=3, backbone="small_cnn", weights="none", image_size=16, device="cpu"
    )
    assert seen_by_each == [12, 12, 12]
    np.testing.assert_allclose(view.values("label_quality"), 1 / 3, atol=1e-6)


def step_loss(choices: dict, labels: np.ndarray, batch: Batch) -> tuple[float, torch.Tensor]:
    """The loss of one step, and the logits (n, K) that it is of."""
    torch.manual_seed(0)
    learner = Learner(recipe(**choices), 3, torch.device("cpu"), labels)
    with torch.no_grad():
        logits = copy.deepcopy(learner.model).train()(batch.inputs)
    sums = Sums()
    learner.learn(batch, learner.model, sums, 1.0)
    return sums.read()[0], logits


def test_rare_classes_weigh_more_in_the_loss():
    """6 of class 0, 3 of 1, 1 of 2: weights are N / (K n), so 10/18, 10/9 and 10/3."""
    labels = np.array([0] * 6 + [1] * 3 + [2])
    inputs = torch.randn(10, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    batch = Batch(inputs, torch.from_numpy(labels), np.arange(10))
    plain, logits = step_loss({"label_smoothing": 0.0, "dropout": 0.0}, labels, batch)
    each = F.cross_entropy(logits, batch.targets, reduction="none").numpy()
    assert plain == pytest.approx(each.mean(), rel=1e-4)
    choices = {"label_smoothing": 0.0, "dropout": 0.0, "class_balance": "weights"}
    weighted, again = step_loss(choices, labels, batch)
    assert torch.equal(logits, again)
    weights = np.array([10 / 18, 10 / 9, 10 / 3])[labels]
    assert weighted == pytest.approx((weights * each).sum() / weights.sum(), rel=1e-4)
    assert abs(weighted - plain) > 1e-3


def test_the_average_of_weights_is_what_is_validated_and_kept(digit_files):
    """After a few steps the slow average and the weights themselves judge images differently."""
    train_set, judge = sets(digit_files)
    kept = {}
    for ema in (0.0, 0.95):
        found = train(
            recipe(epochs=2, ema=ema, learning_rate=0.01), 3, train_set, judge, device="cpu"
        )
        backbone = get_backbone("small_cnn")
        (batch,) = judge.images.batches(len(judge.images))
        with torch.no_grad():
            logits = found.model(backbone.normalize(batch.images))
        loss = F.cross_entropy(logits, torch.from_numpy(judge.labels[batch.positions]))
        best = next(v for v in found.validations if v.epoch == found.best_epoch)
        assert best.val_loss == pytest.approx(float(loss), rel=1e-3)
        np.testing.assert_array_equal(found.val_predicted, logits.argmax(1))
        kept[ema] = float(loss)
    assert abs(kept[0.0] - kept[0.95]) > 0.01


@pytest.mark.parametrize(
    ("results", "best"),
    [
        ([(0.9, 0.5), (0.9, 0.3), (0.9, 0.4)], 2),  # equal accuracy: the smaller loss
        ([(0.9, 0.3), (0.9, 0.3), (0.9, 0.3)], 1),  # equal in all: the first
        ([(0.8, 0.1), (0.9, 0.9), (0.7, 0.1)], 2),  # accuracy goes before loss
    ],
)
def test_the_best_epoch_is_of_the_highest_accuracy_then_the_smallest_loss(
    digit_files, monkeypatch, results, best
):
    train_set, judge = sets(digit_files)
    coming = iter(results)

    def evaluate(self, source, on_batch) -> Evaluation:
        accuracy, loss = next(coming)
        return Evaluation(loss, accuracy, np.arange(3), np.zeros(3, np.int64), 0.0)

    monkeypatch.setattr(Learner, "evaluate", evaluate)
    found = train(recipe(epochs=len(results)), 3, train_set, judge, device="cpu")
    assert found.best_epoch == best
    assert found.val_accuracy == results[best - 1][0]


def test_equal_files_are_kept_on_one_side_of_a_split(tmp_path, name):
    """Each photo four times: split one by one, hardly any four would stay together."""
    root = save_digits(tmp_path / "d", per_class=8)
    for path in sorted(root.glob("*/*.png")):
        for number in range(3):
            (path.parent / f"{path.stem} copy {number}.png").write_bytes(path.read_bytes())
    dataset = fg.import_folders(str(root), name)
    fg.split(dataset, {"train": 0.5, "test": 0.5}, groups="duplicates", seed=1)
    sides: dict[bytes, set[str]] = {}
    for path, tags in zip(*dataset.values(["filepath", "tags"]), strict=True):
        with open(path, "rb") as file:
            sides.setdefault(file.read(), set()).update(tags)
    assert len(sides) == 24
    assert all(len(found) == 1 for found in sides.values())
    assert {tag for found in sides.values() for tag in found} == {"train", "test"}
    fg.split(dataset, {"train": 0.5, "test": 0.5}, seed=1)
    parted = dataset.match_tags("train").values("filepath")
    assert any(path.replace(" copy 0", "") not in parted for path in parted if " copy 0" in path)


@pytest.mark.parametrize("mixup", [0.0, 0.4])
def test_training_images_are_augmented_as_asked_and_others_are_not(digit_files, mixup):
    chosen, backbone = recipe(rotation=20.0, mixup=mixup), get_backbone("small_cnn")
    data, order = sets(digit_files)[0], np.array([5, 2, 9])
    source = Pictures(data, chosen, 3, backbone, torch.device("cpu"))
    whole = data.images.load(order).images
    labels = torch.from_numpy(data.labels[order])
    (plain,) = source.batches(order)
    assert torch.equal(plain.inputs, backbone.normalize(whole))
    assert torch.equal(plain.targets, labels)
    (drawn,) = source.batches(order, np.random.default_rng(3))
    random = np.random.default_rng(3)
    images = augment(whole, chosen, random)
    if mixup:
        images, labels = mix(images, labels, 3, mixup, random)
    assert torch.equal(drawn.inputs, backbone.normalize(images))
    assert torch.equal(drawn.targets, labels)
    assert drawn.positions.tolist() == order.tolist()
    assert not torch.equal(drawn.inputs, plain.inputs)


def test_a_training_sees_augmented_images(digit_files):
    losses = [
        train(recipe(epochs=1, **own), 3, *sets(digit_files), device="cpu").history[0].train_loss
        for own in ({}, {}, {"rotation": 20.0}, {"mixup": 0.4})
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert min(abs(loss / losses[0] - 1) for loss in losses[2:]) > 1e-2
