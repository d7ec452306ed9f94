"""Recipes: choices, named ones, schedules, and what each step is weighed by."""

import copy
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import save_digits
from torch import nn

from fiftyone_gradcam.images.batches import Images
from fiftyone_gradcam.model import weights as weights_module
from fiftyone_gradcam.training.known_recipes import RECIPES
from fiftyone_gradcam.training.loop import train
from fiftyone_gradcam.training.optimization import (
    Average,
    class_weights,
    draw_order,
    few_of_each,
    make_optimizer,
    rate_factor,
    set_rates,
)
from fiftyone_gradcam.training.recipe import Recipe
from fiftyone_gradcam.training.recipes import make_recipe
from fiftyone_gradcam.training.sources import Labelled


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backbone": "resnet19"}, r"Unknown backbone 'resnet19'.*resnet18.*small_cnn"),
        ({"epochs": 0}, "epochs must be None or a whole number of at least 1, not 0"),
        ({"epochs": True}, "epochs"),
        ({"batch_size": 2.5}, r"batch_size .*2\.5"),
        ({"learning_rate": -1}, r"learning_rate must be in \(0, 10\], not -1"),
        ({"learning_rate": float("nan")}, "learning_rate .*nan"),
        ({"label_smoothing": 1}, r"label_smoothing must be in \[0, 1\), not 1"),
        ({"image_size": 8}, "image_size .*8"),
        ({"backbone": "vit_b_16", "image_size": 128}, "vit_b_16 only accepts images of 224.*128"),
        ({"optimizer": "rmsprop"}, "optimizer must be one of 'adamw', 'adam', 'sgd'.*rmsprop"),
        ({"freeze": "all"}, "freeze must be 'none', 'backbone' or a number of stages, not 'all'"),
        ({"freeze": -1}, "freeze .*-1"),
        ({"hidden": 256}, "hidden must be a list of widths of at least 1, not 256"),
        ({"hidden": [0]}, "hidden"),
        ({"translation": 200}, "translation must be at most half of image_size=224, not 200"),
        ({"translation": 0.1}, r"translation must be None or a whole number .*0\.1"),
        ({"crop": 0}, r"crop must be in \(0, 1\], not 0"),
        ({"rotation": 200}, r"rotation must be degrees in \[0, 180\], not 200"),
        ({"images_per_class": 0}, "images_per_class must be None or a whole number"),
        ({"seed": 2**63}, "seed must be at most 9223372036854775807, not 9223372036854775808"),
        ({"hidden": [10**400]}, "hidden must be at most 9223372036854775807, not 1000"),
        ({"mixed_precision": "yes"}, "mixed_precision must be one of None, False, True"),
    ],
)
def test_recipes_refuse_what_cannot_work(options, message):
    with pytest.raises(ValueError, match=message):
        Recipe(**options)


def test_defaults_follow_from_what_is_chosen():
    assert Recipe("resnet18").image_size == 224
    assert Recipe("small_cnn", "none").image_size == 32
    assert Recipe("resnet18").learning_rate == 1e-4
    assert Recipe("resnet18", optimizer="sgd").learning_rate == 1e-3
    assert Recipe("vgg16", "none").learning_rate == 1e-4
    assert Recipe("resnet18", "none").learning_rate == 1e-3
    assert Recipe("resnet18", image_size=100).translation == 10
    assert Recipe("resnet18", crop=0.5).translation == 0
    recipe = Recipe("resnet18", epochs=3, hidden=(5, 6), crop=0.5)
    assert Recipe(**json.loads(json.dumps(recipe.to_dict()))) == recipe


@pytest.mark.parametrize(
    ("counts", "choices", "epochs"),
    [
        ((30, 40), {}, 30),  # 5 steps an epoch
        ((30, 40), {"batch_size": 35}, 75),
        ((30, 40), {"images_per_class": 32}, 38),  # 62 images, 4 steps
        ((300, 200), {}, 5),  # 32 steps
        ((240, 236), {}, 5),  # 30 steps: just enough
        ((240, 224), {}, 6),  # 29 steps
        ((30, 40), {"epochs": 2}, 2),
    ],
)
def test_few_images_are_gone_through_more_often(counts, choices, epochs):
    labels = np.repeat(np.arange(len(counts)), counts)
    recipe = make_recipe("default", **{"weights": "none", "backbone": "resnet18", **choices})
    assert recipe.settled(labels).epochs == epochs
    assert replace(recipe.settled(labels), epochs=recipe.epochs) == recipe


