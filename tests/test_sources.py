"""Batches of a training: images that cannot be decoded, features of the others, mixed labels."""

import numpy as np
import pytest
import torch
from conftest import save_digits
from small_trainings import recipe

from fiftyone_gradcam.images.batches import Images
from fiftyone_gradcam.model.backbones import get_backbone
from fiftyone_gradcam.model.weights import create_model
from fiftyone_gradcam.training.learner import Learner
from fiftyone_gradcam.training.loop import train
from fiftyone_gradcam.training.sources import (
    Batch,
    InTraining,
    Labelled,
    Pictures,
    compute_features,
    read_features,
)

CPU, BACKBONE = torch.device("cpu"), get_backbone("small_cnn")


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """Six digits, and a file that is no picture in the second place."""
    root = save_digits(tmp_path_factory.mktemp("sources") / "digits", per_class=2)
    found = [str(path) for path in sorted(root.glob("*/*.png"))]
    bad = root / "bad.png"
    bad.write_bytes(b"no picture")
    return [found[0], str(bad), *found[1:]]


@pytest.fixture
def pictures(paths):
    data = Labelled(Images(paths[:4], 16), np.array([0, 1, 2, 0]))
    return Pictures(data, recipe(batch_size=2), 3, BACKBONE, CPU)


def test_features_are_those_of_images_that_can_be_decoded(pictures):
    torch.manual_seed(0)
    model, done = create_model("small_cnn", 3, "none").train(), []
    found = compute_features(model, pictures, done.append)
    assert (found.positions.tolist(), sum(done), model.training) == ([0, 2, 3], 4, False)
    images = pictures.data.images.load(np.arange(4)).images
    model.train()
    (alone,) = read_features(model, BACKBONE, [BACKBONE.normalize(images)])
    assert torch.allclose(found.values, alone, atol=1e-5)
    assert not model.training
    assert not any(module._forward_pre_hooks for module in model.modules())
    means, positions = found.averages()
    assert positions.tolist() == [0, 2, 3]
    expected = alone.mean((2, 3)) if alone.ndim > 2 else alone
    assert means == pytest.approx(expected.numpy(), rel=1e-4, abs=1e-6)
    rows = list(found.batches(np.array([3, 1, 0, 2])))
    assert [batch.positions.tolist() for batch in rows] == [[3, 0], [2]]
    assert [batch.targets.tolist() for batch in rows] == [[0, 0], [2]]
    assert torch.equal(torch.cat([batch.inputs for batch in rows]), found.values[[2, 0, 1]])
    # They are evaluated like images, and reported.
    learner, counts = Learner(recipe(batch_size=2), 3, CPU, pictures.data.labels), []
    evaluation = learner.evaluate(found, counts.append)
    assert (evaluation.positions.tolist(), counts) == ([0, 2, 3], [2, 1])
    logits = learner.logits(found.reader(learner.kept), found.values).argmax(1)
    assert evaluation.predicted.tolist() == logits.tolist()
    right = (logits == torch.tensor([0, 2, 0])).float().mean().item()
    assert evaluation.accuracy == pytest.approx(right)
    # Rows that follow each other are not copied.
    (first, second) = found.batches(np.array([0, 2, 3]))
    assert first.inputs.data_ptr() == found.values.data_ptr()
    assert torch.equal(second.inputs, found.values[2:])


def test_pictures_are_augmented_and_mixed_only_for_training(pictures):
    pictures.recipe = recipe(batch_size=2, mixup=1.0, horizontal_flip=True)
    plain = list(pictures.batches(np.arange(4)))
    assert [batch.positions.tolist() for batch in plain] == [[0], [2, 3]]
    exact = pictures.data.images.load(np.array([2, 3])).images
    assert torch.equal(plain[1].inputs, BACKBONE.normalize(exact))
    assert plain[1].targets.tolist() == plain[1].labels.tolist() == [2, 0]
    (mixed,) = pictures.batches(np.array([2, 3]), np.random.default_rng(3))
    assert mixed.targets.shape == (2, 3)
    assert mixed.targets.sum(1).tolist() == pytest.approx([1, 1])
    assert not torch.equal(mixed.inputs, plain[1].inputs)
    # The class of a mixed image is that of its larger share.
    shares = Batch(mixed.inputs, torch.tensor([[0.4, 0.0, 0.6], [0.7, 0.3, 0.0]]), mixed.positions)
    assert shares.labels.tolist() == [2, 0]


def test_labelled_images_are_all_of_them_unless_some_are_named(pictures):
    data = pictures.data
    assert (data.positions.tolist(), len(data)) == ([0, 1, 2, 3], 4)
    part = Labelled(data.images, data.labels, np.array([2])).with_resize("crop")
    assert (part.images.resize, part.positions.tolist(), len(part)) == ("crop", [2], 1)
    assert part.images.paths == data.images.paths
    network = InTraining(None, BACKBONE, CPU)
    pixels = torch.full((1, 3, 2, 2), 255, dtype=torch.uint8)
    assert torch.equal(network.normalize(pixels), BACKBONE.normalize(pixels))


def test_without_validation_images_that_can_be_decoded_nothing_is_validated(paths, tmp_path):
    images, labels = Images(paths, 16), np.array([0, 0, 0, 1, 1, 2, 2])
    learn = Labelled(images, labels, np.array([0, 2, 3, 4, 5, 6]))
    torch.save(create_model("small_cnn", 3, "none").state_dict(), tmp_path / "weights.pt")
    weights = str(tmp_path / "weights.pt")
    for watched in (Labelled(images, labels, np.array([1])), None):
        for choices in ({}, {"weights": weights, "freeze": "backbone"}):
            found = train(recipe(**choices, epochs=1), 3, learn, watched, device="cpu")
            assert (found.val_accuracy, found.validations, found.best_epoch) == (None, [], 1)
            assert (len(found.val_positions), len(found.val_predicted)) == (0, 0)
            if watched is None:
                assert found.features is None
