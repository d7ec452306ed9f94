"""Remarks about a plan, and why a classifier cannot be trained on it: whole texts."""

import os

import pytest
from test_plans import make

import fiftyone_gradcam as fg
from fiftyone_gradcam.folders.layout import Layout
from fiftyone_gradcam.folders.plan import Item, Plan
from fiftyone_gradcam.folders.remarks import are_splits


def warnings_of(root, *names: str, **choices) -> list[str]:
    """What is remarked about a folder of these files."""
    return fg.plan_import(str(make(root, *names)), **choices).warnings


def test_folders_with_the_same_names_in_each_class_may_be_the_classes(tmp_path):
    both = [f"{outer}/{inner}/1.jpg" for outer in ("cat", "dog") for inner in "xyz"]
    same = (
        "Each class contains folders with the same names, such as x, y, z. If these are the "
        "classes, pass level='last'"
    )
    deeper = (
        "Deeper folders belong to the class of the first: cat/x/1.jpg is 'cat'. level='last' or "
        "level='joined' takes it otherwise"
    )
    assert warnings_of(tmp_path / "a", *both) == [same, deeper]
    assert warnings_of(tmp_path / "a", level="last") == []
    assert warnings_of(tmp_path / "b", "cat/x/1.jpg", "cat/y/1.jpg", "dog/x/1.jpg") == [deeper]
    assert warnings_of(tmp_path / "c", *both, "cow/1.jpg") == [deeper]  # not in each class


def test_sizes_of_classes_differ_from_over_twenty_to_one(tmp_path):
    names = [f"a/{number}.jpg" for number in range(20)]
    assert warnings_of(tmp_path, *names, "b/1.jpg") == []
    assert warnings_of(tmp_path, "a/20.jpg") == [
        "Classes are of very different sizes: 'b' has 1 image"
    ]
    assert warnings_of(tmp_path, "b/2.jpg") == []  # 21 and 2


def test_folders_around_and_beside_splits_are_named(tmp_path):
    names = [f"all/{split}/{name}/1.jpg" for split in ("train", "test") for name in ("cat", "dog")]
    around = "The folder all contains everything else: the classes are found inside it"
    assert warnings_of(tmp_path, *names) == [around]
    beside = "Not in any of the splits: docs"
    assert warnings_of(tmp_path, "all/docs/cat/1.jpg") == [around, beside]
    names = ("train/cat/1.jpg", "train/dog/1.jpg", "test/cat/1.jpg", "pred/1.jpg")
    assert warnings_of(tmp_path / "c", *names) == ["1 image has no class: unlabeled samples"]
    assert warnings_of(tmp_path / "b", "Test/1.jpg", "control/1.jpg") == [
        "Classes are called Test. If these are splits, move other folders next to them elsewhere"
    ]


def test_names_are_missing_for_eight_labels_at_most(tmp_path):
    names = [f"c{number}/1.jpg" for number in range(10)]
    make(tmp_path, *names)
    (tmp_path / "names.md").write_text("c0 = zero\n")
    (note,) = fg.plan_import(str(tmp_path), class_names=str(tmp_path / "names.md")).warnings
    assert note == "The file of class names has no name for c1, c2, c3, c4, c5, c6, c7, c8"
    (tmp_path / "names.md").write_text("".join(f"c{number} = {number}\n" for number in range(10)))
    assert fg.plan_import(str(tmp_path), class_names=str(tmp_path / "names.md")).warnings == []


def test_classes_that_are_splits_are_refused():
    layout = Layout()
    assert are_splits(["cat", "dog"], layout) is None
    assert are_splits(["test", "train"], layout) == (
        "The classes would be 'test', 'train', which are splits: the class is the name of the "
        "folder; there are no splits. Choose where the split is given by split_from ('outer "
        "folder' or 'inner folder'), and where the class is given by label_from ('folder', 'file "
        "name', 'pattern' or 'table')"
    )
    combined = ["cat_test", "cat_train", "dog_test", "dog_train"]
    assert are_splits(combined, layout) == (
        f"The classes would be {', '.join(map(repr, combined))}, which combine classes and splits. "
        r"Separate them by a pattern with the groups label and split, such as "
        r"(?i)(?P<label>[^/]+?)[ _.-]*"
        r"(?P<split>test|train)\d*/"
    )


