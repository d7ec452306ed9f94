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
