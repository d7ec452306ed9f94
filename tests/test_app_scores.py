"""The tabs "Scores" and "Evaluate" in a real browser, against scikit-learn and NumPy."""

from __future__ import annotations

import re
import time
from collections import Counter

import numpy as np
import pytest
from scored import HOSTILE, scored_dataset
from serving import until
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

CLASSES, PER_CLASS = 24, 4
TAG, LONG = HOSTILE[0], HOSTILE[7]  # an image tag, and a very long name
# Where a point of a plot is on the screen, in sight.
PLACE = """([plot, x, y, xaxis, yaxis]) => {
    const drawn = document.querySelectorAll('.js-plotly-plot')[plot];
    drawn.scrollIntoView({ block: 'center' });
    const box = drawn.getBoundingClientRect();
    const across = drawn._fullLayout[xaxis], down = drawn._fullLayout[yaxis];
    return [box.x + across._offset + across.d2p(x), box.y + down._offset + down.d2p(y)];
}"""
HOVERED = """(plot) => (document.querySelectorAll('.js-plotly-plot')[plot]._hoverdata || [])
    .map((point) => [point.curveNumber, point.pointNumber])"""
CLICKS = """(plot) => {
    const drawn = document.querySelectorAll('.js-plotly-plot')[plot];
    if (drawn.clicks === undefined) {
        drawn.clicks = 0;
        drawn.on('plotly_click', () => { drawn.clicks++ });
    }
    return drawn.clicks;
}"""
# How much higher than the plots in sight are the boxes that they are in: blank space.
BLANK = """() => [...document.querySelectorAll('.js-plotly-plot')].filter((x) => x.clientHeight)
    .map((x) => x.parentElement.parentElement.clientHeight - x.clientHeight)"""