def test_a_recipe_that_changes_nothing_augments_nothing():
    still = {"horizontal_flip": False, "translation": 0}
    assert not Recipe(**still).augments
    for choice in ({"crop": 0.9}, {"mixup": 0.1}, {"noise": 0.1}, {"rotation": 1.0}):
        assert Recipe(**{**still, **choice}).augments


def test_named_recipes_and_choices():
    recipe = make_recipe("matlab-cracks", weights="none", epochs=2)
    assert (recipe.backbone, recipe.batch_size, recipe.learning_rate) == (
        "squeezenet1_1",
        100,
        2e-4,
    )
    assert (recipe.translation, recipe.validate_every, recipe.epochs) == (30, 30, 2)
    assert make_recipe(recipe, seed=3).to_dict() == {**recipe.to_dict(), "seed": 3}
    # What followed from a choice follows the new one; what was chosen stays.
    other = make_recipe(Recipe(learning_rate=0.5), backbone="small_cnn", weights="none")
    assert (other.image_size, other.translation, other.resize) == (32, 3, "squash")
    assert other.learning_rate == 0.5
    assert make_recipe(Recipe(), weights="none").learning_rate == 1e-3
    assert make_recipe().to_dict() == make_recipe("default").to_dict()
    with pytest.raises(ValueError, match=r"'linear_probe'\. Did you mean 'linear-probe'\?"):
        make_recipe("linear_probe")
    with pytest.raises(ValueError, match="no recipe 'matlab'.*matlab-cracks"):
        make_recipe("matlab")
    with pytest.raises(ValueError, match="no option 'epoch'.*Did you mean 'epochs'.*batch_size"):
        make_recipe(epoch=3)


def test_weights_that_are_at_hand(monkeypatch, capsys):
    monkeypatch.setattr(weights_module, "load_weights", lambda *_: {})
    assert make_recipe("matlab-food").weights == "imagenet"

    def offline(*_):
        raise ConnectionError("no internet")

    monkeypatch.setattr(weights_module, "load_weights", offline)
    assert make_recipe("matlab-food").weights == "none"
    assert "googlenet cannot be downloaded: training from scratch" in capsys.readouterr().out
    assert make_recipe(backbone="small_cnn", weights="auto").weights == "none"
    assert make_recipe(Recipe(), weights="auto").weights == "none"


@pytest.mark.parametrize("name", RECIPES)
def test_every_named_recipe_runs(name, tmp_path):
    root = save_digits(tmp_path / "digits", per_class=6)
    paths = sorted(root.glob("*/*.png"))
    labels = np.array([int(p.parent.name[-1]) for p in paths])
    recipe = make_recipe(name, weights="none", epochs=1, image_size=64)
    images = Images([str(p) for p in paths], 64)
    data = Labelled(images, labels, np.arange(0, 18, 2))
    found = train(recipe, 3, data, Labelled(images, labels, np.arange(1, 18, 2)), device="cpu")
    assert [row.epoch for row in found.history] == [1]
    assert np.isfinite(found.history[0].train_loss)
    assert found.head_change > 0
    assert RECIPES[name].fractions["train"] <= 0.6
    assert len(RECIPES[name].source) > 50


def test_schedules_by_hand():
    cosine = [rate_factor("cosine", 0.2, step, 20) for step in range(21)]
    assert cosine[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert cosine[12] == pytest.approx(0.5)
    assert cosine[20] == pytest.approx(0.0)
    constant = [rate_factor("constant", 0.2, step, 20) for step in range(20)]
    assert constant == pytest.approx([0.2, 0.4, 0.6, 0.8] + [1.0] * 16)
    one_cycle = [rate_factor("one_cycle", 0.0, step, 20) for step in range(21)]
    assert one_cycle[0] == pytest.approx(1 / 25)
    assert one_cycle[3] == pytest.approx((1 + 1 / 25) / 2)
    assert one_cycle[6] == pytest.approx(1.0)
    assert one_cycle[13] == pytest.approx(0.5)
    assert one_cycle[20] == pytest.approx(0.0)
    assert rate_factor("one_cycle", 0.5, 5, 10) == pytest.approx(1.0)  # its rise is half
    assert rate_factor("one_cycle", 0.5, 4, 10) < 1
    assert rate_factor("cosine", 0.0, 25, 20) == 0.0  # beyond the end it stays


@pytest.mark.parametrize(("weights", "factor"), [("imagenet", 10), ("none", 1)])
def test_new_layers_learn_faster_only_beside_pretrained_ones(weights, factor):
    old, new = [nn.Parameter(torch.ones(2))], [nn.Parameter(torch.ones(3))]
    recipe = Recipe("squeezenet1_1", weights, learning_rate=1e-3, optimizer="sgd", momentum=0.5)
    optimizer = make_optimizer(recipe, old, new)
    assert isinstance(optimizer, torch.optim.SGD)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([1e-3, factor * 1e-3])
    assert {group["momentum"] for group in optimizer.param_groups} == {0.5}
    assert {group["weight_decay"] for group in optimizer.param_groups} == {recipe.weight_decay}
    set_rates(optimizer, 0.5)
    set_rates(optimizer, 0.1)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([1e-4, factor * 1e-4])


@pytest.mark.parametrize(
    ("name", "kind"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)]
)
def test_optimizers(name, kind):
    weight = nn.Parameter(torch.tensor([1.0]))
    recipe = Recipe(optimizer=name, learning_rate=0.1, weight_decay=0.5)
    optimizer = make_optimizer(recipe, [weight], [])
    assert len(optimizer.param_groups) == 1
    weight.grad = torch.tensor([0.0])
    optimizer.step()
    # AdamW shrinks the weight by lr * decay; Adam takes the decay as a gradient: a step of lr.
    expected = 1 - 0.1 * 0.5 if name == "adamw" else 1 - 0.1
    assert weight.item() == pytest.approx(expected, rel=1e-5)
    assert type(optimizer) is kind


