"""Files that nobody refers to: found, reported, and deleted only after asking."""

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import fiftyone as fo
import pytest
from conftest import remove_left_databases
from made_runs import FILES, logits_of, make_run, some_digits, tree

import fiftyone_gradcam as fg
from fiftyone_gradcam import doctor_files
from fiftyone_gradcam.__main__ import main
from fiftyone_gradcam.dataset.files import (
    dataset_folder,
    files_folder,
    heatmap_folder,
    owner_note,
    owner_of,
    run_folder,
)
from fiftyone_gradcam.dataset.leftovers import find_leftovers, free
from fiftyone_gradcam.dataset.references import database_id
from fiftyone_gradcam.dataset.spool import Spool, make_header
from fiftyone_gradcam.locks import own_folder


@pytest.fixture
def dataset(tmp_path, name):
    """Some digits of three classes, with a run "a", its predictions and heatmaps."""
    for old in find_leftovers(least_age=0):  # of other tests in this session
        shutil.rmtree(old.folder)
    for dataset in some_digits(tmp_path / "digits", name):
        make_run(dataset, "a")
        fg.predict(dataset, "a", progress=False)
        yield dataset
        for clone in fo.list_datasets(f"{name} *"):
            fo.delete_dataset(clone)


def age(folder) -> None:
    """Let all files below a folder be two hours old."""
    for home, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(home, name)
            os.utime(path, (os.stat(path).st_atime, os.stat(path).st_mtime - 7200))


def answering(monkeypatch, answer: str | None) -> None:
    """A terminal on which somebody types; None is no terminal."""
    text = io.StringIO(f"{answer}\n")
    text.isatty = lambda: answer is not None
    monkeypatch.setattr(sys, "stdin", text)


def test_what_killed_processes_leave_is_found_and_what_is_of_use_is_not(dataset):
    folder = Path(dataset_folder(dataset))
    before = tree(folder)
    assert find_leftovers(least_age=0) == []
    interrupted = Path(run_folder(dataset, "b"))
    interrupted.mkdir()
    (interrupted / "state.pt").write_bytes(b"precious")
    (folder / "jobs").mkdir()
    (folder / "jobs" / "1.log").write_bytes(b"printed")
    stray = {
        Path(heatmap_folder(dataset, "gradcam")) / "0-killed.png": b"12345",
        interrupted / "tmpabc.part": b"1234567",
        interrupted / "model.pt": b"recorded nowhere",
        folder / "runs" / ".c.part" / "state.pt": b"1",
    }
    for path, content in stray.items():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    assert find_leftovers() == []  # they are too new: another machine may be writing them
    age(folder)
    (found,) = find_leftovers()
    assert {*found.files} == {str(path) for path in stray}
    assert (found.size, found.dataset, found.is_known) == (29, dataset.name, True)
    assert found.since == max(path.stat().st_mtime for path in stray)
    assert f"{folder}: 4 files, 0.0 MB, since 20" in str(found)
    assert free(found) == (4, 29)
    kept = {"runs/b/state.pt": b"precious", "jobs/1.log": b"printed"}
    assert tree(folder) == before | kept
    assert find_leftovers() == []


def test_heatmaps_of_values_that_wait_are_of_use_as_long_as_they_wait(dataset):
    path = Path(heatmap_folder(dataset, "gradcam")) / "0-waits.png"
    path.write_bytes(b"1234")
    waiting = Spool.create(dataset, make_header({}, []))
    age(dataset_folder(dataset))
    assert find_leftovers() == []
    waiting.discard()
    assert [x.files for x in find_leftovers()] == [(str(path),)]


def test_files_of_a_deleted_dataset_go_but_for_what_its_clone_shows(dataset, name):
    clone = dataset.clone(f"{name} clone")
    fg.delete_run(clone, "a", fields=False)
    folder, note = Path(dataset_folder(dataset)), owner_note(str(dataset._doc.id))
    assert owner_of(str(dataset._doc.id)) == {"database": database_id(), "dataset": name}
    dataset.delete()
    shown = {os.path.relpath(path, folder) for path in clone.values("gradcam.map_path")}
    (found,) = find_leftovers()
    assert found.dataset == name
    files = {os.path.relpath(path, folder) for path in found.files}
    assert {path for path in files if not path.startswith("features")} == {
        f"runs/a/{file}" for file in FILES
    }
    assert len(files) == len(FILES) + 6  # features, thumbnails and measures, each with a note
    free(found)
    assert {*tree(folder)} == shown
    assert all(map(os.path.isfile, clone.values("gradcam.map_path")))
    assert find_leftovers() == []
    clone.delete()
    (found,) = find_leftovers()
    assert len(found.files) == 12
    free(found)
    assert not folder.exists()
    assert not os.path.exists(note)


