"""What calls that were killed while they wrote files have left: the next call deletes it, and
nothing else."""

import errno
import os
import shutil

import fiftyone as fo
import pytest
from made_runs import fail_before, make_run, some_digits, tree

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset import exported, writing
from fiftyone_gradcam.dataset.files import dataset_folder, owner_note, run_folder
from fiftyone_gradcam.dataset.spool import READY, Spool, replace_values, spools
from fiftyone_gradcam.dataset.storing import Declared, declare, write_rows
from fiftyone_gradcam.dataset.writing import alone_in
from fiftyone_gradcam.disk import remove_parts, whole_file
from fiftyone_gradcam.locks import locked

PART = ".0123456789ab.part"
SCORE = Declared("float", "Scores", {}, {})


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """A few digits with a run "a"."""
    for dataset in some_digits(tmp_path_factory.mktemp("cut") / "digits", "cut exports", 2):
        make_run(dataset, "a", files=False)
        yield dataset


def test_parts_go_and_no_file_that_is_only_named_alike(tmp_path):
    alike = (".part", "0123456789ab.part", f"{PART}s", ".0123456789abc.part", ".note.part")
    for name in (PART, *alike):
        (tmp_path / name).write_text("x")
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / PART).write_text("x")
    assert remove_parts(str(tmp_path)) == 1
    assert sorted(os.listdir(tmp_path)) == sorted([*alike, "inner"])
    with alone_in(str(tmp_path), ["inner", "none"]):
        assert os.listdir(tmp_path / "inner") == []
    with whole_file(str(tmp_path / "file")) as part:
        assert remove_parts(os.path.dirname(part)) == 0  # nothing is written yet
        with open(part, "w") as file:
            file.write("x")
        assert remove_parts(os.path.dirname(part)) == 1  # so is a part called
        shutil.copyfile(tmp_path / ".note.part", part)


@pytest.mark.parametrize("how", ["copy", "link"])
def test_an_export_of_folders_deletes_the_parts_of_a_killed_one(dataset, tmp_path, how):
    folder = tmp_path / "out"
    fg.export_folders(dataset, str(folder), how=how, progress=False)
    whole = tree(folder)
    for inner in ("", "digit 1"):
        (folder / inner / PART).write_text("half")
        (folder / inner / ".own").write_text("the user's")
    own = {".own": b"the user's", os.path.join("digit 1", ".own"): b"the user's"}
    fg.export_folders(dataset, str(folder), how=how, overwrite=True, progress=False)
    assert tree(folder) == whole | own


def test_a_folder_that_holds_parts_alone_counts_as_empty(dataset, tmp_path):
    (tmp_path / PART).write_text("half")
    fg.export_folders(dataset, str(tmp_path), how="list")
    assert os.listdir(tmp_path) == ["moves.csv"]


def test_one_process_exports_to_a_folder_at_a_time(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "patience", lambda: 0.05)
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "out", target_is_directory=True)
    import threading

    ready, done = threading.Event(), threading.Event()

    def hold() -> None:
        with locked(writing.export_lock(str(tmp_path / "out"))):
            ready.set()
            done.wait(30)

    other = threading.Thread(target=hold)
    other.start()
    ready.wait(30)
    try:
        with pytest.raises(TimeoutError, match="Folder .*link' is being changed"):
            fg.export_folders(dataset, str(link), progress=False)
        assert not (tmp_path / "out").exists()
    finally:
        done.set()
        other.join()


@pytest.mark.parametrize("has_target", [True, False])
def test_an_export_of_a_run_deletes_what_killed_ones_left_beside_it(
    dataset, tmp_path, has_target, monkeypatch
):
    """Killed while the new folder takes the place of the old one, there is the old one alone, under
    another name."""
    fg.export_run(dataset, "a", str(tmp_path / "out"))
    old = tmp_path / ".out.01234567.part.89abcdef.old"
    shutil.copytree(tmp_path / "out", old)
    if not has_target:
        shutil.rmtree(tmp_path / "out")
    for name in (".out.01234567.part", ".other.01234567.part", ".out.part"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "weights.pt").write_text("half")
    exported.clear_up(str(tmp_path / "out"))
    assert sorted(os.listdir(tmp_path)) == [".other.01234567.part", ".out.part", "out"]
    with pytest.raises(FileExistsError, match="overwrite=True"):
        fg.export_run(dataset, "a", str(tmp_path / "out"))
    whole = tree(tmp_path / "out")
    assert {"run.json", "weights.pt"} <= whole.keys()
    shutil.copytree(tmp_path / "out", old)
    monkeypatch.setattr(exported, "write_export", fail_before(None))
    with pytest.raises(OSError, match="disk full"):
        fg.export_run(dataset, "a", str(tmp_path / "out"), overwrite=True)
    assert tree(tmp_path / "out") == whole
    assert not old.exists()


