"""The range test: the curve, what is read from it, and whether the suggestion trains."""

import math
from dataclasses import replace
from pathlib import Path

import fiftyone as fo
import numpy as np
import pytest
import torch
from conftest import QUICK, save_digits
from PIL import Image

import fiftyone_gradcam as fg
from fiftyone_gradcam.images.batches import Images
from fiftyone_gradcam.training import learning_rate
from fiftyone_gradcam.training.learner import Learner
from fiftyone_gradcam.training.learning_rate import LearningRateTest, range_test, smooth, suggest
from fiftyone_gradcam.training.loop import train
from fiftyone_gradcam.training.recipe import Recipe
from fiftyone_gradcam.training.sources import Labelled

RECIPE = Recipe(**{**QUICK, "epochs": 4})
RATES = np.geomspace(1e-7, 1, 71)  # ten for each power of ten


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    root = save_digits(tmp_path_factory.mktemp("rates") / "digits", per_class=40)
    paths = sorted(root.glob("*/*.png"))
    labels = np.array([int(path.parent.name[-1]) for path in paths])
    held = np.arange(len(paths)) % 4 == 0
    images = Images([str(path) for path in paths], 16, cache_bytes=1 << 24)
    return (
        Labelled(images, labels, np.flatnonzero(~held)),
        Labelled(images, labels, np.flatnonzero(held)),
    )


@pytest.fixture(scope="module")
def pretrained(digits, tmp_path_factory) -> str:
    """A file of weights that know three digits, without a last layer."""
    state = train(RECIPE, 3, *digits, device="cpu").model.state_dict()
    path = str(tmp_path_factory.mktemp("weights") / "digits.pt")
    torch.save({name: value for name, value in state.items() if "classifier" not in name}, path)
    return path


@pytest.fixture
def steps_of(monkeypatch):
    """What each step of a learner was: its rates, which weights learn, the size of its batch."""
    seen = []
    original = Learner.learn

    def learn(self, batch, reader, sums, factor, optimizer=None):
        original(self, batch, reader, sums, factor, optimizer)
        learns = [name for name, weight in self.model.named_parameters() if weight.requires_grad]
        rates = [group["lr"] for group in (optimizer or self.optimizer).param_groups]
        seen.append((rates, learns, sorted(batch.positions)))

    monkeypatch.setattr(Learner, "learn", learn)
    return seen


def test_smoothing_is_an_average_without_bias():
    # Of 20 steps, a lag of two: a decay of 1/2. The weights of three losses are 1, 2 and 4.
    assert smooth([1.0, 3.0, 0.0], 20) == pytest.approx([1, 7 / 3, 1])
    assert smooth([5.0] * 40, 100) == pytest.approx([5.0] * 40)
    rising = smooth(list(range(100)), 100)
    assert 90 < rising[-1] < 90.1  # a tenth behind


def fall_then_rise(rates: np.ndarray) -> np.ndarray:
    """2 up to a rate of 1e-5, from there falling to 1 at 1e-2, then rising."""
    return np.interp(np.log10(rates), [-7, -5, -2, 0], [2, 2, 1, 3])


def test_three_quarters_of_the_fall_are_the_suggestion():
    curve = fall_then_rise(RATES)
    rate, reason = suggest(RATES, curve, curve, 71)
    # Done at 10 ** -2.75; the last step before it is 10 ** -2.8.
    assert rate == pytest.approx(10**-2.8)
    assert "three quarters" in reason
    # Neither noise nor what comes after the lowest loss matters.
    noise = 0.1 * np.random.default_rng(0).standard_normal(71)
    noisy = curve + noise
    assert suggest(RATES, noisy, curve, 71)[0] == pytest.approx(10**-2.8)
    assert suggest(RATES[:56], curve[:56], curve[:56], 71)[0] == pytest.approx(10**-2.8)
    # A loss that still falls at the end is read in the same way.
    assert suggest(RATES[:51], curve[:51], curve[:51], 71)[0] == pytest.approx(10**-2.8)


def test_a_loss_that_only_rises_bounds_the_rate():
    curve = np.interp(np.log10(RATES), [-7, -3, 0], [0.5, 0.5, 5])
    noisy = curve + 0.05 * np.random.default_rng(0).standard_normal(71)
    rate, reason = suggest(RATES, noisy, curve, 71)
    # Noise of 0.05 leaves about 0.05 * sqrt(1 / 13) of the average; three times that is 0.04, and
    # reached a third of a step after 1e-3.
    assert rate == pytest.approx(10**-3.9)
    assert reason == "the loss hardly falls; a tenth of 1.3e-03, from which it rises"


def test_where_nothing_happens_nothing_is_suggested():
    losses = 0.7 + 0.1 * np.random.default_rng(1).standard_normal(71)
    assert suggest(RATES, losses, smooth(losses, 71), 71)[0] is None
    dead = [math.log(2)] * 71
    rate, reason = suggest(RATES, dead, smooth(dead, 71), 71)
    assert rate is None
    assert "raise `highest`" in reason
    rate, reason = suggest(RATES[:2], [0.7, 9.0], [0.7, 5.0], 71)
    assert rate is None
    assert "lower `lowest`" in reason


