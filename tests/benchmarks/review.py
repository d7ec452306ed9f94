"""The Review tab: how soon the next image is shown after a label is corrected from the keyboard.

python tests/benchmarks/review.py [--rounds 5]

Needs Chromium and Playwright. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import fiftyone as fo
from browser import ARGUMENTS, AppPage, find_chromium
from playwright.sync_api import sync_playwright
from test_app_review import PLANTED, draw_dataset, open_review, part, press_until_next, stored

import fiftyone_gradcam as fg
from fiftyone_gradcam import doctor

PORT = 5197
ASKED = 0.3  # seconds from a key to the next image


def accept_all(app: AppPage, dataset: fo.Dataset) -> list[float]:
    """Accept all suggestions and take that back; the seconds from each key to the next image."""
    open_review(app, dataset)
    part(app, "image").wait_for()
    seconds = [press_until_next(app, "a") for _ in range(PLANTED - 1)]
    app.page.keyboard.press("a")  # the last one: no image comes after it
    stored(app, PLANTED)
    fg.undo_review(dataset, count=PLANTED)
    return seconds


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    doctor.link_plugin()
    seconds: list[float] = []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        dataset = draw_dataset(Path(folder))
        session = fo.launch_app(dataset, remote=True, port=PORT)
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
        for _ in range(options.rounds):
            page = browser.new_page(viewport={"width": 1500, "height": 900})
            seconds += accept_all(AppPage(page, f"http://localhost:{PORT}/"), dataset)
            page.close()
        browser.close()
        session.close()
        dataset.delete()
    seconds.sort()
    print(
        f"From a key to the next image, {len(seconds)} decisions: median "
        f"{statistics.median(seconds):.3f} s, 95% below {seconds[int(0.95 * len(seconds))]:.3f} s, "
        f"longest {seconds[-1]:.3f} s (asked: {ASKED})"
    )


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # the App's server is not waited for
