"""What is kept of an import, which folder a dataset is of, and facts about files, by hand."""

import csv
import os

import fiftyone as fo
import pytest

from fiftyone_gradcam.dataset import exported, files
from fiftyone_gradcam.dataset.import_record import (
    INFO_KEY,
    Imported,
    decode_options,
    record,
    record_moved,
)
from fiftyone_gradcam.dataset.importing import check_target, earlier_choices, is_moved
from fiftyone_gradcam.dataset.known_files import (
    Known,
    known_files,
    restore_files,
    write_files,
    write_paths,
)
from fiftyone_gradcam.folders.layout import Layout
from fiftyone_gradcam.folders.plan import Item, Plan
from fiftyone_gradcam.folders.verify import Facts
from fiftyone_gradcam.images.decode import DecodeOptions


@pytest.fixture
def dataset(name, tmp_path) -> fo.Dataset:
    """Two samples with files, imported from a folder."""
    dataset = fo.Dataset(name)
    for place in range(2):
        (tmp_path / f"{place}.png").write_bytes(b"sample")
        sample = fo.Sample(filepath=str(tmp_path / f"{place}.png"), tags=["mine"])
        sample["own"] = fo.Classification(label="ab"[place])
        dataset.add_sample(sample)
    dataset.info[INFO_KEY] = {"path": str(tmp_path), "label_field": "own"}
    dataset.save()
    yield dataset
    home = files.dataset_folder(dataset)
    files.remove_files(files.files_below(home), home)


