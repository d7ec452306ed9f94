"""The same image in two splits: planted copies are found, and nothing else."""

import os
import shutil

import fiftyone as fo
import numpy as np
import pytest
from conftest import save_digits
from PIL import Image

import fiftyone_gradcam as fg
from fiftyone_gradcam.workflow import finding_leaks


def test_equal_files_in_two_splits(tmp_path, name, capsys):
    root = tmp_path / "d"
    for split in ("train", "val", "test"):
        save_digits(root / split, per_class=6)
    # The same digits in all three; now they differ, but for those that are planted.
    for number, path in enumerate(sorted(root.rglob("*.png"))):
        image = Image.open(path).convert("RGB")
        image.putpixel((0, 0), (number, 0, 0))
        image.save(path)
    source = root / "train" / "digit 0" / "000.png"
    shutil.copyfile(source, root / "val" / "digit 0" / "copy.png")
    shutil.copyfile(source, root / "val" / "digit 1" / "another.png")
    shutil.copyfile(root / "val" / "digit 2" / "001.png", root / "test" / "digit 2" / "copy.png")
    shutil.copyfile(source, root / "train" / "digit 0" / "same split.png")
    dataset = fg.import_folders(str(root), name, progress=False)
    shutil.copyfile(source, root / "alone.png")
    dataset.add_sample(fo.Sample(str(root / "alone.png")))  # of no split, so it leaks from none
    view = fg.find_leaks(dataset, near=False)
    found = [os.path.relpath(path, root) for path in view.values("filepath")]
    first = {
        "train/digit 0/000.png",
        "train/digit 0/same split.png",
        "val/digit 0/copy.png",
        "val/digit 1/another.png",
    }
    second = {"test/digit 2/copy.png", "val/digit 2/001.png"}
    together = [{path for path, g in zip(found, view.values("leak.group"), strict=True) if g == n}
                for n in (1, 2)]  # fmt: skip
    assert sorted(map(sorted, together)) == sorted(map(sorted, (first, second)))
    assert len(found) == 6
    groups = view.values("leak.group")
    assert sorted(groups) == groups
    assert sorted(map(groups.count, set(groups))) == [2, 4]
    assert set(view.values("leak.label")) == {"exact"}
    printed = capsys.readouterr().out
    # Equal files look alike too: they are called equal all the same.
    vectors = np.random.default_rng(0).normal(size=(len(dataset), 8))
    fg.find_leaks(dataset, embeddings=vectors, progress=False)
    assert set(dataset.select(view.values("id")).values("leak.label")) == {"exact"}
    assert "2 images of 'val' are also in 'train': 2 identical, 0 near duplicates" in printed
    assert "1 image of 'test' is also in 'val': 1 identical" in printed
    for path in found:
        if path.startswith("val"):
            os.unlink(root / path)
    again = fg.find_leaks(dataset.match_tags(["train", "test"]), near=False)
    assert len(again) == 0
    assert dataset.count("leak") == 0
    assert "No image is in two of train, test" in capsys.readouterr().out
    assert "leak" in dataset.app_config.active_fields.paths
    with pytest.raises(ValueError, match="'ground_truth' .* not written by this plugin"):
        fg.find_leaks(dataset, near=False, leak_field="ground_truth")
    with pytest.raises(ValueError, match="two splits, but these samples have 1. Call split"):
        fg.find_leaks(dataset.match_tags("train"), near=False)


