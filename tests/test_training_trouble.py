"""Trainings in which something goes wrong: images, divergence, batches of one."""

import numpy as np
import pytest
import torch
from small_trainings import recipe, sets_of_digits

from fiftyone_gradcam.images.batches import Images
from fiftyone_gradcam.model.weights import create_model
from fiftyone_gradcam.training import loop as training
from fiftyone_gradcam.training.course import Course
from fiftyone_gradcam.training.history import Hooks
from fiftyone_gradcam.training.loop import Loop, train
from fiftyone_gradcam.training.sources import Labelled


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return sets_of_digits(tmp_path_factory.mktemp("training") / "digits")


def test_undecodable_training_images_are_left_out_or_refused(tmp_path, digits):
    good = digits[0].images.paths[:4]
    (tmp_path / "bad.png").write_bytes(b"bad")
    images = Images([*good, str(tmp_path / "bad.png")], 16)
    train(recipe(), 2, Labelled(images, np.array([0, 1, 0, 1, 0])), device="cpu")
    assert list(images.failures) == [4]
    for choices in ({}, {"freeze": "backbone"}):
        only_bad = Labelled(Images([str(tmp_path / "bad.png")], 16), np.array([0]))
        with pytest.raises(ValueError, match=r"None of \d+ files can be read.*bad\.png"):
            train(recipe(**choices), 2, only_bad, device="cpu")


def explode_after(monkeypatch, steps: int) -> None:
    original, count = torch.optim.AdamW.step, 0

    def step(self, *args, **kwargs):
        nonlocal count
        original(self, *args, **kwargs)
        count += 1
        if count > steps:
            for group in self.param_groups:
                for weight in group["params"]:
                    weight.data.fill_(float("nan"))

    monkeypatch.setattr(torch.optim.AdamW, "step", step)


def test_a_training_that_diverges_at_once_says_so(digits, monkeypatch):
    explode_after(monkeypatch, 0)
    with pytest.raises(ValueError, match=r"no longer finite at learning_rate=10.*Lower it"):
        train(recipe(learning_rate=10.0), 3, *digits, device="cpu")


def test_a_training_that_diverges_later_keeps_its_best(digits, monkeypatch):
    healthy = train(recipe(), 3, *digits, device="cpu")
    explode_after(monkeypatch, 6 * 3 + 2)
    found = train(recipe(), 3, *digits, device="cpu")
    assert found.diverged
    assert not healthy.diverged
    assert [row.val_loss for row in found.history] == [r.val_loss for r in healthy.history[:3]]
    assert all(torch.isfinite(weight).all() for weight in found.model.parameters())


@pytest.mark.parametrize("validation", [True, False])
def test_weights_that_are_lost_in_the_last_step_are_not_kept(digits, monkeypatch, validation):
    explode_after(monkeypatch, 6 * 2 - 1)
    val_set = digits[1] if validation else None
    found = train(recipe(epochs=2), 3, digits[0], val_set, device="cpu")
    assert found.diverged
    assert found.best_epoch == 1
    assert all(torch.isfinite(weight).all() for weight in found.model.parameters())


def test_images_too_small_for_the_network_are_refused(digits):
    choices = {"backbone": "squeezenet1_1", "image_size": 16}
    with pytest.raises(
        ValueError, match=r"squeezenet1_1 cannot process .*image_size=16.*designed for 224"
    ):
        train(recipe(**choices), 3, *digits, device="cpu")


def test_dead_outputs_are_counted_without_validation_images(digits, tmp_path):
    model = create_model("squeezenet1_1", 3, "none")
    model.classifier[1].bias.data.fill_(-1e4)
    torch.save(model.state_dict(), tmp_path / "dead.pt")
    images = Images(digits[0].images.paths[:8], 64)
    choices = {"backbone": "squeezenet1_1", "weights": str(tmp_path / "dead.pt"), "epochs": 1}
    data = Labelled(images, np.arange(8) % 3)
    assert train(recipe(**choices, image_size=64), 3, data, device="cpu").dead == 1.0


def test_a_batch_of_one_that_is_left_over_is_no_step(digits):
    seventeen = Labelled(digits[0].images, digits[0].labels, digits[0].positions[:17])
    choices = {"backbone": "resnet18", "image_size": 32, "epochs": 1}
    images = Images(seventeen.images.paths, 32)
    data = Labelled(images, seventeen.labels, seventeen.positions)
    found = train(recipe(**choices), 3, data, device="cpu")
    assert int(found.model.bn1.num_batches_tracked) == 1
    alone = train(recipe(batch_size=1, epochs=1), 3, seventeen, device="cpu")
    assert int(alone.model.features.stage1[1].num_batches_tracked) == 17
    # Where there is no batch norm, it is one like any other.
    choices = {"backbone": "squeezenet1_1", "image_size": 32, "epochs": 1}
    loop = Loop(recipe(**choices), 3, data, None, torch.device("cpu"), Hooks())
    loop.run()
    assert {int(x["step"]) for x in loop.learner.optimizer.state.values()} == {2}


def test_where_features_do_not_fit_new_layers_are_not_trained_alone(digits, tmp_path, monkeypatch):
    torch.save(create_model("small_cnn", 3, "none").state_dict(), tmp_path / "weights.pt")
    choices = {"weights": str(tmp_path / "weights.pt"), "head_epochs": 2, "epochs": 1}
    loop = Loop(recipe(**choices), 3, *digits, torch.device("cpu"), Hooks())
    for room, count in ((120, 90), (119, 0)):  # for 90 training images and 30 others
        monkeypatch.setattr(training, "FEATURE_BYTES", room * loop.feature_bytes)
        assert loop._room() == count
    assert [row.epoch for row in loop.run().history] == [1]
    assert loop.features is None


def test_a_training_may_stop_within_an_epoch(digits, monkeypatch):
    monkeypatch.setattr(Course, "is_best", lambda self, found: self.best is None)
    stages = []
    hooks = Hooks(on_stage=stages.append)
    choices = {"validate_every": 2, "early_stopping": 1}
    found = train(recipe(**choices), 3, *digits, device="cpu", hooks=hooks)
    # 90 images in batches of 16 are 6 steps: it stops after the second validation.
    assert [row.iteration for row in found.validations] == [2, 4]
    assert [row.epoch for row in found.history] == [1]
    own, validation = "Epoch 1 of 4", "Epoch 1 of 4: validation"
    assert stages == [own, validation, own, validation, own]
