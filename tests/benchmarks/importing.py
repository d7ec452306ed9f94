"""Import: speed beside FiftyOne's own importer, memory, growth, and kill -9 at random moments.

python tests/benchmarks/importing.py PHOTOS [--counts 10 1000 10000 100000] [--kills 20]

PHOTOS is a folder of photos; small files are cut out of them. FiftyOne's importer
(`Dataset.from_dir` of an ImageClassificationDirectoryTree with `compute_metadata=True`) gets the
clean part alone, for it stops at anything else; ours gets the broken files and the stray ones too.
Each import runs in a process of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
SIDE, CLASSES = 48, 10
STRAYS = 0.01  # share of files beside the clean ones: broken, empty, text
OURS = """
import fiftyone_gradcam as fg
import fiftyone as fo
fo.list_datasets()
begin()
fg.import_folders({root!r}, {name!r}, progress=False)
end()
"""
THEIRS = """
import fiftyone as fo
fo.list_datasets()
begin()
dataset = fo.Dataset.from_dir(
    dataset_dir={root!r},
    dataset_type=fo.types.ImageClassificationDirectoryTree,
    name={name!r},
    compute_metadata=True,
    progress=False,
)
dataset.persistent = True
end()
"""
FRAME = """
import sys, time, resource
sys.path.insert(0, {repository!r})
def begin():
    global started
    print("ready", flush=True)
    started = time.perf_counter()
def end():
    seconds = time.perf_counter() - started
    print("took", seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, flush=True)
"""


def make_files(photos: Path, root: Path, count: int) -> None:
    """Cut `count` small JPEG files out of photos, a folder for each class."""
    sources = sorted(p for p in photos.rglob("*.jpg"))[:200]
    draws = np.random.default_rng(0)
    pictures = [np.asarray(Image.open(path).convert("RGB")) for path in sources]
    for label in range(CLASSES):
        (root / f"class {label}").mkdir(parents=True)
    for number in range(count):
        pixels = pictures[number % len(pictures)]
        top, left = (int(draws.integers(0, side - SIDE)) for side in pixels.shape[:2])
        cut = Image.fromarray(pixels[top : top + SIDE, left : left + SIDE])
        cut.save(root / f"class {number % CLASSES}" / f"{number:06d}.jpg", quality=80)


def add_strays(root: Path, count: int) -> int:
    """Add files that are no images; returns how many."""
    number = max(3, int(count * STRAYS))
    for i in range(number):
        folder = root / f"class {i % CLASSES}"
        if i % 3 == 0:
            (folder / f"empty {i}.jpg").touch()
        elif i % 3 == 1:
            (folder / f"text {i}.jpg").write_text("no image")
        else:
            (folder / f"notes {i}.txt").write_text("a note")
    return number


def run(code: str, root: Path, name: str) -> tuple[float, float]:
    """Seconds and MiB of an import in a process of its own."""
    frame = FRAME.format(repository=str(ROOT)) + code.format(root=str(root), name=name)
    done = subprocess.run(
        [sys.executable, "-c", frame], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    took = next(line for line in done.stdout.splitlines() if line.startswith("took "))
    return tuple(map(float, took.split()[1:]))


def speed(photos: Path, counts: list[int], folder: Path) -> None:
    """Both importers, in turn, for each number of files."""
    import fiftyone as fo

    print(f"{'files':>8} {'FiftyOne':>10} {'ours':>10} {'ratio':>7} {'images/s':>9} {'MiB':>13}")
    for count in counts:
        root = folder / f"files {count}"
        make_files(photos, root, count)
        theirs = run(THEIRS, root, "import bench theirs")
        strays = add_strays(root, count)
        ours = run(OURS, root, "import bench ours")
        found = fo.load_dataset("import bench ours")
        assert len(found) == len(fo.load_dataset("import bench theirs")) == count
        for name in ("theirs", "ours"):
            fo.delete_dataset(f"import bench {name}")
        print(
            f"{count:>8} {theirs[0]:>9.1f}s {ours[0]:>9.1f}s {ours[0] / theirs[0]:>7.2f} "
            f"{count / ours[0]:>9.0f} {theirs[1]:>6.0f} {ours[1]:>6.0f}  ({strays} strays)",
            flush=True,
        )


def kills(photos: Path, times: int, folder: Path) -> str:
    """kill -9 at random moments of imports, then an import to the end: is it the same?"""
    import fiftyone as fo

    import fiftyone_gradcam as fg

    root, fields = folder / "killed", ["filepath", "ground_truth.label", "metadata.width"]
    make_files(photos, root, 2000)
    add_strays(root, 2000)
    whole = fg.import_folders(str(root), "import bench whole", progress=False)
    expected = whole.values(fields)
    draws, same = random.Random(0), 0
    frame = FRAME.format(repository=str(ROOT))
    frame += OURS.format(root=str(root), name="import bench killed")
    seconds = run(OURS, root, "import bench killed")[0]
    fo.delete_dataset("import bench killed")
    left = []
    for _ in range(times):
        process = subprocess.Popen([sys.executable, "-c", frame], stdout=subprocess.PIPE, text=True)
        while process.stdout.readline().strip() != "ready":
            pass
        time.sleep(draws.uniform(0, seconds))
        process.send_signal(signal.SIGKILL)
        process.wait()
        exists = fo.dataset_exists("import bench killed")
        left.append(len(fo.load_dataset("import bench killed")) if exists else 0)
        again = fg.import_folders(str(root), "import bench killed", progress=False)
        same += again.values(fields) == expected
        again.delete()
    whole.delete()
    return f"killed {times} times, with {sorted(left)} of 2000 images in; the same after: {same}"


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--counts", type=int, nargs="*", default=[10, 1000, 10_000, 100_000])
    parser.add_argument("--kills", type=int, default=20)
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    with tempfile.TemporaryDirectory() as folder:
        speed(options.photos, options.counts, Path(folder))
        if options.kills:
            words = io.StringIO()
            with contextlib.redirect_stdout(words):
                reported = kills(options.photos, options.kills, Path(folder))
            print(reported)


if __name__ == "__main__":
    main()
