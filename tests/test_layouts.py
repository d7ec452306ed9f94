"""Layouts: folders that are passed, chosen splits, and words."""

import pytest
from PIL import Image

import fiftyone_gradcam as fg
from fiftyone_gradcam.folders.guessing import guess, with_choices
from fiftyone_gradcam.folders.layout import Layout


def test_a_folder_alone_in_a_split_is_passed_if_it_repeats_the_split():
    for inner, passed in (
        (("train", "test"), {("train", "train"), ("test", "test")}),
        (("val", "test"), {("test", "test")}),  # another split inside one: it may be a class
        (("val", "x"), set()),
    ):
        paths = [
            (split, own, "a", "1.png") for split, own in zip(("train", "test"), inner, strict=True)
        ]
        assert guess(paths).passed == passed


@pytest.mark.parametrize(
    ("folders", "passed"),
    [
        # The same folder alone in all splits, and the classes inside it.
        (("train/pets/cat", "train/pets/dog", "test/pets/cat"), {"train/pets", "test/pets"}),
        (("train/pets/cat", "train/pets/dog", "test/wild/cat"), set()),
        (("train/pets/cat", "train/cow", "test/pets/cat"), set()),
        (("train/pets", "test/pets"), set()),  # a class
        (("train/pets/cat", "train/pets", "test/pets/cat"), {"train/pets", "test/pets"}),
        (("train/images/pets/cat", "test/images/pets/cat"), {"train/images", "test/images"}),
        (("train/images/cat", "test/pets/cat"), {"train/images"}),
        (("all/train/cat", "all/test/cat"), {"all"}),
        (("train/cat", "test/cat"), set()),
        (("train/cat", "test/cat", "_Unlabeled"), set()),
    ],
)
def test_folders_that_contain_all_of_a_split_are_passed(folders, passed):
    found = guess([(*folder.split("/"), "1.png") for folder in folders])
    assert found.split_from == "outer folder"
    assert found.splits == {"train": "train", "test": "test"}
    assert {"/".join(parts) for parts in found.passed} == passed


@pytest.mark.parametrize(
    ("names", "label_from"),
    [
        ("a_1 a_2 b_1 b_2", "file name"),
        ("a_1 a_2 b_1 x y", "nothing"),  # 2 of 5 share their prefix
        ("a_1 a_2 b_1 b_2 w x y z", "nothing"),  # half are not enough
        ("a_1 a_2 a_3 b_1 b_2 x y", "file name"),  # 5 of 7 are, and 2 of 7 may be without one
        ("a_1 a_2 a_3 b_1 b_2 w x y z p", "nothing"),
        ("a_1 a_2 b_1 c_1", "nothing"),
        ("a_1 a_2 a_3 b_1 c_1", "file name"),
        ("IMG_1 IMG_2 DSC_1 DSC_2", "nothing"),
        ("IMG_1 IMG_2 cat_1 cat_2", "file name"),
        ("a_1 a_2", "nothing"),
    ],
)
def test_names_of_files_are_classes_if_most_share_their_beginning(names, label_from):
    assert guess([(f"{name}.jpg",) for name in names.split()]).label_from == label_from


def test_training_images_with_class_names_are_enough():
    """Test images are often only numbered; two classes may have one training image each."""

    def guessed(training: str, test: str) -> str:
        names = [("train", name) for name in training.split()]
        return guess([*names, *(("test", name) for name in test.split())]).label_from

    assert guessed("a_1 b_1", "p q r") == "file name"
    assert guessed("a_1 b_1 c_1", "p q r") == "nothing"
    assert guessed("a_1 a_2 b_1 b_2", "p q r s t u") == "file name"
    assert guessed("p q r s", "a_1 a_2 b_1 b_2") == "nothing"
    assert guessed("p q r", "a_1 a_2 b_1 b_2") == "file name"  # most of all files


