"""Splits: proportions, groups that stay together, folds, and the form."""

import os
from collections import Counter

import fiftyone as fo
import numpy as np
import pytest
from conftest import save_digits
from PIL import Image
from test_duplicates import COPIES, tiles
from test_operators import execute, form

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset import splits
from fiftyone_gradcam.folders.assignment import assign
from fiftyone_gradcam.training.recipe import Recipe
from fiftyone_gradcam.workflow.splitting import _twins, split_if_none


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
    capsys.readouterr()
    fg.split(dataset)
    words = "The earlier split of these samples is replaced: dev (15), train (30)\n"
    assert capsys.readouterr().out.endswith(words)
    assert dataset.count_sample_tags() == {"keep": 60, "train": 36, "val": 12, "test": 12}
    assert all(len(set(t) & {"train", "val", "test", "dev"}) == 1 for t in dataset.values("tags"))


def test_a_training_of_a_dataset_without_a_split_uses_that_of_its_recipe(tmp_path, name, capsys):
    dataset = fg.import_folders(str(save_digits(tmp_path / "d", per_class=10)), name)
    counts = split_if_none(dataset, "ground_truth", "matlab-cracks")
    assert counts == {
        part: {f"digit {n}": 1 for n in range(3)} for part in ("train", "val", "test")
    }
    assert split_if_none(dataset, "ground_truth", "default") is None  # there is one now
    dataset.untag_samples(["train", "val", "test"])
    for recipe in ("default", Recipe()):  # an object is not looked up by its name
        counts = split_if_none(dataset, "ground_truth", recipe)
        assert [sum(own.values()) for own in counts.values()] == [18, 6, 6]
        dataset.untag_samples(["train", "val", "test"])
    assert split_if_none(dataset.limit(30), "ground_truth", "default") is None  # a view
    for count, have in ((20, "'digit 0'"), (30, "no labels")):
        few = dataset.limit(count) if have == "no labels" else dataset.skip(10)
        few.set_values("ground_truth", [None] * len(few))
        words = f"at least two classes in 'ground_truth'; the 30 samples have {have}$"
        with pytest.raises(ValueError, match=words):
            split_if_none(dataset, "ground_truth", "default")
    assert dataset.count_sample_tags() == {}
    labels = [fo.Classification(label="ab"[n % 2]) for n in range(30)]
    dataset.set_values("ground_truth", labels)
    capsys.readouterr()
    counts = split_if_none(dataset, "ground_truth", "default")  # two classes will do
    assert counts["train"] == {"a": 9, "b": 9}
    words = "has no split yet: it is split into train, val and test first"
    assert f"{dataset.name!r} {words}\n" in capsys.readouterr().out
    dataset.untag_samples(["train", "val", "test"])
    dataset.info["splits"]["whole"] = False  # as it is while one is written
    dataset.save()
    with pytest.raises(ValueError, match="was interrupted while it was written. Call split.. ag"):
        split_if_none(dataset, "ground_truth", "default")


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
    with pytest.raises(ValueError, match="not a classification field.*ground_truth"):
        fg.split(dataset, label_field="label")


def test_rounding_neither_starves_a_split_nor_a_class():
    thirds = {"train": 0.6, "val": 0.2, "test": 0.2}
    labels = [f"class {c}" for c in range(10) for _ in range(7)]
    assert Counter(assign(labels, thirds)) == {"train": 42, "val": 14, "test": 14}
    rare = ["a"] * 2 + ["b"] + ["c"] * 3 + ["d"] * 100 + [None]
    found = Counter(zip(rare, assign(rare, thirds), strict=True))
    assert found["b", "train"] == found["a", "train"] == found["a", "val"] == 1
    assert found["c", "train"] == found["c", "val"] == found["c", "test"] == 1
    assert (found["d", "train"], found["d", "val"], found["d", "test"]) == (60, 20, 20)
    assert found[None, None] == 1
    tenths = Counter(assign(["a"] * 3 + ["b"] * 100, dict.fromkeys("xyz", 0.1)))
    assert tenths == {"x": 11, "y": 11, "z": 11, None: 70}


