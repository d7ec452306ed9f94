"""Tables as people have them: which class and split is read, and what is reported."""

import codecs
import csv
import os

import pytest
from tables import CASES
from test_plans import make, read

import fiftyone_gradcam as fg
from fiftyone_gradcam.folders import csv_file, found_tables, labelling
from fiftyone_gradcam.folders.cells import Images
from fiftyone_gradcam.folders.found_tables import why_not


def write(root, tables) -> None:
    for name, text in tables.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, "utf-8", newline="")


@pytest.mark.parametrize("case", CASES)
def test_tables_are_read_as_a_person_reads_them(tmp_path, case):
    tables, expected, choices, reported = CASES[case]
    make(tmp_path, *expected)
    write(tmp_path, tables)
    plan = fg.plan_import(str(tmp_path), **choices)
    assert read(plan) == expected
    for words in reported:
        assert words in str(plan), str(plan)


# A table that has been named may be bent, but never says anything of files elsewhere.
def test_nothing_outside_the_folder_is_ever_imported(tmp_path):
    make(tmp_path, "root/1.jpg", "root/2.jpg", "outside.jpg", "root2/3.jpg")
    cells = [
        "1.jpg", "2.jpg", str(tmp_path / "outside.jpg"), "../outside.jpg", "../root2/3.jpg",
        "..", "/", "", ".", "file:///etc/passwd", "~/x.jpg", "con", "%2e%2e/outside.jpg",
    ]  # fmt: skip
    with open(tmp_path / "root" / "a.csv", "w", newline="") as file:
        csv.writer(file).writerows([("path", "label"), *((cell, "x") for cell in cells)])
    plan = fg.plan_import(str(tmp_path / "root"), table="a.csv")
    assert read(plan) == {"1.jpg": ("x", None), "2.jpg": ("x", None)}
    assert plan.reasons() == {"in the table, but there is no such image": 11}
    images = Images(str(tmp_path / "root"), [str(tmp_path / "root" / f"{i}.jpg") for i in "12"])
    assert [images.find(cell, str(tmp_path / "root")) for cell in cells[2:]] == [[]] * 11


def test_cells_name_images_as_people_write_them(tmp_path):
    names = [
        "1.jpg", "train/1.jpg", "train/x/2.jpg", "test/x/2.jpg", "a/im/3.jpg", "b/im/3.jpg",
        "deep/p/q/4.jpg",
    ]  # fmt: skip
    images = Images(str(tmp_path), [str(tmp_path / name) for name in names])

    def find(cell, folder="", split=None) -> list[str]:
        found = images.find(cell, str(tmp_path / folder), split)
        return [os.path.relpath(path, tmp_path).replace(os.sep, "/") for path in found]

    assert find("1.jpg") == ["1.jpg"]
    assert find("1.jpg", "train") == ["train/1.jpg"]  # the table lies there
    assert find("2", "train") == ["train/x/2.jpg"]
    assert find("2") == ["train/x/2.jpg", "test/x/2.jpg"]
    assert find("2", split="test") == ["test/x/2.jpg"]
    assert find("2", split="val") == ["train/x/2.jpg", "test/x/2.jpg"]
    assert find("../im/3.jpg", "b/labels") == ["b/im/3.jpg"]
    assert find("im/3.jpg", "b") == ["b/im/3.jpg"]
    assert find("q/4") == find("p/q/4.jpg") == find("X:\\deep\\p\\q\\4.JPG") == ["deep/p/q/4.jpg"]
    assert find("b/./im/3.jpg") == find("b//im/3.jpg") == ["b/im/3.jpg"]
    assert find("a/x/../im/3.jpg") == find("a/im/x/../3.jpg") == ["a/im/3.jpg"]
    assert find("im/3.jpg", "..") == find("im/3.jpg") == ["a/im/3.jpg", "b/im/3.jpg"]
    assert find("other/q/4.jpg") == []  # of another folder
    assert find("train/4.jpg") == find("4.png") == find("val/x/2.jpg") == []


