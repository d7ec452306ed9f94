"""A FiftyOne of the tests' own: its database, plugins folder and files are temporary."""

from __future__ import annotations

import atexit
import gc
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil
import pytest
from PIL import Image

if TYPE_CHECKING:
    import fiftyone as fo

pytest_plugins = ("app_fixtures", "panel_fixtures", "review_pages", "summary")
REPOSITORY = Path(__file__).resolve().parent.parent
# Short, and not inside that of another session, such as one that starts workers: the addresses of
# sockets, as the processes of a DataLoader use them, have at most 107 bytes.
TEMPORARY = os.environ.setdefault("FIFTYONE_GRADCAM_TESTS_TMPDIR", tempfile.gettempdir())
HOME = Path(tempfile.mkdtemp(prefix="fg-", dir=TEMPORARY))
OWNER = os.getpid()


MEMORY = Path("/dev/shm")  # where there is one: a file system that is kept in memory
MEMORY_BYTES = 4 << 30  # a database takes some 300 MB


def _database_folder() -> Path:
    """Where the database is: in memory if there is room, for it waits for the disk all the time."""
    if not (MEMORY.is_dir() and os.access(MEMORY, os.W_OK)):
        return HOME / "database"
    remove_left_databases(MEMORY)
    if shutil.disk_usage(MEMORY).free <= MEMORY_BYTES:
        return HOME / "database"
    return Path(tempfile.mkdtemp(prefix=f"fg-{os.getpid()}-", dir=MEMORY))


def remove_left_databases(folder: Path) -> None:
    """Remove the databases of sessions that were killed: they would fill the memory."""
    for left in folder.glob("fg-*-*"):
        owner = left.name.split("-")[1]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(left, ignore_errors=True)  # another user's stays


DATABASE_FOLDER = _database_folder()


def _remove_home() -> None:
    if os.getpid() == OWNER:  # not in a process that was forked from this one
        for folder in (HOME, DATABASE_FOLDER):
            shutil.rmtree(folder, ignore_errors=True)


atexit.register(_remove_home)
for name in ("plugins", "datasets", "tmp"):
    (HOME / name).mkdir()
# Locks, and the process that forks workers: it ends soon after its folder is gone.
os.environ["TMPDIR"] = tempfile.tempdir = str(HOME / "tmp")
(HOME / "plugins" / "fiftyone-gradcam").symlink_to(REPOSITORY, target_is_directory=True)
os.environ.update(
    FIFTYONE_DATABASE_NAME=f"fiftyone-gradcam-tests-{os.getpid()}",
    FIFTYONE_PLUGINS_DIR=str(HOME / "plugins"),
    FIFTYONE_DEFAULT_DATASET_DIR=str(HOME / "datasets"),
    FIFTYONE_DO_NOT_TRACK="true",
    FIFTYONE_PLUGINS_CACHE_ENABLED="true",  # or each look for an operator reads all plugins again
    FIFTYONE_SHOW_PROGRESS_BARS="false",
)
if "PYTEST_XDIST_WORKER" in os.environ:  # threads that wait for each other spin: others starve
    os.environ.setdefault("OMP_NUM_THREADS", "1")
for name in ("FIFTYONE_DATABASE_URI", "FIFTYONE_DATABASE_DIR"):
    os.environ.pop(name, None)
sys.path.insert(0, str(REPOSITORY))

import forking  # noqa: E402
from database import Database  # noqa: E402

DATABASE = Database(DATABASE_FOLDER)
os.environ["FIFTYONE_DATABASE_URI"] = DATABASE.uri
# What tests and jobs need, for this process and for all that are forked from a copy of it.
IMPORTED = ("fiftyone.operators.delegated", "torch", "torchvision")
START_FORK_SERVER = """
from fiftyone_gradcam.jobs import fork_server, places, processes, queue, worker

environment = processes.worker_environment(queue.settings())
if target := fork_server.start("", places.socket_path(environment)):
    worker.main(target)  # in each worker that it forks
"""


