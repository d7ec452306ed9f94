"""The way back from corrected labels to folders."""

import csv
import errno
import os

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from conftest import save_digits
from PIL import Image

import fiftyone_gradcam as fg
from fiftyone_gradcam.workflow.exporting_folders import _counts, folder_counts, written_words


@pytest.fixture
def corrected(tmp_path, name):
    """Split digits, one of which was moved to another class, and one to none."""
    dataset = fg.import_folders(str(save_digits(tmp_path / "d", per_class=5)), name, progress=False)
    fg.split(dataset)
    first, last = dataset.first(), dataset.last()
    first.ground_truth.label = "digit 2"
    first.save()
    last.ground_truth = None
    last.save()
    return dataset


def contents(dataset) -> list[tuple]:
    """Label, split and pixels of each sample, in an order of their own."""
    rows = zip(*dataset.values(["ground_truth.label", "tags", "filepath"]), strict=True)
    return sorted((a or "", b[0] if b else "", Image.open(c).tobytes()) for a, b, c in rows)


@pytest.mark.parametrize("how", ["copy", "link"])
def test_what_is_exported_is_imported_again(corrected, tmp_path, name, how):
    folder = fg.export_folders(corrected, str(tmp_path / "out"), how=how, progress=False)
    plan = fg.plan_import(folder)
    assert plan.layout.split_from == "outer folder"
    again = fg.import_folders(folder, f"{name} again", progress=False)
    try:
        assert contents(again) == contents(corrected)
    finally:
        again.delete()
    assert all(map(os.path.exists, corrected.values("filepath")))
    files = [os.path.join(a, name) for a, _, names in os.walk(folder) for name in names]
    assert all(os.path.islink(path) == (how == "link") for path in files)
    # Of digit 2 two are called 000.png now.
    first = corrected.first()
    split = next(iter(first.tags))
    two = os.path.join(folder, split, "digit 2")
    same = corrected.match_tags(split).match(
        fo.ViewField("ground_truth.label") == "digit 2"
    ).values("filepath")  # fmt: skip
    numbered = sum(os.path.basename(path) == "000.png" for path in same) == 2
    assert os.path.exists(os.path.join(two, "000_2.png")) == numbered


def test_what_was_excluded_is_left_out(corrected, tmp_path, capsys):
    out = corrected.skip(3).limit(2).values("filepath")
    fg.review(corrected.skip(3).limit(1), "exclude")
    fg.review(corrected.skip(4).limit(1), "unclear")

    def exported(**options) -> set[str]:
        folder = str(tmp_path / f"out{len(options)}")
        written = fg.export_folders(corrected, folder, how="list", progress=False, **options)
        with open(os.path.join(written, "moves.csv"), newline="", encoding="utf-8") as file:
            return {row["from"] for row in csv.DictReader(file)}

    everything = set(corrected.values("filepath"))
    assert exported() == everything - set(out)
    assert "Left out by reviews: 1 excluded, 1 unclear" in capsys.readouterr().out
    assert exported(include_excluded=True) == everything
    assert sum(folder_counts(corrected, "ground_truth").values()) == 13
    assert sum(folder_counts(corrected, "ground_truth", None, True).values()) == 15


def test_names_that_no_folder_can_have(corrected, tmp_path):
    labels = ["../up", "cat/siamese", 'a<b>"c|d?', ".hidden", "/", "é"]
    view = corrected.limit(len(labels))
    view.set_values("ground_truth.label", labels)
    folder = fg.export_folders(view, str(tmp_path / "out"), split_folders=False, progress=False)
    found = {os.path.relpath(home, folder) for home, _, names in os.walk(folder) for _ in names}
    assert found == {"__/up", "cat/siamese", "a_b__c_d_", "_hidden", "_", "é"}
    assert sorted(os.listdir(tmp_path)) == ["d", "out"]