def test_average_of_weights_by_hand():
    model = nn.BatchNorm1d(1)
    average = Average(model, 0.5)
    expected = 1.0
    for step, value in enumerate([3.0, 5.0, -1.0], start=1):
        model.weight.data.fill_(value)
        model.num_batches_tracked.fill_(step)
        average.update(model)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
        assert average.model.weight.item() == pytest.approx(expected)
        assert average.model.num_batches_tracked.item() == step
    assert model.weight.item() == -1.0
    copied = copy.deepcopy(average.model)
    assert not any(weight.requires_grad for weight in copied.parameters())


def test_an_average_leaves_what_is_frozen():
    model = nn.Sequential(nn.BatchNorm1d(1), nn.BatchNorm1d(1))
    model[1].requires_grad_(False).eval()
    average = Average(model, 0.5)
    for part in model:
        part.weight.data.fill_(3.0)
        part.running_mean.fill_(5.0)
        part.num_batches_tracked.fill_(7)
    average.update(model)
    learns, frozen = average.model
    # The decay of the first step is 2/11.
    assert (learns.weight.item(), learns.running_mean.item()) == pytest.approx(
        (2 / 11 + 9 / 11 * 3, 9 / 11 * 5)
    )
    assert (frozen.weight.item(), frozen.running_mean.item()) == (1.0, 0.0)
    assert (learns.num_batches_tracked.item(), frozen.num_batches_tracked.item()) == (7, 0)
    assert not average.model.training


def test_class_weights_by_hand():
    assert class_weights(np.array([0, 0, 0, 1]), 2) == pytest.approx([2 / 3, 2.0])
    labels = np.array([0, 0, 0, 0, 0, 0, 1, 1])
    # 8 labels of 2 classes present: 8 / (2 x 6) and 8 / (2 x 2); together they weigh 8.
    assert class_weights(labels, 3) == pytest.approx([2 / 3, 2.0, 0.0])


def test_sampling_draws_each_class_alike():
    labels = np.array([0] * 900 + [1] * 100 + [2] * 50)
    positions = np.arange(1000)  # the third class is not among them
    random = np.random.default_rng(0)
    drawn = labels[draw_order(positions, labels, Recipe(class_balance="sampling"), random)]
    assert len(drawn) == 1000
    assert 450 < (drawn == 1).sum() < 550
    assert (drawn == 2).sum() == 0
    plain = draw_order(positions, labels, Recipe(), random)
    assert sorted(plain) == list(positions)
    assert list(plain) != list(positions)


def test_few_of_each():
    labels = np.array([0, 1, 0, 1, 0, 1, 2])
    found = few_of_each(np.array([0, 1, 2, 3, 4, 6]), labels, 2, np.random.default_rng(0))
    assert list(found) == sorted(found)
    assert list(np.bincount(labels[found])) == [2, 2, 1]
    assert 5 not in found
    none = np.empty(0, np.int64)
    assert few_of_each(none, labels, 2, np.random.default_rng(0)) is none


def test_an_image_is_shifted_by_at_most_half_of_it():
    given = {"backbone": "small_cnn", "weights": "none", "image_size": 16}
    assert Recipe(**given, translation=8).translation == 8
    assert (Recipe(**given).translation, Recipe(**given, crop=0.9).translation) == (2, 0)
    words = "^translation must be at most half of image_size=16, not 9$"
    with pytest.raises(ValueError, match=words):
        Recipe(**given, translation=9)
