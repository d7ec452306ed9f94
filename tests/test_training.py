"""The training loop: what learns, how fast, what is kept, and resuming after a pause."""

import copy
import math
from types import SimpleNamespace

import pytest
import torch
from small_trainings import recipe, sets_of_digits
from torch import nn

from fiftyone_gradcam.images.batches import Images
from fiftyone_gradcam.model.backbones import get_backbone
from fiftyone_gradcam.model.weights import create_model
from fiftyone_gradcam.training import loop as training
from fiftyone_gradcam.training.course import Course
from fiftyone_gradcam.training.history import Hooks
from fiftyone_gradcam.training.learner import Learner
from fiftyone_gradcam.training.loop import TELL_SECONDS, Loop, train
from fiftyone_gradcam.training.sources import Features, Labelled


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return sets_of_digits(tmp_path_factory.mktemp("training") / "digits")


@pytest.fixture(scope="module")
def pretrained(digits, tmp_path_factory) -> str:
    """A file of weights that know three digits."""
    found = train(recipe(epochs=6), 3, *digits, device="cpu")
    path = tmp_path_factory.mktemp("weights") / "digits.pt"
    torch.save({k: v for k, v in found.model.state_dict().items() if "classifier" not in k}, path)
    return str(path)


def weights_of(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(first: nn.Module, second: nn.Module) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_it_learns_keeps_the_best_and_repeats_itself(digits):
    steps = []
    state = torch.random.get_rng_state()
    hooks = Hooks(lambda *step: steps.append(step))
    first = train(recipe(), 3, *digits, device="cpu", hooks=hooks)
    assert torch.equal(torch.random.get_rng_state(), state)
    second = train(recipe(), 3, *digits, device="cpu")
    assert first.history[-1].val_accuracy >= 0.9
    best = max(first.validations, key=lambda row: (row.val_accuracy, -row.val_loss))
    assert (first.best_epoch, first.val_accuracy) == (best.epoch, best.val_accuracy)
    for a, b in zip(first.history, second.history, strict=True):
        assert (a.train_loss, a.val_loss) == pytest.approx((b.train_loss, b.val_loss), rel=1e-4)
    other = train(recipe(seed=1), 3, *digits, device="cpu")
    assert other.history[0].train_loss != pytest.approx(first.history[0].train_loss, rel=1e-4)
    assert [done for done, _, epoch in steps if epoch] == [300, 600, 900, 1200]  # 90 x 3 + 30
    assert steps[-1][:2] == (1200, 1200)
    assert not first.model.training
    row = first.history[1]
    assert row.images_per_second * row.seconds >= 90 * 0.99  # validation takes its time too

    # The kept weights are those of the best validation: they give its accuracy again.
    held = digits[1]
    (batch,) = held.images.batches(100, held.positions)
    with torch.no_grad():
        predicted = first.model(get_backbone("small_cnn").normalize(batch.images)).argmax(1).numpy()
    assert (predicted == held.labels[batch.positions]).mean() == pytest.approx(best.val_accuracy)
    assert dict(zip(first.val_positions, first.val_predicted, strict=True)) == dict(
        zip(batch.positions, predicted, strict=True)
    )


@pytest.mark.parametrize("pause", [1, 3])
@pytest.mark.parametrize(
    "choices",
    [
        {},
        {"ema": 0.9, "dropout": 0.5},
        {"optimizer": "sgd", "learning_rate": 0.01, "schedule": "one_cycle"},
        {"class_balance": "sampling", "validate_every": 4, "horizontal_flip": True},
        {"gradual_unfreezing": True, "optimizer": "adam", "class_balance": "weights"},
        {"freeze": "backbone", "hidden": [8]},
    ],
    ids=str,
)
def test_a_paused_training_ends_as_if_it_had_not_been_paused(digits, choices, pause):
    kept = []
    hooks = Hooks(on_state=lambda state: kept.append(copy.deepcopy(state)))
    whole = train(recipe(**choices), 3, *digits, device="cpu", hooks=hooks)
    again = train(recipe(**choices), 3, *digits, device="cpu", state=kept[pause - 1])
    assert same(whole.model, again.model)
    assert (again.best_epoch, again.val_accuracy) == (whole.best_epoch, whole.val_accuracy)
    for a, b in zip(whole.history, again.history, strict=True):
        assert (a.train_loss, a.val_loss, a.learning_rate) == (
            b.train_loss,
            b.val_loss,
            b.learning_rate,
        )
    assert [row.iteration for row in whole.validations] == [r.iteration for r in again.validations]
    assert again.validations[-1].seconds >= kept[pause - 1]["seconds"]
    assert again.head_change == pytest.approx(whole.head_change)


def test_a_finished_training_goes_on_for_more_epochs(digits):
    kept = []
    short = train(recipe(epochs=2), 3, *digits, device="cpu", hooks=Hooks(on_state=kept.append))
    longer = train(recipe(epochs=5), 3, *digits, device="cpu", state=kept[-1])
    assert [row.epoch for row in longer.history] == [1, 2, 3, 4, 5]
    assert longer.history[:2] == short.history
    assert longer.history[-1].train_loss < short.history[-1].train_loss / 2


def test_new_layers_first(digits, pretrained):
    choices = {"weights": pretrained, "head_epochs": 30, "epochs": 2}
    kept = []
    hooks = Hooks(on_state=lambda state: kept.append(copy.deepcopy(state)))
    found = train(recipe(**choices), 3, *digits, device="cpu", hooks=hooks)
    assert [row.epoch for row in found.history] == [0, 1, 2]
    assert (found.validations[0].iteration, found.validations[0].epoch) == (0, 0)
    assert found.history[0].learning_rate == 0
    assert found.history[0].val_accuracy >= 0.9
    start = create_model("small_cnn", 3, pretrained).state_dict()
    for name, value in kept[0]["model"].items():  # only the last layer has changed by then
        assert torch.equal(value, start[name]) != name.startswith("classifier"), name
    # The features that the diagnosis compares: one row for each image, averaged over cells.
    (train_rows, train_positions), (val_rows, _) = found.features
    assert train_rows.shape == (90, 128)
    assert val_rows.shape == (30, 128)
    model = create_model("small_cnn", 3, pretrained).eval()
    (batch,) = digits[0].images.batches(1, train_positions[:1])
    with torch.no_grad():
        expected = model.features(get_backbone("small_cnn").normalize(batch.images)).mean((2, 3))
    assert train_rows[0] == pytest.approx(expected[0].numpy(), rel=1e-3, abs=1e-4)
    again = train(recipe(**choices), 3, *digits, device="cpu", state=kept[0])
    assert same(found.model, again.model)
    scratch = train(recipe(head_epochs=5, epochs=1), 3, *digits, device="cpu")
    assert [row.epoch for row in scratch.history] == [1]  # nothing is known: nothing to keep


def test_the_average_starts_from_the_trained_new_layers(digits, pretrained):
    kept = []
    hooks = Hooks(on_state=lambda state: kept.append(copy.deepcopy(state)))
    choices = {"weights": pretrained, "head_epochs": 2, "epochs": 1, "ema": 0.999}
    train(recipe(**choices), 3, *digits, device="cpu", hooks=hooks)
    first, last = kept  # after the new layers, and after the epoch
    assert first["average_steps"] == 0
    assert all(torch.equal(first["average"][name], x) for name, x in first["model"].items())
    weight = "classifier.1.weight"
    assert not torch.equal(last["average"][weight], last["model"][weight])


def test_features_are_computed_once_where_nothing_else_changes(digits, pretrained, monkeypatch):
    choices = {"weights": pretrained, "freeze": "backbone", "dropout": 0.0, "epochs": 3}
    reads = []
    original = Images.decode_now
    monkeypatch.setattr(Images, "decode_now", lambda self, i: reads.append(i) or original(self, i))

    def fresh():  # without a cache of images each pass decodes them
        paths = digits[0].images.paths
        return [Labelled(Images(paths, 16), d.labels, d.positions) for d in digits]

    cached = train(recipe(**choices), 3, *fresh(), device="cpu")
    assert len(reads) == 120
    monkeypatch.setattr(training, "FEATURE_BYTES", 0)
    plain = train(recipe(**choices), 3, *fresh(), device="cpu")
    assert len(reads) == 120 + 3 * 120
    for a, b in zip(cached.history, plain.history, strict=True):
        assert (a.train_loss, a.val_loss) == pytest.approx((b.train_loss, b.val_loss), rel=1e-4)
    for a, b in zip(cached.model.parameters(), plain.model.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-5)


@pytest.mark.parametrize(("freeze", "kept"), [(1, ["stage1"]), ("backbone", ["stage"])])
def test_frozen_stages_keep_weights_and_statistics(digits, pretrained, freeze, kept):
    before = create_model("small_cnn", 3, pretrained).state_dict()
    choices = {"weights": pretrained, "freeze": freeze, "epochs": 1, "horizontal_flip": True}
    after = train(recipe(**choices), 3, *digits, device="cpu").model.state_dict()
    for name, value in after.items():
        is_frozen = any(f"features.{stage}" in name for stage in kept)
        assert torch.equal(value, before[name]) == is_frozen, name


def test_gradual_unfreezing_goes_from_the_last_stage_to_the_first(digits, pretrained):
    changed = []
    previous = create_model("small_cnn", 3, pretrained).state_dict()

    def look(model, epoch):
        nonlocal previous
        now = weights_of(model)
        moved = [k for k in now if "weight" in k and not torch.equal(now[k], previous[k])]
        changed.append({k.split(".")[1] for k in moved if k.startswith("features")})
        previous = now

    choices = {"weights": pretrained, "gradual_unfreezing": True, "epochs": 4}
    train(recipe(**choices), 3, *digits, device="cpu", hooks=Hooks(on_epoch=look))
    assert changed == [set(), {"stage3"}, {"stage2", "stage3"}, {"stage1", "stage2", "stage3"}]


def test_early_stopping_ends_after_validations_without_improvement(digits):
    found = train(recipe(epochs=40, early_stopping=2), 3, *digits, device="cpu")
    assert len(found.history) < 40
    assert found.best_epoch == len(found.history) - 2


def test_validation_every_few_iterations(digits):
    found = train(recipe(validate_every=4, epochs=3), 3, *digits, device="cpu")
    # 90 images in batches of 16 are 6 iterations an epoch; the last one is validated too.
    assert [row.iteration for row in found.validations] == [4, 8, 12, 16, 18]
    assert [row.epoch for row in found.validations] == [1, 2, 2, 3, 3]
    assert found.history[1].val_accuracy == found.validations[2].val_accuracy
    assert found.val_accuracy == max(row.val_accuracy for row in found.validations)
    # At its end an epoch and its last validation tell the same of training.
    last, row = found.validations[-1], found.history[-1]
    assert (last.train_loss, last.train_accuracy) == (row.train_loss, row.train_accuracy)
    assert last.images_per_second == pytest.approx(row.images_per_second, rel=0.2)
    assert found.validations[0].train_loss != found.history[0].train_loss
    # Where the last iteration of all is one of the few, it is not validated twice.
    found = train(recipe(validate_every=6, epochs=2), 3, *digits, device="cpu")
    assert [row.iteration for row in found.validations] == [6, 12]


def test_a_validation_within_an_epoch_leaves_the_network_in_training_mode(digits):
    kept = []
    hooks = Hooks(on_state=lambda state: kept.append(copy.deepcopy(state["model"])))
    train(recipe(validate_every=2, epochs=1), 3, *digits, device="cpu", hooks=hooks)
    seen = {int(x) for name, x in kept[0].items() if name.endswith("num_batches_tracked")}
    assert seen == {6}  # of the 6 batches of an epoch, not only those before the first validation


def test_weights_that_were_never_validated_give_way_to_those_that_were(digits):
    found = train(recipe(epochs=3, validate_every=1000), 3, *digits, device="cpu")
    assert [row.val_accuracy is None for row in found.history] == [True, True, False]
    last = found.history[-1]
    assert (found.best_epoch, found.val_accuracy) == (3, last.val_accuracy)
    assert 0 < found.val_accuracy <= 1
    alone = train(recipe(epochs=3), 3, digits[0], device="cpu")
    assert alone.val_accuracy is None
    assert same(found.model, alone.model)


def test_few_images_of_each_class(digits):
    steps = []
    hooks = Hooks(lambda done, total, _: steps.append((done, total)))
    choices = {"images_per_class": 5, "epochs": 2}
    train(recipe(**choices), 3, digits[0], device="cpu", hooks=hooks)
    assert steps[-1] == (90, 90)  # 15 images, twice, three forward passes each


def test_without_a_watched_set_the_last_epoch_is_kept(digits):
    last = []
    hooks = Hooks(on_epoch=lambda model, _: last.append(weights_of(model)))
    found = train(recipe(), 3, digits[0], device="cpu", hooks=hooks)
    assert found.best_epoch == 4
    assert (found.history[0].val_accuracy, found.val_accuracy, found.validations) == (
        None,
        None,
        [],
    )
    for name, value in found.model.state_dict().items():
        assert torch.equal(value, last[-1][name])


def test_mixed_precision_keeps_weights_in_float32(digits):
    found = train(recipe(mixed_precision=True), 3, *digits, device="cpu")
    plain = train(recipe(mixed_precision=False), 3, *digits, device="cpu")
    assert {weight.dtype for weight in found.model.parameters()} == {torch.float32}
    assert found.history[0].train_loss == pytest.approx(plain.history[0].train_loss, rel=0.05)
    assert found.history[0].train_loss != plain.history[0].train_loss
    assert found.val_accuracy >= 0.9


def test_batch_statistics_begin_as_a_plain_mean(digits):
    torch.manual_seed(0)
    learner = Learner(recipe(), 3, torch.device("cpu"), digits[0].labels)
    norm = next(m for m in learner.model.modules() if isinstance(m, nn.BatchNorm2d))
    seen, momenta = [], []
    norm.register_forward_hook(lambda module, x, _: seen.append(x[0].mean((0, 2, 3)).detach()))
    norm.register_forward_pre_hook(lambda module, _: momenta.append(module.momentum))
    loop = training.Loop(recipe(epochs=3), 3, digits[0], None, torch.device("cpu"), Hooks())
    loop.learner = learner
    loop._run_epoch(1)
    assert torch.allclose(norm.running_mean, torch.stack(seen).mean(0), atol=1e-5)
    loop._run_epoch(2)
    assert momenta == pytest.approx([1 / n for n in range(1, 11)] + [0.1, 0.1])
    assert math.isclose(momenta[-1], 0.1)


def test_what_is_reported_of_a_running_epoch():
    """The place in epochs, and images per second without the time of validation."""
    reported = []
    sums = SimpleNamespace(read=lambda: (0.5, 0.75, 30))
    loop = SimpleNamespace(
        hooks=Hooks(on_rows=lambda *rows: reported.append(rows)),
        course=Course(epoch=3, history=["h"], validations=["v"]),
        **{"sums": sums, "train_set": range(120), "seconds": 10.0, "began": 4.0, "watching": 1.0},
        reported=10.0 - 0.9 * TELL_SECONDS,
    )
    assert Loop._speed(loop, 100) == 20
    Loop._report_running(loop)
    assert (reported, loop.reported < 10) == ([], True)  # too soon after the last one
    loop.reported = 10.0 - TELL_SECONDS
    Loop._report_running(loop)
    running = {"epoch": 2.25, "train_loss": 0.5, "train_accuracy": 0.75}
    assert reported == [(["h"], ["v"], running)]
    assert loop.reported == 10


@pytest.mark.parametrize(("every", "iterations"), [(2, [2, 4, 6]), (4, [4, 6])])
def test_the_last_step_is_validated_once(digits, every, iterations):
    found = train(recipe(epochs=1, validate_every=every), 3, *digits, device="cpu")
    assert [row.iteration for row in found.validations] == iterations


@pytest.mark.parametrize(("choices", "cached"), [({}, True), ({"rotation": 15.0}, False)])
def test_images_that_are_augmented_are_not_computed_once(digits, choices, cached):
    chosen = recipe(epochs=1, freeze="backbone", **choices)
    loop = Loop(chosen, 3, *digits, torch.device("cpu"), Hooks())
    loop.run()
    assert isinstance(loop.train_source, Features) == cached