# The full data is set when a plot is drawn; it may have the values of the last one until then.
DRAWN = """([plot, trace, key, values]) => {
    const drawn = document.querySelectorAll('.js-plotly-plot')[plot];
    return [drawn?.data, drawn?._fullData].every(
        (x) => JSON.stringify(x?.[trace]?.[key]) === JSON.stringify(values));
}"""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Twenty-four classes of four images each, seen by two runs."""
    folder = tmp_path_factory.mktemp("scored")
    dataset = scored_dataset("scores in the app", folder, CLASSES, PER_CLASS)
    yield dataset
    dataset.delete()


class Known:
    """What is stored, read without the code that is tested."""

    def __init__(self, dataset):
        self.ids = np.array(dataset.values("id"))
        self.labels, self.found, self.second = (
            np.array(dataset.values(f"{field}.label"), object)
            for field in ("ground_truth", "prediction", "second")
        )
        self.confidence = np.array(dataset.values("prediction.confidence"))
        self.label_score = np.array(dataset.values("prediction.label_score"))
        self.scores = np.array(dataset.values("prediction_scores"))
        self.names = sorted(set(self.labels))

    def ordered(self, wanted: np.ndarray, by: np.ndarray) -> list[str]:
        """Ids of samples, the lowest first; `by` has no equal values."""
        order = np.argsort(by[wanted])
        return self.ids[wanted][order].tolist()

    def rows(self, found: np.ndarray) -> dict[str, tuple[float, float, float, int]]:
        """Precision, recall, F1 and number of samples of each class."""
        values = precision_recall_fscore_support(
            list(self.labels), list(found), labels=self.names, zero_division=0
        )
        return dict(zip(self.names, zip(*values, strict=True), strict=True))


@pytest.fixture(scope="module")
def known(dataset):
    return Known(dataset)


@pytest.fixture
def shows(app, app_server):
    """Wait until the App shows exactly these samples, in this order."""

    def check(ids: list[str]) -> None:
        noun = "sample" if len(ids) == 1 else "samples"
        app.wait_for_text(re.compile(rf"^{len(ids)} {noun}$"))
        end, session = time.monotonic() + 60, app_server[0]
        while (found := session.view and session.view.values("id")) != ids:
            assert time.monotonic() < end, (found, ids)
            app.page.wait_for_timeout(50)

    return check


def drawn(app, plot: int, trace: int, key: str, values: list) -> None:
    """Wait until a trace of a plot has these values."""
    app.page.wait_for_function(DRAWN, arg=[plot, trace, key, values], timeout=30_000)


def click_on(app, plot: int, trace: int, point, place: tuple, axes=("xaxis", "yaxis")) -> None:
    """Move the pointer to a point of a plot until the plot knows of it, and click.

    A click while the plot is drawn again is none.
    """
    end = time.monotonic() + 30
    for shift in (0, 1) * 300:
        x, y = app.page.evaluate(PLACE, [plot, *place, *axes])
        app.page.mouse.move(x + shift, y)
        if [trace, point] in app.page.evaluate(HOVERED, plot):
            before = app.page.evaluate(CLICKS, plot)
            app.page.mouse.click(x + shift, y)
            if app.page.evaluate(CLICKS, plot) > before:
                return
        assert time.monotonic() < end, app.page.evaluate(HOVERED, plot)
        app.page.wait_for_timeout(50)


def read_table(app, number: int, count: int) -> list[list[str]]:
    """The cells of a table of the panel, once it has so many rows."""
    rows = app.page.locator("table").nth(number).locator("tbody tr")
    until(lambda: rows.count() == count)
    return [row.locator("td").all_inner_texts() for row in rows.all()]


def open_tab(app, dataset, name: str, width: int) -> None:
    app.page.set_viewport_size({"width": width, "height": 1000 if width > 1400 else 800})
    app.open(dataset.name)
    app.open_panel()
    app.tab(name)
    app.page.locator(".js-plotly-plot .nsewdrag").first.wait_for()


def test_scores(app, dataset, known, shows):
    open_tab(app, dataset, "Scores", 1100)
    for name in (LONG, TAG):
        place = HOSTILE.index(name)
        own, score = known.labels == name, known.scores[:, place]
        box = app.page.get_by_placeholder("Type or select a value")
        box.fill(" ".join(name.split())[-12:])
        app.page.get_by_role("option").first.click()
        for trace, wanted in ((0, own), (1, ~own)):
            counts = np.histogram(score[wanted], 20, (0, 1))[0].tolist()
            drawn(app, 0, trace, "y", [n or None for n in counts])
        app.page.get_by_text(f"{PER_CLASS} images with this label, 92 others").wait_for()
    assert set(app.page.evaluate(BLANK)) == {0}
    # The bar of the others' lowest scores, and the highest that its own images have.
    click_on(app, 0, 1, 0, (0.025, 1), ("xaxis", "yaxis2"))
    shows(known.ordered(~own & (score < 0.05), score))
    highest = int(20 * score[own].max())
    click_on(app, 0, 0, highest, (highest / 20 + 0.025, 0.9))  # also on a log scale
    shows(known.ordered(own & (np.floor(20 * score) == highest), score))
    app.choose_in_panel("A click shows", "highest scores first")
    app.wait_for_text(re.compile("Click a bar to see its images, highest scores first"))
    click_on(app, 0, 1, 0, (0.025, 1), ("xaxis", "yaxis2"))
    shows(known.ordered(~own & (score < 0.05), -score))
    # The threshold.
    app.page.get_by_role("slider").press("Home")
    words = f"Show {(~own).sum()} with another label at 0.00 or above"
    app.page.get_by_role("button", name=words).click()
    shows(known.ordered(~own, -score))
    app.screenshot("scores")
    # All classes: sizes and recalls, the worst first; a search; a click on a size and a recall.
    rows = known.rows(known.found)
    order = sorted(known.names, key=lambda x: (rows[x][1], -rows[x][3], x))
    drawn(app, 1, 0, "x", [PER_CLASS] * CLASSES)
    drawn(app, 1, 1, "x", [rows[name][1] for name in order])
    worst = order[0]
    mistaken = (known.labels == worst) & (known.found != worst)
    click_on(app, 1, 1, 0, (0, 0), ("xaxis2", "yaxis"))
    shows(known.ordered(mistaken, known.label_score))
    app.page.get_by_placeholder("Part of a name").fill("DOCUMENT onerror")
    drawn(app, 1, 0, "x", [PER_CLASS])
    click_on(app, 1, 0, 0, (2, 0))
    shows(known.ordered(own, known.label_score))
    app.page.get_by_text(re.compile("^Scores of .*onerror")).first.wait_for()
    app.screenshot("scores of a class")
    for name in ("Steps", "Review", "Runs", "Scores"):
        app.tab(name)
        app.page.get_by_role("tab", name=name, selected=True).wait_for()
        if name == "Steps":
            app.click("All actions")
            app.page.get_by_role("button", name="Hide all actions").wait_for()
        if name == "Scores":
            app.page.locator(".js-plotly-plot .nsewdrag").first.wait_for()
        until(lambda: app.sideways() == [])
    assert app.page.title() != "hit"


def held_back(app, *methods: str):
    """Answers of the panel to some events, which the browser gets when the test lets it."""
    held = []

    def hold(route) -> None:
        given = (route.request.post_data_json or {}).get("params") or {}
        if given.get("__method__") in methods:
            held.append((given["__method__"], route, route.fetch()))
        else:
            route.continue_()

    app.page.route("**/operators/execute", hold)
    return held


def choose_quickly(app, label: str, option: str, held: list, method: str) -> None:
    """Choose from a list, and wait until the server has answered; the browser waits longer."""
    app.page.get_by_text(label, exact=True).last.locator(
        "xpath=following::*[@role='combobox'][1]"
    ).click()
    app.page.get_by_role("option", name=option, exact=True).click()
    app.page.get_by_role("listbox").wait_for(state="detached")
    end = time.monotonic() + 30
    while method not in [one[0] for one in held]:
        assert time.monotonic() < end, held
        app.page.wait_for_timeout(30)


def test_choices_that_are_made_before_the_answer_to_the_one_before(app, dataset, known):
    open_tab(app, dataset, "Evaluate", 1100)
    until(lambda: app.sideways() == [])
    held = held_back(app, "on_prediction_field", "on_order")
    choose_quickly(app, "Predictions", "second", held, "on_prediction_field")
    choose_quickly(app, "Classes", "by name", held, "on_order")
    for _, route, answer in held:
        route.fulfill(response=answer)
    app.page.unroute_all()
    accuracy = accuracy_score(list(known.labels), list(known.second))
    assert accuracy != accuracy_score(list(known.labels), list(known.found))
    app.wait_for_text(re.compile(rf"^Accuracy {100 * accuracy:.1f}%"))
    app.wait_for_text("Classes, by name (20 of 24)")
    rows = known.rows(known.second)
    for name, cells in zip(known.names[:20], read_table(app, 1, 20), strict=True):
        assert cells[-3] == percents(rows[name][1])[0], name
    app.screenshot("quick choices")


def percents(*shares: float) -> list[str]:
    return [f"{100 * share:.1f}%" for share in shares]


def compare(app, known, shows, order: list[str], rows: dict) -> None:
    """Another run beside the one that is shown."""
    app.choose_in_panel("Compare with", "second")
    app.wait_for_text(re.compile("^'second' is right on "))
    before = known.rows(known.second)
    for name, values in zip(order, read_table(app, 2, 20), strict=False):
        assert values[-1] == f"{100 * (rows[name][2] - before[name][2]):+.1f}", name
    right, was = known.found == known.labels, known.second == known.labels
    results = (right & was, right & ~was, ~right & was, ~right & ~was)
    assert [row[1] for row in read_table(app, 0, 4)] == [str(x.sum()) for x in results]
    for place, wanted in enumerate(results):
        row = app.page.locator("table").first.locator("tbody tr").nth(place)
        assert wanted.any() == row.get_by_role("button", name="Show").is_visible()
        if wanted.any():
            row.get_by_role("button", name="Show").click()
            shows(known.ordered(wanted, -known.confidence))


def test_evaluate(app, dataset, known, shows):
    open_tab(app, dataset, "Evaluate", 1600)
    accuracy = accuracy_score(list(known.labels), list(known.found))
    app.wait_for_text(re.compile(rf"^Accuracy {100 * accuracy:.1f}%"))
    app.page.locator(".js-plotly-plot .nsewdrag").first.wait_for()
    assert set(app.page.evaluate(BLANK)) == {0}
    # The matrix: the worst twenty classes, and all others together.
    rows = known.rows(known.found)
    order = sorted(known.names, key=lambda x: (rows[x][1], -rows[x][3], x))
    shown = order[:20]
    groups = [
        [*shown, "others"],
        *(
            [name if name in shown else "others" for name in names]
            for names in (known.labels, known.found)
        ),
    ]
    matrix = confusion_matrix(groups[1], groups[2], labels=groups[0])
    shares = (matrix / matrix.sum(1, keepdims=True)).round(4).tolist()
    drawn(app, 0, 0, "z", shares)
    row, column = np.argwhere(matrix - np.diag(matrix.diagonal()))[0].tolist()
    of = (np.array(groups[1]) == groups[0][row]) & (np.array(groups[2]) == groups[0][column])
    click_on(app, 0, 0, [row, column], (column, row))
    shows(known.ordered(of, -known.confidence))
    rest = (np.array(groups[1]) == "others") & (np.array(groups[2]) == "others")
    click_on(app, 0, 0, [20, 20], (20, 20))
    shows(known.ordered(rest, -known.confidence))
    # Recall, precision and F1 of each class.
    cells = read_table(app, 1, 20)
    for name, (_, size, right, *values) in zip(order, cells, strict=False):
        precision, recall, f1, count = rows[name]
        assert (size, right) == (str(count), str(round(recall * count)))
        assert values == percents(recall, precision, f1), name
    app.screenshot("evaluate")
    compare(app, known, shows, order, rows)
    # A class by a part of its name: in the matrix with all others, and in both tables.
    name = order[0]
    own, taken = known.labels == name, known.found == name
    counts = Counter(zip(known.labels[own ^ taken], known.found[own ^ taken], strict=True))
    pairs = sorted(counts, key=lambda pair: (-counts[pair], pair))  # all classes are of one size
    app.page.get_by_placeholder("Part of a name").fill(name.upper())
    matrix = np.array(
        [[(own & taken).sum(), (own & ~taken).sum()], [(~own & taken).sum(), (~own & ~taken).sum()]]
    )
    drawn(app, 0, 0, "z", (matrix / matrix.sum(1, keepdims=True)).round(4).tolist())
    assert [cells[0] for cells in read_table(app, 2, 1)] == [name]
    cells = read_table(app, 1, len(pairs))
    assert [tuple(x[:2]) for x in cells] == pairs
    for pair, (_, _, count, share) in zip(pairs, cells, strict=True):
        assert [count, share] == [str(counts[pair]), *percents(counts[pair] / PER_CLASS)]
    app.page.locator("table").nth(1).locator("tbody tr").first.click()
    of = (known.labels == pairs[0][0]) & (known.found == pairs[0][1])
    shows(known.ordered(of, -known.confidence))
    app.page.locator("table").nth(2).locator("tbody tr").first.click()
    shows(known.ordered(own, known.label_score))
    app.screenshot("evaluate a class")
    assert app.page.title() != "hit"
