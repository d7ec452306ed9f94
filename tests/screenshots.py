"""Take the README's pictures of the demonstration, in a real App.

python -m fiftyone_gradcam demo --no-app && python tests/screenshots.py
python tests/screenshots.py DATASET

The second takes the two pictures of real photos: DATASET has been predicted with heatmaps of
predicted class, label and contrast, and its label issues have been found.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[1])]
os.environ["FIFTYONE_DO_NOT_TRACK"] = "true"

TARGET = Path(__file__).resolve().parents[1] / ".github" / "images"
PORT = 5195


def main() -> None:
    """Write the pictures of the App, and those that the verbs make."""
    import fiftyone as fo
    from browser import ARGUMENTS, AppPage, find_chromium
    from PIL import Image
    from playwright.sync_api import sync_playwright

    import fiftyone_gradcam as fg
    from fiftyone_gradcam import doctor
    from fiftyone_gradcam.dataset.views import label_issues

    doctor.link_plugin()
    dataset = fo.load_dataset("gradcam-demo")
    view = label_issues(dataset)
    session = fo.launch_app(view, remote=True, address="127.0.0.1", port=PORT)
    TARGET.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1600, "height": 820})
        app = AppPage(page, f"http://127.0.0.1:{PORT}/")
        app.open(dataset.name)
        session.view = view
        page.wait_for_timeout(6000)
        page.screenshot(path=TARGET / "label-issues.jpg", quality=82)
        app.press("predict")
        app.page.wait_for_timeout(1500)
        page.screenshot(path=TARGET / "predict.png")
        page.keyboard.press("Escape")
        app.press("import_folders")
        folder = dataset.info["import_folders"]["path"]
        app.field("Folder").fill(folder.replace(os.path.expanduser("~"), "~"))
        app.dialog.get_by_role("img", name="Some images of each class").wait_for()
        page.wait_for_timeout(2000)
        page.screenshot(path=TARGET / "import.png")
        page.goto("about:blank")
        session.clear_view()
        take_panel(app, dataset)
        browser.close()
    session.close()
    run = fg.load_run(dataset, "small_cnn")
    with Image.open(run.watch["strip"]) as strip:
        strip.save(TARGET / "watch.jpg", quality=85)
    shutil.copyfile(run.curves, TARGET / "curves.png")
    with tempfile.TemporaryDirectory() as folder:
        few = fg.lowest_scores(dataset, count=12)
        *_, sheet = fg.export_overlays(few, folder, "gradcam", progress=False)
        shutil.copyfile(sheet, TARGET / "overlays.jpg")
        path = str(Path(folder) / "augmentation.png")
        fg.preview_augmentation(
            dataset,
            fg.Recipe(**run.recipe),
            path,
            count=3,
            copies=6,
            image_size=64,
            rotation=20.0,
            elastic=4.0,
            contrast=0.5,
            noise=0.02,
            cutout=0.25,
        )
        with Image.open(path) as sheet:
            sheet.convert("RGB").save(TARGET / "augmentation.jpg", quality=85)
    for path in TARGET.glob("*.png"):  # a palette keeps the repository small
        Image.open(path).convert("RGB").quantize(160).save(path, optimize=True)


def take_panel(app, dataset) -> None:
    """Train by the button, and look at the panel's tabs."""
    import fiftyone_gradcam as fg

    if "in_the_app" in fg.list_runs(dataset):
        fg.delete_run(dataset, "in_the_app")
    app.open(dataset.name)
    app.press("fine_tune")
    app.choose("Network", "small_cnn")
    app.field("Name of the run").fill("in_the_app")
    app.field("Epochs").fill("30")
    app.dialog.get_by_text("More choices").click()
    app.page.wait_for_timeout(1500)
    app.field("Image size").fill("32")
    app.page.wait_for_timeout(6000)
    app.execute()
    app.wait_for_text("epoch 10", 300)
    app.page.wait_for_timeout(1500)
    app.page.screenshot(path=TARGET / "jobs.png")
    app.click("Cancel")
    app.wait_for_text("the best so far is kept")
    app.page.wait_for_timeout(8000)  # until the message at the bottom is gone
    app.tab("Evaluate")
    app.page.locator(".js-plotly-plot .nsewdrag").first.wait_for()
    app.page.wait_for_timeout(3000)
    app.page.screenshot(path=TARGET / "evaluate.png")
    fg.delete_run(dataset, "in_the_app")


def photos(name: str) -> None:
    """Write the picture of the most suspicious photos, and that of Why?."""
    import fiftyone as fo
    from browser import ARGUMENTS, AppPage, find_chromium
    from PIL import Image
    from playwright.sync_api import sync_playwright

    from fiftyone_gradcam import doctor
    from fiftyone_gradcam.dataset.shown import show_fields
    from fiftyone_gradcam.dataset.views import label_issues

    doctor.link_plugin()
    dataset = fo.load_dataset(name)
    dataset.app_config.active_fields = fo.ActiveFields(
        paths=["ground_truth", "suggested_label", "gradcam"]
    )
    dataset.save()
    show_fields(dataset, ["gradcam"])
    view = label_issues(dataset)
    session = fo.launch_app(view, remote=True, address="127.0.0.1", port=PORT)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1500, "height": 800})
        app = AppPage(page, f"http://127.0.0.1:{PORT}/")
        app.open(dataset.name)
        session.view = view
        app.open_panel()
        app.tab("Review")
        page.locator("[data-cy=gradcam-image]").first.wait_for()
        page.wait_for_timeout(6000)
        page.screenshot(path=TARGET / "photos.png")
        box = page.locator("[data-cy=looker]").first.bounding_box()
        # Beside the checkbox, which is in the middle of a small tile.
        page.mouse.click(box["x"] + 0.85 * box["width"], box["y"] + 0.6 * box["height"])
        page.locator("[data-cy=modal]").get_by_text("Why?").first.click()
        page.locator("[data-cy=gradcam-why-bars]").wait_for()
        page.wait_for_timeout(3000)
        page.locator("[data-cy=modal]").screenshot(path=TARGET / "why.png")
        browser.close()
    session.close()
    for shot in ("photos", "why"):
        path = TARGET / f"{shot}.png"
        with Image.open(path) as image:
            image.convert("RGB").save(path.with_suffix(".jpg"), quality=82)
        path.unlink()


if __name__ == "__main__":
    photos(sys.argv[1]) if sys.argv[1:] else main()
