"""Files that are away for a moment take no results with them."""

import os
import shutil

import fiftyone as fo
import pytest
from interrupting import loose_files, values_of
from made_runs import make_run, some_digits

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset.fields import field_info
from fiftyone_gradcam.dataset.spool import spools
from fiftyone_gradcam.images.decode import ImageError, decode
from fiftyone_gradcam.images.unreachable import is_unreachable, unreachable_files
from fiftyone_gradcam.workflow import predicting

FIELDS = ["prediction", "prediction_scores", "gradcam"]
QUIET = {"progress": False, "device": "cpu"}


@pytest.fixture
def dataset(request, tmp_path, one_thread):
    per_class = getattr(request, "param", 4)
    made = some_digits(tmp_path / "digits", f"away {tmp_path.name}", per_class=per_class)
    dataset = next(made)
    make_run(dataset, "first", seed=0, files=False)
    make_run(dataset, "second", seed=3, files=False)
    yield dataset
    next(made, None)


@pytest.fixture
def gone(dataset, tmp_path):
    """Ids of the images whose folder gets another name when this is called."""

    def move() -> list[str]:
        os.rename(tmp_path / "digits" / "digit 1", tmp_path / "elsewhere")
        rows = zip(*dataset.values(["id", "filepath"]), strict=True)
        return [sample_id for sample_id, path in rows if f"{os.sep}digit 1{os.sep}" in path]

    return move


def test_why_a_file_cannot_be_used(tmp_path):
    broken, folder = tmp_path / "broken.png", tmp_path / "folder"
    broken.write_bytes(b"not at all")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "link.png").symlink_to(tmp_path / "nowhere")
    folder.mkdir()
    found = {}
    for name in ("broken.png", "empty.png", "link.png", "missing.png", "folder"):
        with pytest.raises(ImageError) as caught:
            decode(str(tmp_path / name))
        found[name] = is_unreachable(caught.value)
    assert found == {
        "broken.png": False, "empty.png": False, "link.png": True, "missing.png": True,
        "folder": True,
    }  # fmt: skip
    paths = [str(tmp_path / name) for name in ("broken.png", "missing.png", "link.png")]
    assert unreachable_files(paths) == [1, 2]


def test_predictions_of_images_that_are_away_stay(dataset, gone, capsys):
    fg.predict(dataset, "first", resume=True, **QUIET)
    assert "already have values" not in capsys.readouterr().out  # there was nothing to resume
    before = values_of(dataset, FIELDS)
    ids = gone()
    assert len(ids) == 4
    for resume in (False, True):
        capsys.readouterr()
        found = fg.predict(dataset, "first", resume=resume, **QUIET)
        assert len(found) == 12
        assert values_of(dataset, FIELDS) == before
    fg.predict(dataset, "first", **QUIET)
    printed = capsys.readouterr().out
    assert "4 images whose files cannot be read now keep their earlier predictions" in printed
    assert "4 files not found" in printed
    fg.predict(dataset.select([*dataset.exclude(ids).values("id"), ids[0]]), "first", **QUIET)
    words = "1 image whose file cannot be read now keeps its earlier prediction by this classifier"
    assert f"{words} in 'prediction'" in capsys.readouterr().out
    assert loose_files(dataset) == set()
    # A file that is there and holds no image any more has no prediction.
    victim = dataset.exclude(ids).first()
    with open(victim.filepath, "wb") as file:
        file.write(b"broken")
    assert len(fg.predict(dataset, "first", **QUIET)) == 11
    assert dataset.select(victim.id).values("gradcam") == [None]


def test_another_run_asks_before_it_takes_their_place(dataset, gone):
    fg.predict(dataset, "first", **QUIET)
    before = values_of(dataset, FIELDS)
    ids = gone()
    message = r"'first' for 4 samples that are not among these, or whose files .* now \(4\)"
    steps = []
    options = {**QUIET, "progress": lambda *report: steps.append(report)}
    for resume in (False, True):
        with pytest.raises(ValueError, match=message):
            fg.predict(dataset, "second", resume=resume, **options)
    assert steps == []  # before any image is read
    assert values_of(dataset, FIELDS) == before
    assert len(fg.predict(dataset, "second", overwrite=True, **QUIET)) == 8
    assert field_info(dataset, "prediction")["run"] == "second"
    assert dataset.select(ids).values("prediction") == [None] * 4
    assert loose_files(dataset) == set()


def test_files_that_go_during_a_pass_leave_the_new_values_waiting(dataset, gone, monkeypatch):
    fg.predict(dataset, "first", **QUIET)
    before, where = values_of(dataset, FIELDS), dataset.values("filepath")
    ids = gone()
    with monkeypatch.context() as patch:  # they were there when it began
        patch.setattr(predicting, "unreachable_files", lambda paths: [])
        with pytest.raises(ValueError, match=r"whose files cannot be read now \(4\)"):
            fg.predict(dataset, "second", **QUIET)
    assert values_of(dataset, FIELDS) == before
    (waiting,) = spools(dataset)
    assert {i for i, _ in waiting.rows()} == set(dataset.values("id")) - set(ids)
    folder = os.path.dirname(next(path for path in where if not os.path.exists(path)))
    os.rename(os.path.join(os.path.dirname(os.path.dirname(folder)), "elsewhere"), folder)
    steps = []
    options = {**QUIET, "progress": lambda *report: steps.append(report)}
    assert len(fg.predict(dataset, "second", resume=True, **options)) == 12
    assert steps[-1][:2] == (4, 4)
    assert spools(dataset) == []
    assert field_info(dataset, "prediction")["run"] == "second"


