"""Plans of imports: layouts that are guessed and chosen, tables, names; no file is opened."""

import os
from pathlib import Path

import pytest

import fiftyone_gradcam as fg
from fiftyone_gradcam.folders.class_names import read_names
from fiftyone_gradcam.folders.guessing import guess
from fiftyone_gradcam.folders.layout import UNLABELLED, Layout, prefix
from fiftyone_gradcam.progress import counted_as


def make(root: Path, *names: str) -> Path:
    """Files that are opened by nobody."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return root


def read(plan) -> dict[str, tuple]:
    """Label and split of each file, by its path below the root."""
    return {
        os.path.relpath(item.path, plan.root).replace(os.sep, "/"): (item.label, item.split)
        for item in plan.items
    }


CASES = {
    "class folders": (
        {"cat/1.jpg": ("cat", None), "dog/1.jpg": ("dog", None), "x.jpg": (None, None)},
        ("folder", "nothing"),
    ),
    "split folders": (
        {
            "Training/cat/1.jpg": ("cat", "train"),
            "valid/cat/1.jpg": ("cat", "val"),
            "testing/dog/1.jpg": ("dog", "test"),
        },
        ("folder", "outer folder"),
    ),
    "splits in classes": (
        {"cat/train/1.jpg": ("cat", "train"), "dog/Val/1.jpg": ("dog", "val")},
        ("folder", "inner folder"),
    ),
    "nested classes": (
        {
            "cat/siamese/1.jpg": ("cat", None),
            "cat/2.jpg": ("cat", None),
            "dog/1.jpg": ("dog", None),
        },
        ("folder", "nothing"),
    ),
    "a class called test": (
        {"test/1.jpg": ("test", None), "control/1.jpg": ("control", None)},
        ("folder", "nothing"),
    ),
    "file names": (
        {
            "apple_1.jpg": ("apple", None),
            "apple_2.jpg": ("apple", None),
            "mixed fruit-1.jpg": ("mixed fruit", None),
            "mixed fruit-2.jpg": ("mixed fruit", None),
            "cover.jpg": (None, None),
        },
        ("file name", "nothing"),
    ),
    "file names in splits": (
        {
            "train/a1.png": ("a", "train"),
            "train/a2.png": ("a", "train"),
            "test/b1.png": ("b", "test"),
            "test/b2.png": ("b", "test"),
        },
        ("file name", "outer folder"),
    ),
    "a camera's names": ({"IMG_1.jpg": (None, None), "IMG_2.jpg": (None, None)}, ("nothing",) * 2),
    "names that are all their own": (
        {"ann.jpg": (None, None), "bob.jpg": (None, None)},
        ("nothing", "nothing"),
    ),
    "two names among numbers": (
        {
            **{f"train/{name}_1.jpg": (None, "train") for name in ("apple", "pear")},
            **{f"train/000{number}.jpg": (None, "train") for number in range(3)},
        },
        ("nothing", "outer folder"),
    ),
    "unlabelled": (
        {"_unlabeled/1.jpg": (None, None), "a/1.jpg": ("a", None), "b/1.jpg": ("b", None)},
        ("folder", "nothing"),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_layouts_are_guessed(tmp_path, case):
    files, expected = CASES[case]
    plan = fg.plan_import(str(make(tmp_path, *files)))
    assert read(plan) == files
    assert (plan.layout.label_from, plan.layout.split_from) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("apple_12.jpg", "apple"),
        ("1_0001.jpg", "1"),
        ("apple12.jpg", "apple"),
        ("apple.12.jpg", "apple"),
        ("red apple - 12.jpg", "red apple"),
        ("Ä3.png", "Ä"),
        ("apple.jpg", None),
        ("0012.jpg", None),
    ],
)
def test_the_prefix_of_a_file_name(name, expected):
    assert prefix(name) == expected


def test_what_is_guessed_can_be_changed(tmp_path):
    root = str(make(tmp_path, "cat/siamese/x_1.jpg", "cat/y_1.jpg", "dog/y_2.jpg"))

    def labels(**choices) -> list:
        return [label for label, _ in read(fg.plan_import(root, **choices)).values()]

    # In the order of os.walk: files of a folder before those of the folders in it.
    assert labels() == ["cat", "cat", "dog"]
    assert labels(level="last") == ["cat", "siamese", "dog"]
    assert labels(level="joined") == ["cat", "cat/siamese", "dog"]
    assert labels(label_from="file name") == ["y", "x", "y"]
    assert labels(label_from="nothing") == [None] * 3
    assert labels(pattern=r"(?P<label>\w+)_\d+\.jpg$") == ["y", "x", "y"]
    assert labels(pattern=r"/siamese/(?P<label>\w)_") == [None, "x", None]
    assert labels(skip=["y_*"]) == ["cat"]
    assert labels(skip=["cat/*"]) == ["dog"]
    split = fg.plan_import(root, pattern=r"(?P<label>\w)_(?P<split>\d)")
    assert {split for _, split in read(split).values()} == {None}  # 1 and 2 are no splits
    make(tmp_path, "x_test_1.jpg")
    split = fg.plan_import(root, pattern=r"(?P<label>[a-z])_(?P<split>[a-z]+)_")
    assert read(split)["x_test_1.jpg"] == ("x", "test")
    for choices, message in (
        ({"label_from": "csv"}, "label_from must be one of 'folder'.* not 'csv'"),
        ({"split_from": "x"}, "split_from must be one of"),
        ({"level": 2}, "level must be one of 'first', 'last', 'joined', not 2"),
        ({"pattern": "("}, "is not a valid regular expression"),
        ({"pattern": "a"}, "has no group named 'label'"),
        ({"label_from": "pattern"}, "A pattern is needed"),
        ({"label_from": "table"}, "There is no table of labels in"),
    ):
        with pytest.raises(ValueError, match=message):
            fg.plan_import(root, **choices)


def test_a_plan_tells_what_a_person_should_know(tmp_path):
    names = ["Cat/a/1.jpg", "cat/1.jpg", *(f"dog/{i}.jpg" for i in range(21)), "loose.jpg"]
    make(tmp_path, *names, ".git/x.jpg", "cat/Thumbs.db", "cat/notes.txt", "cat/1_mask.png")
    (tmp_path / "cat" / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (tmp_path / "cat" / "again").symlink_to(tmp_path)  # a loop
    (tmp_path / "cat" / "empty.jpg").touch()
    plan = fg.plan_import(str(tmp_path))
    assert plan.counts() == {None: {"Cat": 1, "cat": 1, "dog": 21, None: 1}}
    assert plan.reasons() == {"broken link": 1, "empty file": 1}
    assert plan.passed_over == {
        "hidden or system files": 1,
        ".txt files": 1,
        "masks beside images": 1,
        "links to a folder around this one": 1,
    }
    reported = str(plan)
    for words in (
        "24 files, 3 classes",
        "the class is the name of the folder",
        "Cat 1, cat 1, dog 21, unlabeled 1",
        "1 image has no class",
        "differ only in case: Cat, cat",
        "Cat/a/1.jpg is 'Cat'",
        "very different sizes: 'Cat' has 1",
        "Left out: 1 broken link",
    ):
        assert words in reported, words
    examples = plan.examples(3)
    assert [os.path.basename(path) for path in examples["dog"]] == ["0.jpg", "15.jpg", "3.jpg"]
    assert len(examples["cat"]) == 1


def test_letters_and_their_accents_are_one_spelling(tmp_path):
    make(tmp_path, "caf\u00e9/1.jpg", "cafe\u0301/2.jpg", "b/1.jpg")
    assert fg.plan_import(str(tmp_path)).classes == ["b", "caf\u00e9"]


def test_a_name_that_is_no_unicode_is_reported(tmp_path):
    make(tmp_path, "a/1.jpg", "b/1.jpg")
    with open(os.path.join(os.fsencode(tmp_path), b"a", b"\xff.jpg"), "wb") as file:
        file.write(b"x")
    plan = fg.plan_import(str(tmp_path))
    assert plan.reasons() == {"its name is not Unicode (rename it)": 1}
    assert len(plan.items) == 2
    for wrong in ({"skip": "*\udcff*"}, {"skip": ["x", "\ud800"]}, {"pattern": "\ud800"}):
        (name,) = wrong
        with pytest.raises(
            ValueError, match=rf"{name} '.*\\ud.*' contains characters that are not valid Unicode"
        ):
            fg.plan_import(str(tmp_path), **wrong)


def test_a_table_of_labels(tmp_path):
    make(tmp_path, "images/1.jpg", "images/2.jpg", "images/sub/3.png", "images/4.jpg")
    table = tmp_path / "labels.csv"
    table.write_text(
        "Label;Filename;Subset\ncat;1.jpg;train\n dog ;images/2;validation\n;sub\\3.png;x\n"
        "cat;gone.jpg;train\ndog;1.jpg;train\n\n"
    )
    plan = fg.plan_import(str(tmp_path / "images"), table=str(table))
    assert read(plan) == {
        "1.jpg": ("cat", "train"),
        "2.jpg": ("dog", "val"),
        "sub/3.png": (None, None),
        "4.jpg": (None, None),
    }
    assert plan.skipped == [
        ("row 5: gone.jpg", "in the table, but there is no such image"),
        ("row 6: 1.jpg", "in the table twice, with other labels"),
    ]
    # In the folder itself it is found, unless the images stand in class folders.
    flat = make(tmp_path / "flat", "a.jpg", "b.jpg")
    (flat / "train.csv").write_text("\ufeffid,breed\na,pug\nb,poodle\n")
    plan = fg.plan_import(str(flat))
    assert read(plan) == {"a.jpg": ("pug", None), "b.jpg": ("poodle", None)}
    assert (plan.layout.label_from, plan.table) == ("table", str(flat / "train.csv"))
    make(flat, "c/1.jpg", "d/1.jpg")
    assert fg.plan_import(str(flat)).layout.label_from == "folder"
    for text, message in (
        ("a,b\n1,2\n", "has the columns 'a', 'b': none .* to name images.* image_column and label"),
        ("path,x,z\n1,2,3\n", "has the columns 'path', 'x', 'z': none .* to hold classes"),
        ("path,label\nx.jpg,cat\n", "names no image below .*in the column 'path', is 'x.jpg'"),
        ("", "is empty"),
    ):
        table.write_text(text)
        with pytest.raises(ValueError, match=message):
            fg.plan_import(str(flat), table=str(table))


def test_classes_get_their_names(tmp_path):
    make(tmp_path, "1/a.jpg", "2/a.jpg")
    names = tmp_path / "classes.txt"
    names.write_text("# wineries\n1 = Makino\n\n2 = Château d'Yquem\n3 = Other\n", "utf-8")
    plan = fg.plan_import(str(tmp_path))
    assert plan.classes == ["Château d'Yquem", "Makino"]
    names.write_text("1 = Makino\n")  # does not name all: not taken by itself
    assert fg.plan_import(str(tmp_path)).classes == ["1", "2"]
    plan = fg.plan_import(str(tmp_path), class_names=str(names))
    assert plan.classes == ["2", "Makino"]
    assert "The file of class names has no name for 2" in plan.warnings
    for text, expected in (
        (
            "1: a b\n2,c\n3\td\nn0123 tabby cat",
            {"1": "a b", "2": "c", "3": "d", "n0123": "tabby cat"},
        ),
    ):
        names.write_text(text)
        assert read_names(str(names)) == expected
    (tmp_path / "x.json").write_text('{"1": "a"}')
    assert read_names(str(tmp_path / "x.json")) == {"1": "a"}
    for text, message in (
        ("1 = a\nalone\n", r"Line 2 of .* is not valid: 'alone'. Write 1 = Name"),
        ("1 = a\n1 = b", "Line 2 of .* gives '1' a second name"),
        ("", "contains no names"),
    ):
        names.write_text(text)
        with pytest.raises(ValueError, match=message):
            read_names(str(names))


def test_real_folders(real):
    plan = fg.plan_import(str(real / "data" / "hymenoptera"))
    assert plan.counts() == {"train": {"ants": 124, "bees": 121}, "val": {"ants": 70, "bees": 83}}
    plan = fg.plan_import(str(real / "data" / "fruit-boxes"))
    assert plan.counts()["test"] == {"apple": 19, "banana": 18, "mixed": 5, "orange": 18}
    assert plan.passed_over == {".xml files": 300, ".md files": 1}
    assert "Skipped: 1 .md file\nSkipped: 300 .xml files" in str(plan)


def test_one_of_what_is_counted_is_called_one():
    known = {
        "hidden or system files": "1 hidden or system file",
        "links to a folder that is already read": "1 link to a folder that is already read",
        "masks in a folder of their own": "1 mask in a folder of its own",
        "TIFF files, which browsers do not show": "1 TIFF file, which browsers do not show",
        "of the pattern 'images*'": "1 of the pattern 'images*'",
        "empty": "1 empty",
        "in the table, but several images have this name": (
            "1 in the table, but several images have this name"
        ),
    }
    assert {words: counted_as(1, words) for words in known} == known
    assert counted_as(2, "masks in a folder of their own") == "2 masks in a folder of their own"
    assert counted_as(0, ".md files") == "0 .md files"
    for reason in ("empty file", "broken link"):
        assert [counted_as(n, reason) for n in (1, 2)] == [f"1 {reason}", f"2 {reason}s"]
    assert counted_as(3, "file not found") == "3 files not found"


def test_a_layout_reads_paths():
    assert Layout("folder", "inner folder").read(("cat", "x", "train", "1.jpg")) == ("cat", "train")
    twice = ("cat", "train", "x", "test", "1.jpg")  # the innermost folder counts
    assert Layout("folder", "inner folder").read(twice) == ("cat", "test")
    # All below a folder of unlabeled images is unlabeled; inside a class it is a name like others.
    for name in UNLABELLED:
        assert Layout().read((name, "cat", "1.jpg")) == (None, None)
        assert Layout(level="last").read((name, "cat", "1.jpg")) == (None, None)
        assert Layout().read(("cat", name, "1.jpg")) == ("cat", None)
    # Where splits are known by their names, no other folder is one.
    known = Layout("folder", "inner folder", splits={"train": "train", "b": None})
    assert known.read(("cat", "train", "test", "1.jpg")) == ("cat", "train")
    assert known.read(("cat", "b", "1.jpg")) == ("cat", None)
    assert guess([]) == Layout("nothing", "nothing")
