"""Wrong labels corrected from the keyboard alone, in a real browser."""

import csv
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import fiftyone as fo
import numpy as np
import pytest
from browser import VIEWPORT
from PIL import Image, ImageDraw

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset.prediction_fields import HEATMAP_ATTRIBUTES
from fiftyone_gradcam.dataset.storing import Declared, declare

CLASSES = ["<img src=x onerror=alert(1)>", "a **bold** $class.name", "square"]
COLORS = [(200, 60, 60), (60, 160, 60), (70, 80, 200)]
PLANTED, SURE = 12, 3
SHOWS = """() => document.querySelector('[data-cy=gradcam-name]')?.innerText.includes({!r})"""


def drawn(kind: int, number: int) -> Image.Image:
    """A shape on a noisy ground: a circle, a ring or a square."""
    random = np.random.default_rng(100 * kind + number)
    ground = random.integers(90, 160, (120, 160, 3), np.uint8)
    image = Image.fromarray(ground)
    left, top = random.integers(10, 90), random.integers(10, 60)
    box = [left, top, left + 50, top + 50]
    pen = ImageDraw.Draw(image)
    if kind == 2:
        pen.rectangle(box, fill=COLORS[kind])
    else:
        pen.ellipse(box, fill=COLORS[kind] if kind == 0 else None, outline=COLORS[kind], width=8)
    return image


def draw_dataset(root: Path) -> fo.Dataset:
    """36 drawings, 12 of them with a wrong label, judged, with heatmaps and similar images."""
    dataset = fo.Dataset(f"review {root.name}", persistent=True)
    facts = {"classes": CLASSES, "label_field": "ground_truth"}
    declare(dataset, "label_quality", Declared("float", "", facts, {}))
    declare(dataset, "suggested_label", Declared("classification", "", facts, {}))
    issue = {"evidence": "text", "neighbors": "list", "sure": "bool"}
    declare(dataset, "issue", Declared("classification", "", facts, issue))
    for kind in ("predicted", "label"):
        facts = {"run": "r", "classes": CLASSES, "label_field": "ground_truth", "kind": kind}
        declare(dataset, f"cam_{kind}", Declared("heatmap", "", facts, HEATMAP_ATTRIBUTES))
    ramps = {kind: root / f"ramp {kind}.png" for kind in ("predicted", "label")}
    for ramp in ramps.values():
        Image.fromarray(np.tile(np.arange(0, 240, 2, np.uint8), (90, 1))).save(ramp)
    samples = []
    for number in range(36):
        kind = number % 3
        path = root / f"{number:02d}.png"
        drawn(kind, number).save(path)
        is_wrong = number < PLANTED
        label = CLASSES[(kind + 1) % 3] if is_wrong else CLASSES[kind]
        sample = fo.Sample(filepath=str(path), truth=CLASSES[kind])
        sample["ground_truth"] = fo.Classification(label=label)
        sample["label_quality"] = 0.01 * number if is_wrong else 0.9
        if is_wrong:
            sample["suggested_label"] = fo.Classification(label=CLASSES[kind], confidence=0.9)
            sample["issue"] = fo.Classification(
                label="wrong label", evidence=f"seen as no. {number}", sure=number < SURE
            )
        for name, target in (("predicted", CLASSES[kind]), ("label", label)):
            sample[f"cam_{name}"] = fo.Heatmap(
                map_path=str(ramps[name]), target=target, peak=2.0 if name == "label" else 4.0
            )
        samples.append(sample)
    ids = dataset.add_samples(samples)
    near = {i: ids[12 + n % 3 :: 3][:3] for n, i in enumerate(ids[:PLANTED])}
    dataset.set_values("issue.neighbors", near, key_field="id")
    return dataset


@pytest.fixture(scope="module")
def drawings(tmp_path_factory):
    """What each test has a copy of."""
    dataset = draw_dataset(tmp_path_factory.mktemp("drawings"))
    yield dataset
    dataset.delete()


@pytest.fixture
def dataset(drawings, name):
    """The test's own copy of the drawings: nobody else's reviews are in it."""
    return drawings.clone(name, persistent=True)


def part(app, name: str):
    return app.page.locator(f"[data-cy=gradcam-{name}]").last


def open_review(app, dataset) -> None:
    app.open(dataset.name)
    app.open_panel()
    app.tab("Review")
    part(app, "progress").wait_for()


def wait_until(app, code: str, seconds: float = 60) -> None:
    app.page.wait_for_function(code, timeout=1000 * seconds)