@pytest.mark.parametrize(
    ("suggestion", "words"),
    [
        (2e-4, "Suggested learning rate: 2.0e-04 (why). The recipe has 1.0e-04: about the same"),
        (1e-3, "Suggested learning rate: 1.0e-03 (why). The recipe has 1.0e-04: 10 times lower"),
        (1e-5, "Suggested learning rate: 1.0e-05 (why). The recipe has 1.0e-04: 10 times higher"),
        (None, "No learning rate is suggested: why"),
    ],
)
def test_it_says_how_the_recipe_compares(suggestion, words):
    assert str(LearningRateTest((), (), (), suggestion, "why", 1e-4)) == words


def test_the_suggested_rate_trains_and_far_ones_do_not(digits):
    found = range_test(RECIPE, 3, digits[0], device="cpu")

    def accuracy(factor: float) -> float:
        recipe = replace(RECIPE, learning_rate=factor * found.suggestion)
        return train(recipe, 3, *digits, device="cpu").history[-1].val_accuracy

    good = accuracy(1)
    assert good >= 0.9
    assert accuracy(1e-3) <= 0.6
    assert accuracy(100) <= good - 0.2


def test_the_rate_rises_until_the_loss_does(digits, steps_of):
    state = torch.random.get_rng_state()
    done = []
    found = range_test(RECIPE, 3, digits[0], 1e-5, 10.0, 61, "cpu", lambda *step: done.append(step))
    assert torch.equal(torch.random.get_rng_state(), state)
    count = len(found.learning_rates)
    assert found.learning_rates == pytest.approx(np.geomspace(1e-5, 10, 61)[:count])
    assert [rates[0] for rates, *_ in steps_of] == pytest.approx(found.learning_rates)
    assert 20 < count < 61
    # It ends above four times the lowest, which counts as 0.1 at least; and not before.
    above = [
        mean > 4 * max(0.1, min(found.smoothed[: number + 1]))
        for number, mean in enumerate(found.smoothed)
    ]
    assert above == [False] * (count - 1) + [True]
    assert found.smoothed == tuple(smooth(found.losses, 61))
    assert (
        found.suggestion
        == suggest(
            *(np.array(x) for x in (found.learning_rates, found.losses, found.smoothed)), 61
        )[0]
    )
    assert found.recipe_rate == 1e-3
    assert done[0] == (16, 61 * 16)
    assert done[-1] == (61 * 16, 61 * 16)
    again = range_test(RECIPE, 3, digits[0], 1e-5, 10.0, 61, "cpu")
    assert again.losses == pytest.approx(found.losses, rel=1e-4)
    other = range_test(replace(RECIPE, seed=1), 3, digits[0], 1e-5, 10.0, 61, "cpu")
    assert other.losses[0] != pytest.approx(found.losses[0], rel=1e-4)


def test_all_images_are_gone_through_in_batches_of_one_size(digits, steps_of):
    range_test(RECIPE, 3, digits[0], 1e-7, 1e-6, 20, "cpu")
    positions = [own for *_, own in steps_of]
    assert [len(own) for own in positions] == [16] * 20
    # 90 images: 5 batches and 10 of the sixth are the first pass, and none comes twice in it.
    assert len(np.unique(np.concatenate(positions[:5]))) == 80
    assert set(np.concatenate(positions)) == set(digits[0].positions)
    # Fewer images than a batch are a batch of their own, as in a training.
    steps_of.clear()
    few = Labelled(digits[0].images, digits[0].labels, digits[0].positions[[0, 1, 40, 41, 80]])
    range_test(RECIPE, 3, few, 1e-7, 1e-6, 20, "cpu")
    assert [own for *_, own in steps_of] == [sorted(few.positions)] * 20


def test_it_begins_as_the_training_of_its_recipe(digits, steps_of, pretrained):
    choices = {
        "weights": pretrained,
        "learning_rate": 0.01,
        "freeze": 1,
        "gradual_unfreezing": True,
    }
    recipe = replace(RECIPE, head_lr_factor=5.0, seed=5, **choices)
    direct = range_test(recipe, 3, digits[0], 1e-6, 1e-4, 20, "cpu")
    for rates, learns, _ in steps_of:
        assert rates[1] == pytest.approx(5 * rates[0])
        # What gradual unfreezing would let join later learns; what stays frozen does not.
        assert {name.split(".")[1] for name in learns} == {"stage2", "stage3", "1"}
    steps_of.clear()
    trained = range_test(replace(recipe, head_epochs=3), 3, digits[0], 1e-6, 1e-4, 20, "cpu")
    assert trained.losses[0] < direct.losses[0] - 0.1
    new_alone = steps_of[: 3 * math.ceil(90 / 16)]
    assert {name.split(".")[0] for _, learns, _ in new_alone for name in learns} == {"classifier"}
    assert len(steps_of) == len(new_alone) + 20
    # Where nothing but the new layers is trained in any case, that would be the training itself.
    steps_of.clear()
    alone = replace(recipe, head_epochs=3, freeze="backbone", gradual_unfreezing=False)
    range_test(alone, 3, digits[0], 1e-6, 1e-4, 20, "cpu")
    assert len(steps_of) == 20


