"""What is said of a training: each fault is brought about, and a healthy run shows none."""

import math
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import QUICK, save_digits
from PIL import Image
from torch import nn

import fiftyone_gradcam as fg
from fiftyone_gradcam.images.batches import Images
from fiftyone_gradcam.model.diagnosis import diagnose
from fiftyone_gradcam.model.evidence import guessing_and_knowing
from fiftyone_gradcam.model.history import Epoch, Trained, Validation
from fiftyone_gradcam.model.recipe import Recipe
from fiftyone_gradcam.model.sources import Labelled
from fiftyone_gradcam.model.training import train
from fiftyone_gradcam.model.weights import create_model
from fiftyone_gradcam.review.duplicates import Leak
from fiftyone_gradcam.workflow.leaks import leaks_between

NAMES = ["a", "b", "c"]
pytestmark = pytest.mark.usefixtures("one_thread")
SQUEEZENET = {"backbone": "squeezenet1_1", "image_size": 64}


def recipe(**choices) -> Recipe:
    return Recipe(**{**QUICK, "epochs": 4, **choices})


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Paths and classes of 60 digits of each of three classes; every third is watched."""
    root = save_digits(tmp_path_factory.mktemp("diagnosis") / "digits", per_class=60)
    paths = sorted(root.glob("*/*.png"))
    return [str(p) for p in paths], np.array([int(p.parent.name[-1]) for p in paths])


@pytest.fixture(scope="module")
def pretrained(files, tmp_path_factory) -> str:
    """A file of weights that know the digits, with their last layer."""
    found = train(recipe(epochs=6), 3, *sets(files), device="cpu")
    path = tmp_path_factory.mktemp("weights") / "digits.pt"
    torch.save(found.model.state_dict(), path)
    return str(path)


def sets(files, side=16, labels=None):
    paths, own = files
    labels = own if labels is None else labels
    watched = np.arange(len(paths)) % 3 == 0
    parts = []
    for chosen in (~watched, watched):
        images = Images([p for p, c in zip(paths, chosen, strict=True) if c], side, 1 << 24)
        parts.append(Labelled(images, labels[chosen]))
    return parts


def few(data: Labelled, **counts: int) -> Labelled:
    """The set with so many images of the classes "a", "b" and "c"."""
    kept = [np.flatnonzero(data.labels == NAMES.index(k))[:n] for k, n in counts.items()]
    kept = np.concatenate(kept)
    return Labelled(Images([data.images.paths[i] for i in kept], 16, 1 << 24), data.labels[kept])


def train_and_say(data, watched=None, **choices):
    """Train, look for leaks and diagnose, as `fine_tune` does."""
    chosen = recipe(**choices)
    found = train(chosen, 3, data, watched, device="cpu")
    if watched is None:
        return diagnose(chosen, NAMES, found, data.labels, np.empty(0, np.int64))
    leaks = leaks_between(data.images.paths, watched.images.paths, found.features)
    truth = watched.labels[found.val_positions]
    return diagnose(chosen, NAMES, found, data.labels, truth, leaks)


def names(findings) -> list[str]:
    return [finding.name for finding in findings]


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
def test_of_a_healthy_training_nothing_is_said(files, choices):
    assert train_and_say(*sets(files), **choices) == []


def test_of_a_healthy_fine_tuning_nothing_is_said(files, pretrained):
    # Its features are compared: members of one class are no duplicates.
    choices = {"weights": pretrained, "head_epochs": 3, "epochs": 2}
    assert train_and_say(*sets(files), **choices) == []
    assert train_and_say(*sets(files), **{**choices, "freeze": "backbone"}) == []


def test_of_a_healthy_training_without_watched_images_nothing_is_said(files):
    assert train_and_say(sets(files)[0]) == []


# Faults of learning


@pytest.mark.parametrize("watched", [True, False])
def test_a_learning_rate_that_is_too_low(files, watched):
    data, others = sets(files)
    found = train_and_say(data, others if watched else None, learning_rate=1e-7)
    assert names(found) in (["not_learning"], ["not_learning", "collapsed"])
    assert found[0].severity == "error"
    assert "learning rate is too low" in found[0].message
    assert "from 1e-07 to 1e-06" in found[0].message
    assert "gives 1.10" in found[0].message  # ln 3


@pytest.mark.parametrize(
    ("optimizer", "rate"), [("adamw", 0.1), ("adamw", 1.0), ("adamw", 10.0), ("sgd", 10.0)]
)
def test_a_learning_rate_that_is_too_high(files, optimizer, rate):
    found = train_and_say(*sets(files), learning_rate=rate, optimizer=optimizer)
    assert found[0].name == "diverged"
    assert set(names(found)) <= {"diverged", "collapsed"}
    assert f"Lower learning_rate tenfold, from {rate:g} to {rate / 10:g}" in found[0].message


def test_a_learning_rate_that_is_too_high_shows_without_watched_images(files):
    found = train_and_say(sets(files)[0], learning_rate=10.0)
    assert names(found) == ["diverged"]
    assert found[0].message.startswith("The training diverged: its training loss ended at ")
    assert "were kept" not in found[0].message


def test_a_first_epoch_may_have_the_loss_of_a_guess_and_yet_have_learnt():
    begun = hand_made((0.68,), (0.65,))
    assert say(begun, watched=(30, 30), right=50) == []
    assert names(say(begun, watched=(30, 30), right=35)) == ["not_learning"]


def test_a_loss_that_is_no_number(files, monkeypatch):
    original, count = torch.optim.AdamW.step, 0

    def step(self, *args, **kwargs):
        nonlocal count
        original(self, *args, **kwargs)
        count += 1
        if count > 8 * 2 + 3:  # 120 images in batches of 16 are 8 steps an epoch
            for weight in self.param_groups[0]["params"]:
                weight.data.fill_(float("nan"))

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    found = train_and_say(*sets(files))
    assert names(found) == ["diverged"]
    assert "in epoch 3 its loss was no longer a number" in found[0].message
    assert found[0].severity == "warning"  # the weights that were kept are good


def test_a_frozen_part_with_random_weights(files):
    found = train_and_say(*sets(files), freeze="backbone")
    assert names(found) == ["not_learning", "collapsed"]
    assert "(freeze='backbone') has random weights (weights='none')" in found[0].message
    assert "follows from" in found[1].message
    # Where the rest gets along, it is said all the same.
    found = train_and_say(*sets(files), freeze=1)
    assert [(f.name, f.severity) for f in found] == [("frozen_at_random", "warning")]


def test_a_frozen_part_that_sees_nothing_of_the_classes(files, tmp_path):
    blind = create_model("small_cnn", 5, "none")
    nn.init.zeros_(blind.features.stage3[4].weight)  # the last batch norm: all cells are alike
    torch.save(blind.state_dict(), tmp_path / "blind.pt")
    weights = str(tmp_path / "blind.pt")
    found = train_and_say(*sets(files), weights=weights, freeze="backbone", learning_rate=1e-3)
    assert found[0].name == "not_learning"
    assert "what the frozen part sees does not tell these classes apart" in found[0].message


def test_contradictory_labels(files):
    labels = np.random.default_rng(0).integers(0, 3, len(files[1]))
    found = train_and_say(*sets(files, labels=labels), epochs=30)
    assert names(found) == ["majority", "overfitting"]
    assert "learns them by heart" in found[0].message
    assert "no" in found[0].message.split(" better")[0]
    # The same picture under each label: the loss cannot fall at all.
    paths = [files[0][0]] * 60
    data = Labelled(Images(paths, 16), np.arange(60) % 3)
    found = train_and_say(data, epochs=2)
    assert names(found) == ["not_learning"]
    assert "learning rate is" not in found[0].message.replace("learning rate is not plainly", "")


def test_a_squeezenet_head_that_died(files):
    found = train_and_say(*sets(files, 64), **SQUEEZENET, learning_rate=0.01)
    assert names(found) == ["dead_head"]
    assert found[0].severity == "error"
    assert "100% of the watched images" in found[0].message
    assert "from 0.01 to 0.001" in found[0].message


def test_a_squeezenet_head_that_was_dead_from_the_start(files, tmp_path):
    model = create_model("squeezenet1_1", 3, "none")
    nn.init.constant_(model.classifier[1].bias, -1000)
    torch.save(model.state_dict(), tmp_path / "dead.pt")
    weights = str(tmp_path / "dead.pt")
    found = train_and_say(*sets(files, 64), **SQUEEZENET, weights=weights, epochs=2)
    assert names(found) == ["dead_head"]
    assert "so from the start" in found[0].message
    assert "learning_rate" not in found[0].message


def test_overfitting_but_not_the_usual_gap():
    train_losses = [0.5, 0.3, 0.1, 0.03, 0.01, 0.01]
    accuracies = {"train_accuracy": 0.99, "val_accuracy": 0.92}
    usual = hand_made(train_losses, [0.4, 0.26, 0.22, 0.23, 0.25, 0.26], **accuracies)
    assert say(usual, watched=(80, 73), right=141) == []
    risen = hand_made(train_losses, [0.4, 0.26, 0.22, 0.4, 0.6, 0.7], **accuracies)
    (found,) = say(risen, watched=(80, 73), right=141)
    assert (found.name, found.severity) == ("overfitting", "warning")
    assert "0.22 in epoch 3 and 0.70 at the end" in found.message
    assert "99% of the training images and 92% of the watched" in found.message
    jump = hand_made(train_losses, [0.4, 0.26, 0.22, 0.22, 0.23, 0.7], **accuracies)
    assert say(jump, watched=(80, 73), right=141) == []
    # Not yet good, but getting better: more epochs may do.
    better = hand_made([0.3, 0.1, 0.05], [3.0, 2.5, 2.0], train_accuracy=0.99, val_accuracy=0.7)
    assert say(better, watched=(80, 73), right=107) == []
    worse = hand_made(
        [0.3, 0.02, 0.1, 0.1], [0.5, 0.2, 1.5, 1.5], train_accuracy=0.99, val_accuracy=0.7
    )
    assert say(worse, watched=(80, 73), right=107) == []  # both rise: it is not learnt by heart
    # Of 30 watched images 28 right and 119 of 120 are no clear difference (Fisher: p = 0.1).
    few_watched = replace(risen, history=[replace(r, val_accuracy=28 / 30) for r in risen.history])
    assert "overfitting" not in names(say(few_watched, watched=(15, 15), right=28))


def test_a_training_that_knows_is_told_from_one_that_guesses():
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


# Faults of predictions


def hand_made(
    train_losses=(0.8, 0.4, 0.2),
    val_losses=(0.8, 0.5, 0.4),
    *,
    train_accuracy=0.95,
    val_accuracy=0.9,
    head_change=0.5,
    dead=0.0,
) -> Trained:
    """A training with these curves; `say` fills in its predictions."""
    losses = val_losses or [None] * len(train_losses)
    accuracy = val_accuracy if val_losses else None
    pairs = enumerate(zip(train_losses, losses, strict=True), 1)
    history = [Epoch(n, a, train_accuracy, b, accuracy, 1e-4, 1.0, 10.0) for n, (a, b) in pairs]
    looks = [
        Validation(n, n, 1.0, 0.5, b, accuracy, 1e-4, 1.0, 9.0) for n, b in enumerate(val_losses, 1)
    ]
    return Trained(nn.Identity(), history, looks, 3, accuracy, head_change=head_change, dead=dead)


def say(trained=None, watched=(), right=None, predicted=None, counts=(60, 60), leaks=(), **choices):
    """Diagnose by numbers of watched images of each class, and of those that are predicted right
    or as each class."""
    truth = np.repeat(np.arange(len(watched)), watched)
    if predicted is None:
        guess = truth.copy()
        wrong = np.linspace(0, len(truth) - 1, len(truth) - right).astype(int)
        guess[wrong] = (guess[wrong] + 1) % len(watched)
    else:
        guess = np.repeat(np.arange(len(predicted)), predicted)
    found = replace(
        trained or hand_made(), val_positions=np.arange(len(truth)), val_predicted=guess
    )
    labels = np.repeat(np.arange(len(counts)), counts)
    return diagnose(recipe(**choices), NAMES[: len(counts)], found, labels, truth, leaks)


def test_predictions_that_collapsed_by_a_huge_bias(files, pretrained, tmp_path):
    state = torch.load(pretrained)
    state["classifier.1.bias"][1] = 1000
    torch.save(state, tmp_path / "biased.pt")
    found = train_and_say(*sets(files), weights=str(tmp_path / "biased.pt"), epochs=2)
    assert names(found) == ["not_learning", "collapsed"]
    assert "60 of 60 watched images are predicted as 'b'" in found[1].message
    assert "40 are of other classes" in found[1].message


def test_predictions_that_collapsed_and_their_reason():
    def collapse(**options):
        (found,) = say(watched=(30, 30), predicted=(60, 0), **options)
        assert (found.name, found.severity) == ("collapsed", "error")
        return found.message

    assert "90% of the training images are of this class" in collapse(counts=(90, 10))
    assert "class_balance='sampling'" in collapse(counts=(90, 10))
    assert "statistics of batch norm" in collapse()
    assert "statistics" not in collapse(trained=hand_made(train_accuracy=0.6))
    # That four images are missed may be chance, and one class may be all there is to see.
    assert names(say(watched=(56, 4), predicted=(60, 0))) == ["majority"]
    assert say(watched=(60, 0), predicted=(60, 0)) == []
    # One in twelve is still a collapse; two in fifteen are not.
    assert "collapsed" in names(say(watched=(30, 30), predicted=(55, 5)))
    assert "collapsed" not in names(say(watched=(30, 30), predicted=(52, 8)))


@pytest.mark.parametrize(("right", "expected"), [(30, "no better"), (36, "not clearly"), (38, "")])
def test_no_better_than_the_majority_class(right, expected):
    # Of 60 fair throws 36 or more succeed with p = 0.078, and 38 or more with p = 0.026.
    found = say(watched=(30, 30), right=right)
    assert names(found) == ["majority"] * bool(expected)
    if expected:
        assert f"{expected}" in found[0].message
        assert f"{right} of 60 watched images are right, and 30 are of 'a'" in found[0].message
        assert found[0].severity == "error"


def test_where_no_accuracy_could_beat_the_majority_nothing_is_said_of_it():
    assert say(watched=(58, 2), right=60) == []  # p of all right is 0.13


def test_a_rare_class_that_is_found_is_no_failure_of_learning():
    # Nine in ten of either class are right: 90%, and always guessing "a" gives as much.
    truth = np.repeat([0, 1], [180, 20])
    guess = np.where(np.arange(200) % 10 == 0, 1 - truth, truth)
    trained = replace(hand_made(), val_positions=np.arange(200), val_predicted=guess)
    (found,) = diagnose(recipe(), NAMES[:2], trained, truth, truth)
    assert (found.name, found.severity) == ("majority", "warning")
    assert "predictions do depend on the images" in found.message


def test_a_class_never_predicted_and_of_few_images(files):
    data, watched = sets(files)
    found = train_and_say(few(data, a=40, b=40, c=2), watched)
    assert names(found) == ["never_predicted", "few_images"]
    assert "'c' (20 of the watched images, 2 of the training images)" in found[0].message
    assert "class_balance='sampling'" in found[0].message
    assert "of 'c' (2)" in found[1].message
    assert "'a'" not in found[1].message


def test_a_class_that_few_images_are_of_may_be_missed():
    options = {"counts": (60, 60, 60)}
    assert say(watched=(30, 30, 4), predicted=(30, 34, 0), **options) == []
    (found,) = say(watched=(30, 30, 5), predicted=(30, 35, 0), **options)
    assert found.name == "never_predicted"
    assert "taken for 'b'" in found.message
    assert "sampling" not in found.message  # it has as many training images as the others


def test_few_images_are_told_with_what_they_leave_open():
    (found,) = say(watched=(5, 5), right=9, counts=(60, 9))
    assert found.name == "few_images"
    assert "'b' (9)" in found.message
    assert "'a'" not in found.message
    # The interval of Wilson for 9 of 10, by its formula: 0.596 to 0.982.
    assert "9 of them are right, but of new images it may be anything from 60% to 98%" in (
        found.message
    )
    assert say(watched=(15, 15), right=29, counts=(10, 10)) == []
    capped = say(watched=(15, 15), right=29, counts=(60, 60), images_per_class=5)
    assert "'a' (5), 'b' (5)" in capped[0].message


def test_what_follows_from_something_said_is_not_said_again():
    trained = hand_made((1.1, 1.1, 1.1), (1.1, 1.1, 1.1), train_accuracy=0.5, dead=1.0)
    assert names(say(trained, watched=(30, 30), predicted=(60, 0))) == ["dead_head"]
    trained = replace(trained, dead=0.0, diverged=True)
    assert names(say(trained, watched=(30, 30), predicted=(60, 0))) == ["diverged", "collapsed"]
    broken = replace(trained, history=[], validations=[])
    assert "in epoch 1" in say(broken, predicted=())[0].message
    leaks = [Leak("t.png", "v.png", "near")]
    found = say(trained, watched=(5, 5), predicted=(10, 0), leaks=leaks)
    assert names(found) == ["diverged", "collapsed", "leak", "few_images"]
    assert [f.severity for f in found] == ["error", "error", "warning", "warning"]
    assert found[0].to_dict() == {
        "name": "diverged",
        "severity": "error",
        "message": found[0].message,
    }


# The same image twice


def test_leaks_are_told_by_their_number_and_kind():
    leaks = [Leak("t1", "v1", "exact"), Leak("t2", "v1", "near"), Leak("t2", "v2", "near")]
    (found,) = say(watched=(30, 30), right=58, leaks=leaks)
    assert (found.name, found.severity) == ("leak", "warning")
    assert "2 of 60 watched images are training images too" in found.message
    assert "(1 by equal files, 1 nearly the same; as v1 and t1)" in found.message
    many = [Leak("t", f"v{n}", "exact") for n in range(6)]
    assert say(watched=(30, 30), right=58, leaks=many)[0].severity == "error"
    found = say(watched=(30, 25, 5), predicted=(30, 30, 0), counts=(60, 60, 60), leaks=many)
    assert names(found) == ["leak", "never_predicted"]  # what is worse comes first


def test_copies_between_training_and_watched_images_are_told(files, name, tmp_path, pretrained):
    root = tmp_path / "digits"
    for number, (path, label) in enumerate(zip(*files, strict=True)):
        folder = root / ("val" if number % 3 == 0 else "train") / f"digit {label}"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / f"{number:03d}.png")
    source = sorted((root / "train" / "digit 0").iterdir())
    shutil.copy(source[0], root / "val" / "digit 0" / "same file.png")
    # The same pixels in another file.
    Image.open(source[5]).save(root / "val" / "digit 0" / "same pixels.png", compress_level=0)
    dataset = fg.import_folders(str(root), name)
    choices = {**QUICK, "weights": pretrained, "head_epochs": 2, "epochs": 1}
    (found,) = fg.fine_tune(dataset, "leaky", **choices).findings
    assert found["name"] == "leak"
    assert (
        "2 of 62 watched images are training images too (1 by equal files, 1 nearly the same"
        in (found["message"])
    )
    assert "same file.png" in found["message"]
    assert str(source[0]) in found["message"]