def press_until_next(app, key: str) -> float:
    """Press a key and wait until another image is shown: the seconds, in the browser's time."""
    code = """(key) => new Promise((resolve, reject) => {
        const image = () => document.querySelector('[data-cy=gradcam-image]')?.src;
        const before = image(), began = performance.now();
        const press = (repeat) => document.body.dispatchEvent(
            new KeyboardEvent('keydown', { key, repeat, bubbles: true }));
        const look = () => {
            if (image() !== before) {
                resolve(performance.now() - began);
                // As if it were still held, which decides nothing about the next one.
                if (!key.startsWith("Arrow")) press(true);
            } else if (performance.now() - began > 20000) {
                reject(new Error(`${before} is still shown`));
            } else requestAnimationFrame(look);
        };
        press(false);
        look();
    })"""
    return app.page.evaluate(code, key) / 1000


@contextmanager
def unanswered(app, call: str = "") -> Iterator[None]:
    """The server is asked for nothing, or not for one call, until the end of what is within."""
    address, asked = "**/operators/execute", []

    def keep(route) -> None:
        if call in (route.request.post_data or ""):
            asked.append(route)
        else:
            route.continue_()

    app.page.route(address, keep)
    yield
    for one in asked:
        one.continue_()
    app.page.unroute(address)  # which lets those go that have come since


# How many of some parts of the card there are, and those whose lower edge is below the window.
BELOW = """(names) => {
    const shown = names.flatMap(
        (name) => [...document.querySelectorAll(`[data-cy=gradcam-${name}]`)])
    const below = shown.filter((x) => x.getBoundingClientRect().bottom > innerHeight)
    return `${innerWidth}: ${shown.length} ${below.map((x) => x.dataset.cy)}`
}"""
# The classes of these drawings have long names: in a small window, their buttons take more lines.
EVIDENCE = ["image", "neighbor", "label", "suggestion", "evidence", "accept", "keep", "heatmap"]


def check_that_the_card_fits(app) -> None:
    area, within = part(app, "area").bounding_box(), part(app, "review").bounding_box()
    assert area["x"] + area["width"] <= within["x"] + within["width"] + 1
    assert part(app, "image").bounding_box()["height"] <= area["height"] + 1
    wide = {"width": 1600, "height": 1000}, [*EVIDENCE, "undo", "next", "class-1"], 13
    for size, names, count in (wide, ({"width": 1100, "height": 800}, EVIDENCE, 10)):
        app.page.set_viewport_size(size)
        words = f"{size['width']}: {count} "
        app.page.wait_for_function(f"(names) => ({BELOW})(names) === '{words}'", arg=names)
        assert app.sideways() == []
        app.screenshot(f"review card {size['width']}")
    app.page.set_viewport_size(VIEWPORT)


def stored(app, count: int) -> None:
    wait_until(
        app,
        f"() => document.querySelector('[data-cy=gradcam-progress]')?.dataset.stored == {count}",
    )


def counted(done: int) -> str:
    """What is said of suspicious labels of which so many are corrected."""
    left = PLANTED - done
    return f"{PLANTED} suspicious labels: {done} reviewed, {left} left; {done} corrected so far"


def gets_decisions(response) -> bool:
    """Whether this is what the grid asked for, with samples that are reviewed."""
    is_of_grid = "paginateSamples" in (response.request.post_data or "")
    return is_of_grid and "old_label" in response.text()


def wrong(dataset) -> int:
    dataset.reload()
    pairs = zip(*dataset.values(["ground_truth.label", "truth"]), strict=True)
    return sum(a != b for a, b in pairs)


