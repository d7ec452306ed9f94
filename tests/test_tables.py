"""Tables as people have them: which class and split is read, and what is reported."""

import codecs
import csv
import os
import time
from collections import Counter
from random import Random

import fiftyone as fo
import pytest
from conftest import save_digits
from test_operators import form
from test_plans import make, read

import fiftyone_gradcam as fg
from fiftyone_gradcam.__main__ import main
from fiftyone_gradcam.folders import at_hand, csv_file, labelling
from fiftyone_gradcam.folders.cells import Images
from fiftyone_gradcam.folders.class_names import read_names

ACCENT = "\u00e9"  # one letter; "e\u0301" is the same one in two

# name: (tables by path, {image: (label, split)}, arguments, what the plan must say)
CASES = {
    "ids of a competition, and a folder train": (
        {"train.csv": "id,breed\n0a1b,beagle\n0a2c,pug\n0a3d,beagle\n"},
        {
            "train/0a1b.jpg": ("beagle", "train"),
            "train/0a2c.jpg": ("pug", "train"),
            "train/0a3d.jpg": ("beagle", "train"),
        },
        {},
        ["Table train.csv: images from 'id', classes from 'breed'"],
    ),
    "a column of 0 and 1 for each class, with spaces": (
        {"_classes.csv": "filename, cat, dog\nx.jpg, 0, 1\ny.jpg, 1, 0\n"},
        {"images/x.jpg": ("dog", None), "images/y.jpg": ("cat", None)},
        {},
        ["Table _classes.csv: images from 'filename', classes from the columns 'cat', 'dog'"],
    ),
    "quotes after spaces": (
        {"_classes.csv": 'filename, "cat, big", "dog"\nx.jpg, 0, 1\n"y.jpg", 1, 0\n'},
        {"images/x.jpg": ("dog", None), "images/y.jpg": ("cat, big", None)},
        {},
        ["classes from the columns 'cat, big', 'dog'"],
    ),
    "a table beside the images in the only folder": (
        {"photos/list.csv": "file,class\nx.jpg,a\ny.jpg,b\n"},
        {"photos/x.jpg": ("a", None), "photos/y.jpg": ("b", None)},
        {},
        ["Table photos/list.csv: images from 'file', classes from 'class'"],
    ),
    "a better table and one of two columns": (
        {"a.csv": "id,label\n1,x\n2,y\n3,x\n", "b.csv": "id,light\n1,good\n2,good\n3,bad\n"},
        {"1.jpg": ("x", None), "2.jpg": ("y", None), "3.jpg": ("x", None)},
        {},
        ["Table not used: b.csv (the columns of another table say more)"],
    ),
    "one table of two columns": (
        {"b.csv": "id,has_cactus\n1,1\n2,1\n3,0\n4,0\n"},
        {"1.jpg": ("1", None), "2.jpg": ("1", None), "3.jpg": ("0", None), "4.jpg": ("0", None)},
        {},
        ["Table b.csv: images from 'id', classes from 'has_cactus'"],
    ),
    "class folders, and a table of a few of the images": (
        {"a.csv": "image,label\n1.jpg,x\n3.jpg,x\n"},
        {f"{'ab'[i // 2]}/{i + 1}.jpg": ("ab"[i // 2], None) for i in range(4)}
        | {"b/5.jpg": ("b", None)},
        {},
        ["The table a.csv is not used", "(the folders are the classes)"],
    ),
    "class folders, and tables in contradiction": (
        {"a.csv": "image,label\n1.jpg,x\n2.jpg,y\n", "b.csv": "image,label\n1.jpg,y\n2.jpg,x\n"},
        {"a/1.jpg": ("a", None), "b/2.jpg": ("b", None)},
        {},
        ["Table not used: a.csv (the folders are", "Table not used: b.csv (the folders are"],
    ),
    "such a table in each split": (
        {
            "train/_classes.csv": "filename, cat, dog\n1.jpg, 0, 1\n2.jpg, 1, 0\n",
            "valid/_classes.csv": "filename, cat, dog\n1.jpg, 1, 0\n",
            "test/_classes.csv": "filename, cat, dog\n1.jpg, 0, 1\n",
        },
        {
            "train/1.jpg": ("dog", "train"),
            "train/2.jpg": ("cat", "train"),
            "valid/1.jpg": ("cat", "val"),
            "test/1.jpg": ("dog", "test"),
        },
        {},
        [],
    ),
    "numbers with a point, the images last": (
        {"Task3_GroundTruth.csv": "MEL,NV,BKL,image\n1.0,0.0,0.0,I1\n0.0,1.0,0.0,I2\n"},
        {"part/I1.jpg": ("MEL", None), "part/I2.jpg": ("NV", None)},
        {},
        [],
    ),
    "no class or two are marked": (
        {"labels.csv": "image,a,b,c\n1,1,0,0\n2,0,0,0\n3,1,1,0\n4,0,0,1\n5,0,.5,.5\n"},
        {f"{i}.png": (x, None) for i, x in zip("12345", ("a", None, None, "c", None), strict=True)},
        {},
        [
            "1 in the table without a class, and left unlabeled, such as row 3: 2",
            "1 in the table with several classes, and left unlabeled, such as row 4: 3",
            "1 in the table with other values than 0 and 1, and left unlabeled, such as row 6: 5",
        ],
    ),
    "a class called train": (
        {"labels.csv": "image,bus,train\n1,0,1\n2,1,0\n3,0,1\n"},
        {"1.png": ("train", None), "2.png": ("bus", None), "3.png": ("train", None)},
        {},
        [],
    ),
    "a mark called test": (
        {"labels.csv": "image,bus,car,test\n1,0,1,0\n2,1,0,1\n3,0,1,0\n"},
        {"1.png": ("car", "train"), "2.png": ("bus", "test"), "3.png": ("car", "train")},
        {},
        [],
    ),
    "other headers, in any case": (
        {
            "data.tsv": "\tImage Index\tFinding Labels\tSubset\n"
            "0\ta.png\tx\tTRAIN\n1\tb.png\ty\tdev\n"
        },
        {"a.png": ("x", "train"), "b.png": ("y", "val")},
        {},
        ["images from 'Image Index', classes from 'Finding Labels', splits from 'Subset'"],
    ),
    "whales: Image, Id": (
        {"train.csv": "Image,Id\na.jpg,w_1\nb.jpg,w_2\n"},
        {"train/a.jpg": ("w_1", "train"), "train/b.jpg": ("w_2", "train")},
        {},
        [],
    ),
    "names before numbers": (
        {
            "birds.csv": "class id,filepaths,labels,data set\n"
            "0,train/A/1.jpg,owl,train\n1,2.jpg,tit,valid\n"
        },
        {"train/A/1.jpg": ("owl", "train"), "2.jpg": ("tit", "val")},
        {},
        ["images from 'filepaths', classes from 'labels', splits from 'data set'"],
    ),
    "columns that are named": (
        {"a.csv": "Dateiname;Kategorie;Teil\n1.jpg;Hund;Training\n2.jpg;Katze;Test\n"},
        {"1.jpg": ("Hund", "train"), "2.jpg": ("Katze", "test")},
        {"image_column": "Dateiname", "label_column": "kategorie", "split_column": "Teil"},
        [],
    ),
    "bars, a first line for Excel and a note in two lines": (
        {"a.csv": 'sep=|\nfile|note|class\n1.jpg|"two\nlines, or ""so"""|dog\n2.jpg||cat\n'},
        {"1.jpg": ("dog", None), "2.jpg": ("cat", None)},
        {},
        [],
    ),
    "paths of Windows": (
        {
            "a.csv": "path,label\nC:\\Users\\x\\data\\cat\\1.jpg,Cat\nD:\\dog\\1.jpg,Dog\n"
            "\\\\pc\\all\\2.jpg,Cat\n"
        },
        {"cat/1.jpg": ("Cat", None), "dog/1.jpg": ("Dog", None), "2.jpg": ("Cat", None)},
        {"label_from": "table"},
        [],
    ),
    "paths of a notebook, of the folder itself and of a table beside": (
        {
            "labels/all.csv": "path,label\n../input/x/1.jpg,a\n./x/2.jpg,b\n../x/3.jpg,a\n"
            "/kaggle/x/4.jpg,b\n"
        },
        {
            "x/1.jpg": ("a", None), "x/2.jpg": ("b", None), "x/3.jpg": ("a", None),
            "x/4.jpg": ("b", None),
        },
        {},
        [],
    ),
    "case, accents and extensions differ": (
        {"a.csv": f"image,label\nIMG_1,a\nCaf{ACCENT}.JPG,b\nx.y,a\n"},
        {"img_1.JPG": ("a", None), "cafe\u0301.jpg": ("b", None), "X.y.png": ("a", None)},
        {},
        [],
    ),
    "a name that several images have": (
        {"a.csv": "image,label\n1,x\na/2.jpg,y\nB.jpg,x\n"},
        {
            "a/1.jpg": (None, None), "b/1.jpg": (None, None), "a/2.jpg": ("y", None),
            "b/2.jpg": (None, None), "b.jpg": (None, None), "B.jpg": ("x", None),
        },
        {"label_from": "table"},
        ["1 in the table, but several images are called so, such as row 2: 1"],
    ),
    "the table's name says which of several images": (
        {"train_labels.csv": "name,invasive\n1,0\n2,1\n3,1\n4,0\n"},
        {
            **{f"train/{i}.jpg": (x, "train") for i, x in zip("1234", "0110", strict=True)},
            "test/1.jpg": (None, "test"), "test/2.jpg": (None, "test"),
        },
        {},
        [],
    ),
    "rows twice, and in contradiction": (
        {"a.csv": "image,label\n1.jpg,x\n1.jpg,x\n2.jpg,y\n2.jpg,x\n9.jpg,x\n8.jpg,y\n\n3.jpg,\n"},
        {f"{i}.jpg": (x, None) for i, x in zip("1234", ("x", "y", None, None), strict=True)},
        {},
        [
            "1 rows of a.csv say what others do (row 3: 1.jpg)",
            "Left out: 1 in the table twice, with other labels, such as row 5: 2.jpg",
            "Left out: 2 in the table, but there is no such image, such as row 6: 9.jpg",
            "2 images have no class",
            "1 image has no row in a table, such as 4.jpg",
        ],
    ),
    "a row with a comma too many": (
        {"a.csv": "image,label\n1.jpg,red, ripe\n2.jpg,green,\n3.jpg,green\n"},
        {"1.jpg": (None, None), "2.jpg": ("green", None), "3.jpg": ("green", None)},
        {},
        ["1 in the table with more cells than its header, such as row 2: 1.jpg"],
    ),
    "is_test": (
        {"a.csv": "id,label,is_test\n1,x,0\n2,y,1\n3,x,\n"},
        {"1.jpg": ("x", "train"), "2.jpg": ("y", "test"), "3.jpg": ("x", None)},
        {},
        ["splits from 'is_test'"],
    ),
    "is_train": (
        {"a.csv": "id,label,Is_Train\n1,x,True\n2,y,False\n"},
        {"1.jpg": ("x", "train"), "2.jpg": ("y", "test")},
        {},
        [],
    ),
    "a column for each split": (
        {"a.csv": "id,label,train,dev,test\n1,x,1,0,0\n2,y,0,1,0\n3,x,0,0,1\n4,x,1,1,0\n"},
        {
            "1.jpg": ("x", "train"), "2.jpg": ("y", "val"), "3.jpg": ("x", "test"),
            "4.jpg": ("x", None),
        },
        {},
        ["1 rows are of no split or of two, by 'train', 'dev', 'test'"],
    ),
    "folds": (
        {"a.csv": "id,label,fold\n1,x,0\n2,y,1\n3,x,0\n"},
        {"1.jpg": ("x", None), "2.jpg": ("y", None), "3.jpg": ("x", None)},
        {},
        ["The column 'fold' of a.csv says '0' (2), '1' (1). It is not used: train, val and test"],
    ),
    "folds that are splits, and a phase": (
        {"a.csv": "id,label,phase,fold\n1,x,1,train\n2,y,2,val\n"},
        {"1.jpg": ("x", "train"), "2.jpg": ("y", "val")},
        {},
        ["The column 'phase' of a.csv says '1' (1), '2' (1). It is not used"],
    ),
    "some words that are no splits": (
        {"a.csv": "id,label,set\n1,x,Training set\n2,y,extra\n3,x,eval\n"},
        {"1.jpg": ("x", "train"), "2.jpg": ("y", None), "3.jpg": ("x", "val")},
        {},
        ["The column 'set' of a.csv says 'extra' (1), which are no splits: train, val and test"],
    ),
    "evaluation beside validation": (
        {"a.csv": "id,label,split\n1,x,train\n2,y,eval\n3,x,dev\n4,y,Evaluation\n"},
        {
            "1.jpg": ("x", "train"), "2.jpg": ("y", "test"), "3.jpg": ("x", "val"),
            "4.jpg": ("y", "test"),
        },
        {},
        [],
    ),
    "folders that are all splits by name, and a table": (
        {"labels.csv": "image_id,label\n" + "".join(f"{i},{'ab'[i % 2]}\n" for i in range(6))},
        {
            f"{'train' if i < 4 else 'test'}_images/{i}.jpg": (
                "ab"[i % 2], "train" if i < 4 else "test"
            )
            for i in range(6)
        },
        {},
        [],
    ),
    "valid says something else": (
        {"a.csv": "id,label,valid\n1,x,1\n2,y,0\n"},
        {"1.jpg": ("x", None), "2.jpg": ("y", None)},
        {},
        ["The column 'valid' of a.csv says '1' (1), '0' (1). It is not used"],
    ),
    "a split that the folder contradicts": (
        {"a.csv": "image,label,split\n1.jpg,x,test\n2.jpg,y,train\n"},
        {"train/1.jpg": ("x", "test"), "train/2.jpg": ("y", "train")},
        {},
        ["1 images stand in the folder of another split than a.csv says, which is taken (row 2: "],
    ),
    "a table for each split, and others": (
        {
            "train.csv": "image_id,label\n1,x\n2,y\n",
            "test.csv": "image_id,label\n3,x\n",
            "sample_submission.csv": "image_id,label\n3,y\n4,y\n",
            "sizes.csv": "image_id,width,height\n1,640,480\n",
        },
        {"im/1.jpg": ("x", "train"), "im/2.jpg": ("y", "train"), "im/3.jpg": ("x", "test"),
         "im/4.jpg": (None, None)},
        {},
        [
            "Table not used: sample_submission.csv (it looks like the template of a submission)",
            "Table not used: sizes.csv (it has the columns 'image_id', 'width', 'height': none of",
        ],
    ),
    "test images without labels": (
        {"train.csv": "id,label\n1,x\n2,y\n", "test.csv": "id\n3\n"},
        {
            "train/1.jpg": ("x", "train"), "train/2.jpg": ("y", "train"),
            "test/3.jpg": (None, "test"),
        },
        {},
        ["Table not used: test.csv (it has the columns 'id': none of them is known to hold"],
    ),
    "parts of a dataset, which are no classes": (
        {
            "meta.csv": "lesion,image_id,dx,age\n"
            + "".join(f"L{i},I{i},{'nv' if i % 3 else 'mel'},50\n" for i in range(12))
        },
        {f"part_{i // 6 + 1}/I{i}.jpg": ("nv" if i % 3 else "mel", None) for i in range(12)},
        {},
        ["The folders are no classes: each holds images of several, by the table"],
    ),
    "class folders, and a table of breeds": (
        {"a.csv": "image,breed\n1.jpg,pug\n2.jpg,poodle\n3.jpg,manx\n4.jpg,manx\n"},
        {"dog/1.jpg": ("dog", None), "dog/2.jpg": ("dog", None), "cat/3.jpg": ("cat", None),
         "cat/4.jpg": ("cat", None)},
        {},
        ["The table a.csv is not used. To take the classes", "(the folders are the classes)"],
    ),
    "class folders for training, and a table of the test images": (
        {"test.csv": "image,label\n4.jpg,Cat\n5.jpg,dog\ntrain/Cat/1.jpg,dog\n"},
        {
            "train/Cat/1.jpg": ("Cat", "train"), "train/dog/2.jpg": ("dog", "train"),
            "train/dog/3.jpg": ("dog", "train"), "test/4.jpg": ("Cat", "test"),
            "test/5.jpg": ("dog", "test"),
        },
        {},
        ["2 images in no class folder: the class is that of a table", "Table test.csv: "],
    ),
    "class folders, and a table of other classes of others": (
        {"a.csv": "image,label\n4.jpg,sunny\n5.jpg,dark\n"},
        {
            "Cat/1.jpg": ("Cat", None), "dog/2.jpg": ("dog", None), "4.jpg": (None, None),
            "5.jpg": (None, None), "dog/6.jpg": ("dog", None),
        },
        {},
        ["(the folders are the classes)"],
    ),
    "names of files that are no classes": (
        {"train.csv": "image_id,healthy,rust\nTrain_0,1,0\nTrain_1,0,1\nTrain_2,0,1\n"},
        {
            "images/Train_0.jpg": ("healthy", None), "images/Train_1.jpg": ("rust", None),
            "images/Train_2.jpg": ("rust", None), "images/Test_0.jpg": (None, None),
            "images/Test_1.jpg": (None, None), "images/Test_2.jpg": (None, None),
        },
        {},
        [],
    ),
    "formulas and a path that leads out are texts": (
        {"a.csv": "image,label\n1.jpg,=1+1\n2.jpg,@SUM(A1)\n../../etc/passwd,x\n/etc/hostname,y\n"},
        {"1.jpg": ("=1+1", None), "2.jpg": ("@SUM(A1)", None)},
        {},
        ["2 in the table, but there is no such image, such as row 4: ../../etc/passwd"],
    ),
    "a label in two lines, and one with a zero byte": (
        {"a.csv": 'image,label\n1.jpg,"a\nb"\n2.jpg,a\n3.jpg,b\n4.jpg,c\x07\n'},
        {"1.jpg": (None, None), "2.jpg": ("a", None), "3.jpg": ("b", None), "4.jpg": (None, None)},
        {},
        ["2 in the table with a line break or a control character in its label, such as row 2"],
    ),
}  # fmt: skip


def write(root, tables) -> None:
    for name, text in tables.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, "utf-8", newline="")


@pytest.mark.parametrize("case", CASES)
def test_tables_are_read_as_a_person_reads_them(tmp_path, case):
    tables, expected, choices, told = CASES[case]
    make(tmp_path, *expected)
    write(tmp_path, tables)
    plan = fg.plan_import(str(tmp_path), **choices)
    assert read(plan) == expected
    for words in told:
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
    assert find("other/q/4.jpg") == []  # of another folder
    assert find("train/4.jpg") == find("4.png") == find("val/x/2.jpg") == []


def test_tables_that_do_not_look_like_classes(tmp_path, monkeypatch):
    make(tmp_path, *(f"{i}.jpg" for i in range(4)))
    table = tmp_path / "a.csv"
    table.write_text("id,notes\n0,dark\n1,light\n2,far\n3,near\n")
    with pytest.raises(ValueError, match="No image has a class.*most of its values stand once"):
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
    assert "The table a.csv is not used. To take the classes" in str(plan)
    monkeypatch.setattr(at_hand, "MOST_TABLES", 1)
    (tmp_path / "b.csv").write_text("id,label\n1,a\n")
    plan = fg.plan_import(str(tmp_path), label_from="table")
    assert plan.unused == {str(tmp_path / "b.csv"): "only 1 tables are looked into"}


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
    with pytest.raises(ValueError, match=r"t\.csv' is no text in UTF-8, UTF-16 or Windows-1252"):
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
    "random bytes": (bytes(range(256)) * 300, "no text"),
    "zeros": (bytes(5000), "no text"),
    "a zero": (b"image,label\n1.jpg,a\x00b\n", "no text"),
    "a picture": (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "no text"),
    "one endless line": (b"a" * 3_000_000, "longer than a MB"),
    "a million columns": (b",".join(b"%d" % i for i in range(1_000_000)), "longer than a MB"),
    "many columns": (b",".join(b"c%d" % i for i in range(100_000)) + b"\n", "and 99988 more"),
    "other images": (b"image,label\nx.jpg,a\ny.jpg,b\n", "names no image"),
    "ids and free text": (b"id,notes\n1,good light\n2,a bit dark\n3,cut\n", "is known to hold any"),
    "a broken mark of UTF-16": (codecs.BOM_UTF16_LE + b"a", "no text"),
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


def test_what_cannot_be_told_is_asked_for(tmp_path, capsys):
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
        ({**both, "split_column": "Teil"}, "'Teil' of a.csv says 'eins' .1., 'zwei' .1.: no split"),
        ({**both, "split_column": "x"}, f"{headers.partition(':')[0]}: split_column 'x' is none"),
        ({**both, "label_column": "Dateiname"}, "name the same column .*'Dateiname'"),
        ({"image_column": "Dateiname"}, "none of them is known to hold classes"),
    ):
        with pytest.raises(ValueError, match=message):
            fg.plan_import(str(tmp_path), table="a.csv", **choices)
    with pytest.raises(TypeError, match="image_column must be a text, not 3"):
        fg.plan_import(str(tmp_path), table="a.csv", **{**both, "image_column": 3})
    table.write_text("image,class,class\n1.jpg,a,b\n2.jpg,c,d\n")
    with pytest.raises(ValueError, match="label_column 'class' names several of them"):
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


def test_columns_are_named_on_the_command_line(tmp_path, capsys):
    make(tmp_path, "1.jpg", "2.jpg", "3.jpg")
    (tmp_path / "a.csv").write_text("Dateiname;Kategorie;Teil\n1.jpg;Hund;dev\n2.jpg;Katze;test\n")
    assert main(["plan", str(tmp_path), "--label-from", "table"]) == 1
    told = capsys.readouterr().err
    assert "'Dateiname', 'Kategorie', 'Teil'" in told
    assert "Name them by --image-column and --label-column" in told
    columns = ["--image-column", "Dateiname", "--label-column", "Kategorie"]
    assert main(["plan", str(tmp_path), *columns, "--split-column", "Teil"]) == 0
    told = capsys.readouterr().out
    assert "val: Hund 1" in told
    assert "test: Katze 1" in told
    (tmp_path / "b.csv").write_text("Dateiname,Kategorie\n3.jpg,Maus\n")
    assert main(["plan", str(tmp_path), "--table", "b.csv", "--table", "a.csv", *columns]) == 0
    assert "Hund 1, Katze 1, Maus 1" in capsys.readouterr().out


def test_columns_are_chosen_in_the_form(tmp_path, name):
    fo.Dataset(name)
    dataset = fo.load_dataset(name)
    make(tmp_path, "1.jpg", "2.jpg")
    (tmp_path / "a.csv").write_text(
        "Dateiname;Kategorie;;Teil\n1.jpg;Hund;;dev\n2.jpg;Katze;;test\n"
    )
    chosen = {"path": str(tmp_path), "advanced": True, "label_from": "table"}
    fields = form("import_folders", dataset, **chosen)
    labels = ("Image column", "Class column", "Split column")
    for column, label in zip(("image_column", "label_column", "split_column"), labels, strict=True):
        assert fields[column]["type"]["values"] == ["automatic", "Dateiname", "Kategorie", "Teil"]
        assert fields[column]["view"]["label"] == label
    assert "Name them by “Image column” and “Class column”" in str(fields["no_plan"])
    chosen |= {"image_column": "Dateiname", "label_column": "Kategorie", "split_column": "Teil"}
    fields = form("import_folders", dataset, **chosen, table=str(tmp_path / "a.csv"))
    assert "no_plan" not in fields
    assert "| class | val | test |" in str(fields["plan"])
    assert "images from 'Dateiname', classes from 'Kategorie', splits from 'Teil'" in str(
        fields["plan"]
    )
    gone = form("import_folders", dataset, **chosen, table="gone.csv")
    assert "image_column" not in gone
    assert "No file 'gone.csv'" in str(gone["no_plan"])
    # Columns are those of a table: without one they are left.
    fields = form("import_folders", dataset, **{**chosen, "label_from": "folder"})
    assert "image_column" not in fields


def test_an_import_by_a_table_is_remembered(tmp_path, name, capsys):
    root = save_digits(tmp_path / "d", per_class=4)
    files = sorted(root.glob("*/*"))
    rows = [f"{p.parent.name}/{p.name};{i % 2};{'ab'[i % 2]}" for i, p in enumerate(files)]
    (root / "t.csv").write_text("\n".join(["Bild;Nummer;Art", *rows[:-1], rows[0], "x.png;1;a"]))
    columns = {"image_column": "Bild", "label_column": "Art"}
    dataset = fg.import_folders(str(root), name, **columns, progress=False)
    assert dataset.count_values("ground_truth.label") == {"a": 6, "b": 5, None: 1}
    told = capsys.readouterr().out
    assert "1 image has no row in a table" in told
    assert "1 rows of t.csv say what others do" in told
    assert dataset.info["import_folders"]["skipped"] == {
        "in the table, but there is no such image": 1
    }
    for file in files[:3]:
        file.with_name(f"new {file.name}").write_bytes(file.read_bytes())
    again = fg.import_folders(str(root), name, progress=False)
    assert again.count_values("ground_truth.label") == {"a": 6, "b": 5, None: 4}


def test_tables_of_a_size(tmp_path):
    """Ten thousand rows, each of an image at some depth, are matched in their number, not its
    square."""
    root = tmp_path / "root"
    names = [f"a/b{i % 7}/c{i % 11}/image_{i:05d}.jpg" for i in range(10_000)]
    files = [str(root / name) for name in names]
    images = Images(str(root), files)
    start = time.process_time()
    for i, name in enumerate(names):
        for cell in (name, f"image_{i:05d}", f"C:\\x\\{name}", f"c{i % 11}/image_{i:05d}.jpg"):
            assert images.find(cell) == [files[i]]
    # Names that all images share are told apart by their folders.
    same = [str(root / f"p{i}" / "image.jpg") for i in range(10_000)]
    images = Images(str(root), same)
    for i in range(10_000):
        assert images.find(f"/old/p{i}/image.jpg") == [same[i]]
    assert time.process_time() - start < 10


def test_names_of_classes_come_from_such_files(tmp_path):
    (tmp_path / "n.txt").write_bytes(codecs.BOM_UTF16_LE + "1 = œ\n".encode("utf-16-le"))
    assert read_names(str(tmp_path / "n.txt")) == {"1": "œ"}


PIECES = [
    b"image", b"label", b"1.jpg", b"cat/2.jpg", b"3", b"x", b"", b'"', b'""', b"\n", b"\r\n", b"\r",
    b",", b";", b"\t", b"|", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", "œ".encode("cp1252"), b"\x81",
    "é".encode(), b"0", b"1", b"1.0", b"nan", b"1e999", b"-1", b"true", b"=cmd|' /C calc'!A0",
    b"../../x", b"/etc/passwd", b"C:\\1.jpg", b"\x1e", b"sep=;", b"a" * 3000, b"split", b"is_test",
    b"fold", b"train", b"\xe2\x80\xae", b"\xed\xa0\x80", b" ", b"#", b"{}", b"\\", b"'",
]  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_made_up_tables_end_in_a_plan_or_one_clear_error(tmp_path, seed):
    classes = make(tmp_path / "classes", "cat/1.jpg", "cat/2.jpg", "dog/3.jpg")
    flat = make(tmp_path / "flat", "1.jpg", "cat/2.jpg", "cat/3.jpg")
    random = Random(seed)
    outcomes = Counter()
    for _ in range(100):
        content = b"image,label\n" * random.randint(0, 1)
        content += b"".join(random.choices(PIECES, k=random.randint(0, 60)))
        start = time.process_time()
        for root in (classes, flat):
            (root / "t.csv").write_bytes(content)
        plan = fg.plan_import(str(classes))  # is never stopped
        assert [item.label for item in plan.items] == ["cat", "cat", "dog"], content
        for choices in ({}, {"table": "t.csv"}, {"table": "t.csv", "label_column": "label"}):
            message = ""
            try:
                plan = fg.plan_import(str(flat), **choices)
            except ValueError as error:
                message = str(error)
            outcomes["refused" if message else "read"] += 1
            if message:
                assert "t.csv" in message, content
                assert len(message) < 3000, content
            else:
                assert {item.path for item in plan.items} == {
                    str(flat / name) for name in ("1.jpg", "cat/2.jpg", "cat/3.jpg")
                }
        assert time.process_time() - start < 10, content
    assert min(outcomes["refused"], outcomes["read"]) >= 50, outcomes
