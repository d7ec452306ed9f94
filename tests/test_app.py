"""The buttons, pressed in a real browser, in a real App, on a real database."""

import fiftyone as fo
import numpy as np
import pytest
from browser import colourful
from conftest import QUICK, save_digits
from serving import until

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


def magenta(pixels: np.ndarray) -> float:
    """Share of pixels with the color of the predicted class over them."""
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    return float(((red - green > 40) & (abs(red - blue) < 20)).mean())


def is_hot(pixels: np.ndarray) -> bool:
    return magenta(pixels) > 0.1


def test_predict_by_button_draws_heatmaps_and_leaves_other_colours(app, dataset):
    dataset.app_config.color_scheme = fo.ColorScheme(color_pool=["#12ab34"], color_by="field")
    dataset.save()
    app.open(dataset.name)
    before = colourful(app.grid("1 before prediction"))
    assert before < 0.05  # grey digits, and a label on each
    app.press("predict")
    app.screenshot("2 predict form")
    app.execute()
    app.wait_for_text("Predicted 60 images")
    pixels = app.grid("3 heatmaps", until=is_hot)
    assert is_hot(pixels)
    dataset.reload()
    assert len(dataset.exists("gradcam")) == 60
    app.page.locator("[data-cy=checkbox-gradcam]").first.click()
    # The labels on each tile stay, teal and red: nothing is magenta.
    pixels = app.grid("4 heatmaps off", until=lambda pixels: magenta(pixels) < 0.005)
    assert magenta(pixels) < 0.005
    app.page.reload()
    assert dataset.app_config.color_scheme.color_pool == ["#12ab34"]
    dataset.app_config.color_scheme = None
    dataset.save()


def test_heatmaps_are_there_when_the_dataset_is_opened_anew(app, app_server, dataset):
    fg.predict(dataset, "quick")
    app_server[0].dataset = dataset  # an App that has it open keeps the colors that it had
    app.open(dataset.name)
    assert is_hot(app.grid("5 opened anew", until=is_hot))


def test_lowest_scores_by_button_shows_the_view(app, dataset):
    fg.predict(dataset, "quick")
    app.open(dataset.name)
    app.press("lowest_scores")
    app.choose("Class", "digit 1")
    app.fill("Number of samples", "7")
    app.screenshot("6 lowest scores form")
    app.execute()
    app.wait_for_text("7 samples")
    app.screenshot("7 lowest scores")


def test_import_and_split_by_button(app, dataset, tmp_path):
    root = save_digits(tmp_path / "fresh digits", per_class=5)
    app.open(dataset.name)
    app.press("import_folders")
    app.fill("Folder", str(root))
    app.wait_for_text("15 files in 3 classes")
    app.dialog.get_by_role("img", name="Some images of each class").wait_for()
    app.screenshot("8 import form")
    app.execute()
    app.page.wait_for_url("**/datasets/fresh*digits")  # else the click meets the dataset before
    app.wait_for_text("15 samples")
    app.press("split")
    app.screenshot("9 split form")
    app.execute()
    app.wait_for_text("Split: 9 train, 3 val, 3 test")
    imported = fo.load_dataset("fresh digits")
    assert imported.count_sample_tags() == {"train": 9, "val": 3, "test": 3}
    app.page.goto("about:blank")  # or the App would ask for what is gone
    imported.delete()


def test_leaks_by_button(app, app_server, dataset, tmp_path):
    for split in ("train", "val"):
        save_digits(tmp_path / "leaking" / split, per_class=3)
    for path in (tmp_path / "leaking" / "val").glob("*/*.png"):
        if path.name != "001.png":  # one of each class is in both splits
            path.write_bytes(path.read_bytes() + path.parent.name.encode())
    leaking = fg.import_folders(str(tmp_path / "leaking"))
    app.open(leaking.name)
    app.press("find_leaks")
    with app.form():
        app.dialog.get_by_text("Find near duplicates too").click()
    app.execute()
    app.wait_for_text("6 images have a duplicate in another split")
    app.wait_for_text("6 samples")
    app.page.locator("[data-cy=checkbox-leak] input:checked").first.wait_for(state="attached")
    app.page.locator("[data-cy=checkbox-tags] input:checked").first.wait_for(state="attached")
    app.screenshot("14 leaks")
    leaking.reload()
    assert leaking.count_values("leak.label")["exact"] == 6
    assert sorted(leaking.exists("leak").values("leak.group")) == [1, 1, 2, 2, 3, 3]
    app.page.goto("about:blank")  # or the App would ask for what is gone
    leaking.delete()


def test_label_issues_by_button(app, app_server, dataset):
    app.open(dataset.name)
    app.press("find_label_issues")
    app.choose("Network", "small_cnn")
    with app.form():
        app.dialog.get_by_text("More choices").click()
    app.fill("Number of folds", "2")
    app.fill("Epochs", "1")
    app.screenshot("10 label issues form")
    app.execute()
    app.wait_for_text("suspicious labels: 0 reviewed", 120)  # the panel turns to Review
    until(lambda: app_server[0].view is not None)  # as the App has told its session
    app.screenshot("11 label issues")
    dataset.reload()
    shown = app_server[0].view.values("label_quality")
    assert len(shown) == 60
    assert shown == sorted(shown)
