"""Forms in a real browser: what only a browser shows."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import fiftyone as fo
import pytest
import torch
from conftest import save_digits
from serving import until

import fiftyone_gradcam as fg
from fiftyone_gradcam.model.backbones import get_backbone

SIZES = ({"width": 1600, "height": 1000}, {"width": 1100, "height": 800})


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = save_digits(tmp_path_factory.mktemp("app forms") / "digits", per_class=8, side=32)
    dataset = fg.import_folders(str(root), "digits in forms")
    fg.split(dataset)
    yield dataset
    dataset.delete()


def submit_buttons(app):
    return app.dialog.locator("[aria-label='split button'] button")


def close(app) -> None:
    app.page.keyboard.press("Escape")
    app.dialog.wait_for(state="detached")


def is_above_the_fold(app, text: str) -> bool:
    """Whether a text, and the button that sends the form, are seen without scrolling."""
    height = app.page.viewport_size["height"]
    boxes = (app.dialog.get_by_text(text).first.bounding_box(), submit_buttons(app).bounding_box())
    return all(box and box["y"] >= 0 and box["y"] + box["height"] <= height for box in boxes)


def test_forms_of_the_path(app, app_server, dataset, tmp_path):
    app.open(dataset.name)
    for size in SIZES:
        app.page.set_viewport_size(size)
        app.press("import_folders")
        button = submit_buttons(app)
        button.first.wait_for()
        assert (button.count(), button.inner_text()) == (1, "Import")  # no arrow beside it
        until(button.is_disabled)
        assert app.dialog.get_by_text("Required").count() == 0  # nothing was typed yet
        app.screenshot(f"70 import {size['width']}")
        close(app)
        app.press("split")
        app.dialog.get_by_text("14 train, 5 val, 5 test").first.wait_for()
        until(lambda: is_above_the_fold(app, "14 train, 5 val, 5 test"))
        assert submit_buttons(app).inner_text() == "Split"
        app.fill("Training share", "0.4")
        app.dialog.get_by_text(re.compile("^(9|10) train, 5 val")).wait_for()
        app.screenshot(f"71 split {size['width']}")
        close(app)
        app.press("fine_tune")
        app.dialog.get_by_text("14 training images").first.wait_for()
        until(lambda: is_above_the_fold(app, "14 training images"))
        assert submit_buttons(app).inner_text() == "Train"
        app.screenshot(f"72 train {size['width']}")
        close(app)
    folder = tmp_path / "to browse"
    save_digits(folder, per_class=2)
    browse(app, folder)
    choose_network(app, tmp_path)
    say_which_samples(app, app_server[0], dataset)
    import_beside_a_form(app, folder)


def browse(app, folder) -> None:
    """A folder is chosen by clicks; what was typed says where they start."""
    app.press("import_folders")
    app.fill("Folder", str(folder.parent / "gone"))
    app.dialog.get_by_text("gone").first.wait_for()
    app.page.locator("[title='Choose a directory'] button").click()
    explorer = app.page.get_by_role("dialog").filter(has_text="Modified")
    explorer.get_by_text(folder.name, exact=True).click()
    app.screenshot("73 browse")
    with app.form():
        explorer.get_by_role("button", name="Choose", exact=True).click()
    app.dialog.get_by_text("6 files in 3 classes").first.wait_for()
    until(lambda: app.field("Folder").input_value() == str(folder))
    until(submit_buttons(app).is_enabled)
    close(app)


def choose_network(app, tmp_path) -> None:
    """A part of a name finds a network; weights of another are flagged; the time is estimated."""
    app.press("fine_tune")
    until(submit_buttons(app).is_enabled)  # the form is built again while its defaults come in
    field = app.field("Network")
    field.click()
    field.fill("v3_large")
    with app.form():
        app.page.get_by_role("option", name="mobilenet_v3_large").click()
    app.choose("Pretrained weights", "From a file")
    path = tmp_path / "other.pth"
    torch.save(get_backbone("squeezenet1_1").build(2).state_dict(), path)
    app.fill("Weights file", str(path))
    words = "This file holds weights of squeezenet1_1, not of mobilenet_v3_large"
    app.dialog.get_by_text(words).first.wait_for()
    until(submit_buttons(app).is_disabled)
    app.screenshot("74 weights of another network")
    app.choose("Network", "small_cnn")
    app.dialog.get_by_text(re.compile(r"About \d+ (s|min) on the CPU")).wait_for()
    close(app)


def say_which_samples(app, session, dataset) -> None:
    """An open view is no reason to use it alone; that it is there is said."""
    session.view = dataset.match_tags("val")
    app.wait_for_text("5 samples")
    for verb in ("fine_tune", "predict"):
        app.press(verb)
        app.dialog.get_by_text("5 of 24 samples: current view").first.wait_for()
        picked = app.dialog.get_by_role("radio", name=re.compile("All 24 samples"))
        until(picked.is_checked)
        app.screenshot(f"75 samples of {verb}")
        close(app)


def import_beside_a_form(app, folder) -> None:
    """A dataset is not opened under an open form, but by a button when the form is closed."""
    app.page.set_viewport_size(SIZES[0])  # beside the panel, a narrow window has no buttons
    app.press("import_folders")
    app.fill("Folder", str(folder))
    app.dialog.get_by_text("6 files in 3 classes").first.wait_for()
    until(submit_buttons(app).is_enabled)
    # Neither the panel nor the box learns that the import has ended before the form is open.
    with held(app, "on_tick", "import_state"):
        app.execute()
        app.dialog.wait_for(state="detached")
        app.press("split")
    box = app.page.locator("[data-cy=gradcam-import]")
    box.get_by_text("It can be opened when the form is closed").wait_for()
    assert app.dialog.is_visible()
    opening = box.get_by_role("button", name="Open the dataset")
    assert opening.count() == 0
    app.screenshot("76 import ended beside a form")
    close(app)
    opening.wait_for()
    app.screenshot("77 dataset can be opened")
    opening.click()
    app.wait_for_text("6 samples, 3 classes")
    assert opening.count() == 0
    box.get_by_role("button", name="Close").click()
    box.wait_for(state="detached")
    app.page.goto("about:blank")  # or the App would ask for what is gone
    fo.delete_dataset(folder.name)


@contextmanager
def held(app, *names: str) -> Iterator[None]:
    """Let calls of the server that name one of these wait meanwhile."""
    waiting, is_held = [], True

    def hold(route) -> None:
        if is_held and any(name in (route.request.post_data or "") for name in names):
            waiting.append(route)
        else:
            route.continue_()

    app.page.route("**/operators/execute*", hold)
    yield
    is_held = False
    for route in waiting:
        route.continue_()