def test_near_duplicates_of_real_photos_in_two_splits(real, tmp_path, name, capsys):
    source = real / "data" / "hymenoptera"
    for split in ("train", "val"):
        for label in ("ants", "bees"):
            files = sorted((source / split / label).glob("*.jpg"))[:40]
            (tmp_path / split / label).mkdir(parents=True)
            for path in files:
                shutil.copyfile(path, tmp_path / split / label / path.name)
    planted = set()
    for path in sorted((tmp_path / "train" / "ants").glob("*.jpg"))[:3]:
        again = tmp_path / "val" / "ants" / f"again {path.name}"
        image = Image.open(path).convert("RGB")
        # The third is also smaller: features of the network do not see through that.
        small = (image.width * 3 // 4, image.height * 3 // 4)
        image = image.resize(small) if len(planted) == 4 else image
        image.save(again, quality=85 if len(planted) < 4 else 60)
        planted |= {path.name, f"again {path.name}"}
    dataset = fg.import_folders(str(tmp_path), name, progress=False)
    weights = str(real / "weights" / "mobilenet_v2.pth")
    view = fg.find_leaks(dataset, backbone="mobilenet_v2", weights=weights, progress=False)
    assert {os.path.basename(path) for path in view.values("filepath")} == planted
    assert set(view.values("leak.label")) == {"near"}
    assert "3 images of 'val' are also in 'train': 0 identical, 3 near" in capsys.readouterr().out


def test_each_two_splits_are_compared_with_the_larger_first(monkeypatch):
    """As the rate of false pairs is meant: for each image of the larger one."""
    seen = []

    def pairs(a, b):
        seen.append((a[0].tolist(), b[0].tolist(), a[1].tolist()))
        return [(len(a[0]) - 1, 0)]

    monkeypatch.setattr(finding_leaks, "near_pairs", pairs)
    own = ["val", "train", "test", "train", "val", "train"]
    looks = np.arange(6.0)
    found = finding_leaks._near_pairs([looks, 10 * looks], own, ["test", "train", "val"])
    train, val = [1.0, 3.0, 5.0], [0.0, 4.0]
    assert seen == [
        (train, [2.0], [10.0, 30.0, 50.0]), (val, [2.0], [0.0, 40.0]), (train, val, [10, 30, 50]),
    ]  # fmt: skip
    assert found == [(5, 2, "near"), (4, 2, "near"), (5, 0, "near")]


def test_of_images_that_are_away_only_earlier_duplicates_stay(tmp_path, name, capsys):
    dataset = fo.Dataset(name)
    for file, value, split in (("a", 5, "train"), ("b", 5, "val"), ("c", 9, "val")):
        path = str(tmp_path / f"{file}.png")
        Image.new("L", (8, 8), value).save(path)
        dataset.add_sample(fo.Sample(path, tags=["mine", split]))
    paths, ids = dataset.values(["filepath", "id"])

    def find() -> tuple[list, list]:
        found = fg.find_leaks(dataset, near=False)
        away = [line for line in capsys.readouterr().out.splitlines() if "cannot be read" in line]
        return sorted(zip(*found.values(["id", "leak.label", "leak.group"]), strict=True)), away

    both = [(ids[0], "exact", 1), (ids[1], "exact", 1)]
    os.unlink(paths[2])  # before anything was found
    assert find() == (both, [])
    assert find() == (both, [])  # it had no duplicate
    os.unlink(paths[1])
    words = "image whose file cannot be read now keeps its earlier duplicates"
    assert find() == (both, [f"1 {words}"])
    os.unlink(paths[0])
    words = "images whose files cannot be read now keep their earlier duplicates"
    assert find() == (both, [f"2 {words}"])
    dataset.select(ids[1]).untag_samples("val")  # it is in no split any more
    assert find() == ([], [])
    # Splits of other names come after the usual ones.
    dataset.info["splits"] = {"fractions": {"a": 0.5, "train": 0.5}}
    dataset.save()
    for file, split in (("d", "a"), ("e", "train")):
        path = str(tmp_path / f"{file}.png")
        Image.new("L", (8, 8), 7).save(path)
        dataset.add_sample(fo.Sample(path, tags=[split]))
    assert len(fg.find_leaks(dataset, near=False)) == 2
    words = "1 image of 'a' is also in 'train': 1 identical, 0 near duplicates"
    assert words in capsys.readouterr().out
