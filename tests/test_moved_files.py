"""Files that change, break, move or are gone after they were imported: nothing is lost."""

import csv
import os
import shutil
from pathlib import Path

import fiftyone as fo
import numpy as np
import pytest
from conftest import QUICK, save_digits
from fiftyone import ViewField as F
from PIL import Image
from test_operators import execute, form

import fiftyone_gradcam as fg
from fiftyone_gradcam.__main__ import main
from fiftyone_gradcam.dataset.known_files import Known
from fiftyone_gradcam.folders.moved import Trace, moved_path, recognize
from fiftyone_gradcam.folders.verify import Facts

FIELDS = ["id", "filepath", "tags", "ground_truth.label", "note", "metadata.width"]


def test_a_file_has_changed_if_its_content_has_and_else_by_what_is_known():
    facts = Facts(8, 6, 3, size_bytes=100, mtime=5, mime_type="image/png", digest="same")

    def known(**changes) -> Known:
        own = {"size": 100, "mtime": 5, "digest": "same", "width": 8, "height": 6}
        return Known(id="", path="", label=None, num_channels=3, **{**own, **changes})

    assert not known().differs(facts)
    assert not known(mtime=4, width=9, size=None).differs(facts)  # the content is the same
    assert known(digest="other").differs(facts)  # though its size and shape are not
    for name in ("size", "width", "height"):  # of earlier versions, without a digest
        assert known(digest=None, **{name: 1}).differs(facts)
        assert not known(digest=None, **{name: None}).differs(facts)


def import_again(root, name, **options) -> fo.Dataset:
    return fg.import_folders(str(root), name, progress=False, **options)


@pytest.fixture
def imported(tmp_path, name):
    """A dataset of 12 files, with a field and a tag of the user's."""
    dataset = import_again(save_digits(tmp_path / "d", per_class=4), name)
    dataset.set_values("note", [f"note {n}" for n in range(12)])
    dataset.tag_samples("mine")
    return dataset


def forget(dataset, *facts: str) -> None:
    """Make a dataset one of an earlier version, which stored less of a file."""
    own = {f"metadata.{name}": "" for name in facts}
    dataset._sample_collection.update_many({}, {"$unset": own})
    dataset.reload()


def age(path) -> None:
    """Give a file the time that it had, as copying programs do; else some clocks are too coarse."""
    about = os.stat(path)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns + 1))


@pytest.mark.parametrize("is_legacy", [False, True])
def test_changed_files_are_read_again(imported, tmp_path, name, capsys, is_legacy):
    root, before = tmp_path / "d", imported.values(FIELDS)
    if is_legacy:
        forget(imported, "mtime", "digest")
    turned, other, touched, broken = (root / "digit 0" / f"00{n}.png" for n in range(4))
    empty = root / "digit 1" / "000.png"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20)).save(turned, exif=exif)
    Image.new("L", (7, 9)).save(other)
    age(touched)
    broken.write_bytes(b"no image any more")
    empty.write_bytes(b"")
    capsys.readouterr()
    dataset = import_again(root, name)
    info = dataset.info["import_folders"]
    assert info["changed_files"] == [str(turned), str(other)]
    assert sorted(info["broken_files"]) == [
        [str(broken), "not an image"], [str(empty), "empty file"]
    ]  # fmt: skip
    assert info["skipped"] == {}
    assert info["removed_files"] == []
    printed = capsys.readouterr().out
    assert f"2 files have changed, such as {turned}" in printed
    assert "the files of 2 samples can no longer be used, such as" in printed
    sizes = {
        path: size
        for path, *size in zip(*dataset.values(
            ["filepath", "metadata.width", "metadata.height", "metadata.size_bytes"]
        ), strict=True)
    }  # fmt: skip
    assert sizes[str(turned)] == [20, 40, turned.stat().st_size]
    assert sizes[str(other)] == [7, 9, other.stat().st_size]
    assert sizes[str(touched)][:2] == [16, 16]
    after = dataset.values(FIELDS)
    assert after[:5] == before[:5]
    with open(info["report"], newline="", encoding="utf-8") as file:
        rows = {(path, what): details for path, what, details in csv.reader(file)}
    assert rows[str(broken), "file can no longer be decoded"] == "not an image"
    assert (str(turned), "file has changed") in rows
    steps = []
    again = fg.import_folders(str(root), name, progress=lambda *step: steps.append(step))
    assert [step[1] for step in steps] == [1]  # the broken one alone; the empty one is not opened
    assert again.info["import_folders"]["changed_files"] == []
    Image.new("L", (5, 5)).save(broken)  # it is repaired
    assert import_again(root, name).info["import_folders"]["broken_files"] == [
        [str(empty), "empty file"]
    ]
    assert dataset.match(F("filepath") == str(broken)).values("metadata.width") == [5]


