"""Comparisons of resize methods, and folds, whose results are kept or cannot be computed."""

import os
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from fiftyone_gradcam.images.batches import Images
from fiftyone_gradcam.images.decode import DEFAULT
from fiftyone_gradcam.images.geometry import RESIZES
from fiftyone_gradcam.review.linear import LeaveOneOut
from fiftyone_gradcam.training.per_fold import _digest, _kept, _remove_others
from fiftyone_gradcam.training.recipe import Recipe
from fiftyone_gradcam.training.resize_features import _squares, features_by_way
from fiftyone_gradcam.training.resizing import (
    best_way,
    compare_resizes,
    comparison_work,
    images_compared,
    images_to_compare,
    settle_resize,
)

NETWORK = SimpleNamespace(image_size=32)  # nothing is computed with it


class Kept:
    """Stored features of some images; the others are to be computed."""

    def __init__(self, values: dict[str, np.ndarray]):
        self.values = values

    def read(self) -> dict[str, np.ndarray]:
        return {way: rows.copy() for way, rows in self.values.items()}


def features(count: int, lacking: int = 0) -> dict[str, np.ndarray]:
    """Of two classes that "crop" alone tells apart."""
    random = np.random.default_rng(0)
    found = {way: random.normal(size=(count, 3)).astype(np.float32) for way in RESIZES}
    found["crop"] += 5 * (np.arange(count) % 2)[:, None]
    for rows in found.values():
        rows[:lacking] = np.nan
    return found


def keeping(lacking: int):
    @contextmanager
    def keep(network, own):
        yield Kept(features(len(own), lacking))

    return keep


def compared(count: int, lacking: int):
    """Compare images of which the first cannot be decoded."""
    paths, labels = [f"/gone/{n}.png" for n in range(count)], np.arange(count) % 2
    return compare_resizes(paths, labels, NETWORK, keep=keeping(lacking))


def test_images_that_cannot_be_decoded_do_not_count_as_compared():
    found = compared(41, 1)
    assert (found.resize, found.images) == ("crop", 40)
    assert compared(40, 1) is None
    assert compared(39, 0) is None
    reported = []
    paths = [f"/gone/{n}.png" for n in range(20)]
    values, is_there = features_by_way(
        paths, NETWORK, DEFAULT, lambda *step: reported.append(step[:2]), Kept(features(20, 18))
    )
    assert is_there.tolist() == [False] * 18 + [True] * 2
    assert {way: len(rows) for way, rows in values.items()} == dict.fromkeys(RESIZES, 2)
    assert reported[-2:] == [(18, 20), (20, 20)]
    # Where all images are square, two methods are one.
    same = features(20)
    same["letterbox"] = same["squash"]
    values, _ = features_by_way(paths, NETWORK, DEFAULT, lambda *_: None, Kept(same))
    assert sorted(values) == ["crop", "squash"]


@pytest.mark.parametrize(
    ("size", "is_square"),
    [((100, 100), True), ((100, 98), True), ((98, 100), True), ((100, 97), False), ((1, 2), False)],
)
def test_an_image_that_is_nearly_square_is_resized_in_two_ways(tmp_path, size, is_square):
    Image.new("RGB", size, (9, 99, 199)).save(tmp_path / "0.png")
    found = _squares(str(tmp_path / "0.png"), 8, DEFAULT)
    assert set(found) == ({"squash", "crop"} if is_square else set(RESIZES))
    assert {pixels.shape for pixels in found.values()} == {(8, 8, 3)}
    assert _squares(str(tmp_path / "gone.png"), 8, DEFAULT) is None


def test_a_method_that_is_set_is_not_compared(capsys):
    recipe = Recipe(backbone="squeezenet1_1", weights="w.pt", resize="letterbox")
    assert settle_resize(recipe, ["/gone.png"] * 50, np.arange(50) % 2, "cpu") is recipe
    assert capsys.readouterr().out == ""
    auto = Recipe(backbone="squeezenet1_1", weights="w.pt")
    labels = np.arange(40) % 2
    assert comparison_work(auto, labels) == 40 * 3
    assert comparison_work(auto, labels[:39]) == comparison_work(recipe, labels) == 0
    paths = [f"/gone/{n}.png" for n in range(40)]
    for count, chosen, words in (
        (40, "crop", "resize='crop' is chosen by the leave-one-out accuracy of a linear"),
        (39, "letterbox", "resize='letterbox': there are too few labeled images to compare"),
    ):
        found = settle_resize(auto, paths[:count], labels[:count], "cpu", keep=keeping(0),
                              otherwise="letterbox")  # fmt: skip
        assert found.resize == chosen
        assert capsys.readouterr().out.startswith(words)