def test_a_record_has_all_remarks_and_its_report_a_row_for_each(dataset, tmp_path):
    root = str(tmp_path)
    result = Imported(dataset)
    plan = Plan(root, Layout("folder"), items=[Item("/x", "a", None, 1), Item("/y", "b", "val", 1)])
    plan.passed_over.update({"text": 2})
    record(plan, result, "own")
    own = dataset.info[INFO_KEY]
    assert (own["report"], own["has_splits"], own["whole"]) == (None, True, True)
    assert (own["folder"], own["passed_over"]) == (tmp_path.name, {"text": 2})
    assert "replaces" not in own
    assert "report" in own
    assert (own["keep_truncated"], own["max_pixels"]) == (False, None)
    result.skipped = [("/s", "empty file"), ("/t", "not an image"), ("/u", "empty file")]
    result.notes = [("/n", "16 bits"), ("/m", "16 bits")]
    result.changed = [(f"{root}/0.png", "a", None)]
    result.removed, result.refreshed = ["/r"], ["/f"]
    result.moved, result.broken = [("/old", f"{root}/1.png")], [("/b", "broken")]
    labels = {"/1": "a", "/2": "a", "/3": None, "/4": "a", "/5": "b", "/6": None}
    groups = [["/1", "/2", "/3"], ["/4", "/5", "/6"]]
    result.find_equal(groups, labels)
    assert (result.duplicates, result.contradictions) == (groups, groups[1:])
    assert list(result.reasons().items()) == [("empty file", 2), ("not an image", 1)]
    own |= {"replaces": "other", "keep_truncated": True, "max_pixels": 5}
    plan.items.pop()
    record(plan, result, "own")
    own = dataset.info[INFO_KEY]
    assert (own["replaces"], own["has_splits"]) == ("other", False)
    assert decode_options(dataset) == DecodeOptions(True, 5)
    assert own["notes"] == {"16 bits": 2}
    assert own["skipped"] == {"empty file": 2, "not an image": 1}
    assert own["moved_files"] == [["/old", f"{root}/1.png"]]
    with open(own["report"], newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header == ["path", "what", "details"]
    assert rows == [
        ["/s", "left out", "empty file"],
        ["/t", "left out", "not an image"],
        ["/u", "left out", "empty file"],
        ["/n", "note", "16 bits"],
        ["/m", "note", "16 bits"],
        ["/2", "equal to", "/1"],
        ["/3", "equal to", "/1"],
        ["/5", "equal to", "/4"],
        ["/6", "equal to", "/4"],
        ["/4", "equal to one of another class", ""],
        ["/5", "equal to one of another class", ""],
        ["/6", "equal to one of another class", ""],
        [f"{root}/0.png", "label differs", "a in the dataset, None in the folder"],
        ["/r", "file is missing", ""],
        [f"{root}/1.png", "file was moved", "from /old"],
        ["/f", "file has changed", ""],
        ["/b", "file can no longer be decoded", "broken"],
    ]
    # Both follow a folder that was moved; the report stays where it is.
    report, size = own["report"], own["max_pixels"]
    record_moved(dataset, root, "/new")
    own = dataset.info[INFO_KEY]
    assert (own["path"], own["report"], own["max_pixels"]) == ("/new", report, size)
    assert own["changed_labels"] == [["/new/0.png", "a", None]]
    with open(report, newline="", encoding="utf-8") as file:
        moved = list(csv.reader(file))
    assert moved == [[x.replace(root, "/new") for x in row] for row in [header, *rows]]
    record_moved(dataset, os.path.dirname(report), "/other")
    assert dataset.info[INFO_KEY]["report"] == report
    # Without remarks there is no report.
    record(plan, Imported(dataset), "own")
    assert (dataset.info[INFO_KEY]["report"], os.path.exists(report)) == (None, False)
    record_moved(dataset, root, "/new")
    del dataset.info[INFO_KEY]
    record_moved(dataset, "/new", root)
    assert INFO_KEY not in dataset.info


def test_a_dataset_is_imported_into_again_from_its_folder_alone(dataset, tmp_path, name):
    root = str(tmp_path)
    check_target(name, root, "own", False)
    check_target(f"{name} new", "/other", "label", False)
    check_target(name, "/other", "label", True)
    message = f"^Dataset {name!r} exists already, and is %s. Pass another name, or overwrite=True"
    with pytest.raises(ValueError, match=message % f"imported from {root!r}"):
        check_target(name, "/other", "own", False)
    with pytest.raises(
        ValueError,
        match=f"^Dataset {name!r} keeps the folders' classes in 'own', not in 'label'. Pass the "
        f"same label_field, or another name$",
    ):
        check_target(name, root, "label", False)
    dataset.info[INFO_KEY]["path"] = f"{root}/gone"
    dataset.save()
    check_target(name, "/other", "own", False)  # it may have been moved there
    dataset.info.clear()
    dataset.save()
    with pytest.raises(ValueError, match=message % r"not made by import_folders"):
        check_target(name, root, "own", False)
    dataset.delete_samples(dataset.values("id"))
    check_target(name, root, "own", False)  # left by an import that was killed at its start
    for field, words in (
        ("_own", "'_own' is not a valid field name. Use letters, digits and _"),
        ("a b", "'a b' is not a valid field name. Use letters, digits and _"),
        ("metadata", "'metadata' is a field that each sample has. Choose another name"),
        ("imported_label", "'imported_label' is a field that each sample has. Choose another name"),
        ("filepath", "'filepath' is a field that each sample has. Choose another name"),
    ):
        with pytest.raises(ValueError, match=f"^{words}$"):
            check_target(name, root, field, False)


def test_choices_of_an_earlier_import_follow_a_folder_that_was_moved(dataset, tmp_path, name):
    root, gone = str(tmp_path), str(tmp_path / "gone")
    assert earlier_choices(name, root) == earlier_choices(f"{name} x", root) == {}
    choices = {"skip": f"{gone}/x", "class_names": f"{gone}/names.txt"}
    choices["table"] = [f"{gone}/a.csv", "/other/b.csv", gone]
    dataset.info[INFO_KEY]["choices"] = choices
    dataset.save()
    assert earlier_choices(name, root) == choices
    assert earlier_choices(name, gone) == {}  # it is another folder
    dataset.info[INFO_KEY]["path"] = gone
    dataset.save()
    moved = {"class_names": "/new/names.txt", "table": ["/new/a.csv", "/other/b.csv", "/new"]}
    assert earlier_choices(name, "/new") == choices | moved
    dataset.info[INFO_KEY]["choices"] = {"skip": "x", "table": None}
    dataset.save()
    assert earlier_choices(name, "/new") == {"skip": "x", "table": None}
    assert [is_moved(x) for x in ({}, {"path": ""}, {"path": root}, {"path": gone})] == [
        False,
        False,
        False,
        True,
    ]


def test_facts_about_files_are_stored_and_restored(dataset, tmp_path):
    before = known_files(dataset, "own")
    paths = [str(tmp_path / f"{place}.png") for place in range(2)]
    assert [(x.path, x.label, x.size) for x in before.values()] == [
        (paths[0], "a", None),
        (paths[1], "b", None),
    ]
    assert [x.label for x in known_files(dataset[:1]).values()] == [None]
    assert all(one.has_changed() for one in before.values())  # it was never read
    ids = dataset.values("id")
    stat = os.stat(paths[0])
    facts = Facts(4, 3, 1, stat.st_size, stat.st_mtime_ns, "image/png", "d", is_truncated=True)
    undo = write_files(dataset, [(ids[0], paths[0], facts)])
    assert write_files(dataset, []) == []
    one = known_files(dataset)[paths[0]]
    assert one == Known(ids[0], paths[0], None, 6, stat.st_mtime_ns, "d", 4, 3, 1)
    assert not one.has_changed()
    assert one._replace(size=5).has_changed()
    assert one._replace(mtime=5).has_changed()
    assert not one._replace(size=5, path="/gone.png").has_changed()
    assert dataset.first().tags == ["mine", "truncated"]
    write_files(dataset, [(ids[0], "/x.png", Facts(4, 3, 1, 6, 7, None, "d"))])
    assert (dataset.first().tags, dataset.first().filepath) == (["mine"], "/x.png")
    changed = dataset.first().last_modified_at
    restore_files(dataset, undo)
    assert known_files(dataset, "own") == before
    assert dataset.first().tags == ["mine"]
    # A file that was moved is known to be the same, if its content is known.
    write_files(dataset, [(ids[0], paths[0], Facts(4, 3, 1, 6, 7, None, "d"))])
    known = known_files(dataset)
    moves = [(known[paths[0]], paths[1]), (known[paths[1]], "/gone.png")]
    write_paths(dataset, moves)
    found = known_files(dataset)
    assert found[paths[1]].mtime == os.stat(paths[1]).st_mtime_ns
    assert found["/gone.png"].mtime is None
    write_paths(dataset, [(found[paths[1]], "/lost.png")])
    assert known_files(dataset)["/lost.png"].mtime == found[paths[1]].mtime
    assert dataset.first().last_modified_at > changed


def test_a_folder_is_replaced_only_if_it_holds_an_exported_run_alone(tmp_path):
    home = tmp_path / "run"
    home.mkdir()
    exported.check_replaceable(str(home))
    for text, name in (("{}", "run.json"), ('{"format": "other"}', "run.json")):
        (home / "run.json").write_text(text)
        message = (
            f"^The folder {str(home)!r} holds {name!r}, which is not part of an exported run. Pass "
            f"another folder$"
        )
        with pytest.raises(FileExistsError, match=message):
            exported.check_replaceable(str(home))
    (home / "run.json").write_text('{"format": "fiftyone-gradcam run"}')
    for name in ("weights.pt", "curves.png", "watch.npz", "watch.png"):
        (home / name).touch()
    exported.check_replaceable(str(home))
    (home / "notes.txt").touch()
    with pytest.raises(FileExistsError, match="holds 'notes.txt', which is not"):
        exported.check_replaceable(str(home))


def test_a_folder_takes_the_place_of_another_if_all_goes_well(tmp_path):
    target, part = tmp_path / "run", tmp_path / ".run.01234567.part"

    def make(folder, text: str) -> None:
        folder.mkdir()
        (folder / "x").write_text(text)

    make(part, "first")
    with pytest.raises(KeyError), exported.in_place(str(part), str(target)):
        raise KeyError
    assert os.listdir(tmp_path) == []
    for text in ("first", "second"):
        make(part, text)
        with exported.in_place(str(part), str(target)):
            assert (part.exists(), (target / "x").read_text()) == (False, text)
        assert (os.listdir(tmp_path), (target / "x").read_text()) == (["run"], text)
    make(part, "third")
    with pytest.raises(KeyError), exported.in_place(str(part), str(target)):
        raise KeyError
    assert (os.listdir(tmp_path), (target / "x").read_text()) == (["run"], "second")
    # One that a killed export moved away comes back, unless another took its place.
    old = tmp_path / ".run.01234567.part.89abcdef.old"
    other = tmp_path / ".runs.01234567.part"
    for is_back in (False, True):
        make(part, "part")
        make(old, "old")
        other.mkdir(exist_ok=True)
        if is_back:
            (target / "x").unlink()
            target.rmdir()
        exported.clear_up(str(target))
        assert sorted(os.listdir(tmp_path)) == [other.name, "run"]
        assert (target / "x").read_text() == ("old" if is_back else "second")
    exported.clear_up(str(tmp_path / "gone" / "run"))
