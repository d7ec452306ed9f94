"""Folders and splits: what is found, what is left out, what happens the second time."""

import csv
import os
from collections import Counter

import fiftyone as fo
import pytest
from conftest import save_digits
from fiftyone import ViewField as F
from PIL import Image

import fiftyone_gradcam as fg
from fiftyone_gradcam.folders.deal import deal


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
    }
    assert info["notes"] == {
        "PNG files without an extension": 1,
        "PNG files that are called .jpg": 1,
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
    told = {os.path.basename(path): (what, details) for path, what, details in rows}
    assert told["text.jpg"] == ("left out", "not an image")
    assert told["png.jpg"][0] == "equal to"


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
    assert "1 images added, 3 in all" in capsys.readouterr().out
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
    with pytest.raises(ValueError, match="no name for a field"):
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
        ("empty", ValueError, "No images below .*Give the folder that holds one folder for each"),
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
    assert [found for found in fo.list_datasets() if found.startswith(name)] == [name]


def test_split_is_stratified_exclusive_and_repeatable(tmp_path, name, capsys):
    dataset = fg.import_folders(str(save_digits(tmp_path / "d", per_class=20)), name)
    dataset.tag_samples("keep")
    counts = fg.split(dataset, seed=1)
    labels = ["digit 0", "digit 1", "digit 2"]
    assert counts == {
        "train": dict.fromkeys(labels, 12),
        "val": dict.fromkeys(labels, 4),
        "test": dict.fromkeys(labels, 4),
    }
    first = dict(zip(*dataset.values(["id", "tags"]), strict=True))
    fg.split(dataset, seed=1)
    assert dict(zip(*dataset.values(["id", "tags"]), strict=True)) == first
    fg.split(dataset, seed=2)
    assert dict(zip(*dataset.values(["id", "tags"]), strict=True)) != first
    fg.split(dataset, {"train": 0.5, "dev": 0.25})
    assert dataset.count_sample_tags() == {"keep": 60, "train": 30, "dev": 15}
    fg.split(dataset)
    assert dataset.count_sample_tags() == {"keep": 60, "train": 36, "val": 12, "test": 12}
    assert all(len(set(t) & {"train", "val", "test", "dev"}) == 1 for t in dataset.values("tags"))


@pytest.mark.parametrize(
    ("fractions", "message"),
    [
        ({"train": 0.8, "val": 0.3}, "add up to 1.1"),
        ({"train": 10, "val": 0.3}, "Either all are shares.*that of 'val' is 0.3"),
        ({"train": 0}, "share of 'train' .*0"),
        ({"train": "x"}, "share of 'train'"),
        ({}, "fractions must map"),
        ({"": 0.5}, "must have a name"),
    ],
)
def test_wrong_fractions_change_nothing(tmp_path, name, fractions, message):
    dataset = fg.import_folders(str(save_digits(tmp_path / "d", per_class=3)), name)
    with pytest.raises(ValueError, match=message):
        fg.split(dataset, fractions)
    assert dataset.count_sample_tags() == {}
    with pytest.raises(ValueError, match="no classification field.*ground_truth"):
        fg.split(dataset, label_field="label")


def test_rounding_neither_starves_a_split_nor_a_class():
    thirds = {"train": 0.6, "val": 0.2, "test": 0.2}
    labels = [f"class {c}" for c in range(10) for _ in range(7)]
    assert Counter(deal(labels, thirds)) == {"train": 42, "val": 14, "test": 14}
    rare = ["a"] * 2 + ["b"] + ["c"] * 3 + ["d"] * 100 + [None]
    found = Counter(zip(rare, deal(rare, thirds), strict=True))
    assert found["b", "train"] == found["a", "train"] == found["a", "val"] == 1
    assert found["c", "train"] == found["c", "val"] == found["c", "test"] == 1
    assert (found["d", "train"], found["d", "val"], found["d", "test"]) == (60, 20, 20)
    assert found[None, None] == 1
    tenths = Counter(deal(["a"] * 3 + ["b"] * 100, dict.fromkeys("xyz", 0.1)))
    assert tenths == {"x": 11, "y": 11, "z": 11, None: 70}


def test_numbers_of_images_of_each_class(tmp_path, name, capsys):
    dataset = fg.import_folders(str(save_digits(tmp_path / "d", per_class=10)), name)
    counts = fg.split(dataset, {"train": 4, "val": 2})
    assert all(
        set(classes.values()) == {n} for classes, n in zip(counts.values(), (4, 2), strict=True)
    )
    # Of a class with fewer, in the same proportions.
    found = Counter(
        zip("a" * 6 + "b" * 30, deal("a" * 6 + "b" * 30, {"x": 10, "y": 5}), strict=True)
    )
    assert found == {("a", "x"): 4, ("a", "y"): 2, ("b", "x"): 10, ("b", "y"): 5, ("b", None): 15}


def test_groups_stay_together(tmp_path, name):
    root = save_digits(tmp_path / "d", per_class=20)
    for number in range(5):  # copies, some in another class
        source = root / "digit 0" / f"{number:03d}.png"
        (root / f"digit {number % 2}" / f"copy {number}.png").write_bytes(source.read_bytes())
    dataset = fg.import_folders(str(root), name, progress=False)
    fg.split(dataset, groups="duplicates")
    tagged = dataset.match_tags(["train", "val", "test"])
    split_of = {
        os.path.basename(sample.filepath): sample.tags[0]
        for sample in tagged
        if "digit 0" in sample.filepath or "copy" in sample.filepath
    }
    for number in range(5):
        assert split_of[f"copy {number}.png"] == split_of[f"{number:03d}.png"]
    counts = dataset.count_sample_tags()
    assert all(abs(counts[tag] - n) <= 2 for tag, n in {"train": 39, "val": 13, "test": 13}.items())
    videos = [f"video {i // 4}" if i % 7 else None for i in range(len(dataset))]
    dataset.set_values("video", videos)
    fg.split(dataset, groups="video")
    seen: dict = {}
    for video, tags in zip(*dataset.values(["video", "tags"]), strict=True):
        seen.setdefault(video, set()).update(tags)
    assert all(len(tags) == 1 for video, tags in seen.items() if video)
    assert len(seen[None]) > 1
    counts = dataset.count_sample_tags()
    assert abs(counts["train"] - 39) <= 3
    assert abs(counts["val"] - 13) <= 3
    before = dataset.values("tags")
    with pytest.raises(ValueError, match="'film' is no field .* may be 'duplicates', or one of"):
        fg.split(dataset, groups="film")
    with pytest.raises(ValueError, match="holds Classifications. Name one .*ground_truth.label"):
        fg.split(dataset, groups="ground_truth")
    assert dataset.values("tags") == before


def test_folds(tmp_path, name):
    dataset = fg.import_folders(
        str(save_digits(tmp_path / "d", per_class=10)), name, progress=False
    )
    fg.split(dataset)
    counts = fg.split(dataset, folds=5)
    assert list(counts) == [f"fold_{n}" for n in range(1, 6)]
    assert all(set(classes.values()) == {2} for classes in counts.values())
    assert set(dataset.count_sample_tags()) == set(counts)  # the earlier split is gone
    with pytest.raises(ValueError, match="folds must be a whole number of at least 2, not 1"):
        fg.split(dataset, folds=1)