def test_splits_that_lead_out_of_the_folder(corrected, tmp_path):
    """They are refused by split, but another program may have left them in the dataset."""
    with pytest.raises(ValueError, match=r"A split cannot be called '../../x'"):
        fg.split(corrected, {"../../x": 0.5, "train": 0.5})
    assert set(corrected.count_sample_tags()) == {"train", "val", "test"}
    tags = ["../../x", "/abs", "..", "a/../../b", "C:"]
    corrected.info["splits"] = {"fractions": dict.fromkeys(tags, 0.2)}
    corrected.save()
    corrected.set_values("tags", [[tags[i % 5]] for i in range(15)])
    for how in ("copy", "link"):
        folder = fg.export_folders(corrected, str(tmp_path / how), how=how, progress=False)
        assert sorted(os.listdir(folder)) == ["C_", "_._.._x", "__", "_abs", "a_.._.._b"]
    fg.export_folders(corrected, str(tmp_path / "list"), how="list")
    with open(tmp_path / "list" / "moves.csv", newline="", encoding="utf-8") as file:
        targets = [os.path.normpath(row["to"]) for row in csv.DictReader(file)]
    assert all(path.startswith(str(tmp_path / "list") + os.sep) for path in targets)
    assert sorted(os.listdir(tmp_path)) == ["copy", "d", "link", "list"]


def test_classes_that_a_file_system_takes_for_one_keep_apart(corrected, tmp_path, capsys):
    view = corrected.limit(8)
    labels = ["Cat", "cat", "a?", "a*", "_unlabeled", "é", "e\u0301", "cat/x"]
    view.set_values("ground_truth.label", labels)
    last = corrected.skip(8).limit(1)
    last.set_values("ground_truth", [None])
    both = corrected.limit(9)
    folder = fg.export_folders(both, str(tmp_path / "out"), split_folders=False, progress=False)
    found = {os.path.relpath(home, folder) for home, _, names in os.walk(folder) for _ in names}
    assert found == {
        "Cat", "cat_2", "a_", "a__2", "_unlabeled", "_unlabeled_2", "é", "e\u0301_2", "cat_2/x",
    }  # fmt: skip
    assert "'cat' as 'cat_2'" in capsys.readouterr().out
    # The class that is called so has a folder of its own; in the usual one is what has no label.
    named, unlabeled = (os.path.basename(path) for path in both.values("filepath")[4::4])
    assert os.listdir(os.path.join(folder, "_unlabeled")) == [unlabeled]
    assert os.listdir(os.path.join(folder, "_unlabeled_2")) == [named]


def test_folders_are_counted_in_the_order_of_splits():
    labels, own = (
        ["b", "a", "a", "a", "cat", "cat/", None],
        ["x", "val", "train", None, *["test"] * 3],
    )
    assert list(_counts(labels, own).items()) == [
        ("train/a", 1), ("val/a", 1), ("test/_unlabeled", 1), ("test/cat", 2), ("a", 1), ("x/b", 1),
    ]  # fmt: skip
    counts = {"train/a": 2, "val/a": 1}
    assert written_words(counts) == "3 images in train/a, val/a"
    assert written_words(counts, 3) == "3 images in train/a, val/a"
    assert written_words(counts, 4) == "3 of 4 images in train/a, val/a"
    assert written_words({"a": 1}) == "1 image in a"


def test_each_file_is_reported_and_only_splits_have_folders(corrected, tmp_path, capsys):
    corrected.set_values("tags", [["mine", *tags] for tags in corrected.values("tags")])
    few, steps = corrected.limit(3), []
    label = 127 * "ü" + "x"  # as long as a name can be
    few.set_values("ground_truth.label", [label] * 3)
    split = [next(x for x in tags if x != "mine") for tags in few.values("tags")]
    capsys.readouterr()
    counts = folder_counts(few, "ground_truth")
    assert counts == {
        f"{x}/{label}": split.count(x) for x in ("train", "val", "test") if x in split
    }
    assert folder_counts(few, "ground_truth", False) == {label: 3}
    fg.review(few.limit(1), "exclude")
    assert sum(folder_counts(few, "ground_truth").values()) == 2
    assert capsys.readouterr().out == ""
    fg.undo_review(corrected)
    options = {"progress": lambda *step: steps.append(step)}
    folder = fg.export_folders(few, str(tmp_path / "out"), **options)
    assert capsys.readouterr().out == f"Wrote to {folder}: {written_words(counts)}\n"
    assert steps[-3:] == [(n, 3, f"{n} of 3") for n in (1, 2, 3)]