def test_twelve_wrong_labels_are_corrected_from_the_keyboard_alone(app, dataset, tmp_path):
    assert wrong(dataset) == PLANTED
    open_review(app, dataset)
    part(app, "image").wait_for()
    assert part(app, "progress").inner_text() == counted(0)
    assert part(app, "suggestion").inner_text() == CLASSES[0]
    assert part(app, "label").inner_text() == CLASSES[1]
    assert "seen as no. 0" in part(app, "evidence").inner_text()
    assert app.page.locator("[data-cy=gradcam-neighbor]").count() == 3
    check_that_the_card_fits(app)
    # Heatmaps of label and suggestion on one scale: the label's highest value is half of it.
    app.page.keyboard.press("h")
    wait_until(app, "() => document.querySelector('[data-cy=gradcam-heat]')?.dataset.drawn")
    alpha = """() => { const c = document.querySelector('[data-cy=gradcam-heat]');
        return c.getContext('2d').getImageData(c.width - 1, 0, 1, 1).data[3] }"""
    of_label = app.page.evaluate(alpha)
    app.screenshot("review heatmap")
    app.page.keyboard.press("h")
    wait_until(
        app,
        "() => document.querySelector('[data-cy=gradcam-shown]')?.innerText.includes('suggestion')",
    )
    wait_until(app, "() => document.querySelector('[data-cy=gradcam-heat]')?.dataset.drawn")
    assert app.page.evaluate(alpha) == pytest.approx(2 * of_label, abs=3)
    app.page.keyboard.press("h")
    with unanswered(app):  # the next image does not wait for the server
        for _ in range(2):
            press_until_next(app, "a")
        assert part(app, "progress").inner_text() == counted(0)
        assert wrong(dataset) == PLANTED
    with app.page.expect_response(gets_decisions):
        # The grid gets the samples again, with the labels as they are.
        for _ in range(4):
            press_until_next(app, "a")
        stored(app, 6)
        assert wrong(dataset) == PLANTED - 6
        name = part(app, "name").inner_text()
    assert part(app, "name").inner_text() == name
    app.page.reload()  # the tab is closed in between
    open_review(app, dataset)
    part(app, "image").wait_for()
    assert part(app, "progress").inner_text() == counted(6)
    for _ in range(6):
        press_until_next(app, "a")
    stored(app, 6)
    assert wrong(dataset) == 0
    undo_and_do_again(app, dataset)
    finish(app, dataset)
    decide_otherwise(app)
    app.screenshot("review after keys")
    made = fg.list_reviews(dataset)
    assert [one.decision for one in made[:12]] == ["accept"] * 12
    assert [one.decision for one in made[14:]] == ["unclear", "exclude"]
    assert {one.source for one in made} == {"App, Review tab"}
    with open(fg.export_reviews(dataset, str(tmp_path / "r.csv")), encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(r["old_label"], r["new_label"]) for r in rows[:12]] == [
        (CLASSES[(n + 1) % 3], CLASSES[n % 3]) for n in range(PLANTED)
    ]
    fg.undo_review(dataset, count=len(made))
    assert wrong(dataset) == PLANTED


def undo_and_do_again(app, dataset) -> None:
    for count in (11, 10, 9):
        app.page.keyboard.press("z")
        words = counted(count)
        part(app, "progress").get_by_text(words, exact=True).wait_for()
    assert wrong(dataset) == 3
    assert part(app, "label").inner_text() != part(app, "suggestion").inner_text()
    for _ in range(3):
        press_until_next(app, "a")
    stored(app, 9)
    assert wrong(dataset) == 0


def finish(app, dataset) -> None:
    """After the last suspicious label, the tab says what to do; the others are a second choice."""
    said = f"All {PLANTED} suspicious labels are reviewed, {PLANTED} labels are corrected."
    part(app, "finished").get_by_text(said).wait_for()
    assert part(app, "image").count() == 0
    for key in ("a", "k", "x", "1"):  # of a label that is not shown
        app.page.keyboard.press(key)
    app.screenshot("review finished")
    app.page.keyboard.press("ArrowLeft")  # to the last one that was decided
    part(app, "decision").wait_for()
    app.page.keyboard.press("ArrowRight")
    assert part(app, "others").inner_text() == "Review the other 24 labels too"
    part(app, "steps").click()
    app.page.get_by_role("button", name="All actions", exact=True).wait_for()
    app.tab("Review")
    part(app, "others").click()
    wait_until(app, SHOWS.format("other label 1 of 24"))
    assert len(fg.list_reviews(dataset)) == PLANTED


def decide_otherwise(app) -> None:
    """A class by its digit, one by typing, unclear and excluded."""
    app.page.keyboard.press("1")
    stored(app, 1)  # since the tab was opened again
    app.page.keyboard.press("c")
    part(app, "find-box").fill("squ")
    app.page.keyboard.press("Enter")
    stored(app, 2)
    app.page.keyboard.press("u")
    app.page.keyboard.press("x")
    stored(app, 4)


def test_the_same_controls_are_in_the_sample_modal(app, dataset):
    app.open(dataset.name)
    app.page.locator("[data-cy=looker]").nth(1).click()
    app.page.locator("[data-cy=modal]").wait_for()
    app.page.locator("[data-cy=modal]").get_by_text("Review the label").first.click()
    part(app, "label").wait_for()
    name = part(app, "name").inner_text()
    app.screenshot("review modal")
    app.page.keyboard.press("a")
    wait_until(
        app, f"() => document.querySelector('[data-cy=gradcam-name]')?.innerText != {name!r}"
    )
    (made,) = fg.list_reviews(dataset)
    assert (made.decision, made.source) == ("accept", "App, sample modal")
    assert made.filepath.endswith(name.strip())
    app.screenshot("review modal next")


