"""What this plugin writes for itself is its user's alone; what it exports is as the user has it."""

import os
from pathlib import Path

import fiftyone as fo
import pytest
from conftest import QUICK, save_digits

import fiftyone_gradcam as fg
from fiftyone_gradcam import locks
from fiftyone_gradcam.dataset.files import dataset_folder, files_folder
from fiftyone_gradcam.disk import make_folder, whole_file

pytestmark = pytest.mark.skipif(os.name != "posix", reason="of the modes of POSIX")


@pytest.fixture
def usual_mask():
    """That of most systems: others may read."""
    mask = os.umask(0o022)
    yield
    os.umask(mask)


def modes(folder: str) -> dict[str, int]:
    """Rights of all that is below a folder."""
    paths = [os.path.join(home, x) for home, dirs, files in os.walk(folder) for x in dirs + files]
    return {os.path.relpath(path, folder): os.stat(path).st_mode & 0o777 for path in paths}


def test_files_of_runs_heatmaps_reports_and_jobs(tmp_path, name, usual_mask, monkeypatch):
    monkeypatch.setattr(fo.config, "default_dataset_dir", str(tmp_path / "home"))
    root = save_digits(tmp_path / "d", per_class=12)
    (root / "digit 0" / "broken.png").write_bytes(b"no image")
    dataset = fg.import_folders(str(root), name, progress=False)
    fg.split(dataset)
    fg.fine_tune(dataset, "first", **{**QUICK, "epochs": 2}, watch=2)
    fg.export_run(dataset, "first", str(tmp_path / "exported"))
    fg.import_run(dataset, str(tmp_path / "exported"), "second")
    fg.rename_run(dataset, "second", "third")
    fg.predict(dataset, "first")
    fg.preview_augmentation(dataset, **{**QUICK, "epochs": 2})
    assert os.stat(files_folder()).st_mode & 0o777 == 0o700
    found = modes(dataset_folder(dataset))
    names = {Path(path).name for path in found}
    assert {"model.pt", "watch.npz", "watch.png", "curves.png", "import.csv"} <= names
    assert {"augmentation.png"} <= names
    assert sum(path.startswith("heatmaps/gradcam/") for path in found) == 36
    wrong = {path: oct(mode) for path, mode in found.items() if mode not in (0o600, 0o700)}
    assert wrong == {}
    assert set(modes(str(tmp_path / "exported")).values()) == {0o644}


def test_what_is_below_the_folder_of_own_files_is_private(tmp_path, usual_mask):
    open_to_all, private = tmp_path / "open", tmp_path / "x" / "fiftyone_gradcam" / "a" / "b"
    for folder in (open_to_all, private):
        make_folder(str(folder))
        make_folder(str(folder))
        with whole_file(str(folder / "c" / "file")) as part:
            Path(part).write_text("x")
    assert modes(str(open_to_all)) == {"c": 0o755, "c/file": 0o644}
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o755
    assert modes(str(tmp_path / "x")) == {
        "fiftyone_gradcam": 0o700,
        "fiftyone_gradcam/a": 0o700,
        "fiftyone_gradcam/a/b": 0o700,
        "fiftyone_gradcam/a/b/c": 0o700,
        "fiftyone_gradcam/a/b/c/file": 0o600,
    }


def test_the_temporary_folder_is_nobody_else_s(tmp_path, monkeypatch):
    monkeypatch.setattr(locks.tempfile, "gettempdir", lambda: str(tmp_path))
    # A container's user may have neither a name nor a home.
    for variable in ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME"):
        monkeypatch.delenv(variable, raising=False)
    folder = tmp_path / f"fiftyone-gradcam-{os.getuid()}"
    assert locks.own_folder() == folder
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)
    assert locks.own_folder().stat().st_mode & 0o777 == 0o700
    folder.rmdir()
    (tmp_path / "elsewhere").mkdir()
    folder.symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    with pytest.raises(PermissionError, match="belongs to another user. .*TMPDIR"):
        locks.own_folder()
    folder.unlink()
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    (tmp_path / "fiftyone-gradcam-54321").mkdir()  # made by us, so of another user for 54321
    with pytest.raises(PermissionError, match="belongs to another user"):
        locks.own_folder()