def test_what_came_into_use_meanwhile_stays(dataset):
    run = fg.load_run(dataset, "a")
    record = fo.core.odm.get_db_conn().runs.find_one({"_dataset_id": dataset._doc.id})
    dataset.delete_run("a")
    age(dataset_folder(dataset))
    (found,) = find_leftovers()
    files = {path for path in found.files if "/features/" not in path}
    assert {os.path.basename(path) for path in files} == {*FILES} - {"state.pt"}
    assert len(found.files) == len(files) + 2  # what the network saw, and whose it is
    config = dataset.init_run(
        **{k: v for k, v in record["config"].items() if k not in ("cls", "type")}
    )
    dataset.register_run("again", config)
    assert free(found) == (0, 0)
    assert logits_of(run, dataset.values("filepath")).shape == (12, 3)


def test_a_dataset_that_a_process_works_on_is_left_alone(dataset):
    dataset.delete_run("a")
    age(dataset_folder(dataset))
    (found,) = find_leftovers()
    code = (
        "import sys; from fiftyone_gradcam.locks import locked\n"
        "with locked(sys.argv[1]): print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, f"dataset {dataset._doc.id}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(doctor_files.__file__).parents[1],
        env={**os.environ, "TMPDIR": str(own_folder().parent)},
    )
    try:
        assert holder.stdout.readline() == b"held\n"
        assert find_leftovers() == []
        with pytest.raises(TimeoutError, match="is being changed by another process"):
            free(found)
    finally:
        holder.stdin.close()
        holder.wait(60)
    assert [x.files for x in find_leftovers()] == [found.files]


def test_files_of_other_databases_are_freed_only_by_name(dataset, monkeypatch, capsys):
    noted, unknown = "1" * 24, "2" * 24
    for dataset_id in (noted, unknown):
        path = Path(files_folder(), dataset_id, "runs", "x", "model.pt")
        path.parent.mkdir(parents=True)
        path.write_bytes(b"123")
    Path(owner_note(noted)).write_text(json.dumps({"database": "another", "dataset": "theirs"}))
    try:
        (found,) = find_leftovers()
        assert found.folder.endswith(unknown)
        assert not found.is_known
        assert "of an unknown dataset, perhaps of another database" in str(found)
        answering(monkeypatch, "y")
        assert doctor_files.report_leftovers(fix=True, yes=True)
        assert f"doctor --free {found.folder}" in capsys.readouterr().out
        assert os.path.isfile(found.files[0])
        theirs = os.path.join(files_folder(), noted)
        for name in (theirs, dataset_folder(dataset), "/etc"):
            assert not doctor_files.report_leftovers(yes=True, named=[name])
            assert f"FAIL  {name}: no such folder is listed" in capsys.readouterr().out
        assert doctor_files.report_leftovers(named=[found.folder])
        printed = capsys.readouterr().out
        assert "deleted 1 file," in printed
        assert "doctor --free" not in printed  # which was done
        assert not os.path.exists(found.folder)
        assert os.path.isfile(os.path.join(theirs, "runs", "x", "model.pt"))
    finally:
        for dataset_id in (noted, unknown):
            shutil.rmtree(os.path.join(files_folder(), dataset_id), ignore_errors=True)
        os.unlink(owner_note(noted))


@pytest.mark.parametrize(
    ("options", "answer", "goes"),
    [
        ([], "y", False),
        (["--fix"], "n", False),
        (["--fix"], "", False),
        (["--fix"], None, False),
        (["--yes"], None, False),
        (["--fix"], "y", True),
        (["--fix"], "Yes", True),
        (["--fix", "--yes"], None, True),
    ],
)
def test_doctor_deletes_only_what_was_agreed_to(
    dataset, monkeypatch, capsys, options, answer, goes
):
    dataset.delete_run("a")
    age(dataset_folder(dataset))
    shown = tree(os.path.join(dataset_folder(dataset), "heatmaps"))
    monkeypatch.setattr("fiftyone_gradcam.doctor._add_to_path", lambda: "")
    answering(monkeypatch, answer)
    main(["doctor", *options])
    printed = capsys.readouterr().out
    assert f"note  {dataset_folder(dataset)}: 6 files" in printed
    assert os.listdir(run_folder(dataset, "a")) == ["state.pt"] or not goes
    assert os.path.isfile(os.path.join(run_folder(dataset, "a"), "model.pt")) is not goes
    assert ("fix   deleted 6 files" in printed) is goes
    assert ("There is no terminal to ask in: pass --yes" in printed) is (
        answer is None and options == ["--fix"]
    )
    assert tree(os.path.join(dataset_folder(dataset), "heatmaps")) == shown
    assert fg.list_runs(dataset) == []


def test_databases_of_killed_test_sessions_are_removed(tmp_path):
    ended = subprocess.Popen([sys.executable, "-I", "-S", "-c", ""])
    ended.wait()
    stay = {f"fg-{os.getpid()}-ab_c", "fg-ab_cd", "other"}
    for name in (*stay, f"fg-{ended.pid}-ab_c"):
        (tmp_path / name / "journal").mkdir(parents=True)
    remove_left_databases(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == stay
