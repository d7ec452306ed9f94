"""Whether a setup can learn at all: a handful of images, and each reason why not."""

import math
import re
from dataclasses import replace
from types import SimpleNamespace

import fiftyone as fo
import numpy as np
import pytest
import torch
from conftest import QUICK, save_digits

import fiftyone_gradcam as fg
from fiftyone_gradcam.images.batches import Images
from fiftyone_gradcam.training.learner import Evaluation
from fiftyone_gradcam.training.learning_faults import FAR_MOVED, UNMOVED
from fiftyone_gradcam.training.overfit import PLAIN, _is_passed, _why, overfit
from fiftyone_gradcam.training.recipe import Recipe
from fiftyone_gradcam.training.sources import Labelled
from fiftyone_gradcam.workflow.sanity import some_of_each

pytestmark = pytest.mark.usefixtures("one_thread")
SQUEEZENET = {"backbone": "squeezenet1_1", "image_size": 64}


def recipe(**choices) -> Recipe:
    return Recipe(**{**QUICK, **choices})


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Paths and classes of 20 digits of each of three classes."""
    root = save_digits(tmp_path_factory.mktemp("sanity") / "digits", per_class=20)
    paths = sorted(root.glob("*/*.png"))
    return [str(p) for p in paths], np.array([int(p.parent.name[-1]) for p in paths])


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
    assert str(found).startswith("This setup can learn: 15 of 15 images are memorized")
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
    assert str(found).startswith("This setup does not learn: ")
    assert re.search(words, str(found))


HALF, CALM, RISING = [2.0] * 5 + [1.0] * 15, [1.0] * 20, [1.0] * 10 + [1.3] * 10


@pytest.mark.parametrize(
    ("cause", "moved", "losses", "dead", "choices"),
    [
        ("dead_head", 1.0, CALM, 0.51, {}),
        ("unknown", 0.9, CALM, 0.5, {}),
        ("rate_too_high", 1.0, [*CALM, math.nan], 0.0, {}),
        ("frozen_at_random", 1.0, CALM, 0.0, {"freeze": "backbone"}),
        ("rate_too_low", 0.9 * UNMOVED, CALM, 0.0, {}),
        ("unknown", 1.1 * UNMOVED, CALM, 0.0, {}),
        ("rate_too_low", 0.9 * FAR_MOVED, HALF, 0.0, {}),
        ("rate_too_high", 1.1 * FAR_MOVED, HALF, 0.0, {}),
        ("unknown", 0.9 * FAR_MOVED, [1.0] * 10 + [0.96] * 10, 0.0, {}),
        ("rate_too_low", 0.9 * FAR_MOVED, [1.0] * 10 + [0.94] * 10, 0.0, {}),
        ("rate_too_high", 0.9 * FAR_MOVED, RISING, 0.0, {}),
        ("unknown", 0.9 * FAR_MOVED, [1.0] * 10 + [1.1] * 10, 0.0, {}),  # less than by guessing
        ("frozen", 0.9 * FAR_MOVED, CALM, 0.0, {"freeze": "backbone", "weights": "x"}),
        ("unknown", 0.9 * FAR_MOVED, CALM, 0.0, {"freeze": 0}),
    ],
)
def test_the_cause_of_a_failure_follows_from_what_was_seen(cause, moved, losses, dead, choices):
    learner = SimpleNamespace(recipe=recipe(**choices), head_change=lambda: moved)
    found, words = _why(learner, SimpleNamespace(dead=dead), losses, guessing=0.6)
    assert found == cause, words
    rate = learner.recipe.learning_rate
    if cause in ("rate_too_high", "dead_head"):
        assert f"Lower learning_rate tenfold, from {rate:g} to {rate / 10:g}." in words
    if cause == "rate_too_low":
        assert f"from {rate:g} to {10 * rate:g}, or try more than 20 steps" in words


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


@pytest.mark.parametrize(
    ("accuracy", "loss", "passed"), [(1.0, 0.3, True), (1.0, 0.5, False), (0.9, 0.3, False)]
)
def test_few_images_may_be_right_by_chance_and_are_not_known_for_that(accuracy, loss, passed):
    found = Evaluation(loss, accuracy, np.arange(2), np.arange(2), 0.0)
    assert _is_passed(found, guessing=math.log(2)) is passed


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
    for seed in range(5):
        chosen = some_of_each(labels, 13, seed)
        assert np.bincount(labels[chosen]).tolist() == [5, 3, 5]
    assert sorted(set(chosen)) == chosen.tolist()
    assert some_of_each(labels, 13, seed=0).tolist() != chosen.tolist()
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
    with pytest.raises(ValueError, match=r"None of \d+ files can be read.*bad\.png"):
        overfit(recipe(), 3, only, 10, "cpu")
    data.images.paths[1] = str(bad)  # the other images of the dataset can be decoded
    part = Labelled(Images(data.images.paths, 16), data.labels, np.array([0, 1]))
    with pytest.raises(ValueError, match=r"None of 2 files can be read.*bad\.png"):
        overfit(recipe(), 3, part, 10, "cpu")
