"""Downloads from a server of this machine: complete or not at all, reported, and canceled."""

import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import fiftyone as fo
import pytest
from bson import ObjectId
from fiftyone.operators.delegated import DelegatedOperationService

from fiftyone_gradcam import downloads
from fiftyone_gradcam.downloads import MB, download, downloads_noted
from fiftyone_gradcam.jobs import processes, queue
from fiftyone_gradcam.jobs.job import cancel_job, load_job
from fiftyone_gradcam.jobs.reporter import LOOK_SECONDS, Reporter
from fiftyone_gradcam.progress import CancelledError

CONTENT = bytes(range(256)) * (4 * MB // 256) + b"end"
DIGEST = "ba9d292e"  # the start of its SHA-256


@pytest.fixture(scope="module")
def url():
    """A server that sends the content, a part of it (/cut), or its size never (/unknown)."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            if self.path != "/unknown":
                self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT[: 2 * MB] if self.path == "/cut" else CONTENT)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_download_is_printed_by_quarters(url, tmp_path, capsys):
    path = tmp_path / "new" / "file"
    download(f"{url}/whole", str(path), "a file", DIGEST, len(CONTENT))
    assert path.read_bytes() == CONTENT
    assert os.listdir(path.parent) == ["file"]
    assert capsys.readouterr().out.splitlines() == [
        "Downloading a file (4 MB)",
        *("  25%", "  50%", "  75%"),
    ]
    download(f"{url}/unknown", str(path), "a file")
    assert path.read_bytes() == CONTENT
    assert capsys.readouterr().out == "Downloading a file\n"


def test_a_download_is_noted_and_can_be_canceled(url, tmp_path, capsys):
    notes = []

    def cancel(message: str) -> None:
        notes.append(message)
        if "2 of" in message:
            raise CancelledError("Canceled")

    path = tmp_path / "file"
    with pytest.raises(CancelledError), downloads_noted(cancel):
        download(f"{url}/whole", str(path), "a file")
    assert notes == [f"Downloading a file: {n} of 4 MB" for n in (0, 1, 2)]
    assert os.listdir(tmp_path) == []
    notes.clear()
    with downloads_noted(notes.append):
        download(f"{url}/unknown", str(path), "a file")
    assert notes == [f"Downloading a file: {n} MB" for n in (0, 1, 2, 3, 4, 4)]
    assert capsys.readouterr().out == ""
    download(f"{url}/whole", str(path), "a file")
    assert len(notes) == 6  # nobody listens any more


@pytest.mark.parametrize(
    ("place", "options", "match"),
    [
        ("cut", {}, "ended after 2,097,152 of 4,194,307 bytes"),
        ("whole", {"most": 2 * MB}, "more than 2 MB"),
        ("whole", {"digest": "00"}, "should start with '00', but it is"),
    ],
)
def test_what_is_not_the_expected_file_is_not_kept(url, tmp_path, place, options, match):
    path = tmp_path / "file"
    path.write_bytes(b"before")
    with pytest.raises(ValueError, match=match):
        download(f"{url}/{place}", str(path), "a file", **options)
    assert os.listdir(tmp_path) == ["file"]
    assert path.read_bytes() == b"before"


def test_what_a_killed_download_left_is_deleted_later(url, tmp_path):
    now = time.time()
    for name, age in (
        (".0123456789ab.part", downloads.STALE_SECONDS + 60),
        (".ba9876543210.part", downloads.STALE_SECONDS - 60),  # another process may write it
        ("mine.part", 10**6),
        ("resnet18-f37072fd.pth", 10**6),
    ):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (now - age, now - age))
    download(f"{url}/whole", str(tmp_path / "file"), "a file")
    left = {".ba9876543210.part", "mine.part", "resnet18-f37072fd.pth", "file"}
    assert set(os.listdir(tmp_path)) == left


def test_a_job_says_what_it_downloads_and_ends_if_it_is_canceled(url, tmp_path, monkeypatch):
    own = processes.name_of(os.getpid())
    monkeypatch.setattr(processes, "start_worker", lambda *_: own)
    dataset = fo.Dataset()
    job = queue.submit("find_leaks", {"samples": dataset}, dataset)
    service = DelegatedOperationService()
    service.set_running(ObjectId(job.id), run_link=own)
    with Reporter(job.id) as reporter, downloads_noted(reporter.note):
        reporter(1, 4, "Starting")
        reporter.written = 0.0
        download(f"{url}/whole", str(tmp_path / "file"), "a file")
        found = load_job(job.id)
        assert (found.message, found.progress) == ("Downloading a file: 0 of 4 MB", 0.25)
        cancel_job(job.id)
        time.sleep(3 * LOOK_SECONDS)
        with pytest.raises(CancelledError):
            download(f"{url}/whole", str(tmp_path / "other"), "a file")
    assert os.listdir(tmp_path) == ["file"]
    service.delete_operation(ObjectId(job.id))
    dataset.delete()
