"""The demonstration on photos: from a folder, from a download, and without a network."""

import io
import json
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import fiftyone as fo
import pytest
from PIL import Image

from fiftyone_gradcam import demo_photos
from fiftyone_gradcam.__main__ import main
from fiftyone_gradcam.demo_photos import CLEAR_ANTS, find_photos, make_photo_folders

MADE = {
    "train/ants": [CLEAR_ANTS[0], CLEAR_ANTS[5], "other.jpg"],
    "train/bees": ["bee.jpg"],
    "val/ants": ["val ant.jpg"],
    "val/bees": ["val bee.jpg"],
}


def photo() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "olive").save(buffer, "JPEG")
    return buffer.getvalue()


def archive(path, members):
    with zipfile.ZipFile(path, "w") as file:
        for name in members:
            file.writestr(name, photo())


def files(root):
    return sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file())


def all_names(folder=""):
    return [f"{folder}{place}/{name}" for place, names in MADE.items() for name in names]


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A server of one folder stands in for PyTorch's."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}/hymenoptera_data.zip"
    monkeypatch.setattr(demo_photos, "URL", url)
    yield folder / "hymenoptera_data.zip"
    server.shutdown()
    thread.join()
    server.server_close()


def test_photos_are_downloaded_once_whole_or_not_at_all(served, tmp_path, capsys, monkeypatch):
    most = demo_photos.MOST_BYTES
    home = tmp_path / "home"
    spoiled = {
        "404": None,
        "not a zip file": b"<html>blocked</html>",
        "no folders 'ants' and 'bees'": ["hymenoptera_data/train/ants/a.jpg"],
    }
    for words, content in spoiled.items():
        if isinstance(content, bytes):
            served.write_bytes(content)
        elif content:
            archive(served, content)
        with pytest.raises(ConnectionError, match=words) as error:
            find_photos(None, home)
        assert "pass the folder, --photos FOLDER" in str(error.value)
        assert files(tmp_path / "home") == []
    archive(served, all_names("hymenoptera_data/"))
    size = len(all_names()) * len(photo())
    monkeypatch.setattr(demo_photos, "MOST_BYTES", size - 1)  # the archive itself is larger
    with pytest.raises(ConnectionError, match="it has more than 0 MB"):
        find_photos(None, home)
    assert files(tmp_path / "home") == []
    with pytest.raises(ValueError, match="^it unpacks to more than 0 MB$"):
        demo_photos._unpack(served, tmp_path / "out")
    monkeypatch.setattr(demo_photos, "MOST_BYTES", size)
    demo_photos._unpack(served, tmp_path / "out")
    assert files(tmp_path / "out") == sorted(all_names())
    monkeypatch.setattr(demo_photos, "MOST_BYTES", most)
    archive(
        served,
        [
            *all_names("hymenoptera_data/"),
            "hymenoptera_data/train/ants/../../../evil.jpg",
            "/hymenoptera_data/train/ants/evil.jpg",
            "hymenoptera_data/readme.txt",
        ],
    )
    found = find_photos(None, home)
    assert files(found) == sorted(all_names())
    assert files(tmp_path / "home") == sorted(f"hymenoptera_data/{x}" for x in all_names())
    served.unlink()
    capsys.readouterr()
    assert find_photos(None, home) == found
    assert capsys.readouterr().out == ""


def test_ants_are_planted_among_the_bees(tmp_path):
    source = tmp_path / "given"
    archive(tmp_path / "a.zip", all_names("hymenoptera_data/"))
    with zipfile.ZipFile(tmp_path / "a.zip") as file:
        file.extractall(source)
    assert find_photos(str(source), tmp_path) == source / "hymenoptera_data"
    root = tmp_path / "planted"
    for _ in "ab":  # what was there is replaced
        planted = make_photo_folders(find_photos(str(source), tmp_path), root)
        assert files(root) == sorted(
            x.replace("ants", "bees") if x.rpartition("/")[2] in CLEAR_ANTS else x
            for x in all_names()
        )
    assert planted == {str(root / "train/bees" / CLEAR_ANTS[i]): "ants" for i in (0, 5)}
    assert files(source / "hymenoptera_data") == sorted(all_names())  # the user's own files
    for name in CLEAR_ANTS:
        (source / "hymenoptera_data/train/ants" / name).unlink(missing_ok=True)
    planted = make_photo_folders(source / "hymenoptera_data", root)
    assert planted == {str(root / "train/bees/other.jpg"): "ants"}
    with pytest.raises(ValueError, match="--photos .* has no folders 'ants' and 'bees'"):
        find_photos(str(tmp_path / "nowhere"), tmp_path)


def test_the_demonstration_says_what_is_wrong_with_photos(tmp_path, monkeypatch, capsys):
    assert main(["demo", "--photos", str(tmp_path), "--no-app"]) == 1
    assert "has no folders 'ants' and 'bees'" in capsys.readouterr().err
    monkeypatch.setattr(demo_photos, "URL", "http://127.0.0.1:9/hymenoptera_data.zip")
    assert main(["demo", "--photos", "--no-app"]) == 1
    error = capsys.readouterr().err
    assert "cannot be downloaded from http://127.0.0.1:9" in error
    assert "leave --photos out" in error
    assert not fo.dataset_exists("gradcam-demo-photos")


@pytest.mark.slow
def test_the_demonstration_on_photos_reaches_its_figures(real, tmp_path, monkeypatch, capsys):
    """The first label that it shows is an ant among the bees."""
    checkpoints = tmp_path / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    name = "mobilenet_v2-7ebf99e0.pth"
    (checkpoints / name).symlink_to(real / "weights" / "mobilenet_v2.pth")
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path / "hub"))
    figures = tmp_path / "demo.json"
    photos = str(real / "data" / "hymenoptera")
    assert main(["demo", "--photos", photos, "--no-app", "--json", str(figures)]) == 0
    found = json.loads(figures.read_text())
    assert found["planted"] == 12
    assert found["found"] >= 11
    assert found["val_accuracy"] >= 0.9
    dataset = fo.load_dataset(found["dataset"])
    first = dataset.exists("label_quality").sort_by("label_quality").first()
    assert (first.ground_truth.label, first.suggested_label.label) == ("bees", "ants")
    assert "planted error" in first.tags
    assert "of the 12 planted errors" in capsys.readouterr().out
