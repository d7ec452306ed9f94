"""What keeps files from being written is told in plain words, and no part of a file stays."""

import errno
import os
import time
from pathlib import Path

import pytest
import torch
from made_runs import make_run, some_digits

import fiftyone_gradcam as fg
from fiftyone_gradcam import disk
from fiftyone_gradcam.dataset import spool
from fiftyone_gradcam.dataset.fields import MOST_BYTES, field_name
from fiftyone_gradcam.dataset.files import run_folder
from fiftyone_gradcam.disk import (
    StorageError,
    check_folder,
    plain_errors,
    remove_parts,
    whole_file,
    write_new,
)
from fiftyone_gradcam.explain import render
from fiftyone_gradcam.model import checkpoint

QUIET = {"progress": False, "device": "cpu"}
TRAINING = {"backbone": "small_cnn", "weights": "none", "epochs": 2, "image_size": 16}


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "The disk is full: /a/b. Half is kept. Free some space, and call again"),
        (errno.EDQUOT, "Your disk quota is exceeded: /a/b. Half is kept. Free some space"),
        (errno.EACCES, "Permission denied: /a/b. Half is kept. Change its permissions, or choose"),
        (errno.EROFS, "The file system is read-only: /a/b. Half is kept. Make it writable, or"),
        (errno.ENAMETOOLONG, "The name is too long .*255 bytes: /a/b. Half is kept. Choose a sho"),
    ],
)
def test_words_for_what_goes_wrong(number, message):
    with (
        pytest.raises(StorageError, match=f"^{message}") as caught,
        plain_errors(lambda: "Half is kept"),
    ):
        raise OSError(number, "as the system says", "/a/b")
    assert caught.value.errno == number
    assert caught.value.__suppress_context__
    assert isinstance(caught.value, PermissionError) == (number == errno.EACCES)


def test_other_errors_are_as_they_were():
    for error in (FileNotFoundError(errno.ENOENT, "no", "/a"), ValueError("x"), OSError("decoder")):
        with pytest.raises(type(error)) as caught, plain_errors():
            raise error
        assert caught.value is error


def test_a_full_disk_is_found_behind_errors_of_torch(tmp_path, monkeypatch):
    path = str(tmp_path / "weights.pt")
    checkpoint.save_checkpoint(path, {"a": torch.zeros(4)}, {})
    before = Path(path).read_bytes()
    real = open

    def full(name, mode="r", *rest, **options):
        return real("/dev/full" if "w" in mode else name, mode, *rest, **options)

    monkeypatch.setattr(checkpoint, "open", full, raising=False)
    with pytest.raises(StorageError, match=f"^The disk is full: {path}") as caught, plain_errors():
        checkpoint.save_checkpoint(path, {"a": torch.zeros(99999)}, {})
    assert caught.value.errno == errno.ENOSPC
    assert Path(path).read_bytes() == before
    assert os.listdir(tmp_path) == ["weights.pt"]


def test_a_file_is_whole_or_not_there(tmp_path):
    path = tmp_path / "new" / "file"

    def half() -> None:
        with whole_file(str(path)) as part:
            Path(part).write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        half()
    assert os.listdir(path.parent) == []
    with whole_file(str(path)) as part:
        Path(part).write_text("all")
    assert path.read_text() == "all"
    assert os.listdir(path.parent) == ["file"]


def test_a_new_file_is_whole_or_not_there(tmp_path, monkeypatch):
    path, full = tmp_path / "new" / "file", OSError(errno.ENOSPC, "No space left on device")
    write_new(str(path), lambda: b"all")
    assert path.read_bytes() == b"all"
    with pytest.raises(FileExistsError):  # it is another process's, and stays
        write_new(str(path), lambda: b"other")
    assert path.read_bytes() == b"all"

    def fail(error: BaseException):
        raise error

    other = tmp_path / "other"
    for error in (full, KeyboardInterrupt(), OSError(errno.EIO, "Input/output error")):
        with pytest.raises(type(error)) as caught:
            write_new(str(other), lambda: fail(error))  # noqa: B023
        assert caught.value.filename == str(other) if error is full else caught.value is error
        assert os.listdir(tmp_path) == ["new"]
    with pytest.raises(OSError, match="space") as caught:
        write_new(str(other), lambda: fail(OSError(errno.ENOSPC, "No space", "/named")))
    assert caught.value.filename == "/named"

    class Cut:
        def __init__(self, handle, mode):
            self.handle = handle

        def __enter__(self):
            return self

        def __exit__(self, *_):
            os.close(self.handle)

        def write(self, content):
            os.write(self.handle, content[:1])
            raise full

    monkeypatch.setattr(disk.os, "fdopen", Cut)
    with pytest.raises(OSError, match="No space") as caught:
        write_new(str(other), lambda: b"all")
    assert (caught.value.filename, os.listdir(tmp_path)) == (str(other), ["new"])


def test_errors_of_a_file_name_the_file_and_not_its_temporary_one(tmp_path):
    path = str(tmp_path / "file")

    def fail(error: BaseException, cause: OSError | None) -> None:
        with whole_file(path) as part:
            if cause is None:
                raise error
            try:
                raise OSError(cause.errno, "x", cause.filename or part)
            except OSError:
                raise error  # noqa: B904 (as torch.save does)

    def writing(error: BaseException, cause: OSError | None = None) -> BaseException:
        with pytest.raises(BaseException) as caught:  # noqa: PT011
            fail(error, cause)
        assert os.listdir(tmp_path) == []
        return caught.value

    full = OSError(errno.ENOSPC, "x")
    assert writing(full).filename == path
    assert writing(OSError(errno.ENOSPC, "x", "/named")).filename == "/named"
    for error in (OSError(errno.EIO, "x"), ValueError("x"), RuntimeError("x"), KeyboardInterrupt()):
        assert writing(error) is error
    found = writing(RuntimeError("as torch.save does"), full)
    assert (type(found), found.errno, found.filename) == (OSError, errno.ENOSPC, path)
    for error in (ValueError("x"), KeyboardInterrupt()):  # whatever came before
        assert writing(error, full) is error