def test_a_file_that_is_truncated_now_is_tagged_and_one_that_is_whole_is_not(imported, tmp_path):
    path = tmp_path / "d" / "digit 0" / "000.png"
    Image.effect_noise((64, 64), 80).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:2000])
    dataset = import_again(tmp_path / "d", imported.name, keep_truncated=True)
    assert dataset.match_tags("truncated").values("filepath") == [str(path)]
    assert set(dataset.match_tags("truncated").first().tags) == {"mine", "truncated"}
    path.write_bytes(whole)
    dataset = import_again(tmp_path / "d", imported.name)
    assert dataset.count_sample_tags() == {"mine": 12}


def test_what_was_allowed_once_stays_and_all_verbs_use_it(tmp_path, name, monkeypatch):
    root = save_digits(tmp_path / "d", per_class=8, side=400)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 60_000)  # an image has more than twice as many
    with pytest.raises(
        ValueError, match=r"24 more than 120000 pixels \(raise max_pixels to allow it\)"
    ):
        import_again(root, name)
    assert not fo.dataset_exists(name)
    with pytest.raises(ValueError, match="max_pixels must be a whole number .* not 0"):
        import_again(root, name, max_pixels=0)
    dataset = import_again(root, name, max_pixels=160_000)
    assert len(import_again(root, name)) == 24
    fg.split(dataset, {"train": 0.7, "val": 0.3})
    run = fg.fine_tune(dataset, "run", watch=2, **{**QUICK, "epochs": 1})
    fg.predict(dataset, run, progress=False)
    assert dataset.count("prediction") == 24
    assert len(fg.find_label_issues(dataset, folds=2, **{**QUICK, "epochs": 1})) == 24
    assert len(fg.export_overlays(dataset, str(tmp_path / "o"), progress=False)) == 25
    one = {**QUICK, "epochs": 1}
    assert fg.preview_augmentation(dataset, path=str(tmp_path / "a.png"), count=1, copies=1, **one)
    assert fg.sanity_check(dataset, images=2, steps=1, progress=False, **one).losses
    assert np.isfinite(fg.compute_embeddings(dataset, run.network("cpu"), progress=False)).all()
    assert fg.explain_sample(dataset.first()).width == 400
    dataset.apply_model(run.as_fiftyone_model("cpu"), label_field="applied")
    assert dataset.count("applied") == 24


@pytest.mark.parametrize("is_legacy", [False, True])
def test_a_moved_folder_is_recognized_when_it_is_imported(
    imported, tmp_path, name, capsys, is_legacy
):
    before = imported.values(FIELDS)
    if is_legacy:
        forget(imported, "mtime", "digest")
    new = tmp_path / "elsewhere" / "renamed"
    new.parent.mkdir()
    (tmp_path / "d").rename(new)
    Image.new("L", (8, 8)).save(new / "digit 1" / "new.png")
    (new / "digit 2" / "003.png").unlink()
    capsys.readouterr()
    dataset = import_again(new, name)
    printed = capsys.readouterr().out
    assert "the files of 11 samples were moved" in printed
    assert "1 image added, 13 in total" in printed
    expected = [list(column) for column in before]
    expected[1] = [path.replace(str(tmp_path / "d"), str(new)) for path in before[1]]
    expected[1][-1] = before[1][-1]  # the file that is gone stays where it was
    assert [column[:12] for column in dataset.values(FIELDS)] == expected
    info = dataset.info["import_folders"]
    assert info["path"] == str(new)
    assert len(info["moved_files"]) == 11
    assert info["removed_files"] == [before[1][-1]]
    assert len(import_again(new, name)) == 13


