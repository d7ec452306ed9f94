"""Where a training's faults begin: the limits that decide, and which reason and remedy is named."""

import math
from dataclasses import replace

import numpy as np
import pytest
from diagnosing import hand_made, names, recipe, say

from fiftyone_gradcam.review.duplicates import Leak
from fiftyone_gradcam.training.diagnosis import diagnose
from fiftyone_gradcam.training.evidence import Evidence, exceeds, loss_words
from fiftyone_gradcam.training.history import Epoch, Trained


def test_a_last_layer_is_dead_where_most_of_its_outputs_are_zero():
    options = {"validation": (30, 30), "right": 58}
    assert say(hand_made(dead=0.5), **options) == []
    (found,) = say(hand_made(dead=0.51, head_change=0.01), **options)
    assert (found.name, found.severity) == ("dead_head", "warning")  # what it predicts is good
    rate = recipe().learning_rate
    assert found.message.endswith(
        f"A step was too large. Lower learning_rate tenfold, from {rate:g} to {rate / 10:g}; "
        f"another seed may also help."
    )
    (found,) = say(hand_made(dead=0.51, head_change=0.0099), **options)
    assert found.message.endswith("cannot recover. Start with other weights, or another seed.")


@pytest.mark.parametrize(
    ("val_losses", "train_losses", "head_change", "words"),
    [
        # Guessing gives 0.69: ten times that is 6.93.
        ((7.0, 2.0, 0.8), (0.8, 0.4, 0.2), 3.1, "loss was up to 7.00 and ended at 0.80, and gues"),
        ((7.0, 2.0, 0.8), (0.2, 0.4, 0.3), 0.5, "loss was up to 7.00 and ended at 0.80, and gues"),
        ((7.0, 2.0, 0.8), (0.8, 0.4, 0.2), 3.0, None),  # it has not moved far
        ((7.0, 2.0, 0.69), (0.8, 0.4, 0.2), 3.1, None),  # it has come back
        ((6.9, 2.0, 0.8), (0.8, 0.4, 0.2), 3.1, None),
        # 0.84 is 0.21 of the way in the wrong direction, and 0.82 is 0.18 of it.
        ((0.7, 0.7, 0.7), (0.9, 0.9, 0.84), 3.1, "its training loss ended at 0.84, and guessing"),
        ((0.7, 0.7, 0.7), (0.9, 0.9, 0.82), 3.1, None),
        ((7.0, 2.0, 0.8), (0.3, 0.5, 0.2), 0.5, None),  # it has fallen in the end
        ((0.7, math.nan, 0.7), (0.8, 0.4, 0.2), 0.5, None),
        ((0.7, 0.7, 0.7), (0.8, math.nan, 0.2), 0.5, None),
        ((0.7, 0.7, math.inf), (0.8, 0.4, 0.2), 0.5, "in epoch 3 its loss was no longer a number"),
    ],
)
def test_how_far_a_loss_goes_before_a_training_has_diverged(
    val_losses, train_losses, head_change, words
):
    trained = hand_made(train_losses, val_losses, head_change=head_change)
    (found,) = say(trained, validation=(30, 30), right=58)[:1] or (None,)
    assert getattr(found, "name", None) == ("diverged" if words else None)
    if words:
        assert words in found.message
        assert "The weights of epoch 3 were kept. The learning rate is too high." in found.message
        assert found.severity == "warning"


def test_one_epoch_has_not_gone_off():
    first = hand_made((2.5,), (0.7,))
    assert names(say(first, validation=(30, 30), right=35))[0] == "not_learning"


@pytest.mark.parametrize(
    ("losses", "head_change", "choices", "reason"),
    [
        ((0.69, 0.69, 0.69), 0.5, {"freeze": 1}, "has random weights (weights='none'), and cannot"),
        ((0.69, 0.69, 0.69), 0.5, {"freeze": 0}, "The learning rate does not seem to be the cause"),
        ((0.69, 0.69, 0.69), 0.0099, {}, "The new layers moved by only 0.0099 times their size"),
        ((0.69, 0.69, 0.69), 0.01, {}, "The learning rate does not seem to be the cause"),
        ((0.69, 0.69, 0.69), 3.1, {}, "The steps were large, and the loss did not fall"),
        ((0.69, 0.65, 0.69), 0.5, {}, "The steps were large, and the loss did not fall"),
        ((0.69, 0.66, 0.69), 0.5, {}, "The learning rate does not seem to be the cause"),
        (
            (0.69, 0.69, 0.69),
            0.5,
            {"weights": "w.pt", "freeze": "backbone"},
            "Only the new layers are trained, and the features of the frozen part do not",
        ),
        # Guessing gives 0.693: with 0.62 it has learned a tenth of what there is to learn.
        ((0.69, 0.69, 0.63), 0.5, {}, "The learning rate does not seem to be the cause"),
        ((0.69, 0.69, 0.62), 0.5, {}, None),
    ],
)
def test_why_a_network_does_not_learn(losses, head_change, choices, reason):
    trained = hand_made(losses, (0.69, 0.69, 0.69), head_change=head_change)
    found = say(trained, validation=(30, 30), right=35, **choices)
    assert names(found)[:1] == (["not_learning"] if reason else ["majority"])
    assert (reason or "") in found[0].message
    # What it predicts may be good all the same: then its loss does not matter.
    assert "not_learning" not in names(say(trained, validation=(30, 30), right=58, **choices))


