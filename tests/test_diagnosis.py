"""What is said of a training: each fault is brought about, and a healthy run shows none."""

import io
import math
import re
import shutil
from dataclasses import replace

import fiftyone as fo
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import QUICK, save_digits
from PIL import Image, ImageEnhance, ImageOps
from torch import nn

import fiftyone_gradcam as fg
from fiftyone_gradcam.images.batches import Images
from fiftyone_gradcam.model.backbones import get_backbone
from fiftyone_gradcam.model.diagnosis import diagnose
from fiftyone_gradcam.model.evidence import guessing_and_knowing
from fiftyone_gradcam.model.history import Epoch, Trained, Validation
from fiftyone_gradcam.model.overfit import PLAIN, overfit
from fiftyone_gradcam.model.recipe import Recipe
from fiftyone_gradcam.model.sources import Labelled, Pictures, compute_features
from fiftyone_gradcam.model.training import train
from fiftyone_gradcam.model.weights import create_model
from fiftyone_gradcam.review.duplicates import Leak, near_duplicates, same_content
from fiftyone_gradcam.workflow import leaks
from fiftyone_gradcam.workflow.leaks import leaks_between
from fiftyone_gradcam.workflow.sanity import some_of_each

NAMES = ["a", "b", "c"]
SQUEEZENET = {"backbone": "squeezenet1_1", "image_size": 64}


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """So small networks are not made faster by more threads, which wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


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


@pytest.mark.parametrize("rate", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_learning_rate_that_is_too_high(files, rate, optimizer):
    if (rate, optimizer) == (0.1, "sgd"):
        pytest.skip("is a sound rate")
    found = train_and_say(*sets(files), learning_rate=rate, optimizer=optimizer)
    assert found[0].name == "diverged"
    assert set(names(found)) <= {"diverged", "collapsed"}
    assert f"Lower learning_rate tenfold, from {rate:g} to {rate / 10:g}" in found[0].message


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
    looks = [Validation(n, n, b, accuracy, 1e-4, 1.0) for n, b in enumerate(val_losses, 1)]
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
    # One in ten is still a collapse; a fifth is not.
    assert "collapsed" in names(say(watched=(30, 30), predicted=(55, 5)))
    assert "collapsed" not in names(say(watched=(30, 30), predicted=(48, 12)))


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


def test_same_content():
    assert same_content("abca", "xaac").tolist() == [[0, 1], [0, 2], [2, 3]]
    assert same_content("ab", "x").shape == (0, 2)


def test_equal_files_are_found_and_only_files_of_equal_size_are_read(tmp_path, monkeypatch):
    for name, content in {
        "a": b"one",
        "b": b"two",
        "c": b"three",
        "d": b"one",
        "e": b"12345",
        "f": b"four",
    }.items():
        (tmp_path / name).write_bytes(content)
    reads = []
    original = leaks._digest
    monkeypatch.setattr(leaks, "_digest", lambda path: reads.append(path[-1]) or original(path))
    left, right = ([str(tmp_path / n) for n in part] for part in ("abc", "defg"))
    assert leaks_between(left, right) == [Leak(left[0], right[0], "exact")]
    assert sorted(reads) == ["a", "b", "c", "d", "e"]  # four bytes and a lost file have no match


def tiles() -> list[Image.Image]:
    """Different pictures: parts of scikit-learn's two photos, with what is seen in them."""
    from sklearn.datasets import load_sample_images

    parts = [
        photo[y : y + 80, x : x + 80]
        for photo in load_sample_images().images
        for y in range(0, 347, 80)
        for x in range(0, 560, 80)
    ]
    return [Image.fromarray(part) for part in parts if part.std() > 40]


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def cropped(image: Image.Image) -> Image.Image:
    width, height = image.size
    x, y = round(0.015 * width), round(0.015 * height)
    return image.crop((x, y, width - x, height - y))


