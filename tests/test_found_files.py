"""Files of a folder: which may be images, why others are not, and which are the same file."""

import errno
import os

import pytest
from test_plans import make

import fiftyone_gradcam as fg
from fiftyone_gradcam.folders import files
from fiftyone_gradcam.folders.files import find_files


def test_each_file_is_an_image_or_there_is_a_reason(tmp_path, monkeypatch):
    make(tmp_path, "a/1.jpg", "a/2", "a/b.ZIP", "c.tar.gz", "a/notes.TXT", "a/odd.jpg", "old/3.jpg")
    make(tmp_path, "a/x_old.jpg")
    os.mkfifo(tmp_path / "a" / "pipe.jpg")
    (tmp_path / "a" / "empty.jpg").touch()
    (tmp_path / "a" / "lost.jpg").symlink_to(tmp_path / "gone.jpg")
    (tmp_path / "a" / "endless.jpg").symlink_to(tmp_path / "a" / "endless.jpg")
    stat = os.stat

    def refuse(path, *args, **options):
        if os.path.basename(path) == "odd.jpg":
            raise OSError
        return stat(path, *args, **options)

    monkeypatch.setattr(files.os, "stat", refuse)
    found = find_files(str(tmp_path), ("*_old.*", "old/*"))
    assert found.files == [str(tmp_path / "a" / "1.jpg"), str(tmp_path / "a" / "2")]
    assert found.sizes == [1, 1]
    assert found.passed_over == {
        ".gz files": 1,
        ".zip files": 1,
        ".txt files": 1,
        "of the pattern '*_old.*'": 1,
        "of the pattern 'old/*'": 1,
    }
    assert found.archives == [str(tmp_path / "c.tar.gz"), str(tmp_path / "a" / "b.ZIP")]
    assert dict(found.skipped) == {
        str(tmp_path / "a" / "empty.jpg"): "empty file",
        str(tmp_path / "a" / "endless.jpg"): os.strerror(errno.ELOOP).lower(),
        str(tmp_path / "a" / "lost.jpg"): "broken link",
        str(tmp_path / "a" / "odd.jpg"): "cannot be read",
        str(tmp_path / "a" / "pipe.jpg"): "not a regular file",
    }
    assert (found.same, found.notes, found.stopped) == ([], [], None)


def test_files_with_one_inode_are_the_same_on_one_disk_only(tmp_path):
    make(tmp_path, "1.jpg", "other.jpg", "3.jpg")
    os.link(tmp_path / "1.jpg", tmp_path / "2.jpg")
    os.link(tmp_path / "3.jpg", tmp_path / "4.jpg")
    one, two, three, four, other = (
        str(tmp_path / f"{name}.jpg") for name in ("1", "2", "3", "4", "other")
    )
    assert find_files(str(tmp_path)).same == [[one, two], [three, four]]
    paths = [one, two, other, three, four]
    # A file of another disk may have the number 7, too; 8 has no other path.
    assert files._same(paths, [7, 7, 7, 8, 8], {7}) == [[one, two]]
    assert files._same(paths, [7, 5, 6, 8, 8], {7, 8}) == [[three, four]]
    os.unlink(two)
    assert files._same([one, two], [7, 7], {7}) == []


def test_twenty_links_are_named(tmp_path):
    make(tmp_path / "disk", *(f"{i:02d}/1.jpg" for i in range(22)))
    root = make(tmp_path / "root", "a/1.jpg")
    for i in range(20):
        (root / f"{i:02d}").symlink_to(tmp_path / "disk" / f"{i:02d}")
    names = [
        f"{i:02d} is a link to {tmp_path / 'disk' / f'{i:02d}'}, which is read" for i in range(20)
    ]
    assert find_files(str(root)).notes == names
    (root / "20").symlink_to(tmp_path / "disk" / "20")
    assert find_files(str(root)).notes == [*names, "1 more folder is a link"]


def test_patterns_to_skip_are_texts(tmp_path):
    make(tmp_path, "a/1.jpg", "b/2.jpg")
    for wrong in (3, ["*.txt", 3], {"*.txt"}):
        with pytest.raises(
            (TypeError, ValueError), match="skip must be a list of patterns, such as"
        ):
            fg.plan_import(str(tmp_path), skip=wrong)
    assert fg.plan_import(str(tmp_path), skip=("a/*",)).choices == {"skip": ("a/*",)}
    assert fg.plan_import(str(tmp_path), skip="a/*").choices == {"skip": ["a/*"]}
    assert fg.plan_import(str(tmp_path)).choices == {}
    with pytest.raises(
        FileNotFoundError, match="There is no file 'no.csv' here or in '.*'. Pass its"
    ):
        fg.plan_import(str(tmp_path), table="no.csv")
    with pytest.raises(
        NotADirectoryError, match=r"1\.jpg' is a file. Pass the folder with the class"
    ):
        fg.plan_import(str(tmp_path / "a" / "1.jpg"))
    with pytest.raises(FileNotFoundError, match="^No folder at '.*gone'$"):
        fg.plan_import(str(tmp_path / "gone"))
