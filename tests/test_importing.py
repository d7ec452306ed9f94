"""Carrying out plans: odd and broken files, names, and what has changed the second time."""

import csv
import os
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import save_digits
from PIL import Image
from test_operators import form

import fiftyone_gradcam as fg
from fiftyone_gradcam.app.operators.import_folders import _again_words
from fiftyone_gradcam.images.decode import ImageError, decode

# Of the odd images, those that are none, and why.
SKIPPED = {
    "LICENSE": "not an image",
    "broken.png": "not an image",
    "text_named.jpg": "not an image",
    "broken_data_stream.png": "corrupt",
    "crash-2020-10-test.tif": "corrupt",
    "crash-4f085cc12ece8cde18758d42608bed6a2a2cfb1c.tif": "corrupt",
    "crash-63b1dffefc8c075ddc606c0a2f5fdc15ece78863.tif": "corrupt",
    "decompression_bomb.gif": "more than 178956970 pixels (raise max_pixels to allow it)",
    "truncated_image.png": "truncated",
    "truncated_jpeg.jpg": "truncated",
    "zero_bytes.jpg": "empty file",
}


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of corrupt files
def test_each_odd_file_is_imported_and_decodable_or_left_out_for_its_reason(real, tmp_path, name):
    files = sorted(path for path in (real / "data" / "odd-images").iterdir())
    for number, path in enumerate(files):
        folder = tmp_path / "odd" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / path.name)
    dataset = fg.import_folders(str(tmp_path / "odd"), name, progress=False)
    info = dataset.info["import_folders"]
    reported = {os.path.basename(path): reason for path, reason in info["skipped_files"]}
    assert reported == SKIPPED
    assert info["passed_over"] == {".md files": 1}
    found = {os.path.basename(path) for path in dataset.values("filepath")}
    assert found == {path.name for path in files} - set(SKIPPED) - {"SOURCE.md"}
    for sample in dataset:
        image = decode(sample.filepath)
        assert image.image.size == (sample.metadata.width, sample.metadata.height)
    assert info["notes"]["PNG files with the extension .jpg"] == 1
    assert info["notes"]["TIFF files, which browsers do not show"] == 3
    (dark,) = (count for note, count in info["notes"].items() if "12 bits or fewer" in note)
    assert dark == 3
    (pair,) = info["duplicates"]
    assert {os.path.basename(path) for path in pair} == {"hopper.png", "png_named.jpg"}


