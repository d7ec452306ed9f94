"""The choice of the samples whose heatmaps are recorded while a network is trained."""

import re

import fiftyone as fo
import pytest

from fiftyone_gradcam.dataset.watched import choose_watched

LABELS = ["a", "a", "a", "b", "b", "c", None]
CLASSES = ["a", "b"]


@pytest.fixture
def dataset(name):
    """Seven samples, without images: of one the class is not known, and one has no label."""
    made = fo.Dataset(name)
    samples = [fo.Sample(f"/{number}.png") for number in range(len(LABELS))]
    for sample, label in zip(samples, LABELS, strict=True):
        sample["own"] = label and fo.Classification(label=label)
    made.add_samples(samples, dynamic=True)
    return made


def places(dataset, ids: list[str]) -> list[int]:
    every = dataset.values("id")
    return [every.index(i) for i in ids]


def test_the_classes_take_turns_and_the_seed_draws_among_their_samples(dataset):
    def drawn(count: int, seed: int = 0, classes=CLASSES) -> list[int]:
        return places(dataset, choose_watched(dataset, count, "own", classes, seed))

    assert [LABELS[place] for place in drawn(4)] == ["a", "b", "a", "b"]
    assert sorted(drawn(9)) == [0, 1, 2, 3, 4]  # all that can be watched
    assert drawn(9)[:3] == drawn(3)
    assert drawn(0) == drawn(3, classes=[]) == []
    assert drawn(5, seed=1) == drawn(5, seed=1)
    assert len({tuple(drawn(5, seed)) for seed in range(6)}) > 1
    assert [LABELS[place] for place in drawn(3, classes=["c", "a"])] == ["c", "a", "a"]


def test_samples_for_validation_are_drawn_and_else_those_for_training(dataset):
    def drawn() -> list[int]:
        return sorted(places(dataset, choose_watched(dataset, 9, "own", CLASSES, 0)))

    ids = dataset.values("id")
    dataset.select([ids[0], ids[3]]).tag_samples("train")
    assert drawn() == [0, 3]
    dataset.select([ids[1]]).tag_samples("val")
    assert drawn() == [1]
    assert choose_watched(dataset.match_tags("train"), 9, "own", CLASSES, 0) == [ids[0], ids[3]]


def test_samples_are_watched_in_the_order_in_which_they_are_named(dataset):
    ids = dataset.values("id")
    for chosen in ([ids[4], ids[0], ids[2]], []):
        assert choose_watched(dataset.limit(1), tuple(chosen), "own", CLASSES, 0) == chosen


def test_what_cannot_be_watched_is_named(dataset):
    ids = dataset.values("id")
    wrong = "watch must be a number of samples or "
    no_class = "cannot have heatmaps of each epoch: its label is not one of the classes"
    for watch, words in (
        (-1, f"{wrong}ids, not -1"),
        (True, f"{wrong}a list of ids, not True"),
        ("x", f"{wrong}a list of ids, not 'x'"),
        (2.5, f"{wrong}a list of ids, not 2.5"),
        ([ids[0], 3], f"{wrong}a list of ids, not ['{ids[0]}', 3]"),
        ([ids[0], "0" * 24], f"{dataset.name!r} has no sample '{'0' * 24}' to watch"),
        ([ids[0], ids[5]], f"Sample {ids[5]!r} {no_class}"),
        ([ids[6]], f"Sample {ids[6]!r} {no_class}"),
    ):
        with pytest.raises(ValueError, match=f"^{re.escape(words)}$"):
            choose_watched(dataset, watch, "own", CLASSES, 0)
