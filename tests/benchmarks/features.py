"""Seconds of find_label_issues alone, and after predict with the same network; and their ratio.

python tests/benchmarks/features.py FOLDER WEIGHTS [--backbone mobilenet_v2] [--rounds 3]

FOLDER holds photos in a folder for each class, WEIGHTS are of the backbone. Each round imports the
photos twice, and calls the verb once in each dataset, in turn. The database and all files are
temporary.
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
    """Time both ways in turn, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("weights")
    parser.add_argument("--backbone", default="mobilenet_v2")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fiftyone-gradcam-features-") as home:
        _own_fiftyone(Path(home))
        print(f"find_label_issues with {options.backbone}, seconds")
        ratios = []
        for number in range(options.rounds + 1):
            with contextlib.redirect_stdout(io.StringIO()):
                alone, after, predicted = _round(options, number)
            ratios.append(after / alone)
            print(
                f"  alone {alone:6.2f}, after predict {after:6.2f} ({predicted:.2f}): "
                f"ratio {ratios[-1]:.3f}" + " (loads code and files)" * (not number),
                flush=True,
            )
    print(f"median of the ratios {statistics.median(ratios[1:]):.3f}, asked: at most .1")


def _own_fiftyone(home: Path) -> None:
    names = {"DATABASE_DIR": "db", "DEFAULT_DATASET_DIR": "datasets", "PLUGINS_DIR": "plugins"}
    for name, folder in names.items():
        (home / folder).mkdir()
        os.environ[f"FIFTYONE_{name}"] = str(home / folder)
    os.environ |= {"FIFTYONE_DO_NOT_TRACK": "true", "FIFTYONE_SHOW_PROGRESS_BARS": "false"}
    os.environ.pop("FIFTYONE_DATABASE_URI", None)


def _round(options: argparse.Namespace, number: int) -> tuple[float, float, float]:
    """Seconds of the verb alone, of the verb after predict, and of predict."""
    import fiftyone_gradcam as fg

    given = {"weights": options.weights, "resize": "crop", "progress": False}
    fresh = fg.import_folders(options.folder, f"alone {number}", progress=False)
    alone = _seconds(lambda: fg.find_label_issues(fresh, backbone=options.backbone, **given))
    before = fresh.values("label_quality")
    fresh.delete()
    # Ids of samples are others, so that nothing of the first dataset is found again.
    other = fg.import_folders(options.folder, f"after predict {number}", progress=False)
    predicted = _seconds(lambda: fg.predict(other, options.backbone, heatmaps=(), **given))
    after = _seconds(lambda: fg.find_label_issues(other, backbone=options.backbone, **given))
    # Batches of another size round otherwise.
    pairs = zip(other.values("label_quality"), before, strict=True)
    assert max(abs(a - b) for a, b in pairs) < 0.01
    other.delete()
    return alone, after, predicted


def _seconds(call) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
