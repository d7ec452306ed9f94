"""The buttons, pressed in a real browser, in a real App, on a real database."""

import socket
import time

import fiftyone as fo
import pytest
from browser import ARGUMENTS, AppPage, colourful, find_chromium
from conftest import QUICK, absent, save_digits

import fiftyone_gradcam as fg


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Digits with a trained run, but no predictions yet."""
    root = save_digits(tmp_path_factory.mktemp("app") / "digits", per_class=20, side=64)
    dataset = fg.import_folders(str(root), "digits in the app")
    fg.split(dataset)
    fg.fine_tune(dataset, "quick", **{**QUICK, "image_size": 32})
    yield dataset
    dataset.delete()


@pytest.fixture(scope="module")
def server(dataset):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    session = fo.launch_app(dataset, remote=True, address="127.0.0.1", port=port)
    yield session, f"http://127.0.0.1:{port}/"
    session.close()


@pytest.fixture
def app(server, dataset):
    from playwright.sync_api import sync_playwright

    session, url = server
    session.dataset = dataset
    session.clear_view()  # or a new tab would go on with the view of the last one
    chromium = find_chromium()
    if chromium is None:
        absent("a Chromium browser (such as `apt-get install chromium`)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        page = AppPage(browser.new_page(viewport={"width": 1500, "height": 900}), url)
        yield page
        browser.close()
    assert page.errors == []


def test_predict_by_button_draws_heatmaps(app, dataset):
    app.open(dataset.name)
    before = colourful(app.grid("1 before prediction"))
    assert before < 0.05  # grey digits, and a label on each
    app.press("predict")
    app.screenshot("2 predict form")
    app.execute()
    app.wait_for_text("Predicted 60 images")
    app.close_dialog()
    app.page.wait_for_timeout(4000)
    assert colourful(app.grid("3 heatmaps")) > 0.4
    dataset.reload()
    assert len(dataset.exists("gradcam")) == 60
    app.page.locator("[data-cy=checkbox-gradcam]").first.click()
    app.page.wait_for_timeout(2000)
    assert colourful(app.grid("4 heatmaps off")) < 0.05


def test_heatmaps_are_there_when_the_dataset_is_opened_anew(app, dataset):
    fg.predict(dataset, "quick")
    app.open(dataset.name)
    app.page.wait_for_timeout(4000)
    pixels = app.grid("5 opened anew")
    assert colourful(pixels) > 0.4
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    # The hottest places are red in the scale "jet", yellow in the App's own.
    assert ((red - green > 60) & (red - blue > 60)).mean() > 0.01


def test_lowest_scores_by_button_shows_the_view(app, dataset):
    fg.predict(dataset, "quick")
    app.open(dataset.name)
    app.press("lowest_scores")
    app.choose("Class", "digit 1")
    app.field("How many").fill("7")
    app.page.wait_for_timeout(1500)
    app.screenshot("6 lowest scores form")
    app.execute()
    app.wait_for_text("7 samples")
    app.page.wait_for_timeout(2000)
    app.screenshot("7 lowest scores")


def train_small_cnn(app, dataset, key: str, epochs: int) -> None:
    """Start a training by its button."""
    app.open(dataset.name)
    app.press("fine_tune")
    app.choose("Backbone", "small_cnn")
    app.field("Name of the run").fill(key)
    app.field("Epochs").fill(str(epochs))
    app.page.wait_for_timeout(1500)
    app.execute()


def test_fine_tune_by_button_shows_errors_and_results(app, dataset, tmp_path):
    app.open(dataset.name)
    app.press("fine_tune")
    app.choose("Backbone", "squeezenet1_1")
    app.choose("Pretrained weights", "A file of weights")
    app.field("Weights file").fill("/gone.pth")
    app.wait_for_text("There is no file '/gone.pth'")
    app.screenshot("8 form refuses")
    wrong = tmp_path / "wrong.pth"
    wrong.write_text("no weights")
    app.field("Weights file").fill(str(wrong))
    app.page.wait_for_timeout(1500)
    app.execute()
    app.wait_for_text("is not a file of weights that torch can load safely")
    app.screenshot("9 error")
    app.close_dialog()
    app.page.reload()
    train_small_cnn(app, dataset, "from_the_app", epochs=2)
    app.wait_for_text("Saved run 'from_the_app'")
    app.screenshot("10 trained")
    dataset.reload()
    run = fg.load_run(dataset, "from_the_app")
    assert len(run.history) == 2


def test_work_goes_on_when_the_tab_is_closed(app, dataset):
    train_small_cnn(app, dataset, "without_tab", epochs=60)
    app.wait_for_text("epoch 1")
    app.page.close()
    assert "without_tab" not in dataset.list_runs()
    for _ in range(120):
        time.sleep(1)
        dataset.reload()
        if "without_tab" in dataset.list_runs():
            break
    assert len(fg.load_run(dataset, "without_tab").history) == 60


def test_import_and_split_by_button(app, dataset, tmp_path):
    root = save_digits(tmp_path / "fresh digits", per_class=5)
    app.open(dataset.name)
    app.press("import_folders")
    app.field("Folder").fill(str(root))
    app.wait_for_text("Folders in it: digit 0, digit 1, digit 2")
    app.screenshot("11 import form")
    app.execute()
    app.wait_for_text("15 samples")
    app.close_dialog()
    app.press("split")
    app.screenshot("12 split form")
    app.execute()
    app.wait_for_text("Split: 9 train, 3 val, 3 test")
    imported = fo.load_dataset("fresh digits")
    assert imported.count_sample_tags() == {"train": 9, "val": 3, "test": 3}
    imported.delete()


def test_label_issues_by_button(app, dataset):
    app.open(dataset.name)
    app.press("find_label_issues")
    app.choose("Backbone", "small_cnn")
    app.screenshot("13 label issues form")
    app.execute()
    app.wait_for_text("60 labels judged, the most suspicious first", 120)
    app.close_dialog()
    app.screenshot("14 label issues")
    dataset.reload()
    assert len(dataset.exists("label_quality")) == 60


def test_the_panel_shows_the_runs_and_opens_the_next_form(app, dataset):
    app.open(dataset.name)
    app.page.locator("[data-cy=new-panel-btn]").first.click()
    app.page.get_by_text("Grad-CAM classifier", exact=True).first.click()
    app.wait_for_text("Next:")
    app.wait_for_text("quick")
    app.screenshot("15 panel")
    app.page.get_by_role("button", name="Mistakes").or_(
        app.page.get_by_role("button", name="Find label issues")
    ).or_(app.page.get_by_role("button", name="Predict with")).first.click()
    app.dialog.wait_for()
    app.screenshot("16 next step")