def test_another_folder_is_not_taken_for_a_moved_one(imported, tmp_path, name):
    shutil.rmtree(tmp_path / "d")
    other = tmp_path / "other"
    for label in "ab":
        (other / label).mkdir(parents=True)
        for number in range(3):
            Image.effect_noise((20, 20), 50).save(other / label / f"00{number}.png")
    before = imported.values(FIELDS)
    with pytest.raises(ValueError, match=r"no longer exists, and 0 of its 12 files are in .*other"):
        import_again(other, name)
    imported.reload()
    assert imported.values(FIELDS) == before
    assert imported.info["import_folders"]["path"] == str(tmp_path / "d")


def test_renamed_files_and_folders_are_recognized(imported, tmp_path, name, capsys):
    root = tmp_path / "d"
    note = dict(zip(*imported.values(["filepath", "note"]), strict=True))
    moved = {root / "digit 0" / f"00{n}.png": root / "zero" / f"00{n}.png" for n in range(4)}
    (root / "digit 0").rename(root / "zero")
    moved[root / "digit 1" / "000.png"] = root / "digit 2" / "other name.png"
    for old, new in list(moved.items())[4:]:
        old.rename(new)
    dataset = import_again(root, name)
    assert len(dataset) == 12
    found = dict(zip(*dataset.values(["filepath", "note"]), strict=True))
    for old, new in moved.items():
        assert found[str(new)] == note[str(old)]
    labels = dict(zip(*dataset.values(["filepath", "ground_truth.label"]), strict=True))
    assert labels[str(root / "zero" / "000.png")] == "digit 0"  # kept, and said
    assert [str(root / "zero" / "000.png"), "digit 0", "zero"] in dataset.info["import_folders"][
        "changed_labels"
    ]
    assert "5 samples were moved" in capsys.readouterr().out


def test_recognizing_by_hand():
    """Equal files by place, then by name, then in order; others by place and size."""
    gone = [Trace("/o/a/1", 5, "x"), Trace("/o/a/2", 5, "x"), Trace("/o/b/3", 5, "x"),
            Trace("/o/b/4", 6, "y"), Trace("/o/b/5", 7, None), Trace("/o/b/6", None, None),
            Trace("/o/b/7", 8, None), Trace("/o/b/8", 9, None)]  # fmt: skip
    found = [Trace("/n/z/9", 5, "x"), Trace("/n/b/2", 5, "x"), Trace("/n/a/1", 5, "x"),
             Trace("/n/b/4", 6, "other"), Trace("/n/b/5", 7, "q"), Trace("/n/b/6", 4, "r"),
             Trace("/n/c/7", 8, "s"), Trace("/n/c/8", 9, "t"), Trace("/n/c/9", 9, "u")]  # fmt: skip
    assert recognize(gone, found, "/o", "/n") == {
        "/o/a/1": "/n/a/1",
        "/o/a/2": "/n/b/2",
        "/o/b/3": "/n/z/9",
        "/o/b/5": "/n/b/5",
        "/o/b/7": "/n/c/7",  # no other file has its size; two have that of /o/b/8
    }
    assert moved_path("/o/a/1", "/o", "/n") == "/n/a/1"
    assert moved_path("/other/1", "/o", "/n") is None
    assert moved_path("/o", "/o", "/n") == "/n"


@pytest.fixture
def predicted(imported, tmp_path):
    """The same, with predictions and heatmaps."""
    fg.split(imported, {"train": 0.5, "val": 0.5})
    run = fg.fine_tune(imported, "run", **{**QUICK, "epochs": 1})
    fg.predict(imported, run, progress=False)
    return imported


