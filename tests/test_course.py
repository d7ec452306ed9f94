"""What a training keeps from step to step: sums of an epoch, the best weights, when to stop."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from small_trainings import recipe
from torch import nn

from fiftyone_gradcam.model.weights import create_model
from fiftyone_gradcam.training import learner as learning
from fiftyone_gradcam.training.course import Course, finished
from fiftyone_gradcam.training.dropout import QuickDropout
from fiftyone_gradcam.training.history import Epoch, Validation
from fiftyone_gradcam.training.learner import Evaluation, Learner, Sums
from fiftyone_gradcam.training.sources import Batch


def evaluation(accuracy: float, loss: float) -> Evaluation:
    return Evaluation(loss, accuracy, np.array([4, 7]), np.array([1, 0]), 0.25)


def test_the_highest_accuracy_is_best_and_of_equal_ones_the_lower_loss():
    course, model = Course(epoch=2), nn.Linear(2, 2)
    assert course.is_best(evaluation(0.0, 9.0))
    course.keep(model, evaluation(0.5, 0.7))
    for accuracy, loss, better in (
        *((0.5, 0.7, False), (0.5, 0.69, True), (0.5, 0.71, False)),
        *((0.51, 9.0, True), (0.49, 0.1, False)),
    ):
        assert course.is_best(evaluation(accuracy, loss)) is better
    kept = course.best
    assert (kept["score"], kept["epoch"], kept["validation"]) == ([0.5, -0.7], 2, 0)
    assert (kept["positions"].tolist(), kept["predicted"].tolist()) == ([4, 7], [1, 0])
    with torch.no_grad():
        model.weight.zero_()
    assert not torch.equal(kept["weights"]["weight"], model.weight)  # a copy
    # Weights that were not validated give way to any that were.
    course.keep(model)
    assert course.best["score"] is None
    assert (len(course.best["positions"]), len(course.best["predicted"])) == (0, 0)
    assert course.is_best(evaluation(0.0, 9.0))


def test_a_training_stops_after_as_many_validations_without_improvement_as_asked_for():
    course = Course()
    assert not course.is_stale(1)
    row = Validation(1, 1, 1.0, 0.5, 1.0, 0.5, 1e-4, 1.0, 9.0)
    course.validations.append(row)
    assert not course.is_stale(1)  # nothing is kept yet
    course.keep(nn.Linear(2, 2), evaluation(0.5, 0.7))
    assert [course.is_stale(patience) for patience in (0, 1, 2)] == [False, False, False]
    course.validations.append(row)
    assert [course.is_stale(patience) for patience in (0, 1, 2)] == [False, True, False]
    course.validations.append(row)
    assert [course.is_stale(patience) for patience in (0, 1, 2)] == [False, True, True]


def test_a_training_is_finished_with_its_best_weights():
    model = nn.Linear(2, 2).requires_grad_(False)
    course = Course(epoch=3, dead=0.25)
    course.keep(model, evaluation(0.5, 0.7))
    best = model.weight.clone()
    with torch.no_grad():
        model.weight.zero_()
    learner = SimpleNamespace(model=model, head_change=lambda: 0.3)
    found = finished(course, learner, None, diverged=True, cancelled=False)
    assert torch.equal(found.model.weight, best)
    assert (found.model.training, found.model.weight.requires_grad) == (False, True)
    assert (found.best_epoch, found.val_accuracy, found.dead) == (3, 0.5, 0.25)
    assert (found.diverged, found.cancelled, found.head_change) == (True, False, 0.3)
    assert (found.val_positions.tolist(), found.val_predicted.tolist()) == ([4, 7], [1, 0])
    course.keep(model)
    found = finished(course, learner, None, diverged=False, cancelled=True)
    assert (found.val_accuracy, found.diverged, found.cancelled) == (None, False, True)


def test_sums_are_means_over_images_whatever_the_batches(monkeypatch):
    monkeypatch.setattr(learning, "PENDING", 2)
    sums = Sums()
    assert (sums.read(), sums.dead, sums.is_finite) == ((0.0, 0.0, 0), 0.0, True)
    logits = torch.tensor([[1.0, 2.0], [0.0, 0.0], [0.0, -1.0]])
    sums.add(logits, torch.tensor([1, 1, 0]), torch.tensor(0.5))
    assert len(sums._pending) == 1
    sums.add(logits[:1], torch.tensor([0]), torch.tensor(2.5))
    assert len(sums._pending) == 0  # the device holds only so many
    sums.add(logits[1:2], torch.tensor([0]), torch.tensor(1.0))
    assert sums.read() == pytest.approx(((3 * 0.5 + 2.5 + 1.0) / 5, 3 / 5, 5))
    assert sums.dead == pytest.approx(2 / 5)
    assert sums.is_finite
    sums.add(logits[:1], torch.tensor([0]), torch.tensor(math.inf))
    assert not sums.is_finite


def test_how_far_the_new_layers_have_moved_is_relative_to_their_first_weights():
    torch.manual_seed(0)
    learner = Learner(recipe(), 3, torch.device("cpu"), np.array([0, 1, 2]))
    assert learner.head_change() == 0
    with torch.no_grad():
        for weight in learner.new:
            weight.mul_(1.5)
    assert learner.head_change() == pytest.approx(0.5)
    assert learner.is_finite()
    with torch.no_grad():
        learner.new[0].view(-1)[0] = math.nan
    assert not learner.is_finite()


def test_options_of_a_learner_are_those_of_its_recipe():
    cpu, labels = torch.device("cpu"), np.array([0, 0, 0, 1])
    plain = Learner(recipe(), 2, cpu, labels)
    assert (plain.loss_weights, plain.average, plain.mixed) == (None, None, False)
    assert plain.kept is plain.model
    dropped = Learner(recipe(dropout=0.5), 2, cpu, labels)
    assert any(isinstance(module, QuickDropout) for module in dropped.model.modules())
    weighted = Learner(
        recipe(class_balance="weights", ema=0.9, mixed_precision=True), 2, cpu, labels
    )
    assert weighted.loss_weights.tolist() == pytest.approx([2 / 3, 2])
    assert weighted.kept is weighted.average.model is not weighted.model
    assert weighted.mixed is True
    assert plain.rate == plain.optimizer.param_groups[0]["lr"] == recipe().learning_rate
    # The features of an image, in float32: a mean over cells for each channel.
    assert plain.feature_bytes() == 4 * plain.new[0].shape[1]


def test_rows_of_a_training_in_words():
    row = Epoch(3, 0.5, 0.75, 0.6, 0.7, 1e-4, 12.4, 10.0)
    assert str(row) == (
        "epoch 3: train loss 0.500, accuracy 75.0%; val loss 0.600, accuracy 70.0% (12 s)"
    )
    alone = Epoch(0, 0.5, 0.75, None, None, 0.0, 12.6, 10.0)
    assert str(alone) == "new layers: train loss 0.500, accuracy 75.0% (13 s)"


def test_a_step_is_done_with_the_statistics_and_rates_of_its_recipe(tmp_path):
    path, cpu = str(tmp_path / "weights.pt"), torch.device("cpu")
    torch.save(create_model("small_cnn", 2, "none").state_dict(), path)
    inputs, labels = torch.rand(4, 3, 16, 16), torch.tensor([0, 1, 1, 0])
    batch = Batch(inputs, labels, np.arange(4))
    for weights, momentum in (("none", [1.0, 0.5, 1 / 3]), (path, [0.1, 0.1, 0.1])):
        learner = Learner(recipe(weights=weights, ema=0.9), 2, cpu, labels.numpy())
        learner.freezer.train(0)
        found, sums = [], Sums()
        for _ in range(3):
            learner.learn(batch, learner.model, sums, 0.25)
            found.append({norm.momentum for norm in learner.norms})
        assert found == [{one} for one in momentum]
        assert (sums.read()[2], learner.average.steps) == (12, 3)
        assert learner.rate == pytest.approx(0.25 * learner.recipe.learning_rate)
    before = learner.kept
    learner.restart_average()
    assert learner.kept is not before
    assert learner.average.steps == 0
    # One image that is left over is no step where batch norm would need more.
    alone = Batch(inputs[:1], labels[:1], np.arange(1))
    learner.learn(alone, learner.model, sums, 1.0)
    assert (sums.read()[2], learner.average.steps) == (12, 0)
    single = Learner(recipe(batch_size=1), 2, cpu, labels.numpy())
    single.freezer.train(0)
    sums = Sums()
    single.learn(alone, single.model, sums, 1.0)
    assert sums.read()[2] == 1
    single.restart_average()  # there is none
    assert single.average is None


def test_a_learner_goes_on_from_its_state():
    cpu, labels = torch.device("cpu"), np.array([0, 1])
    batch = Batch(torch.rand(2, 3, 16, 16), torch.tensor([0, 1]), np.arange(2))

    def learned(ema: float) -> Learner:
        learner = Learner(recipe(ema=ema), 2, cpu, labels)
        learner.freezer.train(0)
        learner.learn(batch, learner.model, Sums(), 0.5)
        return learner

    for ema in (0.9, 0.0):
        first, other = learned(ema), Learner(recipe(ema=ema), 2, cpu, labels)
        state = first.state()
        assert state["average_steps"] == (1 if ema else 0)
        assert (state["average"] is None) == (ema == 0.0)
        other.restore(state)
        assert other.head_change() == pytest.approx(first.head_change()) != 0
        for own, kept in zip(other.kept.parameters(), first.kept.parameters(), strict=True):
            assert torch.equal(own, kept)
        assert other.rate == first.rate
        assert (other.average.steps if ema else 0) == state["average_steps"]
