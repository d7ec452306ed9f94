"""Take the pictures of the README and the docs, in a real App.

python tests/screenshots.py FOLDER BACKBONE WEIGHTS
python tests/screenshots.py DATASET

The first imports a folder of photos, trains BACKBONE from the file WEIGHTS, and takes all pictures
but two. The second takes those two: DATASET has been predicted with heatmaps of predicted class,
label and contrast, and its label issues have been found.
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
EPOCHS = 4


def main(folder: str, backbone: str, weights: str) -> None:
    """Write the pictures of the App, and those that the verbs make."""
    import fiftyone as fo
    from browser import ARGUMENTS, AppPage, find_chromium
    from playwright.sync_api import sync_playwright

    import fiftyone_gradcam as fg
    from fiftyone_gradcam import doctor

    doctor.link_plugin()
    session = fo.launch_app(remote=True, address="127.0.0.1", port=PORT)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1500, "height": 860})
        app = AppPage(page, f"http://127.0.0.1:{PORT}/")
        take_import(app, folder)
        dataset = fo.load_dataset(fo.list_datasets()[0])
        take_training(app, dataset, backbone, weights)
        dataset.reload()
        app.press("predict")
        take(page, "predict")
        page.keyboard.press("Escape")
        fg.predict(dataset, "first", heatmaps=("predicted", "label", "contrast"), progress=False)
        app.open(dataset.name)
        app.open_panel()
        app.tab("Evaluate")
        page.locator(".js-plotly-plot .nsewdrag").first.wait_for()
        take(page, "evaluate")
        browser.close()
    session.close()
    take_of_verbs(dataset, backbone, weights)


def take(page, name: str) -> None:
    """Write a picture of the App, once it has drawn everything."""
    from PIL import Image

    page.wait_for_timeout(4000)
    path = TARGET / f"{name}.png"
    page.screenshot(path=path)
    with Image.open(path) as image:
        image.convert("RGB").save(path.with_suffix(".jpg"), quality=82)
    path.unlink()


def take_import(app, folder: str) -> None:
    """Import a folder in an App without a dataset."""
    page = app.page
    page.goto(app.url)
    page.wait_for_timeout(6000)  # until it has loaded the plugins
    page.keyboard.press("`")
    page.wait_for_timeout(1000)
    page.keyboard.type("Import labeled")
    with app.form():
        page.get_by_text("Import labeled folders").first.click()
    app.field("Folder").fill(folder.replace(os.path.expanduser("~"), "~"))
    app.dialog.get_by_role("img", name="Some images of each class").wait_for()
    take(page, "import")
    app.execute()
    page.locator("[data-cy=looker]").first.wait_for()


def take_training(app, dataset, backbone: str, weights: str) -> None:
    """Train by the button."""
    app.open(dataset.name)
    app.press("fine_tune")
    app.choose("Network", backbone)
    app.choose("Pretrained weights", "From a file")
    app.fill("Weights file", weights)
    app.fill("Name of the run", "first")
    app.fill("Epochs", str(EPOCHS))
    app.execute()
    app.wait_for_text(f"epoch {EPOCHS - 1}: ", 400)
    take(app.page, "jobs")
    app.wait_for_text("Saved run", 200)


def take_of_verbs(dataset, backbone: str, weights: str) -> None:
    """Write the pictures that verbs make."""
    from PIL import Image

    import fiftyone_gradcam as fg

    run = fg.fine_tune(
        dataset, "watched", backbone=backbone, weights=weights, epochs=EPOCHS, watch=6
    )
    with Image.open(run.watch["strip"]) as strip:
        strip.convert("RGB").save(TARGET / "watch.jpg", quality=82)
    with Image.open(run.curves) as curves:  # a palette keeps the repository small
        curves.convert("RGB").quantize(160).save(TARGET / "curves.png", optimize=True)
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
            rotation=20.0,
            brightness=0.3,
            contrast=0.5,
            cutout=0.25,
        )
        with Image.open(path) as sheet:
            sheet.convert("RGB").save(TARGET / "augmentation.jpg", quality=82)


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
    main(*sys.argv[1:]) if len(sys.argv) > 2 else photos(*sys.argv[1:])