def test_of_several_images_the_likeliest_is_meant(tmp_path):
    names = ["train/a/1.jpg", "test/a/1.jpg", "b/1.png", "b/B.jpg", "c/b.jpg", "c/x.y.jpg"]
    images = Images(str(tmp_path), [str(tmp_path / name) for name in names])

    def find(cell, folder=None, split=None) -> list[str]:
        found = images.find(cell, None if folder is None else str(tmp_path / folder), split)
        return [os.path.relpath(path, tmp_path).replace(os.sep, "/") for path in found]

    assert find("b.jpg") == ["c/b.jpg"]  # the same case
    assert find("B") == ["b/B.jpg"]
    assert find("B.JPG") == ["b/B.jpg", "c/b.jpg"]
    assert find("a/1.jpg", split="test") == ["test/a/1.jpg"]
    assert find("a/1.jpg", "train", "test") == ["train/a/1.jpg"]  # the folder before the split
    assert find("1") == ["train/a/1.jpg", "test/a/1.jpg", "b/1.png"]
    assert find("1.png") == ["b/1.png"]
    assert find("x.y") == ["c/x.y.jpg"]
    assert find("b/") == find("") == find("..") == find("gone/1.jpg") == []
    places = [*names[:3], "x/val/y/1.jpg", "x/test.jpg"]
    splits = [images.folder_split(str(tmp_path / name)) for name in places]
    assert splits == ["train", "test", None, "val", None]


def test_tables_that_do_not_look_like_classes(tmp_path, monkeypatch):
    make(tmp_path, *(f"{i}.jpg" for i in range(4)))
    table = tmp_path / "a.csv"
    table.write_text("id,notes\n0,dark\n1,light\n2,far\n3,near\n")
    with pytest.raises(
        ValueError, match="No image has a class.*most of its values occur only once"
    ):
        fg.plan_import(str(tmp_path)).check()
    table.write_text("id,cat,dog\n0,.2,.8\n1,.5,.5\n2,1,0\n3,.9,.1\n")
    with pytest.raises(ValueError, match="'id', 'cat', 'dog': none .* known to hold classes"):
        fg.plan_import(str(tmp_path)).check()
    # One of more than so many bytes is not read where folders may be the classes.
    make(tmp_path, "x/5.jpg", "y/6.jpg")
    table.write_text("id,label\n0,a\n1,b\n2,a\n3,b\n5,b\n6,b\n")
    assert fg.plan_import(str(tmp_path)).classes == ["a", "b"]
    monkeypatch.setattr(labelling, "MOST_BYTES", 20)
    plan = fg.plan_import(str(tmp_path))
    assert plan.classes == ["x", "y"]
    assert "The table a.csv is not used. To use its classes" in str(plan)
    monkeypatch.setattr(found_tables, "MOST_TABLES", 1)
    (tmp_path / "b.csv").write_text("id,label\n1,a\n")
    plan = fg.plan_import(str(tmp_path), label_from="table")
    assert plan.unused == {str(tmp_path / "b.csv"): "only 1 tables are read"}


ENCODINGS = {
    "utf-8": (b"", "utf-8"),
    "utf-8 with its mark": (codecs.BOM_UTF8, "utf-8"),
    "utf-16, little end first": (codecs.BOM_UTF16_LE, "utf-16-le"),
    "utf-16, big end first": (codecs.BOM_UTF16_BE, "utf-16-be"),
    "utf-16 without its mark": (b"", "utf-16-le"),
    "utf-16 the other way, without": (b"", "utf-16-be"),
    "Excel on Windows": (b"", "cp1252"),
}


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_encodings_and_delimiters(tmp_path, encoding, delimiter, ending):
    labels = ["œuf", "chef’s special", "jalapeño", "Ärger €5"]
    make(tmp_path, *(f"{i}.jpg" for i in range(4)))
    mark, name = ENCODINGS[encoding]
    rows = [delimiter.join(("filename", "class"))]
    rows += [delimiter.join((f"{i}.jpg", label)) for i, label in enumerate(labels)]
    (tmp_path / "t.csv").write_bytes(mark + ending.join(rows).encode(name))
    plan = fg.plan_import(str(tmp_path))
    assert [item.label for item in plan.items] == labels
    assert ("t.csv is not UTF-8, and is read as Windows-1252" in str(plan)) == (name == "cp1252")