def mutated(content: bytes, kind: int, draws: np.random.Generator) -> bytes:
    """A file with some bytes flipped, its end cut, or a part of it doubled."""
    place = int(draws.integers(1, len(content)))
    if kind == 0:
        values = np.frombuffer(content, np.uint8).copy()
        values[draws.integers(0, len(values), 1 + place % 20)] ^= np.uint8(draws.integers(1, 256))
        return values.tobytes()
    if kind == 1:
        return content[:place]
    return content[:place] + content[place // 2 :]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_mutated_files_do_no_harm(real, tmp_path, name):
    odd = real / "data" / "odd-images"
    names = (
        "hopper.jpg",
        "hopper.png",
        "hopper.gif",
        "hopper.bmp",
        "hopper.webp",
        "frozenpond.mpo",
    )
    sources = [(odd / name).read_bytes() for name in (*names, "multipage.tiff", "p_16.png")]
    draws = np.random.default_rng(0)
    for number in range(1000):
        which = number % len(sources)
        folder = tmp_path / f"class {number % 3}"
        folder.mkdir(exist_ok=True)
        content = mutated(sources[which], number // len(sources) % 3, draws)
        (folder / f"{number}{Path((*names, 'x.tiff', 'x.png')[which]).suffix}").write_bytes(content)
    dataset = fg.import_folders(str(tmp_path), name, progress=False)
    info = dataset.info["import_folders"]
    assert len(dataset) + sum(info["skipped"].values()) == 1000
    assert len(dataset) > 100
    assert sum(info["skipped"].values()) > 300
    left_out = {path for path, _ in info["skipped_files"]}
    assert not left_out & set(dataset.values("filepath"))
    for path in random.Random(0).sample(sorted(left_out), 50):
        with pytest.raises(ImageError):
            decode(path)


def test_a_second_import_tells_what_has_changed(tmp_path, name, capsys):
    root = save_digits(tmp_path / "d", per_class=4)
    first = fg.import_folders(str(root), name)
    assert first.info["import_folders"]["whole"]
    sample = first.first()
    sample.ground_truth.label = "corrected"
    sample.save()
    (root / "digit 1" / "000.png").unlink()
    (root / "digit 2" / "000.png").unlink()
    (root / "digit 1" / "new.png").write_bytes(
        (root / "digit 1" / "001.png").read_bytes() + b"more"
    )
    emptied = root / "digit 0" / "003.png"
    emptied.write_bytes(b"")
    capsys.readouterr()
    second = fg.import_folders(str(root), name)
    printed = capsys.readouterr().out
    assert "1 image added, 13 in total" in printed
    assert "1 image with another label in the dataset than in the folder: the dataset's" in printed
    assert f"such as {sample.filepath}: 'corrected', in the folder 'digit 0'" in printed
    assert "the files of 2 samples do not exist" in printed
    assert "dataset.delete_samples(dataset.select_by('filepath', dataset.info[" in printed
    info = second.info["import_folders"]
    assert info["changed_labels"] == [[sample.filepath, "corrected", "digit 0"]]
    gone = [str(root / f"digit {n}" / "000.png") for n in (1, 2)]
    assert info["removed_files"] == gone
    assert info["broken_files"] == [[str(emptied), "empty file"]]
    assert "the files of 1 sample can no longer be used" in printed
    assert second[sample.id].ground_truth.label == "corrected"
    with pytest.raises(ValueError, match="keeps the folders' classes in 'ground_truth', not in 'c"):
        fg.import_folders(str(root), name, label_field="class")
    assert second.get_field("class") is None


def test_odd_names_work(tmp_path, name):
    classes = ["a.b$c", "quo\"te's", "<img src=x>", "عربي", "e\u0301cole", "emoji 🐱", "x" * 120]
    for label in classes:
        folder = tmp_path / "d" / label
        folder.mkdir(parents=True)
        Image.new("RGB", (4, 3)).save(folder / f"{label[:40]} 1.png")
    dataset = fg.import_folders(str(tmp_path / "d"), name, progress=False)
    assert set(dataset.distinct("ground_truth.label")) == {
        "\u00e9cole" if label == "e\u0301cole" else label for label in classes
    }
    assert all(map(os.path.exists, dataset.values("filepath")))


def test_equal_files_of_an_earlier_import_and_of_two_classes(tmp_path, name, capsys):
    root = save_digits(tmp_path / "d", per_class=4)
    first = root / "digit 0" / "000.png"
    (root / "digit 0" / "same.png").write_bytes(first.read_bytes())
    dataset = fg.import_folders(str(root), name)
    (reported,) = dataset.info["import_folders"]["duplicates"]
    assert sorted(reported) == [str(first), str(root / "digit 0" / "same.png")]
    assert dataset.info["import_folders"]["contradictions"] == []
    again = fg.import_folders(str(root), name)
    assert again.info["import_folders"]["duplicates"] == [reported]  # nothing was read again
    source = root / "digit 1" / "002.png"
    (root / "digit 2" / "late.png").write_bytes(source.read_bytes())
    capsys.readouterr()
    info = fg.import_folders(str(root), name).info["import_folders"]
    pair = sorted([str(source), str(root / "digit 2" / "late.png")])
    assert sorted(map(sorted, info["duplicates"])) == sorted([sorted(reported), pair])
    assert [sorted(paths) for paths in info["contradictions"]] == [pair]
    assert "1 image is in two classes, such as" in capsys.readouterr().out
    with open(info["report"], newline="", encoding="utf-8") as file:
        rows = [row for row in csv.reader(file) if row[1] == "equal to one of another class"]
    assert sorted(path for path, _, _ in rows) == pair
    with open(info["report"], newline="", encoding="utf-8") as file:
        rows = [(path, about) for path, what, about in csv.reader(file) if what == "equal to"]
    assert sorted(rows) == sorted((path, first) for first, path in info["duplicates"])


def test_a_layout_is_remembered_and_a_table_is_found(tmp_path, name, capsys):
    root = save_digits(tmp_path / "d", per_class=3)
    one = tmp_path / "one"
    one.mkdir()
    (root / "digit 0").rename(one / "images")
    (one / "labels.csv").write_text(
        "filename,label,split\nimages/000.png,a,train\nimages/001.png,b,val\nimages/002.png,a,train\n"
    )
    plan = fg.plan_import(str(one))  # one folder is no class beside another
    assert plan.layout.label_from == "table"
    assert plan.counts() == {"train": {"a": 2}, "val": {"b": 1}}
    assert "no splits" not in str(plan)
    (root / "labels.csv").write_text("path,label\ndigit 1/000.png,x\n")
    plan = fg.plan_import(str(root))
    assert plan.layout.label_from == "folder"
    assert "The table labels.csv is not used" in str(plan)
    chosen = {"pattern": r"00(?P<label>\d)", "skip": "*1/000*"}  # one pattern, and not letters
    dataset = fg.import_folders(str(root), name, **chosen)
    assert dataset.count_values("ground_truth.label") == {"0": 1, "1": 2, "2": 2}
    (root / "digit 2" / "003.png").write_bytes((root / "digit 2" / "002.png").read_bytes())
    again = fg.import_folders(str(root), name)
    assert again.count_values("ground_truth.label") == {"0": 1, "1": 2, "2": 2, "3": 1}
    replaced = fg.import_folders(str(root), name, overwrite=True)  # is read as if it were new
    assert replaced.count_values("ground_truth.label") == {"digit 1": 3, "digit 2": 4}


def test_unlabelled_images_if_they_are_asked_for(tmp_path, name):
    root = save_digits(tmp_path / "d", per_class=2)
    dataset = fg.import_folders(str(root), name, label_from="nothing", progress=False)
    assert len(dataset) == 6
    assert dataset.count("ground_truth") == 0
    with pytest.raises(ValueError, match="'tags' is a field that each sample has"):
        fg.import_folders(str(root), f"{name} 2", label_field="tags")
    with pytest.raises(FileNotFoundError, match="There is no file 'gone.csv' here or in"):
        fg.plan_import(str(root), table="gone.csv")


def test_the_form_says_what_importing_again_will_do(digits, name):
    dataset = fg.import_folders(str(digits), name, progress=False)

    def said() -> str:
        return _again_words(dataset, fg.plan_import(str(digits)))

    stay = "Samples that are there stay, with their labels and reviews"
    count = len(dataset)
    none = f"has all {count} images of this folder: none is added"
    assert said() == f"{name!r} exists and {none}. {stay}"
    shown = form("import_folders", dataset, path=str(digits), name=name)["exists"]["view"]["label"]
    assert none in shown
    first, second, *_ = sorted(digits.glob("*/*.png"))
    shutil.copyfile(first, first.with_name("new.png"))
    is_new = f"{name!r} exists: 1 file is new and is added if it can be read. {stay}"
    assert said() == is_new
    first.with_name("broken.png").write_bytes(b"no image")
    second.rename(second.with_name("renamed.png"))
    words = said()
    assert words.startswith(f"{name!r} exists: 3 files are new and are added if they can be read. ")
    assert "The files of 1 sample no longer exist" in words
    fg.import_folders(str(digits), name, progress=False)
    assert len(dataset) == count + 1
