"""What is said of what a training predicts and of its images: each fault is brought about."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import QUICK
from diagnosing import (
    NAMES,
    few,
    hand_made,
    names,
    recipe,
    say,
    sets,
    train_and_say,
)
from PIL import Image

import fiftyone_gradcam as fg
from fiftyone_gradcam.review.duplicates import Leak
from fiftyone_gradcam.training.diagnosis import diagnose
from fiftyone_gradcam.training.evidence import Evidence
from fiftyone_gradcam.training.history import Epoch, Trained

pytestmark = pytest.mark.usefixtures("one_thread")


def test_predictions_that_collapsed_by_a_huge_bias(digit_files, digit_weights, tmp_path):
    state = torch.load(digit_weights)
    state["classifier.1.bias"][1] = 1000
    torch.save(state, tmp_path / "biased.pt")
    found = train_and_say(*sets(digit_files), weights=str(tmp_path / "biased.pt"), epochs=2)
    assert names(found) == ["not_learning", "collapsed"]
    assert "60 of 60 validation images are predicted as 'b'" in found[1].message
    assert "40 are of other classes" in found[1].message


def test_predictions_that_collapsed_and_their_reason():
    def collapse(**options):
        (found,) = say(validation=(30, 30), predicted=(60, 0), **options)
        assert (found.name, found.severity) == ("collapsed", "error")
        return found.message

    assert "90% of the training images are of this class" in collapse(counts=(90, 10))
    assert "class_balance='sampling'" in collapse(counts=(90, 10))
    assert "statistics of batch norm" in collapse()
    assert "statistics" not in collapse(trained=hand_made(train_accuracy=0.6))
    # That four images are missed may be chance, and one class may be all there is to see.
    assert names(say(validation=(56, 4), predicted=(60, 0))) == ["majority"]
    assert say(validation=(60, 0), predicted=(60, 0)) == []
    # One in twelve is still a collapse; two in fifteen are not.
    for predicted in ((55, 5), (54, 6)):
        assert "collapsed" in names(say(validation=(30, 30), predicted=predicted))
    assert "collapsed" not in names(say(validation=(30, 30), predicted=(52, 8)))


@pytest.mark.parametrize(("right", "expected"), [(30, "no better"), (36, "not clearly"), (38, "")])
def test_no_better_than_the_majority_class(right, expected):
    # Of 60 fair throws 36 or more succeed with p = 0.078, and 38 or more with p = 0.026.
    found = say(validation=(30, 30), right=right)
    assert names(found) == ["majority"] * bool(expected)
    if expected:
        assert f"{expected}" in found[0].message
        assert f"{right} of 60 validation images are correct, and 30 are of 'a'" in found[0].message
        assert found[0].severity == "error"


def test_where_no_accuracy_could_beat_the_majority_nothing_is_said_of_it():
    assert say(validation=(58, 2), right=60) == []  # p of all right is 0.13


def test_a_rare_class_that_is_found_is_no_failure_of_learning():
    # Nine in ten of either class are right: 90%, and always guessing "a" gives as much.
    truth = np.repeat([0, 1], [180, 20])
    guess = np.where(np.arange(200) % 10 == 0, 1 - truth, truth)
    trained = replace(hand_made(), val_positions=np.arange(200), val_predicted=guess)
    (found,) = diagnose(recipe(), NAMES[:2], trained, truth, truth)
    assert (found.name, found.severity) == ("majority", "warning")
    assert "predictions do depend on the images" in found.message


def test_a_class_never_predicted_and_of_few_images(digit_files):
    data, validation = sets(digit_files)
    found = train_and_say(few(data, a=40, b=40, c=2), validation)
    assert names(found) == ["never_predicted", "few_images"]
    assert "'c' (20 of the validation images, 2 of the training images)" in found[0].message
    assert "class_balance='sampling'" in found[0].message
    assert "of 'c' (2)" in found[1].message
    assert "'a'" not in found[1].message


def test_a_class_that_few_images_are_of_may_be_missed():
    options = {"counts": (60, 60, 60)}
    assert say(validation=(30, 30, 4), predicted=(30, 34, 0), **options) == []
    (found,) = say(validation=(30, 30, 5), predicted=(30, 35, 0), **options)
    assert found.name == "never_predicted"
    assert "predicted as 'b'" in found.message
    assert "sampling" not in found.message  # it has as many training images as the others


def test_few_images_are_reported_with_what_they_leave_open():
    (found,) = say(validation=(5, 5), right=9, counts=(60, 9))
    assert found.name == "few_images"
    assert "'b' (9)" in found.message
    assert "'a'" not in found.message
    # The interval of Wilson for 9 of 10, by its formula: 0.596 to 0.982.
    assert found.message.endswith(
        "The accuracy on new images may be anything from 60% to 98% (95% Wilson interval), because "
        "it is known from only 10 validation images, of which 9 are correct."
    )
    (found,) = say(validation=(1, 0), right=1, counts=(60, 60))
    assert found.message.endswith(" from only 1 validation image, of which 1 is correct.")
    assert say(validation=(15, 15), right=29, counts=(10, 10)) == []
    capped = say(validation=(15, 15), right=29, counts=(60, 60), images_per_class=5)
    assert "'a' (5), 'b' (5)" in capped[0].message


def test_what_follows_from_something_said_is_not_said_again():
    trained = hand_made((1.1, 1.1, 1.1), (1.1, 1.1, 1.1), train_accuracy=0.5, dead=1.0)
    assert names(say(trained, validation=(30, 30), predicted=(60, 0))) == ["dead_head"]
    trained = replace(trained, dead=0.0, diverged=True)
    assert names(say(trained, validation=(30, 30), predicted=(60, 0))) == ["diverged", "collapsed"]
    broken = replace(trained, history=[], validations=[])
    assert "in epoch 1" in say(broken, predicted=())[0].message
    leaks = [Leak("t.png", "v.png", "near")]
    found = say(trained, validation=(5, 5), predicted=(10, 0), leaks=leaks)
    assert names(found) == ["diverged", "collapsed", "leak", "few_images"]
    assert [f.severity for f in found] == ["error", "error", "warning", "warning"]
    assert found[0].to_dict() == {
        "name": "diverged",
        "severity": "error",
        "message": found[0].message,
    }


# The same image twice


def test_leaks_are_reported_by_their_number_and_kind():
    leaks = [Leak("t1", "v1", "exact"), Leak("t2", "v1", "near"), Leak("t2", "v2", "near")]
    (found,) = say(validation=(30, 30), right=58, leaks=leaks)
    assert (found.name, found.severity) == ("leak", "warning")
    assert "2 of 60 validation images are also training images" in found.message
    assert "(1 equal files, 1 nearly the same; such as v1 and t1)" in found.message
    many = [Leak("t", f"v{n}", "exact") for n in range(6)]
    assert say(validation=(30, 30), right=58, leaks=many)[0].severity == "error"
    found = say(validation=(30, 25, 5), predicted=(30, 30, 0), counts=(60, 60, 60), leaks=many)
    assert names(found) == ["leak", "never_predicted"]  # what is worse comes first


def test_copies_between_training_and_validation_images_are_reported(
    digit_files, name, tmp_path, digit_weights
):
    root = tmp_path / "digits"
    for number, (path, label) in enumerate(zip(*digit_files, strict=True)):
        folder = root / ("val" if number % 3 == 0 else "train") / f"digit {label}"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / f"{number:03d}.png")
    source = sorted((root / "train" / "digit 0").iterdir())
    shutil.copy(source[0], root / "val" / "digit 0" / "same file.png")
    # The same pixels in another file.
    Image.open(source[5]).save(root / "val" / "digit 0" / "same pixels.png", compress_level=0)
    dataset = fg.import_folders(str(root), name)
    choices = {**QUICK, "weights": digit_weights, "head_epochs": 2, "epochs": 1}
    (found,) = fg.fine_tune(dataset, "leaky", **choices).findings
    assert found["name"] == "leak"
    assert (
        "2 of 62 validation images are also training images (1 equal files, 1 nearly the same"
        in (found["message"])
    )
    assert "same file.png" in found["message"]
    assert str(source[0]) in found["message"]


@pytest.mark.parametrize(("balance", "beats"), [("none", False), ("sampling", True)])
def test_without_validation_images_guessing_is_that_of_the_images_that_are_drawn(balance, beats):
    """60 of 100 are right: fewer than of the larger class, but more than half of what is drawn."""
    last = Epoch(1, 0.5, 0.6, None, None, 0.1, 1.0, 100.0)
    found = Trained(None, [last], [], 1, None)
    labels = np.repeat([0, 1], [90, 10])
    own = Evidence(recipe(class_balance=balance), ["a", "b"], found, labels, np.empty(0, int))
    assert own.beats_majority(0.05) is beats  # of 50, 60 or more come up in 2.8%
    assert not own.beats_majority(0.02)
    assert not own.is_usable
