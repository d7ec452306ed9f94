"""Stories of the panel: jobs that outlive the tab and the server, runs, evaluation."""

import re

import fiftyone as fo
import pytest
from browser import VIEWPORT
from conftest import HOME, QUICK, kill_worker, pausing, save_digits
from serving import free_port, launch, until

import fiftyone_gradcam as fg

EPOCH = re.compile(r"epoch \d+:")
# Cells of tables, and texts of buttons, that are wider than there is room for.
CUT_OFF = """() => {
    const right = (x) => x.getBoundingClientRect().right
    const cells = [...document.querySelectorAll("th, td")].filter(
        (x) => right(x) > right(x.closest("table").parentElement) + 1)
    const tab = [...document.querySelectorAll("[role=tab]")].find((x) => x.innerText === "Runs")
    const left = tab.closest("[role=tablist]").getBoundingClientRect().left
    const buttons = [...document.querySelectorAll("button")].filter(
        (x) => x.getBoundingClientRect().left >= left && x.scrollWidth > x.clientWidth + 1)
    return [...cells, ...buttons].map((x) => x.innerText)
}"""
IMG = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Digits, split; one class has a name that is HTML."""
    root = save_digits(tmp_path_factory.mktemp("stories") / "digits", per_class=20, side=32)
    dataset = fg.import_folders(str(root), "stories")
    html = {"digit 0": IMG}
    labels = [html.get(x, x) for x in dataset.values("ground_truth.label")]
    dataset.set_values("ground_truth.label", labels)
    fg.split(dataset)
    yield dataset
    dataset.delete()


def train(app, dataset, key: str, epochs: int) -> None:
    """Start a training by its button."""
    app.press("fine_tune")
    app.choose("Network", "small_cnn")
    app.fill("Name of the run", key)
    app.fill("Epochs", str(epochs))
    app.execute()
    app.wait_for_text(f"Train '{key}' · ")


def job_of(dataset, key: str) -> fg.Job:
    return next(job for job in fg.list_jobs(dataset) if repr(key) in job.label)


def test_a_training_by_button_survives_tab_server_and_kill_and_its_run_is_used(app, dataset):
    port = free_port()
    session = fo.launch_app(dataset, remote=True, address="127.0.0.1", port=port)
    app.url = f"http://127.0.0.1:{port}/"
    app.open(dataset.name)
    train(app, dataset, "story", 3_000)
    app.wait_for_text(EPOCH)
    app.wait_for_points(beyond=0)
    app.wait_for_points(beyond=app.points())
    app.screenshot("21 curve")

    # Another tab finds it running, and one of another server.
    with pausing(job_of(dataset, "story")):
        find_running(app, dataset)
        app.screenshot("22 another tab")
        app.page.goto("about:blank")
        session.close()
        again = launch(HOME, dataset, port)
        find_running(app, dataset)
        app.errors.clear()  # of the time without a server
        app.wait_for_points(beyond=0)
        done = app.points()
    app.wait_for_points(beyond=done)  # it goes on
    app.wait_for_text("left")
    app.screenshot("23 another server")

    kill_worker(job_of(dataset, "story"))
    app.wait_for_text("The process of this job ended before its work did")
    app.screenshot("31 killed")
    assert (
        app.page.get_by_role("button", name="Resume", exact=True).count() == 0
    )  # would be the same
    app.click("Resume training 'story'")
    app.wait_for_text("Resume the training of 'story' · running")
    app.wait_for_text(EPOCH)
    app.screenshot("32 resumed")
    app.click("Cancel")
    app.wait_for_text("the best weights are kept as run 'story'")
    app.screenshot("24 cancelled")
    dataset.reload()
    run = fg.load_run(dataset, "story")
    assert 0 < len(run.history) < 3_000
    change_it(app)

    # What was cancelled can be used.
    app.tab("Runs")
    app.wait_for_text(re.compile(r"\d+ of 3000 epochs, canceled$"))
    assert app.page.get_by_role("button", name="Resume", exact=True).is_visible()
    with app.form():
        app.click("Predict with it")
    app.execute()
    app.wait_for_text("Predicted 60 images")
    app.screenshot("25 used")
    dataset.reload()
    assert dataset.get_field("prediction").info["run"] == "story"
    app.page.close()
    again.close()


def change_it(app) -> None:
    """The form is filled in as it was, but for the name, which is taken by now."""
    with app.form():
        app.click("Change and run again")
    until(lambda: app.field("Name of the run").input_value() == "story_2")
    assert app.field("Epochs").input_value() == "3000"
    assert app.dialog.get_by_text("exists already").count() == 0
    app.screenshot("24 changed")
    app.page.keyboard.press("Escape")
    app.dialog.wait_for(state="detached")


def find_running(app, dataset) -> None:
    """Open a tab, and find the training in its panel."""
    app.page.goto("about:blank")
    app.open(dataset.name)
    app.open_panel()
    app.wait_for_text("Train 'story' · running")


@pytest.fixture
def predicted(dataset):
    """A run with predictions and heatmaps."""
    if "seen" not in fg.list_runs(dataset):
        fg.fine_tune(dataset, "seen", **{**QUICK, "epochs": 2})
        fg.predict(dataset, "seen", "seen", heatmap_field="seen_cam")
    return dataset


def write_a_report(app, path) -> None:
    """From the list of all actions; its place stays, and a link opens it beside the App."""
    app.tab("Steps")
    app.click("All actions")
    with app.form():
        app.click("Write a report")
    app.fill("HTML file", str(path))
    app.execute()
    link = app.page.get_by_role("link", name=f"Open {path.name}")
    link.wait_for()
    assert app.page.get_by_text(f"Report written to {path}").is_visible()
    app.page.get_by_role("button", name="Hide all actions").wait_for()
    # The panel, which was scrolled to the list, shows its top.
    strip = app.page.get_by_role("tab", name="Steps")
    until(lambda: link.bounding_box()["y"] > strip.bounding_box()["y"] > 0)
    app.screenshot("44 report")
    with app.page.context.expect_page() as opened:
        link.click()
    opened.value.get_by_role("heading", name="Data").wait_for()
    opened.value.close()
    assert app.page.get_by_role("tab", name="Steps").is_visible()


def test_a_failing_job_shows_its_message(app, dataset, tmp_path):
    app.open(dataset.name)
    app.press("fine_tune")
    app.choose("Network", "squeezenet1_1")
    app.choose("Pretrained weights", "From a file")
    app.fill("Weights file", "/gone.pth")
    app.wait_for_text("There is no file '/gone.pth'")
    app.screenshot("33 form refuses")
    wrong = tmp_path / "wrong.pth"
    wrong.write_text("no weights")
    app.fill("Weights file", str(wrong))
    app.wait_for_text("is not a weights file")
    wrong.write_bytes(b"PK, and no weights")
    app.fill("Weights file", f"{wrong.parent}/./{wrong.name}")
    app.execute()
    app.wait_for_text("is not a file of weights that torch can load safely")
    app.wait_for_text("· failed")
    app.screenshot("34 failed")
    with app.form():  # which is filled in as it was
        app.click("Change and run again")
    filled = app.field("Weights file")
    until(lambda: filled.input_value() == f"{wrong.parent}/./{wrong.name}")
    app.page.keyboard.press("Escape")
    app.dialog.wait_for(state="detached")
    app.click("Hide this job (images, labels and results stay)")
    app.page.get_by_text("· failed").wait_for(state="detached")


def test_a_click_on_a_cell_shows_its_samples_and_html_in_names_does_nothing(
    app, predicted, tmp_path
):
    dataset = predicted
    labels = dataset.values("ground_truth.label")
    wrong = [i for i, label in enumerate(labels) if label == "digit 1"][:7]
    named = ["digit 2" if i in wrong else label for i, label in enumerate(labels)]
    dataset.set_values("seen.label", named)
    dialogs = []
    app.page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    app.open(dataset.name)
    app.open_panel()
    app.tab("Evaluate")
    app.wait_for_text("Accuracy")
    app.choose_in_panel("Predictions", "seen")
    app.choose_in_panel("Of the samples tagged", "all samples")
    labels, predictions = dataset.values(["ground_truth.label", "seen.label"])
    pairs = list(zip(labels, predictions, strict=True))
    right = sum(a == b for a, b in pairs)
    app.wait_for_text(f"{right} of 60 samples")
    app.screenshot("41 evaluate")
    classes = sorted(set(labels) | set(predictions))
    row, column = classes.index("digit 1"), classes.index("digit 2")  # off the diagonal
    assert (pairs.count(("digit 1", "digit 2")), pairs.count(("digit 2", "digit 1"))) == (7, 0)
    box = app.still_box(app.page.locator(".js-plotly-plot .nsewdrag").first)
    app.page.mouse.click(
        box["x"] + box["width"] * (column + 0.5) / len(classes),
        box["y"] + box["height"] * (row + 0.5) / len(classes),
    )
    app.wait_for_text("7 samples")
    app.screenshot("42 cell")
    app.tab("Runs")
    app.wait_for_text("Classes:")
    app.screenshot("43 runs")
    write_a_report(app, tmp_path / "report.html")
    assert dialogs == []
    assert app.page.locator("img[src=x]").count() == 0


def drag_border(app, pixels: int) -> None:
    """Make the panel narrower by its border."""
    border = app.page.locator("[class*=sash-vertical]").last.bounding_box()
    x, y = border["x"] + border["width"] / 2, border["y"] + border["height"] / 2
    app.page.mouse.move(x, y)
    app.page.mouse.down()
    app.page.mouse.move(x + pixels, y, steps=5)
    app.page.mouse.up()


def plot_width(app) -> float:
    """The width of what a plot has drawn, in pixels, once it is that of its place."""
    code = """() => {
        const place = document.querySelector('.js-plotly-plot')
        const drawn = place.querySelector('.main-svg')
        return [place, drawn].map((x) => x.getBoundingClientRect().width)
    }"""
    until(lambda: len(set(app.page.evaluate(code))) == 1)
    return app.page.evaluate(code)[0]


def test_runs_are_renamed_exported_deleted_and_imported_by_buttons(app, predicted, tmp_path):
    dataset = predicted
    fg.fine_tune(dataset, "tiny", **{**QUICK, "epochs": 1})
    app.open(dataset.name)
    app.open_panel()
    app.tab("Runs")
    # Each run has its own curves, though those of another were drawn before.
    for key, epochs in (("tiny", 1), ("seen", 2), ("tiny", 1)):
        app.choose_in_panel("Run", key)
        until(lambda count=epochs: app.points() == count)
    app.page.set_viewport_size({"width": 1100, "height": 800})
    app.page.wait_for_function("() => innerWidth === 1100")
    until(lambda: app.sideways() == [] and app.page.evaluate(CUT_OFF) == [])
    app.screenshot("44 narrow runs")
    app.page.set_viewport_size(VIEWPORT)
    app.page.wait_for_function("(width) => innerWidth === width", arg=VIEWPORT["width"])
    before = plot_width(app)
    drag_border(app, 150)
    until(lambda: plot_width(app) == before - 150)
    app.choose_in_panel("Run", "seen")
    with app.form():
        app.click("Rename")
    app.fill("New name", "named")
    app.execute()
    app.wait_for_text("Renamed 'seen' to 'named'")
    rows = app.page.locator("table tbody tr td:first-child")
    until(lambda: rows.all_inner_texts()[:2] == ["tiny", "named"])
    app.choose_in_panel("Run", "named")
    with app.form():
        app.click("Export")
    app.fill("Folder", str(tmp_path / "exported"))
    app.execute()
    app.wait_for_text("Exported 'named' to")
    assert (tmp_path / "exported" / "run.json").exists()
    app.tab("Runs")  # from the card of the export, which stays
    with app.form():
        app.click("Delete")
    app.wait_for_text("will be deleted. This cannot be undone")
    app.screenshot("44 delete")
    app.execute()
    app.wait_for_text("Deleted 'named'")
    dataset.reload()
    assert "named" not in dataset.list_runs()
    assert not dataset.has_sample_field("seen")
    with app.form():
        app.click("Import run")
    app.fill("Folder", str(tmp_path / "exported"))
    app.execute()
    app.wait_for_text("Imported run 'named'")
    dataset.reload()
    assert "named" in dataset.list_runs()
    fg.delete_run(dataset, "tiny")
