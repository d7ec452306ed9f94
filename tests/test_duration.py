"""How long a training takes, as estimated without PyTorch, and where speeds are kept."""

import subprocess
import sys
from types import SimpleNamespace

import fiftyone as fo
import numpy as np
import pytest

from fiftyone_gradcam.jobs import speeds
from fiftyone_gradcam.training.duration import Outline, Speed, estimate_seconds, settled_epochs
from fiftyone_gradcam.training.known_recipes import RECIPES
from fiftyone_gradcam.training.recipe import Recipe

CHOICES = [
    *(one.choices for one in RECIPES.values()),
    {},
    {"backbone": "small_cnn"},
    {"backbone": "small_cnn", "resize": "auto"},
    {"weights": "none"},
    {"weights": "none", "resize": "auto"},
    {"resize": "letterbox"},
    {"resize": "letterbox", "weights": "none"},
    {"translation": 0},
    {"horizontal_flip": False, "translation": None},
    {"horizontal_flip": False, "translation": 0, "crop": 1.0},
    {"horizontal_flip": False, "translation": 0},
    {"horizontal_flip": False, "translation": 0, "crop": 0.5},
    {"horizontal_flip": False, "translation": 0, "mixup": 0.2},
    {"horizontal_flip": False, "crop": 1.0},
    {"epochs": None, "batch_size": 7, "validate_every": 3, "freeze": 2, "head_epochs": 4},
    Recipe(backbone="mobilenet_v2", epochs=4).to_dict(),
]


@pytest.mark.parametrize("choices", CHOICES, ids=str)
def test_an_outline_is_what_the_recipe_is(choices):
    outline, recipe = Outline.of(choices), Recipe(**{**choices, "weights": weights(choices)})
    assert outline == Outline(**{name: getattr(recipe, name) for name in vars(outline)})
    settled = recipe.settled(np.zeros(100, np.int64))
    assert outline.settled(100).epochs == settled.epochs
    speed = Speed("cpu", 1.0, 10.0, 2.0)
    seconds = [estimate_seconds(speed, one, 100, 20) for one in (outline.settled(100), settled)]
    assert seconds[0] == seconds[1]


def weights(choices: dict) -> str:
    """Weights that may be at hand or not are here taken to be."""
    given = choices.get("weights", "imagenet")
    return "imagenet" if given == "auto" else given


def test_weights_are_taken_to_be_at_hand_where_there_are_any():
    assert not Outline.of({"weights": "auto"}).from_scratch
    assert Outline.of({"weights": "auto", "backbone": "small_cnn"}).from_scratch


def test_few_images_are_seen_more_often():
    # 238 images are 15 steps of 16, and 10 times that are 150.
    assert [settled_epochs(n, 16) for n in (0, 16, 238, 480, 481, 10_000)] == [
        *(150, 150, 10, 5, 5, 5),
    ]


def test_pytorch_is_not_needed():
    code = "import sys, fiftyone_gradcam.training.duration; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_speeds_are_kept_for_a_dataset_and_a_network(monkeypatch):
    one, other = fo.Dataset(), fo.Dataset()
    speed = Speed("cpu", 0.1, 0.2, 0.3)
    assert speeds.kept_speed(one, "resnet18", None) == (None, False)
    speeds.keep_speed(one, "resnet18", None, speed)
    assert speeds.kept_speed(one, "resnet18", None) == (speed, True)
    assert speeds.kept_speed(one, "resnet18", 64) == (None, False)
    assert speeds.kept_speed(one, "resnet34", None) == (None, False)
    assert speeds.kept_speed(other, "resnet18", None) == (None, False)
    now = speeds.time.time()
    monkeypatch.setattr(speeds, "time", SimpleNamespace(time=lambda: now + 3700))
    assert speeds.kept_speed(one, "resnet18", None) == (speed, False)  # shown, but measured again
    monkeypatch.setattr(speeds.socket, "gethostname", lambda: "another.machine")
    assert speeds.kept_speed(one, "resnet18", None) == (None, False)
    for dataset in (one, other):
        dataset.delete()


@pytest.mark.parametrize(
    ("choices", "seconds"),
    [
        # 120 images are decoded once; 2 epochs of 100 steps of learning and 20 of looking.
        ({}, 120 + 2 * (100 * 10 + 20 * 2)),
        # With new layers that are trained alone at first, all images go through the network once.
        ({"head_epochs": 3}, 120 + 120 * 2 + 2 * (100 * 10 + 20 * 2)),
        ({"head_epochs": 3, "from_scratch": True}, 120 + 2 * (100 * 10 + 20 * 2)),
        ({"freeze": "backbone"}, 120 + 2 * (100 * 2 + 20 * 2)),
        ({"freeze": "backbone", "augments": False}, 120 + 120 * 2),
        ({"augments": False}, 120 + 2 * (100 * 10 + 20 * 2)),
        # 20 steps in all: one look after each third, and one at the end.
        ({"validate_every": 3}, 120 + 2 * 100 * 10 + 7 * 20 * 2),
        # 100 images are decoded once more, and seen in three ways.
        ({"resize": "auto"}, 120 + 100 * (1 + 3 * 2) + 2 * (100 * 10 + 20 * 2)),
    ],
    ids=str,
)
def test_the_time_of_a_training_by_hand(choices, seconds):
    outline = Outline(**{"epochs": 2, "batch_size": 10, "resize": "squash", **choices})
    assert estimate_seconds(Speed("cpu", 1.0, 10.0, 2.0), outline, 100, 20) == seconds


@pytest.mark.parametrize(("images", "compared"), [(39, 0), (40, 40), (300, 300), (301, 300)])
def test_few_images_say_nothing_of_how_to_resize_and_some_are_enough(images, compared):
    speed = Speed("cpu", 1.0, 10.0, 2.0)
    auto, squash = (Outline(epochs=1, resize=way) for way in ("auto", "squash"))
    own = estimate_seconds(speed, auto, images, 0) - estimate_seconds(speed, squash, images, 0)
    assert own == compared * (1 + 3 * 2)
