"""Seconds from the call of a job to its first message: the first of a session, and those after it.

python tests/benchmarks/jobs.py [--jobs 5]

Each row also has the seconds of a worker that imports everything itself, for comparison. The
database and all files are temporary.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))


def main() -> None:
    """Call jobs one after the other, by both ways, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=5, help="after the first")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fiftyone-gradcam-jobs-") as home:
        _own_fiftyone(Path(home))
        with contextlib.redirect_stdout(io.StringIO()):
            dataset = _dataset(Path(home))

        first = _seconds(dataset)
        forked = [_seconds(dataset) for _ in range(options.jobs)]
        from fiftyone_gradcam.jobs import fork_client

        fork_client.can_fork = lambda: False
        own = [_seconds(dataset) for _ in range(options.jobs)]
        dataset.delete()
    middle = {"those after it": statistics.median(forked), "importing all": statistics.median(own)}
    print("seconds from the call of a job to its first message")
    print(f"  the first of a session {first:6.2f}")
    for (name, median), rows in zip(middle.items(), (forked, own), strict=True):
        print(f"  {name:22} {median:6.2f} (median), {max(rows):.2f} at most")
    print(f"  ratio of the medians   {middle['importing all'] / middle['those after it']:6.1f}")


def _own_fiftyone(home: Path) -> None:
    names = {"DATABASE_DIR": "db", "DEFAULT_DATASET_DIR": "datasets", "PLUGINS_DIR": "plugins"}
    for name, folder in names.items():
        (home / folder).mkdir()
        os.environ[f"FIFTYONE_{name}"] = str(home / folder)
    (home / "plugins" / "fiftyone-gradcam").symlink_to(REPOSITORY, target_is_directory=True)
    (home / "tmp").mkdir()
    os.environ["TMPDIR"] = tempfile.tempdir = str(home / "tmp")
    os.environ |= {"FIFTYONE_DO_NOT_TRACK": "true", "FIFTYONE_SHOW_PROGRESS_BARS": "false"}
    os.environ.pop("FIFTYONE_DATABASE_URI", None)


def _dataset(home: Path):
    import numpy as np
    from PIL import Image

    import fiftyone_gradcam as fg

    for name in ("dark", "bright"):
        (home / "images" / name).mkdir(parents=True)
        for number in range(8):
            pixels = np.full((32, 32, 3), number + 200 * (name == "bright"), np.uint8)
            Image.fromarray(pixels).save(home / "images" / name / f"{number}.png")
    dataset = fg.import_folders(str(home / "images"), "benchmark of jobs")
    fg.split(dataset, {"train": 0.5, "val": 0.5})
    return dataset


def _seconds(dataset) -> float:
    """Of one job, which is then waited for."""
    import fiftyone_gradcam as fg

    begin = time.perf_counter()
    job = fg.find_leaks(dataset, near=False, delegate=True)
    while not job.refresh().message:
        time.sleep(0.01)
    seconds = time.perf_counter() - begin
    job.wait(120)
    return seconds


if __name__ == "__main__":
    main()
