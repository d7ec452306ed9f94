"""What is said of how a training learnt: each fault is brought about, a healthy run shows none."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from diagnosing import (
    SQUEEZENET,
    hand_made,
    names,
    recipe,
    say,
    sets,
    train_and_say,
)
from torch import nn

from fiftyone_gradcam.images.batches import Images
from fiftyone_gradcam.model.weights import create_model
from fiftyone_gradcam.training.evidence import guessing_and_knowing
from fiftyone_gradcam.training.sources import Labelled

pytestmark = pytest.mark.usefixtures("one_thread")


# Healthy trainings


@pytest.mark.parametrize(
    "choices",
    [
        {},
        {"seed": 1},
        {"label_smoothing": 0.2, "mixup": 0.5, "class_balance": "weights", "epochs": 6},
        {"label_smoothing": 0.1, "class_balance": "sampling", "dropout": 0.5},
        {"optimizer": "sgd", "learning_rate": 0.1},
        {"epochs": 1, "learning_rate": 3e-3},
        {"epochs": 20},
    ],
    ids=str,
)
def test_of_a_healthy_training_nothing_is_said(digit_files, choices):
    assert train_and_say(*sets(digit_files), **choices) == []


def test_of_a_healthy_fine_tuning_nothing_is_said(digit_files, digit_weights):
    # Its features are compared: members of one class are no duplicates.
    choices = {"weights": digit_weights, "head_epochs": 3, "epochs": 2}
    assert train_and_say(*sets(digit_files), **choices) == []
    assert train_and_say(*sets(digit_files), **{**choices, "freeze": "backbone"}) == []


def test_of_a_healthy_training_without_validation_images_nothing_is_said(digit_files):
    assert train_and_say(sets(digit_files)[0]) == []


# Faults of learning


@pytest.mark.parametrize("validation", [True, False])
def test_a_learning_rate_that_is_too_low(digit_files, validation):
    data, others = sets(digit_files)
    found = train_and_say(data, others if validation else None, learning_rate=1e-7)
    assert names(found) in (["not_learning"], ["not_learning", "collapsed"])
    assert found[0].severity == "error"
    assert "learning rate is too low" in found[0].message
    assert "from 1e-07 to 1e-06" in found[0].message
    assert "gives 1.10" in found[0].message  # ln 3


@pytest.mark.parametrize(
    ("optimizer", "rate"), [("adamw", 0.1), ("adamw", 1.0), ("adamw", 10.0), ("sgd", 10.0)]
)
def test_a_learning_rate_that_is_too_high(digit_files, optimizer, rate):
    found = train_and_say(*sets(digit_files), learning_rate=rate, optimizer=optimizer)
    assert found[0].name == "diverged"
    assert set(names(found)) <= {"diverged", "collapsed"}
    assert f"Lower learning_rate tenfold, from {rate:g} to {rate / 10:g}" in found[0].message


def test_a_learning_rate_that_is_too_high_shows_without_validation_images(digit_files):
    found = train_and_say(sets(digit_files)[0], learning_rate=10.0)
    assert names(found) == ["diverged"]
    assert found[0].message.startswith("The training diverged: its training loss ended at ")
    assert "were kept" not in found[0].message


def test_a_loss_that_rises_is_reported_from_one_that_began_far_off():
    """By small steps, too: the last layer may begin far off, and come nearer too slowly."""
    risen = hand_made((0.7, 1.5, 2.5), (), head_change=0.5)
    assert names(say(risen, validation=(30, 30), right=30))[0] == "diverged"
    fallen = hand_made((6.0, 4.0, 2.5), (), head_change=0.5)
    assert names(say(fallen, validation=(30, 30), right=30))[0] == "not_learning"


def test_a_first_epoch_may_have_the_loss_of_a_guess_and_yet_have_learnt():
    begun = hand_made((0.68,), (0.65,))
    assert say(begun, validation=(30, 30), right=50) == []
    assert names(say(begun, validation=(30, 30), right=35)) == ["not_learning"]


def test_a_loss_that_is_no_number(digit_files, monkeypatch):
    original, count = torch.optim.AdamW.step, 0

    def step(self, *args, **kwargs):
        nonlocal count
        original(self, *args, **kwargs)
        count += 1
        if count > 8 * 2 + 3:  # 120 images in batches of 16 are 8 steps an epoch
            for weight in self.param_groups[0]["params"]:
                weight.data.fill_(float("nan"))

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    found = train_and_say(*sets(digit_files))
    assert names(found) == ["diverged"]
    assert "in epoch 3 its loss was no longer a number" in found[0].message
    assert found[0].severity == "warning"  # the weights that were kept are good


def test_a_frozen_part_with_random_weights(digit_files):
    found = train_and_say(*sets(digit_files), freeze="backbone")
    assert names(found) == ["not_learning", "collapsed"]
    assert "(freeze='backbone') has random weights (weights='none')" in found[0].message
    assert "consequence of" in found[1].message
    # Where the rest gets along, it is said all the same.
    found = train_and_say(*sets(digit_files), freeze=1)
    assert [(f.name, f.severity) for f in found] == [("frozen_at_random", "warning")]


def test_a_frozen_part_that_sees_nothing_of_the_classes(digit_files, tmp_path):
    blind = create_model("small_cnn", 5, "none")
    nn.init.zeros_(blind.features.stage3[4].weight)  # the last batch norm: all cells are alike
    torch.save(blind.state_dict(), tmp_path / "blind.pt")
    weights = str(tmp_path / "blind.pt")
    found = train_and_say(
        *sets(digit_files), weights=weights, freeze="backbone", learning_rate=1e-3
    )
    assert found[0].name == "not_learning"
    assert "features of the frozen part do not distinguish these classes" in found[0].message


def test_contradictory_labels(digit_files):
    labels = np.random.default_rng(0).integers(0, 3, len(digit_files[1]))
    found = train_and_say(*sets(digit_files, labels=labels), epochs=30)
    assert names(found) == ["majority", "overfitting"]
    assert "memorizes them" in found[0].message
    assert "no" in found[0].message.split(" better")[0]
    # The same picture under each label: the loss cannot fall at all.
    paths = [digit_files[0][0]] * 60
    data = Labelled(Images(paths, 16), np.arange(60) % 3)
    found = train_and_say(data, epochs=2)
    assert names(found) == ["not_learning"]
    assert "learning rate is" not in found[0].message.replace("learning rate does not seem", "")


def test_a_squeezenet_head_that_died(digit_files):
    found = train_and_say(*sets(digit_files, 64), **SQUEEZENET, learning_rate=0.01)
    assert names(found) == ["dead_head"]
    assert found[0].severity == "error"
    assert "100% of the validation images" in found[0].message
    assert "from 0.01 to 0.001" in found[0].message


def test_a_squeezenet_head_that_was_dead_from_the_start(digit_files, tmp_path):
    model = create_model("squeezenet1_1", 3, "none")
    nn.init.constant_(model.classifier[1].bias, -1000)
    torch.save(model.state_dict(), tmp_path / "dead.pt")
    weights = str(tmp_path / "dead.pt")
    found = train_and_say(*sets(digit_files, 64), **SQUEEZENET, weights=weights, epochs=2)
    assert names(found) == ["dead_head"]
    assert "dead from the start" in found[0].message
    assert "learning_rate" not in found[0].message


def test_overfitting_but_not_the_usual_gap():
    train_losses = [0.5, 0.3, 0.1, 0.03, 0.01, 0.01]
    accuracies = {"train_accuracy": 0.99, "val_accuracy": 0.92}
    usual = hand_made(train_losses, [0.4, 0.26, 0.22, 0.23, 0.25, 0.26], **accuracies)
    assert say(usual, validation=(80, 73), right=141) == []
    risen = hand_made(train_losses, [0.4, 0.26, 0.22, 0.4, 0.6, 0.7], **accuracies)
    (found,) = say(risen, validation=(80, 73), right=141)
    assert (found.name, found.severity) == ("overfitting", "warning")
    assert "0.22 in epoch 3 and 0.70 at the end" in found.message
    assert "99% of the training images and 92% of the validation" in found.message
    jump = hand_made(train_losses, [0.4, 0.26, 0.22, 0.22, 0.23, 0.7], **accuracies)
    assert say(jump, validation=(80, 73), right=141) == []
    # Not yet good, but getting better: more epochs may do.
    better = hand_made([0.3, 0.1, 0.05], [3.0, 2.5, 2.0], train_accuracy=0.99, val_accuracy=0.7)
    assert say(better, validation=(80, 73), right=107) == []
    worse = hand_made(
        [0.3, 0.02, 0.1, 0.1], [0.5, 0.2, 1.5, 1.5], train_accuracy=0.99, val_accuracy=0.7
    )
    assert say(worse, validation=(80, 73), right=107) == []  # both rise: it is not learnt by heart
    # Of 30 validation images 28 right and 119 of 120 are no clear difference (Fisher: p = 0.1).
    few_validated = replace(
        risen, history=[replace(r, val_accuracy=28 / 30) for r in risen.history]
    )
    assert "overfitting" not in names(say(few_validated, validation=(15, 15), right=28))


def test_a_training_that_knows_is_reported_from_one_that_guesses():
    assert guessing_and_knowing(recipe(), np.array([5, 5])) == pytest.approx((math.log(2), 0))
    quarters = 0.25 * math.log(4) + 0.75 * math.log(4 / 3)
    assert guessing_and_knowing(recipe(), np.array([1, 3, 0])) == pytest.approx((quarters, 0))
    for balance in ("sampling", "weights"):
        found = guessing_and_knowing(recipe(class_balance=balance), np.array([1, 3, 0]))
        assert found == pytest.approx((math.log(2), 0))
    # Smoothed by 0.2, labels of two classes are 0.9 and 0.1.
    smooth = -0.9 * math.log(0.9) - 0.1 * math.log(0.1)
    found = guessing_and_knowing(recipe(label_smoothing=0.2), np.array([5, 5]))
    assert found == pytest.approx((math.log(2), smooth))
    # The mean entropy of a share drawn evenly is 1/2; half of the pairs are of one class.
    found = guessing_and_knowing(recipe(mixup=1.0), np.array([5, 5]))
    assert found == pytest.approx((math.log(2), 0.25))


def test_the_loss_of_guessing_is_what_a_constant_comes_down_to():
    labels = torch.tensor([0] * 6 + [1] * 3 + [2])
    weights = torch.tensor([10 / 18, 10 / 9, 10 / 3], dtype=torch.float64)
    constant = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    each = torch.zeros(3, 3, dtype=torch.float64, requires_grad=True)
    losses = {}
    for name, logits in (("guessing", constant), ("knowing", each)):
        optimizer = torch.optim.LBFGS([logits], max_iter=200, line_search_fn="strong_wolfe")

        def loss(logits=logits):
            rows = logits.expand(10, 3) if logits.ndim == 1 else logits[labels]
            return F.cross_entropy(rows, labels, weight=weights, label_smoothing=0.3)

        def closure(optimizer=optimizer, loss=loss):
            optimizer.zero_grad()
            value = loss()
            value.backward()
            return value

        optimizer.step(closure)
        losses[name] = loss().item()
    chosen = recipe(class_balance="weights", label_smoothing=0.3)
    found = guessing_and_knowing(chosen, np.array([6, 3, 1]))
    assert found == pytest.approx((losses["guessing"], losses["knowing"]), rel=1e-5)
