"""The tabs "Scores" and "Evaluate" in a real browser, with 60 and 200 classes."""

import re

import numpy as np
import pytest
from scored import HOSTILE, scored_dataset

WIDTHS = {1600: 1000, 1100: 800}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Sixty classes."""
    dataset = scored_dataset("scores of sixty", tmp_path_factory.mktemp("sixty"), 60)
    yield dataset
    dataset.delete()


@pytest.fixture(scope="module")
def larger(tmp_path_factory):
    """Two hundred classes."""
    dataset = scored_dataset("scores of 200", tmp_path_factory.mktemp("200"), 200, 2)
    yield dataset
    dataset.delete()


def plot(app, number: int = 0):
    return app.page.locator(".js-plotly-plot").nth(number)


def on_tab(app, name: str, until: str) -> None:
    app.tab(name)
    app.wait_for_text(re.compile(until))
    plot(app).locator(".nsewdrag").first.wait_for()


def click_in(app, area, x: float, y: float) -> None:
    """Click at shares of a plot's drawing area, once it is in sight and knows the pointer."""
    area.scroll_into_view_if_needed()
    box = area.bounding_box()
    place = (box["x"] + x * box["width"], box["y"] + y * box["height"])
    app.page.mouse.move(place[0] - 2, place[1])
    app.page.mouse.move(*place)
    app.page.locator(".hoverlayer .hovertext").first.wait_for()
    app.page.mouse.click(*place)


def counted(app, count: int) -> None:
    app.wait_for_text(re.compile(rf"^{count} samples?$"))


def overflows(app) -> list[str]:
    """Tables of the panel that are wider than what holds them."""
    return app.page.evaluate(
        """() => [...document.querySelectorAll('.MuiTableContainer-root')]
            .filter((x) => x.scrollWidth > x.clientWidth + 1)
            .map((x) => x.innerText.slice(0, 40))"""
    )


def wheel_moves_the_panel(app) -> bool:
    """Whether a plot goes up when the wheel is turned over it."""
    element = plot(app)
    element.scroll_into_view_if_needed()
    before = element.bounding_box()
    app.page.mouse.move(before["x"] + before["width"] / 2, before["y"] + before["height"] / 2)
    app.page.mouse.wheel(0, 150)
    for _ in range(100):
        if element.bounding_box()["y"] <= before["y"] - 100:
            return True
        app.page.wait_for_timeout(50)
    return False


@pytest.mark.parametrize("width", WIDTHS)
def test_scores(app, dataset, larger, width):
    app.page.set_viewport_size({"width": width, "height": WIDTHS[width]})
    app.open(dataset.name)
    app.open_panel()
    labels = np.array(dataset.values("ground_truth.label"), object)
    scores = np.array(dataset.values("prediction_scores"))
    on_tab(app, "Scores", "^Scores of ")
    assert wheel_moves_the_panel(app)
    for place in (0, 7):  # an image tag, and a very long name
        name = HOSTILE[place]
        box = app.page.get_by_placeholder("Type or select a value")
        box.fill(" ".join(name.split())[-12:])
        app.page.get_by_role("option").first.click()
        own, score = labels == name, scores[:, place]
        below = app.page.get_by_role(
            "button", name=f"Show {(own & (score < 0.5)).sum()} with this label below 0.50"
        )
        app.wait_for_text("4 images with this label, 236 others")
        below.wait_for()
    low = int((~own & (score < 0.05)).sum())
    click_in(app, plot(app).locator(".nsewdrag").nth(1), 0.025, 0.95)
    counted(app, low)  # the lowest bar of the other images
    app.screenshot(f"scores {width}")
    slider = app.page.locator(".MuiSlider-root input")
    slider.press("Home")
    app.page.get_by_role("button", name=f"Show {(~own).sum()} others from 0.00 up").click()
    counted(app, (~own).sum())
    app.page.get_by_placeholder("Part of a name").fill("onerror")
    app.wait_for_text(re.compile("^Size and recall of each class, worst recall first$"))
    click_in(app, plot(app, 1).locator(".nsewdrag").first, 0.3, 0.5)
    counted(app, 4)
    app.wait_for_text(re.compile(r"Scores of .*<img"))
    app.open(larger.name)
    app.open_panel()
    on_tab(app, "Scores", "^Scores of ")
    app.wait_for_text("worst recall first (50 of 200)")
    app.screenshot(f"scores 200 {width}")
    assert app.page.title() != "hit"


@pytest.mark.parametrize("width", WIDTHS)
def test_evaluate(app, dataset, larger, width):
    app.page.set_viewport_size({"width": width, "height": WIDTHS[width]})
    app.open(dataset.name)
    app.open_panel()
    labels, found = (
        np.array(dataset.values(f"{x}.label"), object) for x in ("ground_truth", "prediction")
    )
    on_tab(app, "Evaluate", "^Accuracy")
    app.wait_for_text("20 of 60 classes, worst recall first")
    assert wheel_moves_the_panel(app)
    assert overflows(app) == []
    app.screenshot(f"evaluate {width}")
    # The corner of the matrix: classes that are not in it, taken for each other.
    click_in(app, plot(app).locator(".nsewdrag").first, 0.98, 0.98)
    recalls = {x: (found[labels == x] == x).mean() for x in set(labels)}
    worst = sorted(recalls, key=lambda x: (recalls[x], x))[:20]
    counted(app, (~np.isin(labels, worst) & ~np.isin(found, worst)).sum())
    app.page.get_by_placeholder("Part of a name").fill("omega")
    name = HOSTILE[7]
    rows = app.page.locator("table").last.locator("tbody tr")
    app.page.locator("table").last.get_by_text("that ends in omega").wait_for()
    rows.first.click()
    counted(app, (labels == name).sum())
    app.screenshot(f"evaluate, one class {width}")
    if (labels == name).sum() > ((labels == name) & (found == name)).sum():
        pair = app.page.locator("table").first.locator("tbody tr")
        pair.filter(has_text="that ends in omega").first.click()
        counted(app, 1)
    app.choose_in_panel("Compare with", "second")
    app.wait_for_text("on the same images")
    before = np.array(dataset.values("second.label"), object)
    fixed = int(((labels == found) & (labels != before)).sum())
    app.click(f"{fixed} fixed")
    counted(app, fixed)
    assert overflows(app) == []
    app.screenshot(f"evaluate, compared {width}")
    app.open(larger.name)
    app.open_panel()
    on_tab(app, "Evaluate", "^Accuracy")
    app.wait_for_text("20 of 200 classes, worst recall first")
    app.screenshot(f"evaluate 200 {width}")
    assert app.page.title() != "hit"