RISEN = ((0.5, 0.1, 0.05), (0.2, 0.4, 0.4))  # it rises by 0.2, and 0.2 of guessing are 0.14


@pytest.mark.parametrize(
    ("losses", "is_said"),
    [
        (RISEN, True),
        (((0.5, 0.1, 0.08, 0.06, 0.05), (0.2, 0.4, 0.21, 0.4, 0.45)), True),  # of the last two
        (((0.5, 0.05), (0.9, 1.0)), False),  # two epochs say nothing
        (((0.5, 0.1, 0.05), (0.2, 0.4, 0.29)), False),  # less than half as much again
        (((0.5, 0.1, 0.05), (0.2, 0.4, 0.31)), False),  # less than 0.2 of guessing
        (((0.5, 0.1, 0.05), (0.2, 0.4, 0.34)), True),
        (((0.5, 0.1, 0.05), (0.5, 0.7, 0.7)), False),  # 0.2 more, but not half as much again
        (((0.5, 0.1, 0.05), (0.8, 0.85, 0.85)), True),  # above 0.83, 1.2 times that of guessing
        (((0.5, 0.1, 0.05), (0.8, 0.82, 0.82)), False),
        (((0.05, 0.1, 0.05), (0.2, 0.4, 0.4)), False),  # the training loss has not fallen
        (((0.5, 0.4, 0.35), (0.2, 0.4, 0.4)), False),  # not half of what there is to learn
        (((0.5, 0.4, 0.34), (0.2, 0.4, 0.4)), True),
    ],
)
def test_how_far_a_validation_loss_rises_before_it_is_overfitting(losses, is_said):
    trained = hand_made(*losses, train_accuracy=0.99, val_accuracy=0.7)
    found = say(trained, validation=(80, 73), right=107)
    assert names(found) == ["overfitting"] * is_said
    for one in found:
        end, low = losses[1][-1], min(losses[1])
        assert f"was {low:.2f} in epoch 1 and {end:.2f} at the end, while" in one.message
        assert f"fell to {losses[0][-1]:.2f}. 99% of" in one.message


@pytest.mark.parametrize(
    ("choices", "remedies"),
    [
        ({}, "Add training images, or augment them (such as crop=0.5, rotation=10), or stop "
             "earlier (early_stopping=3)."),
        ({"crop": 0.5, "early_stopping": 3}, "Add training images."),
        ({"rotation": 10.0, "early_stopping": 3}, "Add training images, or augment them (such as "
                                                  "crop=0.5, rotation=10)."),
        ({"weights": "w.pt", "crop": 0.5, "early_stopping": 3},
         "Add training images, or freeze the first stages (freeze=2)."),
        ({"weights": "w.pt", "freeze": 1, "crop": 0.5, "early_stopping": 3},
         "Add training images."),
    ],
)  # fmt: skip
def test_remedies_of_overfitting_are_those_not_taken(choices, remedies):
    trained = hand_made(*RISEN, train_accuracy=0.99, val_accuracy=0.7)
    (found,) = say(trained, validation=(80, 73), right=107, **choices)
    assert found.message.endswith(f"The weights of epoch 3 were kept. {remedies}")
    # Epochs that were not validated say nothing of it.
    rows = [replace(trained.history[0], val_loss=None, val_accuracy=None), *trained.history]
    (again,) = say(replace(trained, history=rows), validation=(80, 73), right=107, **choices)
    assert again == found


# What is said of predictions and images


def reason_of(found) -> str:
    """The last sentences of the first finding: the reason, and the remedy."""
    return (
        found[0].message.partition(" of other classes. ")[2]
        or (found[0].message.rpartition(" are of 'a'. ")[2])
    )


def test_the_reason_of_a_collapse_is_the_first_that_applies():
    again = "Train for more epochs. If this does not help, lower learning_rate tenfold."
    pays_off = "70% of the training images are of this class, so that always predicting it pays"
    options = {"validation": (30, 30), "predicted": (60, 0)}
    poor = hand_made(train_accuracy=0.6)
    assert reason_of(say(poor, counts=(71, 29), **options)).startswith(pays_off.replace("70", "71"))
    assert reason_of(say(poor, counts=(70, 30), **options)) == again
    assert reason_of(say(poor, counts=(71, 29), class_balance="sampling", **options)) == again
    # 20 points more than the share of the class are correct.
    assert reason_of(say(hand_made(train_accuracy=0.7), **options)) == again
    known = "However, 71% of the training images were correct during training. Either the valid"
    assert reason_of(say(hand_made(train_accuracy=0.71), **options)).startswith(known)
    # Canceled in its first epoch, after a validation.
    assert reason_of(say(replace(poor, history=[]), **options)) == again