def test_a_run_is_imported_where_a_killed_import_left_its_files(dataset, tmp_path):
    folder = fg.export_run(dataset, "a", str(tmp_path / "out"))
    home = run_folder(dataset, "b")
    os.makedirs(home)
    for name in ("model.pt", "curves.png"):
        (open(os.path.join(home, name), "w")).close()
    fg.import_run(dataset, folder, "b")
    assert os.listdir(home) == ["model.pt"]
    for key in ("c", "b"):
        os.makedirs(run_folder(dataset, "c"), exist_ok=True)
        (open(os.path.join(run_folder(dataset, "c"), "model.pt"), "w")).close()
        assert fg.rename_run(dataset, "b" if key == "c" else "c", key).key == key
    fg.delete_run(dataset, "b")
    assert os.listdir(os.path.dirname(home)) == ["a"]


def test_values_that_cannot_all_be_kept_on_disk_leave_no_file(dataset, monkeypatch):
    def full(spool, rows):
        with open(spool.path, "ab") as file:
            file.write(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Spool, "add", full)
    with pytest.raises(OSError, match="No space"):
        replace_values(dataset, {"score": SCORE}, {dataset.first().id: {"score": 0.5}})
    assert spools(dataset) == spools(dataset, READY) == []
    assert dataset.get_field("score") is None


class KilledError(BaseException):
    """The process is gone: nothing is tidied up."""


@pytest.mark.parametrize("is_decided", [False, True])
def test_values_of_a_killed_call_go_or_are_stored_by_the_next_one(dataset, monkeypatch, is_decided):
    """Nobody can go on with them before they are decided on; afterwards somebody must."""
    replace, discard = os.replace, Spool.discard

    def die(*paths) -> None:
        if is_decided or not str(paths[1]).endswith(READY):
            replace(*paths)
        if str(paths[1]).endswith(READY):
            raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", die)
        patched.setattr(Spool, "discard", fail_before(discard))
        with pytest.raises((KilledError, OSError)):
            replace_values(dataset, {"late": SCORE}, {dataset.first().id: {"late": 0.5}})
    assert len(spools(dataset, READY if is_decided else ".waiting")) == 1
    fg.split(dataset, {"train": 0.5, "test": 0.5})
    assert spools(dataset) == spools(dataset, READY) == []
    found = dataset.first()["late"] if dataset.get_field("late") is not None else None
    assert found == (0.5 if is_decided else None)
    if is_decided:
        dataset.delete_sample_field("late")


def test_values_of_some_samples_are_written_in_one_command(dataset, monkeypatch):
    from pymongo.collection import Collection

    sizes, write = [], Collection.bulk_write
    monkeypatch.setattr(
        Collection, "bulk_write", lambda s, x, **o: sizes.append(len(x)) or write(s, x, **o)
    )
    declare(dataset, "all", SCORE)
    first = dataset.first()
    write_rows(dataset, {i: {"all": 0.25} for i in dataset.values("id")})
    assert sizes == [6]
    assert first["all"] == 0.25  # samples that are in use say so too
    assert dataset.values("all") == [0.25] * 6
    dataset.delete_sample_field("all")


def test_a_note_of_a_folder_replaces_a_half_written_one(name):
    dataset = fo.Dataset(name)
    note = owner_note(str(dataset._doc.id))
    os.makedirs(os.path.dirname(note), exist_ok=True)
    with open(f"{note}.part", "w") as file:
        file.write('{"database": "a much longer text than the note itself has' + "x" * 500)
    writing.make_ready(dataset)
    from fiftyone_gradcam.dataset.files import claim_folder, owner_of

    claim_folder(dataset)
    assert owner_of(str(dataset._doc.id))["dataset"] == name
    assert not os.path.exists(f"{note}.part")
    assert not os.path.exists(dataset_folder(dataset))
    os.unlink(note)


def test_a_note_that_another_process_writes_at_the_same_time_is_good(name, monkeypatch):
    from fiftyone_gradcam.dataset.files import claim_folder, owner_of

    dataset = fo.Dataset(name)
    note, replace = owner_note(str(dataset._doc.id)), os.replace

    def taken(part, path):
        replace(part, path)  # as the other process does, whose part has the same name
        raise FileNotFoundError(part)

    monkeypatch.setattr(os, "replace", taken)
    claim_folder(dataset)
    assert owner_of(str(dataset._doc.id))["dataset"] == name
    os.unlink(note)
    for error in (FileNotFoundError(note), PermissionError(note)):  # there is no note: an error

        def fail(part, path, error=error):
            raise error

        monkeypatch.setattr(os, "replace", fail)
        with pytest.raises(type(error)):
            claim_folder(dataset)
        assert not os.path.exists(f"{note}.part")
