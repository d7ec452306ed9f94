"""Rows of tables: short ones, several classes or splits in one, and what is said about them."""

import pytest
from test_plans import make, read

import fiftyone_gradcam as fg
from fiftyone_gradcam.folders.table import _by_flags


def plan_of(root, text: str, *files: str, **choices):
    """The plan of a folder with a table."""
    make(root, *(files or ("1.jpg", "2.jpg", "3.jpg")))
    (root / "t.csv").write_text(text)
    return fg.plan_import(str(root), table="t.csv", **choices)


def test_cells_that_a_row_lacks_are_empty(tmp_path):
    text = "image,x,label,split\n1,q,a,train\n2,q,b\n3,q\n"
    assert list(read(plan_of(tmp_path, text)).values()) == [
        ("a", "train"),
        ("b", None),
        (None, None),
    ]
    plan = plan_of(tmp_path, "image,a,b\n1,0,1\n2,1\n3\n")
    assert list(read(plan).values()) == [("b", None), ("a", None), (None, None)]
    assert plan.skipped == [("row 4: 3", "in the table without a class, and left unlabeled")]
    plan = plan_of(tmp_path, "label,x,image\na,q,1\nb,q\n")
    assert plan.skipped == [("row 3:", "in the table, but there is no such image")]


def test_as_many_images_may_have_several_classes_as_have_one(tmp_path):
    several = "in the table with several classes, and left unlabeled"
    plan = plan_of(tmp_path, "image,a,b\n1,1,1\n2,1,0\n")
    assert plan.skipped == [("row 2: 1", several)]
    assert read(plan)["2.jpg"] == ("a", None)
    with pytest.raises(
        ValueError,
        match=r"t\.csv' marks several classes in 2 rows, and one class of 1 images\. An image has",
    ):
        plan_of(tmp_path, "image,a,b\n1,1,1\n2,1,0\n3,1,1\n")


def test_the_first_path_is_named_if_no_image_is(tmp_path):
    for text, words in (
        ("image,label\nx.jpg,a\ny.jpg,b\n", "is 'x.jpg'$"),
        (f"image,label\n{'x' * 201},a\n", f"is '{'x' * 200}'$"),
        ("image,label\n", "is missing$"),
    ):
        with pytest.raises(ValueError, match=f"its first path, in the column 'image', {words}"):
            plan_of(tmp_path, text)


@pytest.mark.parametrize(
    ("flags", "split"),
    [
        ({"train": True}, "train"),
        ({"train": False}, "test"),
        ({"test": False}, "train"),
        ({"test": True}, "test"),
        ({"train": False, "test": False}, "val"),
        ({"train": False, "val": False}, "test"),
        ({"train": False, "val": True}, "val"),
        ({"train": True, "test": True}, None),
        ({"train": False, "val": False, "test": False}, None),
    ],
)
def test_columns_of_yes_and_no_give_the_split(flags, split):
    assert _by_flags(flags) == split


def test_of_two_columns_of_splits_the_first_counts(tmp_path):
    text = "image,label,split,subset,is_test\n1,a,train,test,1\n2,b,?,val,1\n3,a,,,1\n"
    plan = plan_of(tmp_path, text)
    assert list(read(plan).values()) == [("a", "train"), ("b", "val"), ("a", "test")]
    assert plan.warnings == [
        "The column 'split' of t.csv contains '?' (1), which are not splits: train, val and test "
        "are"
    ]
    plan = plan_of(tmp_path, "image,label,is_train,is_test\n1,a,1,1\n2,b,yes,no\n3,a,0,\n")
    assert list(read(plan).values()) == [("a", None), ("b", "train"), ("a", "test")]
    assert plan.warnings == ["1 rows have no split or two, by 'is_train', 'is_test'"]


def test_eight_values_that_are_no_splits_are_named(tmp_path):
    names = [f"{number}.jpg" for number in range(9)]
    rows = "".join(f"{name},a,{'x' * 81}{name[0]}\n" for name in names)
    plan = plan_of(tmp_path, f"image,label,split\n{rows}", *names)
    (note,) = plan.warnings
    assert (
        f"of t.csv contains '{'x' * 80}' (9). It is not used: train, val and test would be" in note
    )
    for count, more in ((8, ""), (9, " and 1 more")):
        rows = "".join(f"{name},a,x{name[0]}\n" for name in names[:count])
        plan = plan_of(tmp_path, f"image,label,split\n{rows}", *names)
        says = ", ".join(f"'x{number}' (1)" for number in range(8))
        assert f"contains {says}{more}. It is not used" in plan.warnings[0]


def test_an_image_in_the_folder_of_another_split_is_noted(tmp_path):
    files = ("train/1.jpg", "train/2.jpg", "test/3.jpg")
    table = "image,label,split\n1,a,{}\n2,b,train\n3,b,test\n"
    assert plan_of(tmp_path, "image,label\n1,a\n2,b\n3,b\n", *files).warnings == []
    assert plan_of(tmp_path, table.format("train"), *files).warnings == []
    plan = plan_of(tmp_path, table.format("test"), *files)
    assert plan.warnings == [
        "1 image is in the folder of another split than in t.csv, which is used (row 2: 1)"
    ]
    assert read(plan)["train/1.jpg"] == ("a", "test")