def spoil(monkeypatch, after: int) -> None:
    """Let a learner's weights be no numbers after so many steps."""
    original, steps = Learner.learn, []

    def learn(self, *args, **kwargs):
        original(self, *args, **kwargs)
        steps.append(1)
        if len(steps) == after:
            for weight in self.model.parameters():
                weight.data.fill_(math.nan)

    monkeypatch.setattr(Learner, "learn", learn)


def test_a_loss_that_is_no_number_ends_it(digits, monkeypatch):
    spoil(monkeypatch, after=7)
    found = range_test(RECIPE, 3, digits[0], device="cpu")
    assert len(found.losses) == len(found.smoothed) == len(found.learning_rates) == 7
    assert np.isfinite(found.losses).all()


def test_a_loss_that_is_no_number_from_the_start_names_the_lowest_rate(digits, monkeypatch):
    monkeypatch.setattr(learning_rate, "_losses", lambda loop, rates: [])
    words = "^The loss is not finite at lowest=1e-07. Pass a lower rate$"
    with pytest.raises(ValueError, match=words):
        range_test(RECIPE, 3, digits[0], device="cpu")


def test_new_layers_that_diverge_alone_are_named(digits, monkeypatch, pretrained):
    spoil(monkeypatch, after=2)
    recipe = replace(RECIPE, weights=pretrained, head_epochs=1, learning_rate=0.5)
    with pytest.raises(ValueError, match=r"new layers .*learning_rate=0\.5.*head_epochs=0"):
        range_test(recipe, 3, digits[0], device="cpu")


def test_what_cannot_work_is_refused(digits, tmp_path):
    with pytest.raises(ValueError, match=r"lowest and highest .*0\.1 and 0\.01"):
        range_test(RECIPE, 3, digits[0], 0.1, 0.01)
    with pytest.raises(ValueError, match=r"lowest and highest .*0 and 1"):
        range_test(RECIPE, 3, digits[0], 0, 1)
    with pytest.raises(ValueError, match="steps must be a whole number of at least 20, not 10"):
        range_test(RECIPE, 3, digits[0], steps=10)
    (tmp_path / "bad.png").write_bytes(b"bad")
    bad = Labelled(Images([str(tmp_path / "bad.png")], 16), np.array([0]))
    with pytest.raises(ValueError, match=r"None of \d+ files can be read.*bad\.png"):
        range_test(RECIPE, 3, bad, device="cpu")
    paths = [str(tmp_path / "bad.png"), *digits[1].images.paths[:2]]  # the others are not used
    bad = Labelled(Images(paths, 16), np.array([0, 0, 1]), np.array([0]))
    with pytest.raises(ValueError, match=r"None of 1 files can be read.*bad\.png"):
        range_test(RECIPE, 3, bad, device="cpu")


@pytest.fixture
def dataset(digits, name):
    paths, labels = digits[0].images.paths, digits[0].labels
    dataset = fo.Dataset(name)
    dataset.add_samples(
        fo.Sample(path, ground_truth=fo.Classification(label=str(label)), tags=["train"])
        for path, label in zip(paths, labels, strict=True)
    )
    return dataset


def test_the_verb_draws_the_curve_and_tells(dataset, tmp_path, capsys):
    choices = {key: value for key, value in QUICK.items() if key != "epochs"}
    steps = []
    found = fg.find_learning_rate(
        dataset, steps=30, device="cpu", progress=lambda *step: steps.append(step), **choices
    )
    assert Image.open(found.path).size == (1000, 700)
    assert str(dataset._doc.id) in found.path
    text = capsys.readouterr().out
    assert str(found) in text
    assert found.path in text
    assert steps[-1] == (480, 480, "Testing learning rates of small_cnn")
    # The plugin's own file is replaced each time, one of the user's is not.
    recipe = Recipe(**choices)
    first = Path(found.path).read_bytes()
    fg.find_learning_rate(dataset, recipe, steps=20, device="cpu")
    assert Path(found.path).read_bytes() != first
    own = tmp_path / "folder" / "curve.png"
    found = fg.find_learning_rate(dataset, recipe, steps=20, path=str(own), device="cpu", seed=3)
    assert found.path == str(own)
    before = own.read_bytes()
    with pytest.raises(ValueError, match=r"curve\.png' exists.*overwrite=True"):
        fg.find_learning_rate(dataset, recipe, path=str(own))
    assert own.read_bytes() == before
    fg.find_learning_rate(dataset, recipe, 1e-6, steps=20, path=str(own), overwrite=True)
    assert own.read_bytes() != before
    assert [file.name for file in own.parent.iterdir()] == ["curve.png"]
    (tmp_path / "folder.png").mkdir()
    for name, words in (
        ("curve.jpg", r"curve\.jpg.* End it with \.png"),
        ("folder.png", r"folder\.png' is a folder. Pass the path of a file"),
    ):
        with pytest.raises(ValueError, match=words):
            fg.find_learning_rate(dataset, recipe, path=str(tmp_path / name), overwrite=True)