def items(*labels: str | None, split: str | None = None) -> list[Item]:
    return [Item(f"/r/{number}.jpg", label, split, 1) for number, label in enumerate(labels)]


REMEDY = (
    "Give the folder that contains one folder for each class, or choose where the class is given "
    "by label_from, pattern or table"
)
UNPACK = "Unpack the 2 archives, such as 'a.zip'. "
ARCHIVES = ["/r/a.zip", "/r/b.zip"]


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({}, f"No images below '/r'. {REMEDY}"),
        ({"archives": ARCHIVES}, f"No images below '/r'. {UNPACK}{REMEDY}"),
        ({"stopped": "Stopped"}, "No images below '/r'. Stopped"),
        (
            {"skipped": [("/r/x", "empty file"), ("/r/y", "empty file")]},
            f"No images below '/r' (left out: 2 empty files). {REMEDY}",
        ),
        (
            {"unused": {"/r/t.csv": "it is empty"}},
            f"No images below '/r'. {REMEDY}. Table not used: t.csv (it is empty)",
        ),
        (
            {"items": items(None)},
            f"No image has a class below '/r': the class is the name of the folder; there are no "
            f"splits. {REMEDY}",
        ),
        (
            {"items": items("a", "a", None), "archives": ARCHIVES},
            f"Only one class, 'a', below '/r'. A classifier needs two. {UNPACK}{REMEDY}",
        ),
        (
            {"choices": {"label_from": "nothing"}, "archives": ARCHIVES},
            f"No images below '/r'. {UNPACK}{REMEDY}",
        ),
        ({"items": items(None), "choices": {"label_from": "nothing"}, "archives": ARCHIVES}, None),
        ({"items": items("a", "b"), "archives": ARCHIVES}, None),
    ],
)
def test_why_a_plan_cannot_be_trained_on(plan, message):
    made = Plan("/r", Layout(), **plan)
    if message is None:
        made.check()
        return
    with pytest.raises(ValueError, match=".") as caught:
        made.check()
    assert str(caught.value) == message


def test_a_plan_in_words(tmp_path):
    splits = (None, "extra", "test", "val", "train")
    made = Plan("/r", Layout("folder", "outer folder"))
    for split in splits:
        made.items += items("b", None, "a", split=split)
    assert list(made.counts()) == ["train", "val", "test", "extra", None]
    assert list(made.counts()["val"].items()) == [("a", 1), ("b", 1), (None, 1)]
    lines = str(made).splitlines()
    assert lines[0] == "/r: 15 files, 2 classes"
    assert lines[2:] == [
        f"  {split}: a 1, b 1, unlabeled 1"
        for split in ("train", "val", "test", "extra", "no split")
    ]
    for count, more in ((8, []), (9, ["and 1 more table"]), (11, ["and 3 more tables"])):
        made = Plan(
            "/r", Layout(), unused={f"/r/{number:02d}.csv": "odd" for number in range(count)}
        )
        shown = [f"Table not used: {number:02d}.csv (odd)" for number in range(8)]
        assert made.table_words == shown + more
        assert made.table is None
    made = Plan("/r", Layout(), tables={os.path.join("/r", "t.csv"): "images from 'x'"})
    assert made.table_words == ["Table t.csv: images from 'x'"]
    made.skipped = [("/r/1", "odd"), ("/r/2", "empty file"), ("/r/3", "empty file")]
    assert list(made.reasons().items()) == [("empty file", 2), ("odd", 1)]
    assert str(made).splitlines()[-2:] == [
        "Left out: 2 empty files, such as /r/2",
        "Left out: 1 odd, such as /r/1",
    ]
    made.items = items(*"aaaab", None)
    assert made.examples(2) == {"a": ["/r/0.jpg", "/r/2.jpg"], "b": ["/r/4.jpg"]}
    assert made.examples()["a"] == ["/r/0.jpg", "/r/1.jpg", "/r/2.jpg"]
    made.items += items("c", split="val")
    assert made.counts() == {"val": {"c": 1}, None: {"a": 4, "b": 1, None: 1}}
    assert made.examples(4)["a"] == [f"/r/{number}.jpg" for number in range(4)]