COPIES = {
    "jpeg": lambda image: jpeg(image, 60),
    "crop": cropped,
    "size": lambda image: image.resize((image.width * 6 // 10, image.height * 6 // 10)),
    "brightness": lambda image: ImageEnhance.Brightness(image).enhance(1.1),
    "flip": ImageOps.mirror,
}


def thumbnails(images) -> np.ndarray:
    small = [np.asarray(i.resize((8, 8), Image.Resampling.BOX), np.float32) for i in images]
    return np.stack(small).reshape(len(small), -1)


def test_near_duplicates_of_photos_are_found_and_nothing_else():
    pictures = tiles()
    train_part, val_part = pictures[::2], pictures[1::2]
    kinds = [kind for kind in COPIES if kind != "flip"]  # which thumbnails do not see through
    copies = [COPIES[kinds[n % 4]](image) for n, image in enumerate(train_part[:12])]
    pairs, cosines = near_duplicates(thumbnails(train_part), thumbnails([*val_part, *copies]))
    found = {(int(i), int(j) - len(val_part)) for i, j in pairs}
    assert found == {(n, n) for n in range(12)}
    assert (np.diff(cosines) <= 0).all()
    assert cosines.min() >= 0.85
    # An image that has copies among the training images is found as well.
    twice = thumbnails([*train_part, *(jpeg(i, 80) for i in train_part)])
    pairs, _ = near_duplicates(twice, thumbnails([*val_part, *copies]))
    assert {int(j) - len(val_part) for _, j in pairs} == set(range(12))


def test_members_of_one_class_are_no_near_duplicates():
    # A tight class: every cosine is above the least one, and none is outstanding.
    random = np.random.default_rng(0)
    centres = np.repeat(random.normal(size=(2, 64)), 100, 0)
    rows = (centres + 0.1 * random.normal(size=(200, 64))).astype(np.float32)
    order = random.permutation(200)
    a, b = rows[order[:120]], rows[order[120:]]
    standard = (a - a.mean(0)) / a.std(0)
    standard /= np.linalg.norm(standard, axis=1, keepdims=True)
    assert np.quantile((standard @ standard.T).max(1), 0.1) > 0.85
    assert len(near_duplicates(a, b)[0]) == 0
    pairs, cosines = near_duplicates(a, np.concatenate([b, a[:3]]))
    assert sorted(map(tuple, pairs)) == [(0, 80), (1, 81), (2, 82)]
    assert cosines == pytest.approx([1, 1, 1])


def test_near_duplicates_by_blocks_and_of_little(monkeypatch):
    random = np.random.default_rng(1)
    a, b = random.normal(size=(50, 20)), random.normal(size=(30, 20))
    b[[3, 17, 29]] = a[[40, 8, 8]] + 0.01
    a[:, 5], b[:, 5] = 1.0, 7.0  # says nothing of a
    whole = near_duplicates(a, b)
    assert sorted(map(tuple, whole[0])) == [(8, 17), (8, 29), (40, 3)]
    monkeypatch.setattr("fiftyone_gradcam.review.duplicates.BLOCK", 2)
    parts = near_duplicates(a, b)
    assert sorted(map(tuple, parts[0])) == sorted(map(tuple, whole[0]))
    assert len(near_duplicates(a[:2], a)[0]) == 0
    assert near_duplicates(a, b[:0])[0].shape == (0, 2)


@pytest.mark.parametrize("backbone", ["squeezenet1_1", "mobilenet_v2"])
def test_near_duplicates_of_real_photos(real, tmp_path, backbone):
    chosen = Recipe(backbone, str(real / "weights" / f"{backbone}.pth"))
    photos = sorted((real / "data" / "hymenoptera" / "val").glob("*/*.jpg"))
    train_paths, val_paths = map(list, (photos[::2], photos[1::2]))
    planted = {}
    for number, path in enumerate(train_paths[:40]):
        copy = tmp_path / f"{number:02d}.png"
        COPIES[list(COPIES)[number % 5]](Image.open(path).convert("RGB")).save(copy)
        planted[str(copy)] = str(path)
    averages = []
    model = create_model(backbone, 2, chosen.weights)
    for paths in (train_paths, [*val_paths, *planted]):
        data = Labelled(Images([str(p) for p in paths], 224), np.zeros(len(paths), np.int64))
        source = Pictures(data, chosen, 2, get_backbone(backbone), torch.device("cpu"))
        averages.append(compute_features(model, source, lambda _: None).averages())
    paths = [*map(str, val_paths), *planted]
    leaks = leaks_between([str(p) for p in train_paths], paths, tuple(averages))
    assert {leak.kind for leak in leaks} == {"near"}
    assert all(planted.get(leak.val) == leak.train for leak in leaks)
    assert len(leaks) >= 36


def test_copies_between_training_and_watched_images_are_told(files, name, tmp_path, pretrained):
    root = tmp_path / "digits"
    for number, (path, label) in enumerate(zip(*files, strict=True)):
        folder = root / ("val" if number % 3 == 0 else "train") / f"digit {label}"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / f"{number:03d}.png")
    source = sorted((root / "train" / "digit 0").iterdir())
    shutil.copy(source[0], root / "val" / "digit 0" / "same file.png")
    image = Image.open(source[5]).convert("RGB")
    ImageEnhance.Brightness(image).enhance(0.99).save(root / "val" / "digit 0" / "darker.png")
    dataset = fg.import_folders(str(root), name)
    choices = {**QUICK, "weights": pretrained, "head_epochs": 2, "epochs": 1}
    (found,) = fg.fine_tune(dataset, "leaky", **choices).findings
    assert found["name"] == "leak"
    assert found["message"].startswith("2 of 62 watched images are training images too (1 by equal")
    assert "same file.png" in found["message"]
    assert str(source[0]) in found["message"]


# Sanity checks


def handful(files, side=16, per_class=5) -> Labelled:
    paths, labels = files
    chosen = [i for label in range(3) for i in np.flatnonzero(labels == label)[:per_class]]
    return Labelled(Images([paths[i] for i in chosen], side, 1 << 24), labels[chosen])


@pytest.mark.parametrize(
    "choices",
    [
        {},
        {"mixup": 1.0, "label_smoothing": 0.2, "dropout": 0.5, "cutout": 0.5, "ema": 0.999},
        {"optimizer": "sgd", "learning_rate": 0.01, "batch_size": 4},
        {"gradual_unfreezing": True, "head_epochs": 2, "schedule": "one_cycle"},
        {**SQUEEZENET, "horizontal_flip": True},
    ],
    ids=str,
)
def test_a_sound_set_up_learns_a_handful_by_heart(files, choices):
    state, steps = torch.random.get_rng_state(), []
    data = handful(files, choices.get("image_size", 16))
    found = overfit(recipe(**choices), 3, data, 100, "cpu", lambda *step: steps.append(step))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert (found.passed, found.accuracy, found.cause) == (True, 1.0, None)
    assert found.loss < math.log(3) / 2
    assert steps == [(n, 100) for n in range(1, len(found.losses) + 1)]
    assert str(found).startswith("This set-up can learn: 15 of 15 images were learnt by heart")
    assert overfit(recipe(**choices), 3, data, 100, "cpu").losses == pytest.approx(found.losses)


@pytest.mark.parametrize(
    ("choices", "cause", "words"),
    [
        ({"learning_rate": 1e-7}, "rate_too_low", "too low .* from 1e-07 to 1e-06"),
        ({"learning_rate": 10.0}, "rate_too_high", "too high. .* from 10 to 1"),
        (
            {"learning_rate": 10.0, "optimizer": "sgd", "weight_decay": 10.0},
            "rate_too_high",
            "too high. .* from 10 to 1",
        ),
        ({"freeze": "backbone"}, "frozen_at_random", "freeze='backbone'.* random weights"),
        ({**SQUEEZENET, "learning_rate": 0.01}, "dead_head", "dead: .*100% .* from 0.01 to 0.001"),
    ],
    ids=str,
)
def test_a_set_up_that_cannot_learn_says_why(files, choices, cause, words):
    data = handful(files, choices.get("image_size", 16))
    found = overfit(recipe(**choices), 3, data, 60, "cpu")
    assert (found.passed, found.cause) == (False, cause)
    assert str(found).startswith("This set-up does not learn as it stands: ")
    assert re.search(words, str(found))


def test_contradictory_labels_of_a_handful(files):
    data = handful(files)
    data.images.paths[7] = data.images.paths[2]  # a "b" that looks like an "a"
    found = overfit(recipe(), 3, data, 60, "cpu")
    assert (found.passed, found.cause) == (False, "contradiction")
    assert found.accuracy == pytest.approx(14 / 15)
    assert "2 of the images are equal to one of another class" in str(found)
    # They are told beside another cause, too.
    found = overfit(recipe(learning_rate=1e-7), 3, data, 30, "cpu")
    assert found.cause == "rate_too_low"
    assert "equal to one of another class" in str(found)


def test_a_handful_is_trained_on_without_what_hides_the_answer():
    noisy = recipe(
        horizontal_flip=True,
        vertical_flip=True,
        translation=2,
        scale=0.1,
        crop=0.5,
        rotation=5.0,
        elastic=1.0,
        brightness=0.1,
        contrast=0.1,
        noise=0.1,
        cutout=0.1,
        mixup=0.1,
    )
    assert noisy.augments
    assert not replace(noisy, **PLAIN).augments


def test_some_of_each():
    labels = np.array([0] * 20 + [-1] * 5 + [1] * 3 + [2] * 20)
    chosen = some_of_each(labels, 13, seed=0)
    assert np.bincount(labels[chosen]).tolist() == [5, 3, 5]
    assert sorted(set(chosen)) == chosen.tolist()
    assert some_of_each(labels, 13, seed=1).tolist() != chosen.tolist()
    assert len(some_of_each(labels, 100, seed=0)) == 43


def test_sanity_check_of_a_dataset(files, name, capsys):
    paths, labels = files
    dataset = fo.Dataset(name)
    dataset.add_samples(
        fo.Sample(
            p, tags=["train"] if i % 2 else ["val"], ground_truth=fo.Classification(label=f"{c}")
        )
        for i, (p, c) in enumerate(zip(paths, labels, strict=True))
    )
    calls = []
    found = fg.sanity_check(dataset, **QUICK, progress=lambda *call: calls.append(call))
    assert found.passed
    assert calls[-1][:2] == (len(found.losses), 100)
    assert capsys.readouterr().out.strip() == str(found)
    assert "16 of 16 images" in str(found)
    # Only what is tagged "train" is looked at; and nothing is written.
    (dataset.match_tags("val")).set_values(
        "ground_truth", [fo.Classification(label="0")] * len(dataset.match_tags("val"))
    )
    assert fg.sanity_check(dataset, **QUICK).losses == found.losses
    assert set(dataset.get_field_schema()) == {
        "id",
        "filepath",
        "tags",
        "metadata",
        "created_at",
        "last_modified_at",
        "ground_truth",
    }
    low = fg.sanity_check(dataset.match_tags("train"), **{**QUICK, "learning_rate": 1e-7}, steps=20)
    assert low.cause == "rate_too_low"
    with pytest.raises(ValueError, match="at least two classes.*'0'"):
        fg.sanity_check(dataset.match_tags("val"), **QUICK)
    for option, value in (("images", 1), ("steps", 0), ("steps", True), ("images", 2.5)):
        with pytest.raises(ValueError, match=f"{option} must be a whole number"):
            fg.sanity_check(dataset, **QUICK, **{option: value})


def test_images_that_cannot_be_decoded_are_left_out_of_a_handful(files, tmp_path):
    data = handful(files)
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"bad")
    data.images.paths[0] = str(bad)
    assert "14 of 14 images" in str(overfit(recipe(), 3, data, 60, "cpu"))
    only = Labelled(Images([str(bad), str(bad)], 16), np.array([0, 1]))
    with pytest.raises(ValueError, match=r"None of the images can be decoded.*bad\.png"):
        overfit(recipe(), 3, only, 10, "cpu")