# Files that take longest come first: or one worker would have them to do when others are done.
# Those of the App wait more than they compute, and stand between others, which compute.
FIRST = (
    *("test_app_jobs.py", "test_faults.py", "test_jobs.py"),
    *("test_app.py", "test_operators.py", "test_interrupted.py"),
    *("test_app_path.py", "test_cli.py", "test_published_weights.py"),
    *("test_app_review.py", "test_requests.py", "test_killed_trainings.py"),
    *("test_app_why.py", "test_methods.py", "test_cut_off_imports.py"),
    *("test_app_heatmaps.py", "test_cam.py", "test_description.py"),
    *("test_app_forms.py", "test_model.py", "test_clones.py"),
    *("test_app_texts.py", "test_cancelling.py", "test_learning_faults.py"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take longest first."""
    rank = {name: place for place, name in enumerate(FIRST)}
    items.sort(key=lambda item: rank.get(item.path.name, len(FIRST)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One worker more than processors: tests of the App wait for browsers, servers and jobs."""
    can_tell = hasattr(os, "sched_getaffinity")
    return 1 + (len(os.sched_getaffinity(0)) if can_tell else os.cpu_count() or 1)


def is_controller(config: pytest.Config) -> bool:
    """Whether this process only hands out tests to others."""
    return bool(getattr(config.option, "numprocesses", 0)) and not hasattr(config, "workerinput")


def pytest_configure(config: pytest.Config) -> None:
    """Start the database, and import what is needed meanwhile."""
    if is_controller(config):
        return
    with DATABASE.starting():
        for name in IMPORTED:
            import_module(name)
        forking.prepare(HOME / "forks")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Leave out what stays until the end, modules and tests, when garbage is collected.

    And collect it less often: documents of FiftyOne's are many small objects, few of them garbage.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000)


@pytest.fixture(scope="module", autouse=True)
def fork_server() -> None:
    """Let the first job of a session start as quickly as those after it."""
    from fiftyone_gradcam.jobs import places, processes, queue

    place = places.socket_path(processes.worker_environment(queue.settings()))
    if forking.CAN_FORK and not place.exists():
        forking.run_python(START_FORK_SERVER)


IN_CI = os.environ.get("CI", "").lower() in ("1", "true")
# A folder with `data` and `weights` of real images and networks (see README); optional.
REAL = os.environ.get("FIFTYONE_GRADCAM_TEST_DATA")


def absent(what: str) -> None:
    """Skip a test for want of something; in CI nothing may be wanting."""
    if IN_CI:
        pytest.fail(f"CI must have {what}")
    pytest.skip(f"needs {what}")


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of real images and weights."""
    if not REAL or not Path(REAL).is_dir():
        absent("FIFTYONE_GRADCAM_TEST_DATA, a folder of real images and weights")
    return Path(REAL)


def save_digits(root: Path, per_class: int, classes: int = 3, side: int = 16) -> Path:
    """Write some of scikit-learn's digits as PNG files, one folder each."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    for label in range(classes):
        folder = root / f"digit {label}"
        folder.mkdir(parents=True)
        chosen = digits.images[digits.target == label][:per_class]
        for number, pixels in enumerate(chosen):
            image = Image.fromarray((pixels * (255 / 16)).astype(np.uint8))
            image.resize((side, side), Image.Resampling.BICUBIC).save(folder / f"{number:03d}.png")
    return root


@pytest.fixture(scope="module")
def one_thread():
    """So small networks are not made faster by more threads, which wait for each other."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    """Folders of 30 images each of three digits."""
    return save_digits(tmp_path / "digits", per_class=30)


@pytest.fixture
def name(request) -> str:
    """A name for a dataset of the test's own, gone afterwards."""
    name = f"test {request.node.name}"
    yield name
    import fiftyone as fo

    if fo.dataset_exists(name):
        fo.delete_dataset(name)


def worker_of(job) -> str:
    """The name of the process that does a job of this plugin, or waits to."""
    from bson import ObjectId
    from fiftyone.operators.delegated import DelegatedOperationService

    return DelegatedOperationService().get(ObjectId(job.id)).run_link


def kill_worker(job) -> None:
    """Kill the process of a job, and no other: other people's jobs run on this machine too."""
    from fiftyone_gradcam.jobs.processes import is_alive

    worker = worker_of(job)
    assert is_alive(worker), f"{job} has no process: {worker!r}"
    os.kill(int(worker.rsplit(" ", 2)[1]), signal.SIGKILL)


@contextmanager
def pausing(job) -> Iterator[None]:
    """Stop the process of a job meanwhile: it would take processor time from what is looked at."""
    process = int(worker_of(job).rsplit(" ", 2)[1])
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


# A training that takes a second or two and gets most digits right.
QUICK = {
    "backbone": "small_cnn",
    "weights": "none",
    "epochs": 6,
    "batch_size": 16,
    "image_size": 16,
    "horizontal_flip": False,
    "translation": 0,
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> fo.Dataset:
    """A dataset of three digits, split, with a run "quick" and its predictions and heatmaps."""
    import fiftyone_gradcam as fg

    root = save_digits(tmp_path_factory.mktemp("trained") / "digits", per_class=60)
    dataset = fg.import_folders(str(root), f"trained {root.parent.name}")
    fg.split(dataset)
    fg.fine_tune(dataset, "quick", **QUICK)
    fg.predict(dataset, "quick", heatmaps=("predicted", "label"))
    yield dataset
    dataset.delete()


@pytest.fixture(scope="module")
def digit_files(tmp_path_factory):
    """Paths and classes of 60 digits of each of three classes."""
    root = save_digits(tmp_path_factory.mktemp("files") / "digits", per_class=60)
    paths = sorted(root.glob("*/*.png"))
    return [str(p) for p in paths], np.array([int(p.parent.name[-1]) for p in paths])


@pytest.fixture(scope="module")
def digit_weights(digit_files, tmp_path_factory) -> str:
    """A file of weights that know the digits, with their last layer."""
    import torch
    from diagnosing import recipe, sets

    from fiftyone_gradcam.training.loop import train

    found = train(recipe(epochs=6), 3, *sets(digit_files), device="cpu")
    path = tmp_path_factory.mktemp("weights") / "digits.pt"
    torch.save(found.model.state_dict(), path)
    return str(path)
