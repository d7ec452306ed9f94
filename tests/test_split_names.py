"""Names of folders that hold a split."""

import pytest

from fiftyone_gradcam.folders.split_names import (
    SplitName,
    is_generic,
    parse,
    parting_pattern,
    split_of,
    splits_among,
    splits_of,
)

NAMES = {
    "train": "train training TRAIN train_set training_set trainset TRAINset TrainingSet train1 "
    "train_01 train-2 train2017 train_data train_images images_train TrainImages trainval",
    "val": "val valid validation Validation validation_set val2017 valset dev dev_set eval",
    "test": "test Test testing Testing test_set test-set test1 testdata holdout hold_out hold-out",
    None: "cat latest contest trains devil testbild protest invalid 1 2017 图片 _ train_test "
    "seg_train pregnancy_test steam_train images data",
}


@pytest.mark.parametrize(
    ("name", "split"), [(name, split) for split, names in NAMES.items() for name in names.split()]
)
def test_the_split_that_a_name_says_by_itself(name, split):
    assert split_of(name) == split


def test_names_with_spaces_and_signs():
    assert [split_of(name) for name in ("Train Data", "test (1)", "[val]", "")] == [
        "train",
        "test",
        "val",
        None,
    ]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("train test", {"train": "train", "test": "test"}),
        ("train", {"train": "train"}),
        ("train dev eval", {"train": "train", "dev": "val", "eval": "test"}),
        ("train eval", {"train": "train", "eval": "val"}),
        (
            "seg_train seg_test seg_pred",
            {"seg_train": "train", "seg_test": "test", "seg_pred": None},
        ),
        ("train_birds test_birds", {"train_birds": "train", "test_birds": "test"}),
        ("train test test_hard", {"train": "train", "test": "test", "test_hard": "test"}),
        ("train test unlabeled", {"train": "train", "test": "test", "unlabeled": None}),
        ("birds_train", None),
        ("model_train model_training", None),  # one split twice: more likely two classes
        ("steam_train crash_test", None),
        ("train hard_train", None),
        ("cat train test", None),
        ("pred", None),
        ("", None),
    ],
)
def test_splits_beside_each_other(names, expected):
    assert splits_of(names.split()) == expected


def test_splits_among_other_folders_hold_the_same_folders():
    both = {"train": {"cat", "dog"}, "test": {"cat"}, "docs": set()}
    assert splits_among(both) == {"train": "train", "test": "test", "docs": None}
    assert splits_among({**both, "test": {"bird"}}) is None
    assert splits_among({**both, "test": set()}) is None
    assert splits_among({"train": {"cat"}, "training": {"cat"}, "docs": set()}) is None
    assert splits_among({"train": {"red"}, "bus": {"red"}, "car": {"red"}}) is None


def test_what_else_a_name_says():
    assert parse("seg_train").rest == ("seg",)
    assert parse("Birds-Test2").rest == ("birds",)
    assert parse("train_test") is None
    assert [is_generic(name) for name in ("images", "raw-img", "JPEGImages", "Images 2")] == [
        True
    ] * 4
    assert [is_generic(name) for name in ("cat", "1", "", "图片", "cat_images")] == [False] * 5


def test_words_that_any_folder_may_have_are_no_rest():
    assert parse("seg_train_images") == SplitName("train", ("seg",))
    assert parse("my own-testSet") == SplitName("test", ("my", "own"))
    assert SplitName("pred").split is None


@pytest.mark.parametrize(
    ("names", "pattern"),
    [
        ("cat_train cat_test dog_val dog_train", "(?P<label>[^/]+?)[ _.-]*(?P<split>{})\\d*/"),
        ("train_cat test_cat val_dog train_dog", "(?P<split>{})\\d*[ _.-]*(?P<label>[^/]+)/"),
        ("cat_train cat_test dog_train", None),  # one class is in one split only
        ("cat_train cat_training", None),
        ("cat_train cat_test dog", None),
        ("cat_train cat_test test", None),
        ("", None),
    ],
)
def test_names_that_combine_class_and_split_have_a_pattern(names, pattern):
    expected = pattern and "(?i)" + pattern.format("test|train|val")
    assert parting_pattern(names.split()) == expected