def test_words_of_errors_without_a_path_or_of_two(tmp_path):
    for error, words in (
        (OSError(errno.ENOSPC, "x"), "The disk is full. Free some space, and call again"),
        (OSError(errno.ENOSPC, "x", b"/a"), "The disk is full: /a. Free some space, and call ag"),
        (OSError(errno.ENOSPC, "x", 3), "The disk is full. Free some space, and call again"),
        (OSError(errno.ENOSPC, "x", "/a", None, "/b"), "The disk is full: /b. Free some space, a"),
        (StorageError("said before"), "said before"),
    ):
        with pytest.raises(StorageError) as caught, plain_errors():
            raise error
        assert str(caught.value).startswith(words)
    assert caught.value is error


def test_temporary_files_are_removed_by_age(tmp_path):
    assert remove_parts(str(tmp_path / "gone")) == 0
    old, new, other = (tmp_path / x for x in (".0123456789ab.part", ".ba9876543210.part", "a.part"))
    for path, age in ((old, 90), (new, 30), (other, 90)):
        path.touch()
        os.utime(path, (time.time() - age,) * 2)
    assert remove_parts(str(tmp_path), 60) == 1
    assert sorted(os.listdir(tmp_path)) == [new.name, other.name]
    assert remove_parts(str(tmp_path)) == 1  # by default, all
    assert os.listdir(tmp_path) == [other.name]


def test_a_folder_is_checked_before_it_is_made(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != str(tmp_path / "locked"))
    (tmp_path / "locked").mkdir()
    check_folder(str(tmp_path / "open" / "deep"))
    with pytest.raises(PermissionError) as caught:
        check_folder(str(tmp_path / "locked" / "deep" / "er"))
    assert caught.value.filename == str(tmp_path / "locked")


@pytest.fixture
def dataset(tmp_path, one_thread):
    made = some_digits(tmp_path / "digits", f"disk {tmp_path.name}", per_class=4)
    dataset = next(made)
    make_run(dataset, "run", files=False)
    make_run(dataset, "other", seed=3, files=False)
    yield dataset
    next(made, None)


def test_a_prediction_on_a_full_disk_says_so_and_can_go_on(dataset, monkeypatch):
    def full(pixels):
        raise OSError(errno.ENOSPC, "No space left on device")

    words = r"^The disk is full: .*heatmaps/gradcam/\w+-\w+.png. Predictions made so far are kept"
    with monkeypatch.context() as patch:
        patch.setattr(render, "png_file", full)
        with pytest.raises(StorageError, match=words):
            fg.predict(dataset, "run", **QUIET)
    assert len(fg.predict(dataset, "run", resume=True, **QUIET)) == 12
    labels = dataset.values("prediction.label")
    with monkeypatch.context() as patch:
        patch.setattr(spool.bson, "encode", lambda row: full(None))
        with pytest.raises(StorageError, match="^The disk is full"):
            fg.predict(dataset, "other", **QUIET)
    assert dataset.values("prediction.label") == labels
    assert len(fg.predict(dataset, "other", resume=True, **QUIET)) == 12


def test_a_training_on_a_full_disk_keeps_its_last_epoch(dataset, monkeypatch):
    from fiftyone_gradcam.dataset import recording

    real = recording.save_checkpoint

    def full(path, *rest):
        raise OSError(errno.ENOSPC, "No space left on device", path)

    monkeypatch.setattr(recording, "save_checkpoint", full)
    words = r"^The disk is full: .*runs/new/model.pt. The training state is kept: fine_tune\("
    with pytest.raises(StorageError, match=words):
        fg.fine_tune(dataset.view(), "new", **TRAINING, **QUIET)
    assert "new" not in fg.list_runs(dataset)
    assert os.listdir(run_folder(dataset, "new")) == ["state.pt"]  # the curves were drawn before
    monkeypatch.setattr(recording, "save_checkpoint", real)
    run = fg.fine_tune(dataset.view(), "new", resume=True, **QUIET)
    assert [row["epoch"] for row in run.history] == [1, 2]


def test_long_names_are_refused_before_any_work(dataset):
    def work(*report):
        raise AssertionError("it has begun")

    long = "k" * (MOST_BYTES + 1)
    with pytest.raises(ValueError, match="too long for a run key.*240 bytes"):
        fg.fine_tune(dataset.view(), long, **TRAINING, progress=work)
    with pytest.raises(ValueError, match="too long for the name of a field.*240 bytes"):
        fg.predict(dataset, "run", heatmap_field=long, progress=work)
    with pytest.raises(ValueError, match="too long for the name of a field"):
        fg.predict(dataset, "run", prediction_field="字" * 81, progress=work)


def test_classes_with_long_names_have_heatmap_fields_of_their_own():
    assert field_name("digit 1") == "digit_1"
    first, second = field_name("字" * 80 + " a"), field_name("字" * 80 + " b")
    assert first != second
    for name in (first, second):
        assert name.isidentifier()
        assert len(os.fsencode(name)) <= MOST_BYTES // 2  # prefixes and "_against" fit too
        assert name.startswith("字" * 30)
