"""From an empty App to the first suspicious label and a corrected one: by clicks, counted."""

import os
import re
import shutil

import fiftyone as fo
import pytest
from app_fixtures import show_end
from conftest import HOME, save_digits
from published import as_saved
from serving import launch, until

from fiftyone_gradcam.app.panels.actions import LABELS
from fiftyone_gradcam.dataset.writing import import_lock
from fiftyone_gradcam.locks import held_by_process

PLANTED = ("digit 0", "digit 1")  # an image of the one lies in the folder of the other


class Clicks:
    """Counts what a person does."""

    def __init__(self, app):
        self.app, self.clicks, self.entries, self.keys = app, 0, 0, 0

    def click(self, element) -> None:
        element.first.click()
        self.clicks += 1

    def press(self, name: str) -> None:
        """Click a button that is there, or comes."""
        self.click(self.app.page.get_by_role("button", name=name))

    def type(self, label: str, text: str) -> None:
        self.app.fill(label, text)
        self.entries += 1


@pytest.fixture(scope="module")
def at_hand(tmp_path_factory):
    """An App of its own whose PyTorch has a network in its cache, and no internet is needed."""
    import torch

    home = tmp_path_factory.mktemp("torch")
    folder = home / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(as_saved("squeezenet1_1"), folder / "squeezenet1_1-b8a52dc0.pth")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCH_HOME", str(home))
        session = launch(HOME)
        yield session
        session.close()


@pytest.fixture
def app(at_hand, browser, request, folder):
    """A browser on that App, as wide as the test asks for."""
    from browser import AppPage

    width, height = getattr(request, "param", (1600, 1000))
    with browser.new_context(viewport={"width": width, "height": height}) as context:
        page = AppPage(context.new_page(), f"http://127.0.0.1:{at_hand.server_port}/")
        yield page
        show_end(page, request)
    assert page.errors == [], page.errors


@pytest.fixture
def folder(tmp_path):
    """Digits in folders, one of them in the wrong one."""
    root = save_digits(tmp_path / "some digits", per_class=12, side=32)
    shutil.move(root / PLANTED[0] / "005.png", root / PLANTED[1] / "moved.png")
    yield root
    if fo.dataset_exists("some digits"):
        fo.delete_dataset("some digits")


def to_the_panel(app, folder) -> Clicks:
    """From an empty App to the steps of a folder of images."""
    person = Clicks(app)
    app.page.goto(app.url)
    person.click(app.page.get_by_text("browse operations"))
    person.click(app.page.get_by_text("Import labeled folders", exact=True))
    person.type("Folder", str(folder))
    app.wait_for_text("36 files in 3 classes")
    app.screenshot("60 import")
    # Beside the page, which the App replaces when it opens the dataset.
    box = app.page.locator("[data-cy=gradcam-import]")
    with held_by_process(import_lock("some digits")):  # the import waits for it
        person.click(app.dialog.get_by_role("button", name=re.compile("Execute|Import")))
        box.get_by_role("button", name="Cancel").wait_for()
        app.screenshot("60 importing")
        app.page.reload()
        box.get_by_role("button", name="Cancel").wait_for()  # the page still follows its import
    app.page.locator("[data-cy=gradcam-import][data-state=completed]").wait_for()
    app.page.get_by_role("tab", name="Steps").wait_for()
    app.wait_for_text("36 samples, 3 classes")
    app.dialog.wait_for(state="detached")
    assert "some digits: 36 images in 3 classes" in box.inner_text()
    app.screenshot("60 outcome")
    box.get_by_role("button", name="Close").click()  # or click elsewhere
    box.wait_for(state="detached")
    return person


def change_a_failed_import(app, folder) -> None:
    """In an App without a dataset, an import that failed opens its form as it was filled in."""
    for name in ("ants", "bees"):
        (folder / name).mkdir(parents=True)
        (folder / name / "1.png").write_text("no image")
    app.page.goto(app.url)
    app.page.get_by_text("browse operations").first.click()
    app.page.get_by_text("Import labeled folders", exact=True).first.click()
    app.fill("Folder", str(folder))
    app.dialog.get_by_text("2 files in 2 classes").first.wait_for()
    app.dialog.get_by_role("button", name=re.compile("Execute|Import")).click()
    box = app.page.locator("[data-cy=gradcam-import][data-state=failed]")
    box.get_by_text("left out: 2 not an image").wait_for()
    app.screenshot("59 import failed")
    with app.form():
        box.get_by_role("button", name="Change and run again").click()
    box.wait_for(state="detached")  # it would be about what is changed now
    until(lambda: app.field("Folder").input_value() == str(folder))
    app.screenshot("59 import changed")