def test_the_card_shows_what_a_form_has_decided(app, dataset):
    open_review(app, dataset)
    wait_until(app, SHOWS.format("suspicious label 1 of 12"))
    with app.form():
        app.page.get_by_role("button", name="Accept all sure suggestions").click()
    with app.form():
        app.dialog.get_by_text(f"I have looked: accept all {SURE}").click()
    app.dialog.get_by_role("button", name=re.compile("^(Execute|Accept)$")).click()
    wait_until(app, SHOWS.format("suspicious label 4 of 12"))
    assert part(app, "progress").inner_text() == counted(SURE)
    assert wrong(dataset) == PLANTED - SURE


def test_two_tabs_do_not_overwrite_each_other(app, dataset):
    open_review(app, dataset)
    part(app, "image").wait_for()
    sample_id = dataset.sort_by("label_quality").first().id
    fg.review(dataset.select(sample_id), "relabel", CLASSES[2])  # meanwhile
    name = part(app, "name").inner_text()
    app.page.keyboard.press("k")
    part(app, "error").wait_for()
    assert "it was changed elsewhere" in part(app, "error").inner_text()
    assert part(app, "name").inner_text() == name  # of the card that is not decided
    assert part(app, "label").inner_text() == CLASSES[2]  # as it is now
    assert dataset[sample_id].ground_truth.label == CLASSES[2]
    assert len(fg.list_reviews(dataset)) == 1


def test_labels_that_were_skipped_are_shown_again(app, dataset):
    with unanswered(app, "review_cards"):
        app.open(dataset.name)
        app.open_panel()
        app.tab("Review")
        part(app, "loading").wait_for()  # what is loaded does not look like nothing to review
        assert part(app, "loading").inner_text() == "Loading the labels to review…"
        app.screenshot("review loading")
    part(app, "image").wait_for()
    first = dataset.sort_by("label_quality").first().filepath
    wait_until(app, SHOWS.format(f"{Path(first).name} · suspicious label 1 of 12"))
    press_until_next(app, "a")
    wait_until(app, SHOWS.format("suspicious label 2 of 12"))
    second = part(app, "name").inner_text()
    for number in range(2, 12):
        press_until_next(app, "ArrowRight")
        wait_until(app, SHOWS.format(f"suspicious label {number + 1} of 12"))
    app.page.keyboard.press("ArrowRight")
    app.wait_for_text("11 skipped suspicious labels are left. This is the first")
    assert part(app, "name").inner_text() == second
    for number in range(2, 13):
        wait_until(app, SHOWS.format(f"suspicious label {number} of 12"))
        app.page.keyboard.press("k")
    part(app, "others").click()
    for number in range(1, 24):  # past the cards of the first page
        wait_until(app, SHOWS.format(f"other label {number} of 24"))
        press_until_next(app, "ArrowRight")
    app.page.keyboard.press("ArrowRight")
    app.wait_for_text("24 skipped labels are left. This is the first")
    wait_until(app, SHOWS.format("other label 1 of 24"))
    assert part(app, "empty").count() == 0
    app.screenshot("review skipped")
    for _ in range(12):
        press_until_next(app, "ArrowLeft")  # to the card that was decided first
    part(app, "decision").wait_for()
    assert part(app, "name").inner_text() == Path(first).name
    # What was decided is not offered again, neither by a button nor by a key.
    label = part(app, "label").inner_text()
    assert part(app, "decision").inner_text() == f"Decided: changed to {label}"
    buttons = [part(app, x).is_disabled() for x in ("accept", "keep", "unclear", "exclude")]
    assert buttons == [True, True, False, False]
    app.page.keyboard.press("a")
    app.wait_for_text(f"This is decided already: changed to {label}")
    assert len(fg.list_reviews(dataset)) == 12
    app.screenshot("review decided")


def test_buttons_do_the_same_without_the_card(app, dataset):
    """And the button for that is hidden where the card is drawn."""
    words = "If no photo is shown here, review with buttons"
    open_review(app, dataset)
    part(app, "image").wait_for()
    assert app.page.get_by_text(words).is_hidden()
    nothing = {"body": "", "content_type": "text/javascript"}
    app.page.route("**/app/review.js*", lambda route: route.fulfill(**nothing))
    app.open(dataset.name)
    app.open_panel()
    app.tab("Review")
    app.click(words)
    app.wait_for_text(re.compile(counted(0)))
    app.screenshot("review by buttons")
    app.page.get_by_role("button", name=re.compile("^Accept <img")).first.click()
    app.wait_for_text(re.compile(counted(1)))
    assert wrong(dataset) == PLANTED - 1
    app.click("Undo")
    app.wait_for_text(re.compile(counted(0)))
    assert wrong(dataset) == PLANTED