def test_a_network_that_only_guesses_memorizes_or_has_not_learned():
    options = {"validation": (30, 30), "right": 30}
    early = "Train for more epochs, raise learning_rate, or add training images."
    assert reason_of(say(hand_made(train_accuracy=0.7), **options)) == early
    assert reason_of(say(replace(hand_made(), history=[]), **options)) == early
    known = "71% of the training images were correct: it memorizes them. The labels may be wrong"
    assert reason_of(say(hand_made(train_accuracy=0.71), **options)).startswith(known)


def test_of_many_classes_five_are_named():
    counts = np.array([60, *[9] * 6])
    truth = np.repeat(np.arange(7), [100, *[5] * 6])
    found = Trained(None, hand_made().history, [], 3, 0.8, np.arange(130), np.zeros(130, int))
    labels = np.repeat(np.arange(7), counts)
    own = diagnose(recipe(), list("abcdefg"), found, labels, truth)
    messages = {finding.name: finding.message for finding in own}
    assert messages["few_images"] == (
        "There are fewer than 10 training images of 'b' (9), 'c' (9), 'd' (9), 'e' (9), 'f' (9) "
        "and 1 more class: expect poor predictions there, and add images."
    )
    found = replace(found, val_predicted=np.where(np.arange(130) < 105, 0, 6))
    own = diagnose(recipe(), list("abcdefg"), found, labels, truth)
    (missed,) = (finding.message for finding in own if finding.name == "never_predicted")
    named = ", ".join(f"'{x}' (5 of the validation images, 9 of the training images)"
                      for x in "bcdef")  # fmt: skip
    assert missed.startswith(f"Never predicted: {named}. Most of 'b' are predicted as 'a'.")


@pytest.mark.parametrize(("rare", "remedy"), [(14, "Add training images, or"), (15, "Train for")])
def test_a_missing_class_of_less_than_half_the_usual_size_needs_images(rare, remedy):
    # The mean is 30 images.
    counts = (40, 50 - rare, rare)
    found = say(validation=(30, 30, 5), predicted=(30, 35, 0), counts=counts)
    assert [x.message.rpartition("'b'. ")[2][: len(remedy)] for x in found] == [remedy]


def test_leaks_of_one_kind_are_counted_alone():
    def words(*kinds):
        leaks = [Leak(f"t{n}", f"v{n}", kind) for n, kind in enumerate(kinds)]
        (found,) = say(validation=(30, 30), right=58, leaks=leaks)
        return found.message.partition("(")[2].partition(")")[0]

    assert words("exact", "exact") == "2 equal files; such as v0 and t0"
    assert words("near") == "1 nearly the same; such as v0 and t0"
    # Images that were not validated cannot mislead.
    assert say(predicted=(), leaks=[Leak("t", "v", "exact")]) == []


def test_evidence_without_validation_images():
    labels, none = np.repeat([0, 1], [50, 50]), np.empty(0, int)
    last = Epoch(1, 0.5, 1.0, None, None, 0.1, 1.0, 100.0)
    found = Trained(None, [last], [], 1, None)
    own = Evidence(recipe(), ["a", "b"], found, labels, none)
    assert (own.beats_majority(0.01), own.is_usable) == (True, False)
    empty = Evidence(recipe(), ["a", "b"], replace(found, history=[]), labels, none)
    assert (empty.beats_majority(0.05), empty.last, empty.learned) == (False, None, 0.0)
    assert say(hand_made((0.2, 0.4, 0.3), ()), predicted=()) == []
    assert say(hand_made(val_losses=(), train_accuracy=0.5), predicted=()) == []


def test_shares_and_losses_of_classes():
    last = Epoch(1, 0.5, 1.0, None, None, 0.1, 1.0, 100.0)
    found, none = Trained(None, [last], [], 1, None), np.empty(0, int)
    one = Evidence(recipe(), ["a", "b"], found, np.zeros(1, int), none)
    assert (one.counts.tolist(), one.shares.tolist()) == ([1, 0], [1.0, 0.0])
    assert Evidence(recipe(), ["a", "b"], found, none, none).shares.tolist() == [0.0, 0.0]
    # Smoothed labels cannot be predicted without loss.
    smooth = Evidence(recipe(label_smoothing=0.2), ["a", "b"], found, np.array([0, 1]), none)
    guessing, knowing = smooth.yardstick
    for loss, learned in ((guessing, 0), (knowing, 1), ((guessing + knowing) / 2, 0.5)):
        own = replace(found, history=[replace(last, train_loss=loss)])
        assert replace(smooth, trained=own).learned == pytest.approx(learned)
    assert not exceeds(10, 10, 10.000001, 0.05)  # shares are rounded


def test_losses_are_written_by_their_size():
    assert [loss_words(x) for x in (0.126, 9999.0, 1e4)] == ["0.13", "9999.00", "1.0e+04"]
