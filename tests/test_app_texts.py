"""Names that are HTML or Markdown, in a real browser: they are shown as they are, everywhere."""

import pytest
from conftest import QUICK, save_digits

import fiftyone_gradcam as fg

HTML, LINK, BOLD = "<img src=x onerror=alert(1)>", "[a](javascript:alert(1))", "**b**"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = save_digits(tmp_path_factory.mktemp("texts") / "digits", per_class=20, side=32)
    for number, name in enumerate((HTML, LINK, BOLD)):
        (root / f"digit {number}").rename(root / name)
    return root


@pytest.fixture(scope="module")
def dataset(root):
    dataset = fg.import_folders(str(root), "texts")
    fg.split(dataset)
    fg.fine_tune(dataset, "texts", **{**QUICK, "epochs": 1})
    fg.predict(dataset, "texts")
    yield dataset
    dataset.delete()


def test_names_are_shown_as_they_are(app, dataset, root):
    dialogs = []
    app.page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))

    def is_harmless(where: str) -> None:
        assert dialogs == [], where
        assert app.page.locator("img[src=x]").count() == 0, where
        assert app.page.locator("a[href^=javascript]").count() == 0, where
        for kind in ("strong", "b"):
            assert app.page.locator(kind).get_by_text("b", exact=True).count() == 0, where
        assert app.page.get_by_role("link", name="a", exact=True).count() == 0, where

    app.open(dataset.name)
    is_harmless("grid")
    app.press("import_folders")
    app.fill("Folder", str(root))
    app.wait_for_text("60 files in 3 classes")
    for name in (HTML, LINK, BOLD):
        app.wait_for_text(name)
    is_harmless("import")
    app.page.keyboard.press("Escape")
    app.dialog.wait_for(state="detached")
    app.press("fine_tune")
    app.wait_for_text(f"{LINK} 12")  # of a notice, which reads Markdown
    is_harmless("notice")
    app.page.keyboard.press("Escape")
    app.dialog.wait_for(state="detached")
    app.press("lowest_scores")
    app.dialog.get_by_text("Class", exact=True).wait_for()
    is_harmless("list")
    app.page.keyboard.press("Escape")
    app.dialog.wait_for(state="detached")
    app.open_panel()
    app.tab("Evaluate")
    app.wait_for_text("Accuracy")
    app.wait_for_text(HTML)
    is_harmless("evaluate")
    app.tab("Runs")
    app.wait_for_text("Classes:")
    is_harmless("runs")
    # A job that fails names the file, in its card and in a notification.
    fg.find_leaks(dataset, near=False, delegate=True)
    app.tab("Steps")
    app.wait_for_text("Find leaks")
    is_harmless("jobs")