@pytest.mark.parametrize("dataset", [6], indirect=True)
def test_label_qualities_of_images_that_are_away_stay(dataset, gone, capsys):
    options = {"backbone": "small_cnn", "weights": "none", "folds": 2, "epochs": 1, "seed": 0}
    fg.find_label_issues(dataset, image_size=16, **options, **QUIET)
    ids = gone()
    before = values_of(dataset, ["label_quality"])["label_quality"]
    rows = dict(zip(dataset.values("id"), before, strict=True))
    kept = {i: rows[i] for i in ids}
    corrupt = dataset.exclude(ids).first()
    with open(corrupt.filepath, "wb") as file:
        file.write(b"broken")
    capsys.readouterr()
    found = fg.find_label_issues(dataset, image_size=16, **options, **QUIET)
    assert "6 images whose files cannot be read now keep their earlier" in capsys.readouterr().out
    after = values_of(dataset, ["label_quality"])["label_quality"]
    now = dict(zip(dataset.values("id"), after, strict=True))
    assert {i: now[i] for i in ids} == kept
    assert now[corrupt.id] is None
    assert len(found) == 17  # of 18, all but the broken one


def test_twins_of_images_that_are_away_stay(dataset, gone, capsys):
    ids = dataset.values("id")
    paths = dict(zip(ids, dataset.values("filepath"), strict=True))
    ones = [i for i in ids if f"{os.sep}digit 1{os.sep}" in paths[i]]
    twos = [i for i in ids if f"{os.sep}digit 2{os.sep}" in paths[i]]
    zeros = [i for i in ids if f"{os.sep}digit 0{os.sep}" in paths[i]]
    shutil.copy(paths[ones[0]], paths[twos[0]])  # a pair of which one half goes away
    shutil.copy(paths[zeros[0]], paths[zeros[1]])  # a pair that stays
    dataset.select([ones[0], zeros[0]]).tag_samples("train")
    dataset.select([twos[0], zeros[1], twos[1]]).tag_samples("test")
    pairs = [{ones[0], twos[0]}, {zeros[0], zeros[1]}]

    def groups() -> list[set]:
        found: dict[int, set] = {}
        view = dataset.exists("leak")
        for sample_id, group in zip(*view.values(["id", "leak.group"]), strict=True):
            found.setdefault(group, set()).add(sample_id)
        return sorted(found.values(), key=min)

    fg.find_leaks(dataset, near=False)
    assert groups() == sorted(pairs, key=min)
    gone()
    assert len(fg.find_leaks(dataset, near=False)) == 4
    assert "cannot be read now keep" in capsys.readouterr().out
    assert groups() == sorted(pairs, key=min)
    assert set(dataset.distinct("leak.label")) == {"exact"}
    # What is found to differ while both are there is no leak any more.
    with open(paths[zeros[1]], "ab") as file:
        file.write(b" ")
    assert len(fg.find_leaks(dataset, near=False)) == 2
    assert groups() == [pairs[0]]


def test_each_twin_of_an_image_that_is_away_keeps_its_kind(dataset, gone):
    paths = dict(zip(*dataset.values(["id", "filepath"]), strict=True))
    away, equal, near = (
        next(i for i in paths if f"{os.sep}digit {digit}{os.sep}" in paths[i])
        for digit in (1, 2, 0)
    )
    shutil.copy(paths[away], paths[equal])
    for sample_id, split in ((away, "train"), (equal, "val"), (near, "test")):
        dataset.select(sample_id).tag_samples(split)
    fg.find_leaks(dataset, near=False)
    sample = dataset[near]  # as if near duplicates had been looked for
    sample["leak"] = fo.Classification(label="near", group=dataset[away].leak.group)
    sample.save()
    gone()
    fg.find_leaks(dataset, near=False)
    found = {i: (dataset[i].leak.label, dataset[i].leak.group) for i in (away, equal, near)}
    assert found == {away: ("exact", 1), equal: ("exact", 1), near: ("near", 1)}


def test_a_deleted_or_replaced_run_does_not_predict(dataset):
    run = fg.load_run(dataset, "second")
    make_run(dataset, "second", seed=5, files=False)
    with pytest.raises(ValueError, match="'second' was trained again since you looked it up"):
        fg.predict(dataset, run, **QUIET)
    fg.delete_run(dataset, "second")
    with pytest.raises(ValueError, match="no training run 'second'"):
        fg.predict(dataset, run, **QUIET)
    assert dataset.get_field("prediction") is None


def test_values_that_wait_go_with_their_run(dataset):
    fg.predict(dataset, "first", **QUIET)

    with pytest.raises(fg.CancelledError):
        fg.predict(dataset, "second", batch_size=2, device="cpu", progress=_cancel_after(4))
    assert len(spools(dataset)) == 1
    fg.delete_run(dataset, "second")
    assert spools(dataset) == []
    fg.predict(dataset, "first", **QUIET)
    assert loose_files(dataset) == set()


def _cancel_after(least):
    def report(done, total, message):
        if done >= least:
            raise fg.CancelledError

    return report