def test_relocate_keeps_all_that_samples_have(predicted, tmp_path, capsys):
    dataset, new = predicted, tmp_path / "new place"
    before = dataset.values([*FIELDS, "prediction.logits", "gradcam.map_path"])
    (tmp_path / "d").rename(new)
    (new / "digit 0" / "000.png").unlink()
    Image.new("L", (9, 9)).save(new / "digit 0" / "001.png")
    age(new / "digit 1" / "000.png")  # as if it had been copied
    found = fg.relocate(dataset, str(tmp_path / "d"), str(new), progress=False)
    lost = [str(tmp_path / "d" / "digit 0" / f"00{n}.png") for n in range(2)]
    assert (found.moved, found.missing, found.different) == (10, lost[:1], lost[1:])
    assert f"10 of 12 samples now have files in {new}" in capsys.readouterr().out
    after = dataset.values([*FIELDS, "prediction.logits", "gradcam.map_path"])
    expected = [
        path if path in lost else path.replace(str(tmp_path / "d"), str(new)) for path in before[1]
    ]
    assert after[1] == expected
    assert after[0] == before[0]
    assert after[2:6] == before[2:6]
    assert all(map(np.array_equal, after[6], before[6]))
    assert after[7] == before[7]
    assert dataset.info["import_folders"]["path"] == str(new)
    steps = []
    again = fg.import_folders(str(new), dataset.name, progress=lambda *step: steps.append(step))
    assert len(again) == 13  # and the other file is a sample of its own
    assert steps[-1][1] == 1  # the rest is known to be the same


def test_relocate_refuses_what_would_find_nothing(imported, tmp_path):
    new = tmp_path / "new"
    for wrong, message in {
        (str(tmp_path / "d"), str(new)): "There is no folder",
        (str(tmp_path / "d"), str(tmp_path / "d")): "are the same",
        (str(tmp_path / "gone"), str(tmp_path)): "No sample of .* has its file in .*gone.*; the fi",
        (str(tmp_path / "d"), str(tmp_path)): "None of the 12 files of .*000.png does not exist",
    }.items():
        with pytest.raises((ValueError, NotADirectoryError), match=message):
            fg.relocate(imported, *wrong, progress=False)
    shutil.copytree(tmp_path / "d", new)
    for path in new.glob("*/*.png"):
        path.write_bytes(path.read_bytes()[:-1] + b"x")  # the same size, another content
    with pytest.raises(ValueError, match=r"None of the 12 .*new.*/000\.png is another file"):
        fg.relocate(imported, str(tmp_path / "d"), str(new), progress=False)
    before = imported.values("filepath")

    def cancel(done, total, message):
        raise fg.CancelledError

    shutil.rmtree(new)
    shutil.copytree(tmp_path / "d", new)
    with pytest.raises(fg.CancelledError):
        fg.relocate(imported, str(tmp_path / "d"), str(new), progress=cancel)
    imported.reload()
    assert imported.values("filepath") == before
    assert imported.info["import_folders"]["path"] == str(tmp_path / "d")


def test_relocate_by_size_where_content_is_not_known_and_of_views(imported, tmp_path):
    forget(imported, "mtime", "digest")
    new = tmp_path / "new"
    (tmp_path / "d").rename(new)
    path = new / "digit 0" / "002.png"
    path.write_bytes(path.read_bytes() + b"x")
    part = imported.match(F("ground_truth.label") == "digit 0")
    found = fg.relocate(part, str(tmp_path / "d"), str(new), progress=False)
    assert (found.moved, len(found.different)) == (3, 1)
    assert sum(map(os.path.exists, imported.values("filepath"))) == 3
    found = fg.relocate(imported, str(tmp_path / "d"), str(new), progress=False)
    assert found.moved == 8
    other = fo.Sample(str(tmp_path / "d" / "digit 0" / "000.png"))  # without any facts
    imported.add_sample(other)
    with pytest.raises(ValueError, match="is another file"):  # it is a sample already
        fg.relocate(imported, str(tmp_path / "d"), str(new), progress=False)
    imported.delete_samples(imported.match(F("filepath").ends_with("digit 0/000.png")).limit(1))
    assert fg.relocate(imported, str(tmp_path / "d"), str(new), progress=False).moved == 1