def test_a_letter_across_two_chunks_does_not_change_the_encoding(tmp_path, monkeypatch):
    make(tmp_path, "1.jpg", "2.jpg")
    (tmp_path / "t.csv").write_text("id,label\n1,œuf\n2,Ärger\n" + "3,é\n" * 100, "utf-8")
    for size in range(20, 60):
        monkeypatch.setattr(csv_file, "HEAD_BYTES", size)
        assert fg.plan_import(str(tmp_path)).classes == ["Ärger", "œuf"], size
    # What is not UTF-8 only far below is seen there too.
    (tmp_path / "t.csv").write_bytes(b"id,label\n" + b"3,e\n" * 50 + "1,œ\n2,b\n".encode("cp1252"))
    assert fg.plan_import(str(tmp_path)).classes == ["b", "œ"]
    (tmp_path / "t.csv").write_bytes(b"id,label\n1,\x81\n2,b\n")
    with pytest.raises(ValueError, match=r"t\.csv' is not text in UTF-8, UTF-16 or Windows-1252"):
        fg.plan_import(str(tmp_path), table="t.csv")


def test_class_names_are_read_in_these_encodings_too(tmp_path):
    make(tmp_path, "1/a.jpg", "2/a.jpg")
    (tmp_path / "classes.txt").write_text("1 = œuf\n2 = chef’s\n", "cp1252")
    assert fg.plan_import(str(tmp_path)).classes == ["chef’s", "œuf"]


UNRELATED = {
    "an open quote": (b'id,notes\n1,"open\n' + b"2,more text\n" * 6000, "is known to hold any"),
    "an open quote in a table": (b'id,label\n1,"open\n' + b"2,more text\n" * 20_000, "quote"),
    "an open quote at the end": (b'image,label\n1,"open\n2,x\n', "quote is left open"),
    "cells of 200 kB": (b"id,label\n1," + b"x" * 200_000 + b"\n", "cell of over"),
    "a header of 200 kB": (b"id," + b"x" * 200_000 + b"\n1,2\n", "header"),
    "nothing": (b"", "empty"),
    "blank lines": (b"\n\n  \n", "empty"),
    "random bytes": (bytes(range(256)) * 300, "not text"),
    "zeros": (bytes(5000), "not text"),
    "a zero": (b"image,label\n1.jpg,a\x00b\n", "not text"),
    "a picture": (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "not text"),
    "one endless line": (b"a" * 3_000_000, "longer than a MB"),
    "a million columns": (b",".join(b"%d" % i for i in range(1_000_000)), "longer than a MB"),
    "many columns": (b",".join(b"c%d" % i for i in range(100_000)) + b"\n", "and 99988 more"),
    "other images": (b"image,label\nx.jpg,a\ny.jpg,b\n", "names no image"),
    "ids and free text": (b"id,notes\n1,good light\n2,a bit dark\n3,cut\n", "is known to hold any"),
    "a broken mark of UTF-16": (codecs.BOM_UTF16_LE + b"a", "not text"),
}  # fmt: skip


@pytest.mark.parametrize("case", UNRELATED)
def test_an_unrelated_table_stops_no_import(tmp_path, case):
    content, why = UNRELATED[case]
    files = make(tmp_path, "cat/1.jpg", "cat/2.jpg", "dog/3.jpg")
    expected = {"cat/1.jpg": ("cat", None), "cat/2.jpg": ("cat", None), "dog/3.jpg": ("dog", None)}
    (files / "notes.csv").write_bytes(content)
    plan = fg.plan_import(str(files))
    assert read(plan) == expected
    assert list(plan.unused) == [str(files / "notes.csv")]
    assert "Table not used: notes.csv (" in str(plan)
    assert len(plan.unused[str(files / "notes.csv")]) < 1500
    assert plan.warnings == []  # it is named, and nobody is warned
    if case != "a header of 200 kB":
        assert why in plan.unused[str(files / "notes.csv")]
    if case != "ids and free text":  # whoever says that these are classes may have them
        with pytest.raises(ValueError, match=r"notes\.csv"):
            fg.plan_import(str(files), label_from="table")