def test_a_list_of_moves(corrected, tmp_path, capsys):
    folder = fg.export_folders(corrected, str(tmp_path / "out"), how="list")
    path = os.path.join(folder, "moves.csv")
    assert capsys.readouterr().out.endswith(f"Wrote {path}: where 15 images would go\n")
    assert os.listdir(folder) == ["moves.csv"]
    with open(os.path.join(folder, "moves.csv"), newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["from"] for row in rows] == corrected.values("filepath")
    assert rows[0]["label"] == "digit 2"
    split = corrected.first().tags[0]
    assert rows[0]["to"].startswith(os.path.join(folder, split, "digit 2", "000"))
    assert len({row["to"] for row in rows}) == 15
    assert [row["split"] for row in rows] == [tags[0] for tags in corrected.values("tags")]
    assert rows[-1]["label"] == ""


@pytest.mark.parametrize("how", ["copy", "link"])
def test_of_a_file_that_cannot_be_written_nothing_stays(corrected, tmp_path, monkeypatch, how):
    def fail(source, target):  # once the file has been begun
        assert os.path.lexists(source)
        raise OSError(errno.ENOSPC, "No space left on device", target)

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="The disk is full: .*out"):
        fg.export_folders(corrected, str(tmp_path / "out"), how=how, progress=False)
    assert [names for _, _, names in os.walk(tmp_path / "out") if names] == []


def test_nothing_is_lost_or_half_done(corrected, tmp_path, capsys):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious").touch()
    with pytest.raises(FileExistsError, match="is not empty"):
        fg.export_folders(corrected, str(tmp_path / "full"))
    with pytest.raises(ValueError, match="how must be one of 'copy', 'link', 'list', not 'move'"):
        fg.export_folders(corrected, str(tmp_path / "out"), how="move")
    with pytest.raises(ValueError, match="not a classification field"):
        fg.export_folders(corrected, str(tmp_path / "out"), label_field="x")
    sample = corrected.first()
    kept = sample.ground_truth.label
    sample.ground_truth.label = "ü" * 128  # 256 bytes
    sample.save()
    with pytest.raises(ValueError, match="ü…' is too long for .* 255 bytes. Rename it"):
        fg.export_folders(corrected, str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    sample.ground_truth.label = 'it\'s "x"'
    sample.save()
    folder = fg.export_folders(corrected, str(tmp_path / "named"))
    assert "changed: 'it\\'s \"x\"' as \"it's _x_\"" in capsys.readouterr().out
    assert os.path.isdir(os.path.join(folder, sample.tags[0], "it's _x_"))
    sample.ground_truth.label = kept
    sample.save()
    os.unlink(corrected.last().filepath)
    with pytest.raises(FileNotFoundError, match="The files of 1 sample do not exist"):
        fg.export_folders(corrected, str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match="no samples"):
        fg.export_folders(corrected.limit(0), str(tmp_path / "out"))


def test_no_image_is_written_among_those_of_the_dataset(corrected, tmp_path):
    """A corrected image would be in the folders of two classes when it is imported again."""
    own = tmp_path / "d"
    (tmp_path / "link").symlink_to(own, target_is_directory=True)
    before = sorted(own.rglob("*"))
    wrong = [own, tmp_path / "link", own / "digit 0", tmp_path, own / ".." / "d"]
    for folder in wrong:
        with pytest.raises(ValueError, match="holds images of .* Choose another folder"):
            fg.export_folders(corrected, str(folder), overwrite=True)
        assert "not_apart" in shown(corrected, str(folder), overwrite=True)
    # All images of the dataset count, not only those that are exported.
    with pytest.raises(ValueError, match="such as those in .*digit 2"):
        fg.export_folders(corrected.limit(1), str(own / "digit 2"), overwrite=True)
    assert sorted(own.rglob("*")) == before
    for folder in (own / "new", tmp_path / "d2", own / "digit"):  # beside them
        assert "not_apart" not in shown(corrected, str(folder))
        assert fg.export_folders(corrected, str(folder), progress=False) == str(folder)
    # A list of moves writes no image, and may be among them.
    assert "not_apart" not in shown(corrected, str(own), how="list", overwrite=True)
    assert fg.export_folders(corrected, str(own), how="list", overwrite=True) == str(own)
    assert (own / "moves.csv").exists()


def shown(dataset, folder: str, **more) -> list[str]:
    """The names of the fields and notices of the form."""
    request = {"dataset_name": dataset.name, "params": {"folder": folder, **more}}
    uri = "@gradcam/classifier/export_folders"
    ctx = foo.executor.ExecutionContext(request_params=request, operator_uri=uri)
    return list(foo.get_operator(uri).resolve_input(ctx).type.properties)