def test_an_empty_app_leads_to_a_corrected_label_in_four_clicks_and_a_key(app, folder, tmp_path):
    change_a_failed_import(app, tmp_path / "broken")
    person = to_the_panel(app, folder)
    app.wait_for_text("done with training")
    app.screenshot("61 imported")
    person.press("Find label issues")
    card = app.page.locator("[data-cy=gradcam-label]").last
    card.wait_for()  # by itself, once the job has ended
    app.screenshot("62 suspicious")
    assert (person.clicks, person.entries) == (4, 1)
    dataset = fo.load_dataset("some digits")
    first = dataset.sort_by("label_quality").first()
    assert os.path.basename(first.filepath) == "moved.png"
    assert card.inner_text() == PLANTED[1]
    app.page.keyboard.press("a")
    app.page.locator("[data-cy=gradcam-progress][data-stored='1']").wait_for(state="attached")
    dataset.reload()
    assert dataset[first.id].ground_truth.label == PLANTED[0]
    # The steps follow; so does what else has seen the label.
    app.tab("Steps")
    app.wait_for_text("1 corrected")
    app.screenshot("63 corrected")
    every_form_is_reached_by_name(app)


def is_reached(app, label: str, width: int) -> bool:
    """Whether a button is there, within the window, and under nothing else; looked at in one step,
    for the panel draws itself again."""
    found = app.page.evaluate(
        """(label) => {
            const own = (x) => x.textContent.trim() === label
            const button = [...document.querySelectorAll("button")].filter(own).pop()
            if (!button) return null
            button.scrollIntoView({ block: "center" })
            const { x, y, width, height } = button.getBoundingClientRect()
            const top = document.elementFromPoint(x + width / 2, y + height / 2)
            return { x, width, top: button.contains(top) }
        }""",
        label,
    )
    return bool(found) and found["top"] and 0 <= found["x"] <= width - found["width"]


def every_form_is_reached_by_name(app) -> None:
    """All buttons are there and open their forms, in a wide window and in a narrow one."""
    app.page.get_by_role("button", name="All actions", exact=True).click()
    for width, height in ((1600, 1000), (1100, 800)):
        app.page.set_viewport_size({"width": width, "height": height})
        for label in LABELS.values():
            until(lambda label=label, width=width: is_reached(app, label, width))
        app.screenshot(f"64 all actions {width}")
    for verb, words in (("evaluate", LABELS["evaluate"]), ("import_folders", "A folder of images")):
        with app.form():
            app.page.get_by_role("button", name=LABELS[verb], exact=True).last.click()
        app.dialog.get_by_text(words).first.wait_for()
        assert app.dialog.get_by_text("No folder at").count() == 0  # the path is empty
        app.page.keyboard.press("Escape")
        app.dialog.wait_for(state="detached")


@pytest.mark.slow
def test_training_and_heatmaps_in_between_take_six_clicks(app, folder):
    person = to_the_panel(app, folder)
    person.press("Train a classifier")
    app.page.get_by_role("button", name="Cancel").first.wait_for()
    app.screenshot("65 training")
    button = app.page.get_by_role("button", name=re.compile("^Predict with"))
    button.wait_for(timeout=600_000)
    app.screenshot("66 trained")
    dataset = fo.load_dataset("some digits")
    assert dataset.count_sample_tags() == {"train": 22, "val": 7, "test": 7}
    person.click(button)
    find = app.page.get_by_role("button", name="Find label issues")
    find.wait_for(timeout=300_000)
    app.screenshot("67 predicted")
    person.click(find)
    app.page.locator("[data-cy=gradcam-label]").last.wait_for(timeout=300_000)
    app.screenshot("68 suspicious")
    assert (person.clicks, person.entries) == (6, 1)
    dataset.reload()
    assert dataset.exists("gradcam").count() == 36
    app.page.keyboard.press("k")
    app.page.locator("[data-cy=gradcam-progress][data-stored='1']").wait_for(state="attached")
