"""Take the pictures of the README and the docs.

python -m fiftyone_gradcam demo --photos --no-app
python tests/screenshots.py app
python tests/screenshots.py verbs

`app` takes those of the App, `verbs` the pictures that functions write. Both take the name of
another dataset that has predictions with heatmaps, label issues, and a run with heatmaps by epoch.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[1])]
os.environ["FIFTYONE_DO_NOT_TRACK"] = "true"

TARGET = Path(__file__).resolve().parents[1] / ".github" / "images"
PORT = 5195
VIEWPORT = {"width": 1500, "height": 860}
MOST_WIDE = 1000  # pixels of a picture that a function writes
EXPLAINED = 7  # the place of the image that Why? explains, among the most suspicious
LARGE = 0.85  # of the slider of the sizes of tiles
SETTLED = 4000  # ms until photos and heatmaps are painted


def app_pictures(name: str) -> None:
    """Write the pictures of the App: steps, evaluation, review, import, label issues and Why?."""
    import fiftyone as fo
    from browser import ARGUMENTS, AppPage, find_chromium
    from playwright.sync_api import sync_playwright

    from fiftyone_gradcam import doctor
    from fiftyone_gradcam.dataset.views import label_issues

    doctor.link_plugin()
    dataset = fo.load_dataset(name)
    session = fo.launch_app(dataset, remote=True, address="127.0.0.1", port=PORT)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
        page = browser.new_page(viewport=VIEWPORT)
        app = AppPage(page, f"http://127.0.0.1:{PORT}/")
        app.open(name)
        app.open_panel()
        app.wait_for_text("Next:")
        take(page, "steps")
        app.tab("Evaluate")
        page.locator(".js-plotly-plot .nsewdrag").first.wait_for()
        take(page, "evaluate")
        app.tab("Review")
        page.locator("[data-cy=gradcam-image]").first.wait_for()
        take(page, "review")
        app.open(name)
        app.press("import_folders")
        folder = dataset.info["import_folders"]["path"]
        app.fill("Folder", folder.replace(os.path.expanduser("~"), "~"))
        app.dialog.get_by_role("img", name="Some images of each class").wait_for()
        take(page, "import")
        with shown(dataset, ["ground_truth", "issue", "gradcam"]):
            app.open(name)
            session.view = label_issues(dataset)
            enlarge(page)
            take(page, "label-issues")
        box = page.locator("[data-cy=looker]").nth(EXPLAINED).bounding_box()
        page.set_viewport_size(VIEWPORT | {"height": 720})
        # Beside the checkbox, which is in the middle of a small tile.
        page.mouse.click(box["x"] + 0.85 * box["width"], box["y"] + 0.6 * box["height"])
        page.locator("[data-cy=modal]").get_by_text("Why?").first.click()
        page.locator("[data-cy=gradcam-why-bars]").wait_for()
        take(page, "why", page.locator("[data-cy=gradcam-why]"))
        browser.close()
    session.close()


@contextmanager
def shown(dataset, paths: list[str]) -> Iterator[None]:
    """Show a few fields meanwhile: the names of many would hide small photos."""
    import fiftyone as fo

    config, before = dataset.app_config, dataset.app_config.active_fields
    try:
        config.active_fields = fo.ActiveFields(paths=paths)
        dataset.save()
        yield
    finally:
        config.active_fields = before
        dataset.save()


def enlarge(page) -> None:
    """Make the tiles of the grid larger."""
    slider = page.locator(".MuiSlider-root", has=page.locator("input[aria-valuemin='-15']"))
    box = slider.first.bounding_box()
    page.mouse.click(box["x"] + LARGE * box["width"], box["y"] + box["height"] / 2)


def take(page, name: str, part=None) -> None:
    """Write a picture of the page, or of a part of it, once it has settled."""
    page.wait_for_timeout(SETTLED)
    (part or page).screenshot(path=TARGET / f"{name}.jpg", type="jpeg", quality=82)


def verb_pictures(name: str) -> None:
    """Write the pictures of the functions: heatmaps by epoch, curves, overlays, augmentation."""
    import fiftyone as fo
    from PIL import Image

    import fiftyone_gradcam as fg

    dataset = fo.load_dataset(name)
    run = fg.load_run(dataset, fg.list_runs(dataset)[-1])
    with Image.open(run.watch["strip"]) as strip:
        save(strip, "watch")
    with Image.open(run.curves) as curves:  # a palette keeps the repository small
        curves.convert("RGB").quantize(160).save(TARGET / "curves.png", optimize=True)
    with tempfile.TemporaryDirectory() as folder:
        few = fg.lowest_scores(dataset, count=12)
        *_, sheet = fg.export_overlays(few, folder, "gradcam", progress=False)
        with Image.open(sheet) as overlays:
            save(overlays, "overlays")
        path = str(Path(folder) / "augmentation.png")
        fg.preview_augmentation(
            dataset,
            fg.Recipe(**run.recipe),
            path,
            count=3,
            copies=6,
            rotation=20.0,
            elastic=4.0,
            contrast=0.5,
            noise=0.02,
            cutout=0.25,
        )
        with Image.open(path) as sheet:
            save(sheet, "augmentation")


def save(picture, name: str) -> None:
    """Write a picture no wider than a page shows it."""
    picture = picture.convert("RGB")
    picture.thumbnail((MOST_WIDE, MOST_WIDE))
    picture.save(TARGET / f"{name}.jpg", quality=78, optimize=True)


if __name__ == "__main__":
    kind, *rest = sys.argv[1:] or [""]
    if kind == "app":
        app_pictures(rest[0] if rest else "gradcam-demo-photos")
    elif kind == "verbs":
        verb_pictures(rest[0] if rest else "gradcam-demo-photos")
    else:
        sys.exit(__doc__)