def test_the_form_and_the_command_line_relocate(imported, tmp_path, capsys):
    old, new = str(tmp_path / "d"), str(tmp_path / "new")
    assert form("relocate", imported)["old"]["type"].get("default") is None
    os.rename(old, new)
    (tmp_path / "new" / "digit 0" / "000.png").unlink()
    fields = form("relocate", imported)
    assert fields["old"]["default"] == old
    assert "12 files are" not in str(fields)
    shown = form("relocate", imported, old=old, new=new)
    assert shown["found"]["view"]["label"] == "11 of 12 files are in this folder"
    other = tmp_path / "new" / "digit 0" / "001.png"
    content = other.read_bytes()
    other.write_bytes(content + b"x")  # of another size
    shown = form("relocate", imported, old=old, new=new)
    assert shown["found"]["view"]["label"] == "10 of 12 files are in this folder"
    other.write_bytes(content)
    refused = form("relocate", imported, old=old, new=str(tmp_path))
    assert refused["none"]["error_message"] == "None of 12 files is in this folder"
    assert "There is no folder" in form("relocate", imported, old=old, new="/gone")[
        "not_there"
    ]["error_message"]  # fmt: skip
    execute("relocate", imported, old=old, new=new)
    imported.reload()
    assert sum(path.startswith(new) for path in imported.values("filepath")) == 11
    os.rename(new, old)
    assert main(["relocate", imported.name, new, old]) == 0
    assert "11 of 11 samples now have files" in capsys.readouterr().out
    assert main(["relocate", "no such dataset", new, old]) == 1
    assert "There is no dataset 'no such dataset'" in capsys.readouterr().err
    assert main(["relocate", imported.name, new, old]) == 1
    assert "No sample of" in capsys.readouterr().err


def test_every_verb_says_so_when_all_files_are_gone(predicted, tmp_path):
    dataset = predicted
    (tmp_path / "d").rename(tmp_path / "away")
    said = r"None of \d+ files can be read; the first is .*/digit \d/00\d\.png \(file not found\)"
    choices = {**QUICK, "epochs": 1}
    calls = {
        "predict": lambda: fg.predict(dataset, "run", progress=False),
        "fine_tune": lambda: fg.fine_tune(dataset, "second", **choices),
        "leaks": lambda: fg.find_leaks(dataset, weights="none", progress=False),
        "folders": lambda: fg.export_folders(dataset, str(tmp_path / "out")),
        "overlays": lambda: fg.export_overlays(dataset, str(tmp_path / "o"), progress=False),
        "quality": lambda: fg.explanation_quality(dataset, "run", steps=2, progress=False),
        "augmentation": lambda: fg.preview_augmentation(dataset),
        "sanity": lambda: fg.sanity_check(dataset, **choices, progress=False),
        "rate": lambda: fg.find_learning_rate(dataset, **choices, progress=False),
    }
    for verb, call in calls.items():
        with pytest.raises((ValueError, FileNotFoundError), match=said) as caught:
            call()
        assert "relocate(dataset, old, new)" in str(caught.value), verb
    assert dataset.count("prediction") == 12
    assert not dataset.has_run("second")
    fg.relocate(dataset, str(tmp_path / "d"), str(tmp_path / "away"), progress=False)
    assert len(fg.predict(dataset, "run", progress=False)) == 12


def test_relocate_leaves_no_path_of_the_old_folder(tmp_path, name):
    old, new = tmp_path / "old place", tmp_path / "new place"
    save_digits(old, per_class=2)
    shutil.copy(old / "digit 0" / "000.png", old / "digit 1" / "equal.png")
    (old / "digit 2" / "broken.png").write_bytes(b"no image")
    dataset = fg.import_folders(str(old), name, progress=False)

    def written() -> str:  # but for the samples
        report = Path(dataset.info["import_folders"]["report"]).read_text(encoding="utf-8")
        return f"{report}{dataset.info}"

    before = written()
    assert before.count(str(old)) > 6
    old.rename(new)
    fg.relocate(dataset, str(old), str(new), progress=False)
    assert written() == before.replace(str(old), str(new))
