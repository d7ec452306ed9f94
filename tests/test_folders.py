"""Folders: what is found, what is left out, what happens the second time."""

import csv
import os

import fiftyone as fo
import pytest
from fiftyone import ViewField as F
from PIL import Image

import fiftyone_gradcam as fg


def picture(path, color="red"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (6, 4), color).save(path)
    return path


def test_class_folders_and_what_is_left_out(tmp_path, name, capsys):
    picture(tmp_path / "cat" / "a b.png")
    picture(tmp_path / "cat" / "siamese" / "deep.jpg")
    picture(tmp_path / "dog.v2 $x" / "ü 🐶.png")
    picture(tmp_path / "loose.png")
    picture(tmp_path / "_unlabeled" / "x.png")
    picture(tmp_path / "cat" / "a b_mask.png")
    picture(tmp_path / "cat" / "lonely_mask.png")
    picture(tmp_path / "cat" / "old.png").rename(tmp_path / "cat" / "old.bak.png")
    picture(tmp_path / ".hidden" / "x.png")
    picture(tmp_path / "cat" / "noextension.png").rename(tmp_path / "cat" / "noextension")
    (tmp_path / "cat" / "Thumbs.db").write_bytes(b"x")
    (tmp_path / "cat" / "readme.txt").write_text("x")
    (tmp_path / "cat" / "empty.jpg").touch()
    (tmp_path / "cat" / "text.jpg").write_text("no image")
    (tmp_path / "cat" / "png.jpg").write_bytes(
        picture(tmp_path / "dog.v2 $x" / "y.png").read_bytes()
    )
    (tmp_path / "cat" / "link.png").symlink_to(tmp_path / "gone.png")
    (tmp_path / "cat" / "loop").symlink_to(tmp_path)
    dataset = fg.import_folders(str(tmp_path), name, skip=["*.bak.*"])
    assert dataset.persistent
    found = {
        os.path.relpath(s.filepath, tmp_path): (
            s.ground_truth and s.ground_truth.label, s.tags, s.metadata.width, s.media_type
        )
        for s in dataset
    }  # fmt: skip
    cat = ("cat", [], 6, "image")
    assert found == {
        "cat/a b.png": cat,
        "cat/lonely_mask.png": cat,  # a mask of what?
        "cat/noextension": cat,
        "cat/png.jpg": cat,
        "cat/siamese/deep.jpg": cat,
        "dog.v2 $x/y.png": ("dog.v2 $x", [], 6, "image"),
        "dog.v2 $x/ü 🐶.png": ("dog.v2 $x", [], 6, "image"),
        "loose.png": (None, [], 6, "image"),
        "_unlabeled/x.png": (None, [], 6, "image"),
    }
    info = dataset.info["import_folders"]
    expected = {"not an image": 1, "empty file": 1, "broken link": 1}
    assert info["skipped"] == expected
    assert info["passed_over"] == {
        "hidden or system files": 1,
        ".txt files": 1,
        "masks beside images": 1,
        "of the pattern '*.bak.*'": 1,
        "links to a folder around this one": 1,
    }
    assert info["notes"] == {
        "PNG files without an extension": 1,
        "PNG files with the extension .jpg": 1,
    }
    (equal,) = info["duplicates"]
    assert {os.path.basename(path) for path in equal} == {
        *("a b.png", "lonely_mask.png", "noextension", "png.jpg", "y.png", "ü 🐶.png"),
        *("loose.png", "x.png"),
    }
    assert dataset.first().metadata.mime_type == "image/png"
    assert dataset.match(F("filepath").ends_with("png.jpg")).first().metadata.num_channels == 3
    printed = capsys.readouterr().out
    assert "9 images added" in printed
    assert all(reason in printed for reason in expected)
    assert "2 images have no class" in printed
    with open(info["report"], newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    reported = {os.path.basename(path): (what, details) for path, what, details in rows}
    assert reported["text.jpg"] == ("left out", "not an image")
    assert reported["png.jpg"][0] == "equal to one of another class"


def test_split_folders_become_tags(tmp_path, name):
    for split in ("Training", "valid", "test"):
        for label in ("ants", "bees"):
            picture(tmp_path / split / label / "x.png")
    dataset = fg.import_folders(str(tmp_path), name)
    assert dataset.count_sample_tags() == {"train": 2, "val": 2, "test": 2}
    assert dataset.count_values("ground_truth.label") == {"ants": 3, "bees": 3}


def test_a_second_import_adds_only_what_is_new(tmp_path, name, capsys):
    picture(tmp_path / "a" / "1.png")
    picture(tmp_path / "b" / "1.png")
    first = fg.import_folders(str(tmp_path), name)
    sample = first.first()
    sample.ground_truth.label = "corrected"
    sample.save()
    picture(tmp_path / "b" / "2.png")
    calls = []
    second = fg.import_folders(str(tmp_path), name, progress=lambda *c: calls.append(c[:2]))
    assert len(second) == 3
    assert calls == [(1, 1)]  # what is known is not read again
    assert "1 image added, 3 in total" in capsys.readouterr().out
    assert second[sample.id].ground_truth.label == "corrected"
    replaced = fg.import_folders(str(tmp_path), name, overwrite=True)
    assert replaced.count_values("ground_truth.label") == {"a": 1, "b": 2}


def test_other_datasets_are_not_touched(tmp_path, name):
    theirs = fo.Dataset(name, persistent=True)
    theirs.add_sample(fo.Sample("/x.png"))
    picture(tmp_path / "a" / "1.png")
    picture(tmp_path / "b" / "1.png")
    with pytest.raises(ValueError, match=r"exists already.*not made by import_folders.*overwrite"):
        fg.import_folders(str(tmp_path), name)
    assert fo.load_dataset(name).values("filepath") == ["/x.png"]
    with pytest.raises(ValueError, match="label_from must be one of 'folder', .* not 'csv'"):
        fg.import_folders(str(tmp_path), name, label_from="csv")
    with pytest.raises(ValueError, match="not a valid field name"):
        fg.import_folders(str(tmp_path), f"{name} 2", label_field="a.b")
    assert not fo.dataset_exists(f"{name} 2")


def test_folders_that_cannot_be_used(tmp_path, name):
    empty = tmp_path / "empty"
    empty.mkdir()
    picture(tmp_path / "one" / "cats" / "1.png")
    picture(tmp_path / "flat" / "1.png")
    (tmp_path / "broken" / "a").mkdir(parents=True)
    (tmp_path / "broken" / "b").mkdir(parents=True)
    (tmp_path / "broken" / "a" / "x.png").write_bytes(b"x")
    (tmp_path / "broken" / "b" / "x.png").write_bytes(b"x")
    cases = [
        (
            "empty",
            ValueError,
            "No images below .*Give the folder that contains one folder for each",
        ),
        ("flat", ValueError, "No image has a class .*no file has a class.*label_from, pattern or"),
        ("one", ValueError, "Only one class, 'cats'.*A classifier needs two"),
        ("broken", ValueError, "No images below .*left out: 2 not an image"),
        ("gone", FileNotFoundError, "No folder at"),
        ("flat/1.png", NotADirectoryError, "is a file"),
    ]
    before = fo.list_datasets()
    for folder, error, message in cases:
        with pytest.raises(error, match=message):
            fg.import_folders(str(tmp_path / folder), name)
    assert fo.list_datasets() == before


def test_a_failing_import_leaves_nothing_behind(tmp_path, name, monkeypatch):
    picture(tmp_path / "a" / "1.png")
    picture(tmp_path / "b" / "1.png")

    def fail(*args, **kwargs):
        raise RuntimeError("database gone")

    with monkeypatch.context() as patch:
        patch.setattr(fo.Dataset, "add_samples", fail)
        with pytest.raises(RuntimeError, match="database gone"):
            fg.import_folders(str(tmp_path), name)
    assert not fo.dataset_exists(name)
    fg.import_folders(str(tmp_path), name)
    picture(tmp_path / "b" / "2.png")
    with monkeypatch.context() as patch:
        patch.setattr(fo.Dataset, "save", fail)
        with pytest.raises(RuntimeError, match="database gone"):
            fg.import_folders(str(tmp_path), name)
    assert len(fo.load_dataset(name)) == 2
    with monkeypatch.context() as patch:
        patch.setattr(fo.Dataset, "add_samples", fail)
        with pytest.raises(RuntimeError, match="database gone"):
            fg.import_folders(str(tmp_path), name, overwrite=True)
    assert len(fo.load_dataset(name)) == 2
    assert [found for found in fo.list_datasets() if found.startswith(name)] == [name]
    assert len(fg.import_folders(str(tmp_path), name, overwrite=True)) == 3
