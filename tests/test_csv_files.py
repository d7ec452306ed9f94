"""CSV files: how much of them is read, their encodings, and lines that cannot be read."""

import os

import pytest
from test_plans import make

from fiftyone_gradcam.folders import csv_file, found_tables
from fiftyone_gradcam.folders.csv_file import read_head, read_rows, read_text


def test_the_beginning_of_a_table_is_read_in_whole_lines(tmp_path, monkeypatch):
    path = tmp_path / "t.csv"
    path.write_text("id,label\n1,a\n2,é", "utf-8")  # 17 bytes
    whole = (("1", "a"), ("2", "é"))
    for size, rows in ((18, whole), (17, whole), (16, whole[:1]), (15, whole[:1]), (13, ())):
        monkeypatch.setattr(csv_file, "HEAD_BYTES", size)
        assert read_head(str(path)).rows == rows, size
    monkeypatch.setattr(csv_file, "HEAD_BYTES", 8)
    with pytest.raises(ValueError, match=r"t\.csv' is not a table: its first line is longer"):
        read_head(str(path))
    monkeypatch.setattr(csv_file, "HEAD_BYTES", 1000)
    path.write_text("\n \nsep=;\n" + "a;b,c\n" * 60)
    head = read_head(str(path))
    assert (head.delimiter, head.header, len(head.rows)) == (";", ("a", "b,c"), 50)
    path.write_text('"a,b,c"; x \n1; 2')  # commas inside quotes separate nothing
    head = read_head(str(path))
    assert (head.header, head.rows) == (("a,b,c", "x"), (("1", "2"),))
    path.write_text("\nsep=;\n")
    with pytest.raises(ValueError, match=r"^The table '.*t\.csv' is empty$"):
        read_head(str(path))
    path.write_text("id," + "x" * 200_000)
    monkeypatch.setattr(csv_file, "HEAD_BYTES", 300_000)
    with pytest.raises(ValueError, match=r"^The first line of '.*t\.csv' is not a header: field"):
        read_head(str(path))
    path.write_bytes(b"a = \xc3")  # not the beginning of a letter in UTF-8: there is no more
    assert read_text(str(path)) == "a = \u00c3"


@pytest.mark.parametrize(
    ("content", "encodings"),
    [
        (b"a\0" * 5 + b"ab" * 5, ["utf-16-le"]),  # over 40% of every second byte are zero
        (b"\0a" * 5 + b"ab" * 5, ["utf-16-be"]),
        (b"a\0" * 24 + b"\0a", ["utf-16-le"]),  # and hardly any of the others are
        (b"a" * 4096 + b"\0", ["utf-8", "cp1252"]),  # this far in, it is not looked for
        (b"\xef\xbb\xbfa\0", ["utf-8-sig"]),
        (b"\xff\xfea\0", ["utf-16"]),
        (b"\xff\xfe\0\0a\0\0\0", ["utf-32"]),
        (b"", ["utf-8", "cp1252"]),
    ],
)
def test_the_first_bytes_of_a_file_tell_its_encoding(content, encodings):
    assert csv_file._first_guess(content, "x") == encodings


@pytest.mark.parametrize("content", [b"a\0" * 4 + b"ab" * 6, b"a\0" * 19 + b"\0\0", b"\0" * 20])
def test_files_with_other_zeros_are_not_text(content):
    with pytest.raises(ValueError, match="'x' is not text. If it is a table, save it as 'CSV UTF"):
        csv_file._first_guess(content, "x")


def test_the_line_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    path = tmp_path / "t.csv"
    path.write_bytes(b'id,label\n\n1,"a\r\nb"\n , \n2,' + b"x" * 30 + b"\n")
    rows = [(3, ["1", "a\r\nb"]), (5, ["2", "x" * 30])]
    assert list(read_rows(read_head(str(path)))) == rows
    monkeypatch.setattr(csv_file, "LONGEST_LINE", 34)  # the last line has 33 characters
    assert list(read_rows(read_head(str(path)))) == rows
    monkeypatch.setattr(csv_file, "LONGEST_LINE", 33)
    found = read_rows(read_head(str(path)))
    assert next(found) == rows[0]
    with pytest.raises(
        ValueError,
        match=r"t\.csv' cannot be read from line 6 on: the line is too long\. Correct that line$",
    ):
        next(found)
    monkeypatch.setattr(csv_file, "LONGEST_LINE", 9)  # "id,label" and the end of its line
    with pytest.raises(ValueError, match="from line 1 on: the line is too long"):
        next(read_rows(read_head(str(path))))


def test_tables_in_folders_of_labels_are_found(tmp_path, monkeypatch):
    names = ("Labels/a.csv", "val/b.TSV", "other/c.csv", ".d.csv", "e.csv", "labels.csv/x.jpg")
    make(tmp_path, *names)
    (tmp_path / "val" / "folder.csv").mkdir()
    (tmp_path / "folder.tsv").mkdir()

    def found(folder="") -> list[str]:
        paths = found_tables._csv_files(str(tmp_path / folder))
        return [os.path.relpath(path, tmp_path).replace(os.sep, "/") for path in paths]

    assert found() == ["e.csv", "Labels/a.csv", "val/b.TSV"]
    make(tmp_path, "one/any/c.csv", "one/.hidden/x.csv")  # the only subfolder may have any name
    assert found("one") == ["one/any/c.csv"]
    listdir = os.listdir

    def refuse(folder):
        if os.path.basename(folder) == "Labels":
            raise PermissionError(13, "Permission denied")
        return listdir(folder)

    monkeypatch.setattr(found_tables.os, "listdir", refuse)
    assert found() == ["e.csv", "val/b.TSV"]
