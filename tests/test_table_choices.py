"""Columns of tables that are chosen, and tables of any size or content."""

import codecs
import time
from collections import Counter
from random import Random

import fiftyone as fo
import pytest
from conftest import save_digits
from test_operators import form
from test_plans import make

import fiftyone_gradcam as fg
from fiftyone_gradcam.__main__ import main
from fiftyone_gradcam.folders.cells import Images
from fiftyone_gradcam.folders.class_names import read_names


def test_columns_are_named_on_the_command_line(tmp_path, capsys):
    make(tmp_path, "1.jpg", "2.jpg", "3.jpg")
    (tmp_path / "a.csv").write_text("Dateiname;Kategorie;Teil\n1.jpg;Hund;dev\n2.jpg;Katze;test\n")
    assert main(["plan", str(tmp_path), "--label-from", "table"]) == 1
    reported = capsys.readouterr().err
    assert "'Dateiname', 'Kategorie', 'Teil'" in reported
    assert "Name them by --image-column and --label-column" in reported
    columns = ["--image-column", "Dateiname", "--label-column", "Kategorie"]
    assert main(["plan", str(tmp_path), *columns, "--split-column", "Teil"]) == 0
    reported = capsys.readouterr().out
    assert "val: Hund 1" in reported
    assert "test: Katze 1" in reported
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
    assert "There is no file 'gone.csv'" in str(gone["no_plan"])
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
    reported = capsys.readouterr().out
    assert "1 image has no row in a table" in reported
    assert "Repeated in t.csv: 1 row (" in reported
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