@pytest.mark.parametrize(
    ("counts", "compared"),
    [((4, 4), 8), ((4, 3), 0), ((500,), 0), ((150, 149), 299), ((200, 101, 3), 300), ((), 0)],
)
def test_images_of_two_classes_of_four_or_more_are_compared(counts, compared):
    labels = np.concatenate([np.repeat(np.arange(len(counts)), counts), [-1] * 9]).astype(int)
    assert images_compared(labels) == compared
    paths = [f"/{n}.png" for n in range(len(labels))]
    chosen = images_to_compare(labels, paths, 0)
    assert len(chosen) == compared
    large = {label for label, count in enumerate(counts) if count > 3}
    assert set(labels[chosen]) == (large if compared else set())


def result(correct: list[int], error: float) -> LeaveOneOut:
    return LeaveOneOut(np.mean(correct), error, np.array(correct, bool))


def test_of_methods_about_as_accurate_the_one_with_the_smaller_error_is_best():
    half, most = [1, 0] * 8, [1, 1, 0, *[1] * 13]
    assert best_way({"squash": result(half, 0.1), "crop": result(most, 0.9)}) == "crop"
    # Two gained and one lost of 16 are not significant: a difference of .06 with an error of .11.
    near = [0, 0, *[1] * 14]
    assert best_way({"squash": result(near, 0.1), "crop": result(most, 0.9)}) == "squash"
    assert best_way({"squash": result(near, 0.9), "crop": result(most, 0.1)}) == "crop"
    # One gained and none lost is: the error is smaller than the difference.
    less = [0, 1, 0, *[1] * 13]
    assert best_way({"squash": result(less, 0.1), "crop": result(most, 0.9)}) == "crop"
    assert best_way({"squash": result(most, 0.2), "crop": result(most, 0.1)}) == "crop"


def test_results_of_a_fold_are_used_again_if_all_is_the_same(tmp_path):
    paths = [str(tmp_path / f"{n}.png") for n in range(2)]
    for path in paths:
        with open(path, "wb") as file:
            file.write(b"x")
        os.utime(path, (1, 1))
    recipe = Recipe(backbone="small_cnn", weights="none")
    given = [Images(paths, 8), np.array([0, 1]), np.array([1, 0]), np.array([0, 1]), recipe]
    before = _digest(*given)
    assert _digest(*given) == before
    others = [
        Images(paths[::-1], 8),
        *(np.array(x) for x in ([1, 0], [0, 1], [1, 0])),
        Recipe(backbone="small_cnn", weights="none", seed=1),
    ]
    for place, other in enumerate(others):
        assert _digest(*given[:place], other, *given[place + 1 :]) != before, place
    os.utime(paths[1], (2, 2))
    assert _digest(*given) != before
    os.remove(paths[0])
    assert len(_digest(*given)) == 24


def test_what_is_left_of_other_calls_is_deleted(tmp_path):
    home, own = str(tmp_path / "home"), tmp_path / "home" / "own"
    _remove_others(home, str(own))  # there is nothing yet
    for folder in (own, tmp_path / "home" / "other"):
        folder.mkdir(parents=True)
        np.save(folder / "0.npy", np.ones((2, 3)))
    _remove_others(home, str(own))
    assert os.listdir(home) == ["own"]
    file = str(own / "0.npy")
    assert _kept(file, (2, 3)).tolist() == [[1.0] * 3] * 2
    assert _kept(file, (3, 2)) is None
    assert _kept(str(own / "1.npy"), (2, 3)) is None
    with open(file, "wb") as broken:
        broken.write(b"no array")
    assert _kept(file, (2, 3)) is None
