"""What keeps files from being written is told in plain words, and no part of a file stays."""

import errno
import os
from pathlib import Path

import pytest
import torch
from made_runs import make_run, some_digits

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset import spool
from fiftyone_gradcam.dataset.fields import MOST_BYTES, field_name
from fiftyone_gradcam.disk import StorageError, check_folder, plain_errors, whole_file
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