def test_numbers_of_images_of_each_class(tmp_path, name, capsys):
    dataset = fg.import_folders(str(save_digits(tmp_path / "d", per_class=10)), name)
    counts = fg.split(dataset, {"train": 4, "val": 2})
    assert all(
        set(classes.values()) == {n} for classes, n in zip(counts.values(), (4, 2), strict=True)
    )
    assert "fewer than" not in capsys.readouterr().out
    fg.split(dataset, {"train": 9, "val": 3})
    assert "fewer images than the 12 requested" in capsys.readouterr().out
    # Of a class with fewer, in the same proportions.
    found = Counter(
        zip("a" * 6 + "b" * 30, assign("a" * 6 + "b" * 30, {"x": 10, "y": 5}), strict=True)
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
    with pytest.raises(ValueError, match="'film' is not a field .* may be 'duplicates', 'near dup"):
        fg.split(dataset, groups="film")
    with pytest.raises(ValueError, match="has Classification values. Pass .*ground_truth.label"):
        fg.split(dataset, groups="ground_truth")
    assert dataset.values("tags") == before


def test_folds(tmp_path, name, capsys):
    dataset = fg.import_folders(
        str(save_digits(tmp_path / "d", per_class=10)), name, progress=False
    )
    fg.split(dataset)
    fg.split(dataset, {"learn": 0.5, "test": 0.5})
    words = "No split is called 'train', the tag that fine_tune trains on"
    assert words in capsys.readouterr().out
    counts = fg.split(dataset, folds=5)
    assert words not in capsys.readouterr().out  # folds are trained on in turn
    assert list(counts) == [f"fold_{n}" for n in range(1, 6)]
    assert all(set(classes.values()) == {2} for classes in counts.values())
    assert set(dataset.count_sample_tags()) == set(counts)  # the earlier split is gone
    single = fg.split(dataset, folds=30)  # each image has a fold of its own
    assert [sum(classes.values()) for classes in single.values()] == [1] * 30
    for wrong in (1, True, 2.5):
        words = f"folds must be a whole number of at least 2, not {wrong}"
        with pytest.raises(ValueError, match=words):
            fg.split(dataset, folds=wrong)
    assert [sum(own.values()) for own in fg.split(dataset, folds=2).values()] == [15, 15]
    fg.split(dataset, folds=30)
    with pytest.raises(ValueError, match="30 images cannot be split into 31 folds"):
        fg.split(dataset, folds=31)
    for seed in (-1, 2**32, 10**400, 0.5, True):
        with pytest.raises(ValueError, match="seed must be a whole number from 0 to 4294967295, n"):
            fg.split(dataset, folds=3, seed=seed)
    assert set(dataset.count_sample_tags()) == {f"fold_{n}" for n in range(1, 31)}
    with pytest.raises(ValueError, match="fractions or folds, not both"):
        fg.split(dataset, {"train": 0.5}, folds=3)
    fg.review(dataset.limit(1), "exclude")
    with pytest.raises(ValueError, match="29 images cannot be split into 30 folds"):
        fg.split(dataset, folds=30)
    assert len(fg.split(dataset, folds=30, include_excluded=True)) == 30


@pytest.fixture
def twins(tmp_path):
    """Two classes of different pictures; twelve of them have a copy, two an equal file too."""
    kinds = [kind for kind in COPIES if kind != "flip"]  # which weights are needed for
    pictures = tiles()
    for number, image in enumerate(pictures):
        folder = tmp_path / "d" / f"class {number % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        image.save(folder / f"{number:02d}.png")
        if number < 12:
            COPIES[kinds[number % len(kinds)]](image).save(folder / f"{number:02d} copy.png")
        if number < 2:
            (folder / f"{number:02d} equal.png").write_bytes(
                (folder / f"{number:02d}.png").read_bytes()
            )
    return tmp_path / "d"


def groups_that_are_parted(dataset) -> list[str]:
    seen: dict = {}
    for path, tags in zip(*dataset.values(["filepath", "tags"]), strict=True):
        seen.setdefault(os.path.basename(path)[:2], set()).update(tags)
    return [group for group, tags in seen.items() if len(tags) > 1]


def test_near_duplicates_stay_together(twins, name, capsys):
    dataset = fg.import_folders(str(twins), name, progress=False)
    fg.split(dataset, seed=3)
    assert len(groups_that_are_parted(dataset)) >= 3
    counts = fg.split(dataset, groups="near duplicates", seed=3, weights="none", progress=False)
    assert groups_that_are_parted(dataset) == []
    count = len(list(twins.glob("*/??.png")))
    assert f"{len(dataset)} images in {count} groups of near dup" in capsys.readouterr().out
    sizes = {tag: sum(classes.values()) for tag, classes in counts.items()}
    assert sizes == pytest.approx({"train": 0.6 * len(dataset), "val": 0.2 * len(dataset),
                                   "test": 0.2 * len(dataset)}, abs=3)  # fmt: skip
    before = dataset.values("tags")
    with pytest.raises(FileNotFoundError, match=r"/gone\.pth"):
        fg.split(dataset, groups="near duplicates", backbone="resnet18", weights="/gone.pth")
    assert dataset.values("tags") == before
    job = fg.split(dataset, groups="near duplicates", seed=4, weights="none", delegate=True)
    assert job.wait(120).message.startswith("Split: ")
    dataset.reload()
    assert groups_that_are_parted(dataset) == []
    assert dataset.values("tags") != before


def test_equal_files_stay_together_where_there_are_too_few_images_to_compare(twins, name):
    dataset = fg.import_folders(str(twins), name, progress=False)
    few = dataset.match({"filepath": {"$regex": r"0[0-4]( equal)?\.png$"}})
    assert len(few) == 7
    for seed in range(5):
        options = {"groups": "near duplicates", "weights": "none", "progress": False}
        fg.split(few, {"train": 0.5, "val": 0.5}, seed=seed, **options)
        assert groups_that_are_parted(few) == []


def test_files_that_cannot_be_read_are_not_taken_for_equal(twins, name, capsys):
    dataset = fg.import_folders(str(twins), name, progress=False)
    few = dataset.limit(8)
    for path in few.values("filepath")[:2]:
        os.unlink(path)
    capsys.readouterr()
    vectors = np.random.default_rng(0).normal(size=(8, 16))
    found = _twins(few, None, None, vectors, None, False)
    assert found[0] != found[1]
    words = f"8 images in {len(set(found))} groups of near duplicates\n"
    assert capsys.readouterr().out.endswith(words)


def test_the_form_offers_all_ways(twins, name):
    dataset = fg.import_folders(str(twins), name, progress=False)
    count = len(dataset)
    assert {"train", "val", "test", "groups"} <= set(form("split", dataset))
    assert "too_much" in form("split", dataset, train=0.9, val=0.2)
    assert "no_train" in form("split", dataset, train=0)
    few = {"count_train": 1, "count_val": 1, "count_test": 0}
    assert "too_few" in form("split", dataset, way="counts", **few)
    assert "no_train" in form("split", dataset, way="counts", count_train=0)
    assert "weights" not in form("split", dataset, groups="near duplicates")
    chosen = form("split", dataset, groups="near duplicates", backbone="resnet18")
    assert "weights" in chosen
    common = {"label_field": "ground_truth"}
    execute("split", dataset, way="counts", count_train=5, count_val=3, count_test=0, **common)
    assert dataset.count_sample_tags() == {"train": 10, "val": 6}
    execute("split", dataset, way="folds", folds=3, **common)
    tags = dataset.count_sample_tags()
    assert sorted(tags) == ["fold_1", "fold_2", "fold_3"]
    assert sum(tags.values()) == count
    dataset.set_values("video", [f"video {n % 4}" for n in range(count)])
    execute("split", dataset, groups="video", **common)
    for video in range(4):
        assert len(dataset.match({"video": f"video {video}"}).count_sample_tags()) == 1


def test_the_form_keeps_near_duplicates_together(twins, name, real):
    dataset = fg.import_folders(str(twins), name, progress=False)
    path = str(real / "weights" / "mobilenet_v2.pth")
    source = sorted(twins.glob("class 0/??.png"))[-1]
    COPIES["flip"](Image.open(source)).save(source.with_name(f"{source.stem} copy.png"))
    dataset = fg.import_folders(str(twins), name, progress=False)
    execute(
        "split", dataset, groups="near duplicates", backbone="mobilenet_v2", weights="file",
        weights_file=path, label_field="ground_truth",
    )  # fmt: skip
    dataset.reload()
    assert groups_that_are_parted(dataset) == []


def test_a_split_that_is_interrupted_while_it_is_written_is_completed_first(
    tmp_path, name, monkeypatch
):
    dataset = fg.import_folders(str(save_digits(tmp_path / "d", per_class=4)), name)
    fg.split(dataset, {"fold_1": 1.0})
    write, calls = splits.bulk_write, []

    def interrupted(*args, **options) -> None:
        calls.append(args)
        if len(calls) == 1:
            raise KeyboardInterrupt
        write(*args, **options)

    monkeypatch.setattr(splits, "bulk_write", interrupted)
    monkeypatch.setattr(splits, "MOST_IDS", 4)  # in one statement, of nine and of three
    with pytest.raises(KeyboardInterrupt):
        fg.split(dataset, {"train": 0.75, "val": 0.25}, seed=3)
    assert len(calls) == 2
    assert dataset.count_sample_tags() == {"train": 9, "val": 3}
    assert dataset.info["splits"] == {"fractions": {"train": 0.75, "val": 0.25}, "seed": 3}
    splits.check_whole(dataset)
    # What is cut off before it is completed is known, with all tags that it may have left.
    calls.clear()
    monkeypatch.setattr(splits, "_sign", lambda *_: calls.append("signed"))
    with pytest.raises(KeyboardInterrupt):
        fg.split(dataset, {"test": 1.0})
    assert calls[-1] == "signed"
    known = dict.fromkeys(["test", "train", "val"], 0.0)
    assert dataset.info["splits"] == {"fractions": known, "whole": False}
    words = f"The last split of '{name}' was interrupted while it was written. Call split() again"
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        splits.check_whole(dataset)
    assert str(caught.value) == words
