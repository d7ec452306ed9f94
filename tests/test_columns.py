"""Columns of tables: which are the images, the classes and the splits."""

import pytest

from fiftyone_gradcam.folders.columns import (
    Columns,
    Named,
    choose_columns,
    flag_of,
    listed,
    split_of_name,
)
from fiftyone_gradcam.folders.csv_file import Head


def chosen(header: str, *rows: str, **named: str) -> Columns:
    """The columns of a table whose cells are separated by commas."""
    cells = [tuple(row.split(",")) for row in (header, *rows)]
    return choose_columns(Head("t.csv", "utf-8", ",", cells[0], tuple(cells[1:])), Named(**named))


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (("image,class",), Columns(0, 1)),
        (("name,label,id",), Columns(2, 1)),  # "id" names images better than "name"
        (("name,foo",), Columns(0, 1, is_sure=False)),  # the images are not also the class
        (("image,id",), Columns(0, 1)),  # "id" is a class if there is nothing else
        (("image,class,is_test,x",), Columns(0, 1, splits=(2,))),
        (("image,class,valid,train",), Columns(0, 1, splits=(2, 3))),
        (("image,cat,dog", "1,1,0", "2,0,1"), Columns(0, None, (1, 2))),
        (("image,cat,dog", "1,1.0,false", "2,0,true"), Columns(0, None, (1, 2))),
        (("image,cat,dog", "1,1,0", "2,,1", "3"), Columns(0, None, (1, 2))),  # a short row
        # A few shares among the marks leave a column one of marks, half of them do not.
        (("image,a,b,c", "1,1,0,0.5", "2,0,1,0", "3,0.0,1.00,0"), Columns(0, None, (1, 2, 3))),
        (("image,a,b,c", "1,1,0,0.5", "2,0,1,0"), Columns(0, None, (1, 2))),
        (("image,a,b,c", "1,1,0,1.5", "2,0,1,0", "3,0,1,0"), Columns(0, None, (1, 2))),
        (("image,a,b,c", "1,1,0,-0.1", "2,0,1,0", "3,0,1,0"), Columns(0, None, (1, 2))),
        (("image,a,b,c", "1,1,0,?", "2,0,1,0", "3,0,1,0"), Columns(0, None, (1, 2))),
        (("image,a,b,c", "1,1,0,", "2,0,1,"), Columns(0, None, (1, 2))),  # an empty column
        (("image,a,b,", "1,1,0,1", "2,0,1,0"), Columns(0, None, (1, 2))),  # without a header
        (("image,a,b,split", "1,1,0,1", "2,0,1,0"), Columns(0, None, (1, 2), (3,))),
        # "train" is a class of vehicles, unless a class is marked in the same rows.
        (("image,train,car", "1,1,0", "2,0,1"), Columns(0, None, (1, 2))),
        (("image,train,car,bus", "1,1,1,0", "2,0,0,1"), Columns(0, None, (2, 3), (1,))),
    ],
)
def test_columns_are_detected(table, expected):
    assert chosen(*table) == expected


@pytest.mark.parametrize(
    "table",
    [
        ("image,split",),
        ("image,foo,split",),  # more than one other column, of which one is a split
        ("image,id,x",),
        ("image,a,b", "1,yes,", "2,,yes"),  # yes and no are answers, not marks of a class
        ("image,a,b", "1,no,1", "2,1,no"),
        ("image,a,b", "1,1,x", "2,0,y"),  # one column of marks is not a class for each image
        ("image,a,b",),
        ("image,train,car", "1,1,1", "2,0,1"),
    ],
)
def test_columns_without_classes_are_refused(table):
    with pytest.raises(ValueError, match=r"none of them is known to hold classes\. Name them by"):
        chosen(*table)


def test_named_columns_are_those_with_this_header():
    header = "photo,Class,class,Kind of dog,"
    assert chosen(header, label="class") == Columns(0, 2)  # the same letters come first
    assert chosen(header, label="kind_of_DOG", split="Class") == Columns(0, 3, splits=(1,))
    assert chosen("image,x,split,fold", label="x", split="fold") == Columns(0, 1, splits=(3,))
    for name, message in (
        (" ", "image_column must be the header of a column, not ' '"),
        ("", "image_column must be the header of a column, not ''"),
        (3, "image_column must be the header of a column, not 3"),
        ("?", "image_column '?' is not one of them"),  # nor is it the one without a header
        ("CLASS", "image_column 'CLASS' matches several of them"),
    ):
        with pytest.raises(ValueError, match=message.replace("?", r"\?")):
            chosen(header, image=name)
    assert chosen("photo,image,class", image="photo") == Columns(0, 2)
    with pytest.raises(ValueError, match="none of them is known to name images"):
        chosen("image,x", label="image")
    assert choose_columns(Head("t.csv", "utf-8", ",", ("id", "dx"), ())) == Columns(0, 1)
    assert not Named().any
    assert Named(split="x").any


def test_splits_are_found_in_names_of_files_and_headers():
    names = ("x/Training_set.csv", "val2017.csv", "train_test.csv", "train_train.csv", "2017.csv")
    assert [split_of_name(name) for name in names] == ["train", "val", None, "train", None]
    headers = ("Is_Train", "is valid", "holdout", "Testing", "split", "training images")
    assert [flag_of(name) for name in headers] == ["train", "val", "test", "test", None, None]


def test_twelve_headers_are_listed():
    cells = [f"c{number}" for number in range(12)]
    words = ", ".join(f"'{cell}'" for cell in cells)
    assert listed(cells) == words
    assert listed([*cells, "x", "y"]) == f"{words} and 2 more"
    assert listed(["x" * 81]) == f"'{'x' * 80}'"
