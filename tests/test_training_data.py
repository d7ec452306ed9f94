"""What a training learns from: the samples, their classes, and what is said of the rest."""

import re

import fiftyone as fo
import pytest

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset.resizing import keep_by_way, settled_for
from fiftyone_gradcam.dataset.training_sets import class_indexes, digest_of, training_data
from fiftyone_gradcam.training.recipe import Recipe

RECIPE = Recipe(backbone="small_cnn", weights="none", image_size=16)
#        label, tag
ROWS = [
    ("b", "train"), ("a", "train"), (None, "train"), ("a", "train"), ("c", "val"), ("b", "val"),
    ("a", "test"), ("b", None), ("a", None),
]  # fmt: skip


@pytest.fixture
def dataset(name):
    """Samples without images."""
    made = fo.Dataset(name)
    for number, (label, tag) in enumerate(ROWS):
        sample = fo.Sample(f"/{number}.png", tags=[tag] if tag else [])
        sample["own"] = label and fo.Classification(label=label)
        made.add_sample(sample)
    return made


def learned(samples, **options) -> tuple:
    classes, *sets = training_data(samples, "own", RECIPE, **options)
    return classes, *(
        one and ([int(path[1]) for path in one.images.paths], one.labels.tolist()) for one in sets
    )


def test_the_samples_of_a_training(dataset, capsys):
    train = ([0, 1, 3], [1, 0, 0])
    assert learned(dataset) == (["a", "b"], train, ([5], [1]))
    assert capsys.readouterr().out == (
        "Left out 1 training sample without a label\n"
        "Not used for validation, because there are no training images of: c\n"
    )
    assert learned(dataset, verbose=False) == (["a", "b"], train, ([5], [1]))
    assert capsys.readouterr().out == ""
    # A view has its own samples for training, and those of the dataset for validation.
    assert learned(dataset.match_tags("train"), verbose=False)[1:] == (train, ([5], [1]))
    rest = dataset.skip(4)  # none is for training: those that are not for validation or tests
    assert learned(rest, verbose=False)[1:] == (([7, 8], [1, 0]), ([5], [1]))
    fg.review(dataset.skip(3).limit(1), "exclude")
    fg.review(dataset.skip(5).limit(1), "unclear")
    capsys.readouterr()
    assert learned(dataset.match_tags("train"), verbose=False)[1:] == (([0, 1], [1, 0]), None)
    assert capsys.readouterr().out == ""
    assert learned(dataset)[1:] == (([0, 1], [1, 0]), None)
    assert "No sample is tagged 'val': the last epoch is kept\n" in capsys.readouterr().out
    assert learned(dataset, include_excluded=True)[1:] == (train, ([5], [1]))


def test_what_cannot_be_trained_is_refused(dataset):
    needs = "Training needs at least two classes in 'own'; the "
    untagged = dataset.skip(7)
    for samples, words in (
        (dataset.skip(4).limit(3), "There is nothing to train on: all of these samples are tagged"),
        (untagged.limit(1), f"{needs}1 training samples have 'b'"),
        (dataset.skip(2).limit(1), f"{needs}1 training samples have no labels"),
    ):
        with pytest.raises(ValueError, match=f"^{re.escape(words)}"):
            training_data(samples, "own", RECIPE)
    dataset.info["splits"] = {"fractions": {"train": 0.0}, "whole": False}
    with pytest.raises(ValueError, match="was interrupted while it was written"):
        training_data(dataset, "own", RECIPE)
    dataset.info["splits"] = {"fractions": {"train": 1.0}}
    dataset.untag_samples("train")
    words = f"No sample of {dataset.name!r} is tagged 'train'. Call split() first, or pass a view"
    with pytest.raises(ValueError, match=f"^{re.escape(words)}"):
        training_data(dataset, "own", RECIPE)


def test_indexes_of_classes():
    assert class_indexes(["b", None, "c", "a"], ["a", "b"]).tolist() == [1, -1, -1, 0]
    assert class_indexes([], ["a"]).tolist() == []


def test_a_digest_is_that_of_images_and_labels(dataset):
    def digest(*places: int, **labels: str) -> str:
        ids = dataset.values("id")
        _, train, val = training_data(
            dataset.select([ids[n] for n in places]), "own", RECIPE, verbose=False
        )
        return digest_of(train, val)

    first = digest(0, 1)
    assert digest(0, 1) == first
    assert digest(0, 3) != first
    _, train, val = training_data(dataset, "own", RECIPE, verbose=False)
    assert len({digest_of(train, val), digest_of(train, None), digest_of(val, None)}) == 3
    assert digest_of(None, train) == digest_of(train)
    dataset.set_values("own.label", {dataset.values("id")[5]: "a"}, key_field="id")
    assert digest(0, 1) != first  # the label of an image for validation


def test_images_that_were_deleted_cannot_be_compared(dataset):
    paths = ["/0.png", "/gone.png", "/1.png", "/x.png"]
    words = f"2 images were deleted from {dataset.name!r} in the meantime. Call again"
    with (
        pytest.raises(ValueError, match=f"^{re.escape(words)}$"),
        keep_by_way(dataset, None, paths),
    ):
        pass


def test_a_way_to_resize_that_is_given_or_that_no_label_can_choose(dataset):
    def settled(resize: str, field: str = "own", **options) -> str:
        recipe = Recipe(backbone="squeezenet1_1", resize=resize)
        return settled_for(dataset, recipe, field, "cpu", None, **options).resize

    assert settled("squash") == "squash"
    assert settled("auto", "nowhere") == "crop"
    assert settled("auto", "nowhere", otherwise="squash") == "squash"