def test_the_folder_around_all_images_is_passed_unless_it_may_be_a_class():
    names = ("a_1", "a_2", "b_1", "b_2")
    for paths, passed, label_from in (
        ([("images", "1.jpg"), ("images", "2.jpg")], {("images",)}, "nothing"),
        ([("cat", "1.jpg"), ("cat", "2.jpg")], set(), "folder"),
        ([("pets", name) for name in names], {("pets",)}, "file name"),
        ([("my", "pets", x) for x in names], {("my",), ("my", "pets")}, "file name"),
        # Files beside the folder do not count.
        ([*(("pets", name) for name in names), *((x,) for x in "pqrst")], {("pets",)}, "nothing"),
        ([("my", "pets", "cat", "1"), ("my", "pets", "dog", "1")], {("my",), ("my", "pets")}, None),
        ([("my", "pets", "cat", "1"), ("my", "fish", "1")], {("my",)}, "folder"),
        ([("train", "cat", "1"), ("train", "dog", "1")], set(), "folder"),
    ):
        found = guess(paths)
        assert found.passed == passed, paths
        assert found.label_from == (label_from or "folder"), paths


def test_splits_inside_classes_are_the_innermost_or_the_first_folders():
    def guessed(*folders: str) -> tuple:
        found = guess([(*folder.split("/"), "1.png") for folder in folders])
        return found.split_from, found.splits

    splits = {"train": "train", "test": "test"}
    assert guessed("cat/a/train", "dog/b/test") == ("inner folder", splits)
    assert guessed("cat/train/a", "dog/test/b") == ("inner folder", splits)
    assert guessed("cat/train", "dog/test", "cow") == ("nothing", {})  # not inside all of them
    paths = [("cat", "train", "1"), ("cat", "eval", "1"), ("cat", "val", "1"), ("dog", "1")]
    assert guess(paths).split_from == "nothing"
    chosen = with_choices(guess(paths), paths, split_from="inner folder")
    assert chosen.splits == {"train": "train", "eval": "test", "val": "val"}
    assert chosen.read(paths[1]) == ("cat", "test")
    assert with_choices(guess(paths), paths, split_from="outer folder").splits == {}


def test_a_folder_that_is_no_split_stays_one_though_the_outer_folders_are():
    paths = [("seg_train", "a", "1.png"), ("seg_test", "a", "2.png"), ("extra", "b", "3.png")]
    found = with_choices(guess(paths), paths, split_from="outer folder")
    assert found.splits == {"seg_train": "train", "seg_test": "test"}


@pytest.mark.parametrize(
    ("layout", "words"),
    [
        (Layout(), "the class is the name of the folder; there are no splits"),
        (Layout(level="last"), "is the name of the folder, the innermost; there are no splits"),
        (Layout(level="joined"), "is the name of the folders, joined; there are no splits"),
        (
            Layout("file name", level="last"),
            "beginning of the file name; there are no splits",
        ),
        (Layout("table"), "the class is given in a table"),
        (Layout("folder", "inner folder"), "the name of the folder; the inner folder is the split"),
    ],
)
def test_a_layout_in_words(layout, words):
    assert str(layout).endswith(words)


@pytest.mark.parametrize(("classes", "more"), [(8, ""), (9, " and 1 more")])
def test_a_plan_names_eight_classes(tmp_path, classes, more):
    for number in range(classes):
        (tmp_path / f"c{number}").mkdir()
        Image.new("L", (4, 4), number).save(tmp_path / f"c{number}" / "1.png")
    names = ", ".join(f"c{number} 1" for number in range(8))
    assert f"  classes: {names}{more}" in str(fg.plan_import(str(tmp_path))).splitlines()


def test_a_split_comes_from_the_pattern_or_else_from_a_folder():
    own = Layout("pattern", "outer folder", pattern="(?:(?P<split>val)_)?(?P<label>cat)_")
    assert own.read(("train", "cat_1.jpg")) == ("cat", "train")
    assert own.read(("train", "val_cat_1.jpg")) == ("cat", "val")
    # Without known splits, only names of splits are some.
    assert Layout("folder", "outer folder").read(("cat", "1.jpg")) == ("cat", None)
    assert Layout("folder", "outer folder").read(("Test", "cat", "1.jpg")) == ("cat", "test")
    assert Layout("folder", "outer folder").read(("1.jpg",)) == (None, None)