def test_what_cannot_be_determined_is_asked_for(tmp_path, capsys):
    make(tmp_path, "1.jpg", "2.jpg", "x/3.jpg")
    table = tmp_path / "a.csv"
    table.write_text("Dateiname;Kategorie;Teil\n1.jpg;Hund;eins\n2.jpg;Katze;zwei\n")
    headers = "the columns 'Dateiname', 'Kategorie', 'Teil': none of them is known to name images"
    for choices in ({"table": "a.csv"}, {"label_from": "table"}):
        with pytest.raises(ValueError, match=f"{headers}.* image_column and label_column"):
            fg.plan_import(str(tmp_path), **choices)
    # Nothing else says the classes: then the import is refused with the same advice.
    with pytest.raises(ValueError, match=f"{headers}.* image_column and label_column"):
        fg.plan_import(str(tmp_path)).check()
    both = {"image_column": "Dateiname", "label_column": "Kategorie"}
    assert fg.plan_import(str(tmp_path), **both).classes == ["Hund", "Katze"]
    for choices, message in (
        (
            {**both, "split_column": "Teil"},
            "'Teil' of a.csv contains 'eins' .1., 'zwei' .1.: no split",
        ),
        (
            {**both, "split_column": "x"},
            f"{headers.partition(':')[0]}: split_column 'x' is not one of them",
        ),
        ({**both, "label_column": "Dateiname"}, "name the same column .*'Dateiname'"),
        ({"image_column": "Dateiname"}, "none of them is known to hold classes"),
    ):
        with pytest.raises(ValueError, match=message):
            fg.plan_import(str(tmp_path), table="a.csv", **choices)
    with pytest.raises(TypeError, match="image_column must be a string, not 3"):
        fg.plan_import(str(tmp_path), table="a.csv", **{**both, "image_column": 3})
    table.write_text("image,class,class\n1.jpg,a,b\n2.jpg,c,d\n")
    with pytest.raises(ValueError, match="label_column 'class' matches several of them"):
        fg.plan_import(str(tmp_path), label_column="class")
    table.write_text("image,sun,rain,snow\n1,1,1,0\n2,1,0,1\n3,0,1,0\n")
    with pytest.raises(ValueError, match="several classes in 2 rows, and one class of 1 images"):
        fg.plan_import(str(tmp_path), table="a.csv")
    table.write_text('image,class\n1.jpg,a\n2.jpg,"b\n3.jpg,c\n')
    with pytest.raises(ValueError, match="cannot be read from line 3 on: a quote is left open"):
        fg.plan_import(str(tmp_path), table="a.csv")
    table.write_text("image,class\n1.jpg,a\n2.jpg,b\n")
    (tmp_path / "b.csv").write_text("image,kind,class\n1.jpg,x,c\n2.jpg,x,d\n")
    with pytest.raises(ValueError, match="'a.csv' and 'b.csv' label 2 of 2 images differently"):
        fg.plan_import(str(tmp_path))
    assert fg.plan_import(str(tmp_path), table="b.csv").classes == ["c", "d"]
    assert fg.plan_import(str(tmp_path), table="b.csv", label_column="kind").classes == ["x"]
    (tmp_path / "b.csv").write_text("image,class\n3.jpg,c\n")
    assert fg.plan_import(str(tmp_path), table=["a.csv", "b.csv"]).classes == ["a", "b", "c"]


def test_why_a_table_is_not_used_is_said_without_its_path():
    for error, words in (
        (PermissionError(13, "Permission denied", "/x/a.csv"), "Permission denied"),
        (OSError("odd"), "odd"),
        (ValueError("The table '/x/a.csv' has no header"), "it has no header"),
        (ValueError("'/x/a.csv' cannot be read"), "it cannot be read"),
        (ValueError("too long"), "too long"),
    ):
        assert why_not(error, "/x/a.csv") == words
