"""Parts of the panel on their own: tables, rows, lists, plots, texts and messages."""

import base64
import math

import numpy as np
import pytest
from fiftyone.operators import types
from panel_contexts import context, make_dataset, requests

from fiftyone_gradcam.app import texts
from fiftyone_gradcam.app.compared import compared
from fiftyone_gradcam.app.panels import patches, plots
from fiftyone_gradcam.app.panels.choices import choice, row_of, says_nothing_new
from fiftyone_gradcam.app.panels.classifier import ClassifierPanel
from fiftyone_gradcam.app.panels.compared import draw_compared, result_of
from fiftyone_gradcam.app.panels.score_plots import class_bars_plot, histogram_plot
from fiftyone_gradcam.app.panels.tables import RowButton, draw_table, name_of
from fiftyone_gradcam.review.calibration import Bin
from fiftyone_gradcam.review.comparison import Pairs
from fiftyone_gradcam.review.confusion import ClassRow


@pytest.fixture
def dataset(name):
    return make_dataset(name)


handle = ClassifierPanel().on_refresh  # what is called by a click


def table(*args, **options) -> dict:
    panel = types.Object()
    draw_table(panel, "rows", *args, **options)
    return panel.to_json()["properties"]["rows"]


def test_a_table_has_what_it_was_given():
    columns, rows = {"name": "Name", "n": "N"}, [{"name": "a word", "n": "1"}]
    plain = table(columns)
    assert [(x["key"], x["label"]) for x in plain["view"]["columns"]] == [*columns.items()]
    assert (plain["view"].get("on_click_row"), plain["default"], plain["view"]["label"]) == (
        *(None, None, None),
    )
    assert "on_click_row" not in plain["view"]
    style = plain["view"]["componentsProps"]["table"]["sx"]
    assert set(style) == {"minWidth", "& td", "& th", "& td:nth-of-type(n+1)"}
    button = RowButton("Show", "See", handle, (True, False), "7")
    full = table(columns, "Title", handle, rows, ("name",), button, rows)
    assert (full["default"], full["view"]["label"]) == (rows, "Title")
    assert full["view"]["on_click_row"].endswith("on_refresh")
    assert full["view"]["actions_label"] == "See"
    (action,) = full["view"]["row_actions"]
    assert (action["name"], action["label"], action["rows"]) == ("7", "Show", (True, False))
    style = full["view"]["componentsProps"]["table"]["sx"]
    assert style["& td:nth-of-type(n+2)"] == {"whiteSpace": "nowrap"}
    assert style["& td:nth-of-type(-n+1)"] == {"minWidth": 60}
    assert style["& td:nth-of-type(1)"] == {"minWidth": "calc(5ch + 16px)"}  # of "Name" or "word"
    assert {"& tbody tr", "& button", "& th:last-of-type"} <= set(style)


def test_columns_are_as_wide_as_their_longest_word_up_to_a_limit():
    for rows, default, width in (
        ([{"name": "x" * 15 + " y"}], None, 16),
        ([{"name": "x" * 16}], None, 16),
        (None, [{"name": "123456"}], 7),  # shown rows, if those of tooltips are not given
        ([], None, 5),
        ([{"name": ""}], None, 5),
    ):
        found = table({"name": "Name"}, rows=rows, names=("name",), default=default)
        style = found["view"]["componentsProps"]["table"]["sx"]["& td:nth-of-type(1)"]
        assert style == {"minWidth": f"calc({width}ch + 16px)"}
    assert name_of("x", [1]) == name_of("x", [1]) != name_of("x", [2])


def test_a_comparison_shows_the_images_of_rows_that_have_some(dataset):
    assert len(requests(context(dataset, {}), "set_view")) == 0
    found = compared(Pairs(4, 3, 2, 1, 0, 1), "x" * 31, "b*")
    assert [x["count"] for x in found["rows"]] == ["2", "0", "1", "1"]
    assert [x["share"] for x in found["rows"]] == ["50.0%", "0.0%", "25.0%", "25.0%"]
    assert "…" in found["rows"][1]["name"] + found["rows"][2]["name"]
    assert "…" not in found["headline"]
    panel = types.Object()
    draw_compared(panel, {**found, "notes": ["One", "Two*"]}, handle, "7")
    headline, rows, verdict = panel.to_json()["properties"].values()
    assert headline["default"] == f"**{texts.markdown(found['headline'])}.**"
    assert rows["view"]["row_actions"][0]["rows"] == (True, False, True, True)
    assert [set(x) for x in rows["default"]] == [{"name", "count", "share"}] * 4
    assert verdict["default"].endswith(".\n\n- One.\n- Two\\*.")
    panel = types.Object()
    draw_compared(panel, found, handle)
    assert [*panel.to_json()["properties"].values()][2]["default"].endswith(".\n\n")
    results = [result_of(context(dataset, {}, row=row)) for row in range(-1, 5)]
    assert results == [None, "both_right", "fixed", "broken", "both_wrong", None]


@pytest.mark.parametrize(
    ("method", "name", "default", "other"),
    [
        ("on_tab", "tab", "jobs", "runs"),
        ("on_prediction_field", "prediction_field", None, "found"),
        ("on_part", "part", None, "test"),
        ("on_other", "other", "none", "found"),
        ("on_order", "order", "recall", "name"),
        ("on_by", "by", "row", "count"),
        ("on_first", "first", "lowest", "highest"),
        ("on_bar_order", "bar_order", "recall", "name"),
    ],
)
def test_an_event_that_repeats_what_a_list_stands_at_says_nothing_new(
    dataset, method, name, default, other
):
    for state, value, nothing in (
        ({}, default, True),
        ({}, other, False),
        ({name: other}, other, True),
        ({name: other}, default, False),
    ):
        ctx = context(dataset, state, __method__=method, value=value)
        assert says_nothing_new(ctx) is nothing, (state, value)
        ctx = context(dataset, state, __method__="on_search", value=value)
        assert not says_nothing_new(ctx)  # the text of a search is no choice of a list


def test_a_list_stands_at_its_value_before_it_is_drawn(dataset):
    for path, state, stands in (
        ("row.x", {}, "a"),
        ("x", {}, "a"),
        ("row.x", {"row": {"x": "b"}}, "b"),  # which was chosen
    ):
        ctx, panel = context(dataset, state), types.Object()
        row = row_of(panel, "row", 170) if path == "row.x" else panel
        choice(ctx, row, path, {"a": "A", "b": "B"}, "a", "Label", handle)
        found = row.to_json()["properties"]["x"]
        assert (found["default"], found["type"]["values"]) == ("a", ["a", "b"])
        assert (state if path == "x" else state["row"])["x"] == stands
    shown = panel.to_json()["properties"]["row"]["view"]["componentsProps"]["grid"]["sx"]
    assert shown["& > *"] == {"width": "auto !important", "minWidth": 0, "flex": "1 1 170px"}
    tight = types.Object()
    row_of(tight, "row", is_tight=True)
    shown = tight.to_json()["properties"]["row"]["view"]["componentsProps"]["grid"]["sx"]
    assert shown["& > *"] == {"width": "auto !important", "minWidth": 0}
    assert "& button" in shown


def test_messages_of_panels_are_merged_for_each(dataset):
    ctx = context(dataset, {})
    ctx.panel.set_state("a", 1)
    ctx.ops.patch_panel_state(panel_id="other", state={"a": 2})
    ctx.ops.notify("x")
    ctx.panel.set_state("b", 3)
    patches.merge_patches(ctx)
    found = [(patches.name_of(x), x.params.get("state")) for x in patches.messages_of(ctx)]
    assert found == [
        *(("patch_panel_state", {"a": 1, "b": 3}), ("patch_panel_state", {"a": 2})),
        ("notify", None),
    ]
    assert patches.sets_state(ctx)
    ctx = context(dataset, {})
    patches.keep_answer(ctx)  # an answer that sets nothing has no number
    assert (patches.sets_state(ctx), ctx.panel_state) == (False, {})


def test_answers_of_few_pages_are_kept_and_a_list_that_was_used_stays(dataset, monkeypatch):
    monkeypatch.setattr(patches, "_ANSWERS", type(patches._ANSWERS)())
    monkeypatch.setattr(patches, "MOST_PANELS", 2)
    monkeypatch.setattr(patches, "MOST_ANSWERS", 2)

    def answered(page: float, **values) -> None:
        ctx = context(dataset, {"loaded_page": page})
        ctx.panel.set_state(values)
        patches.merge_patches(ctx)
        patches.keep_answer(ctx)

    def known(page: float, **state) -> dict:
        state |= {"loaded_page": page}
        patches.catch_up(context(dataset, state))
        return {name: x for name, x in state.items() if name not in ("loaded_page", "answer")}

    for page in (1.0, 2.0, 1.0, 3.0):  # the second page was used longest ago
        answered(page, a=page)
    assert [known(page) for page in (1.0, 2.0, 3.0)] == [{"a": 1.0}, {}, {"a": 3.0}]
    answered(3.0, **{"row.x": "new"})
    assert known(3.0)["row"] == {"x": "new"}
    assert known(3.0, row={"x": "chosen"})["row"] == {"x": "chosen"}  # by the browser
    answered(3.0, a=4.0)
    assert known(3.0, a=None, b=1) == {"a": 4.0, "b": 1, "row": {"x": "new"}}


def test_texts_are_shortened_and_durations_rounded_at_their_limits(tmp_path):
    short = [texts.shortened("abcdefghij", most) for most in (10, 9, 4, 3)]
    assert short == ["abcdefghij", "abcdef…ij", "ab…j", "ab…"]
    assert (texts.shortened(" a \n b ", 9), texts.shortened("  ", 9)) == ("a b", "  ")
    times = [0.0, 1.6, 89.4, 89.9, 90, 149, 5369, 5400, 36000]
    assert [texts.duration(x) for x in times] == [
        *("1 s", "2 s", "89 s", "90 s", "2 min", "2 min", "89 min", "1 h 30 min", "10 h 0 min"),
    ]
    assert texts.wrapped("aa bb", 2) == "aa<br>bb"
    assert (texts.wrapped(""), texts.wrapped('<"')) == ("", '&lt;"')
    assert texts.plotly('<"', 2) == '&lt;"'
    assert (texts.markdown("12. a 3) b"), texts.markdown("# a # b")) == (
        "12\\. a 3) b",
        "\\# a # b",
    )
    assert texts.markdown("www.a.b http://c a_b _d_ e:f") == (
        "www\\.a.b http\\://c a_b \\_d\\_ e:f"
    )
    (tmp_path / "x.png").write_bytes(b"png")
    data = base64.b64encode(b"png").decode()
    assert texts.picture_as_text(str(tmp_path / "x.png")) == f"data:image/png;base64,{data}"


def curves(losses: list, best: int | None = None, **more) -> tuple[list[dict], dict]:
    history = [{"epoch": n, "train_loss": x} for n, x in enumerate(losses, 1)]
    return plots.curves_plot({"history": history, "validations": [], **more}, best)


def test_curves_have_gaps_scales_and_a_mark():
    traces, layout = curves([1.0, None, math.nan, 0.04])
    assert traces[0]["y"] == [1.0, None, None, 0.04]
    assert (layout["yaxis"]["rangemode"], "shapes" in layout) == ("tozero", False)
    assert layout["xaxis"]["range"] == [0, pytest.approx(4.08)]
    for losses, is_log in (
        ([1.0, 0.03], True),
        ([3.0, 0.1], False),
        ([], False),
        ([0.0, 9.0], False),
    ):
        assert (curves(losses)[1]["yaxis"].get("type") == "log") == is_log, losses
    assert curves([1.0, math.inf])[1]["yaxis"].get("type") is None
    low = {"epoch": 1, "train_loss": 1.0, "train_accuracy": 0.01}  # is no loss
    layout = plots.curves_plot({"history": [low], "validations": []})[1]
    assert layout["yaxis"].get("type") is None
    assert curves([1.0], best=1)[1]["shapes"][0]["x1"] == 1
    assert curves([1.0], best=0)[1]["shapes"][0]["x0"] == 0  # the new layers alone
    assert curves([1.0], epochs=9)[1]["xaxis"]["range"][1] == pytest.approx(9.18)
    alone = plots.curves_plot({"history": [{"epoch": 0, "train_loss": 1.0}], "validations": []})
    assert alone[1]["xaxis"]["range"] == [-0.05, 1.02]
    for count, mode in ((40, "lines+markers"), (41, "lines")):
        traces, _ = curves([1.0] * count)
        assert (traces[0]["mode"], traces[0]["yaxis"], traces[2]["yaxis"]) == (mode, "y", "y2")
        assert [x["showlegend"] for x in traces] == [True, True, False, False, False]


def test_numbers_of_a_matrix_are_as_large_as_there_is_room():
    def matrix(count: int, by: str = "row") -> tuple[list[dict], dict]:
        names = [f"c{n}" for n in range(count)]
        return plots.confusion_plot(np.eye(count, dtype=int) * 3, names, names, by)

    for count, text, size in ((12, "100%", 12), (13, "100", 9), (21, "100", 9)):
        numbers = matrix(count)[0][1]
        assert (numbers["text"][0], numbers["textfont"]["size"]) == (text, size)
    assert len(matrix(22)[0]) == 1
    assert matrix(2, "count")[0][1]["text"] == ["3", "3"]
    assert matrix(2, "count")[0][0]["text"][0][0] == "c0<br>predicted as c0:<br>3"
    assert matrix(2, "count")[1]["xaxis"]["title"]["text"] == "prediction"
    lines = [matrix(2)[1][name]["showgrid"] for name in ("xaxis", "yaxis")]
    assert (lines, matrix(2)[0][1]["showlegend"]) == ([False, False], False)
    assert "of the prediction" in matrix(2, "column")[1]["xaxis"]["title"]["text"]
    empty = plots.confusion_plot(np.zeros((1, 1), int), ["a"], ["a"], "count")[0]
    assert (empty[0]["z"], empty[1]["text"]) == ([[0.0]], [])
    wide = plots.confusion_plot(np.eye(2, dtype=int)[:1], ["a"], ["a", "b"], "row")[1]
    assert wide["xaxis"]["range"] == [-0.5, 1.5]
    assert wide["yaxis"]["range"] == [0.5, -0.5]
    heights = [matrix(n)[1]["height"] for n in (1, 3, 4, 13, 15)]
    assert heights == [190, 190, 216, 522, 590]
    assert "tickangle" not in matrix(13)[1]["xaxis"]
    crowded = matrix(14)[1]["xaxis"]
    assert (crowded["tickangle"], crowded["title"]["standoff"]) == (-90, 10)
    assert [plots.room_for(x) for x in ([], ["abc"], ["abc", "日本"], ["&lt;"])] == [12, 30, 34, 18]


def test_a_plot_without_clicks_says_nothing_of_what_it_shows():
    panel = types.Object()
    for name, on_click in (("still", None), ("clicked", handle)):
        plots.draw_plot(panel, name, ([{"x": [1]}], {"height": 7}), on_click, shows=["a"])
    found = {name: x["view"] for name, x in panel.to_json()["properties"].items()}
    for view in found.values():
        assert (view["data"], view["layout"]) == ([{"x": [1]}], {"height": 7})
        # The mouse wheel scrolls the panel.
        assert (view["config"]["scrollZoom"], view["config"]["displayModeBar"]) == (False, False)
    clicks = [str(x.get("on_click")).rpartition("#")[2] for x in found.values()]
    assert clicks == ["None", "on_refresh"]
    assert (found["still"].get("shows"), found["clicked"]["shows"]) == (None, ["a"])
    assert [x["height"] for x in found.values()] == [7, 7]
    plots.load_ahead(panel)
    hidden = panel.to_json()["properties"]["ahead"]["view"]["componentsProps"]
    assert hidden == {"container": {"style": {"display": "none"}}}


def test_axes_of_shares_and_scores_are_whole():
    (bars, line), layout = plots.reliability_plot([Bin(0.25, 0.75, 2, 0.5, 0.5)])
    assert (bars["x"], bars["width"]) == ([0.5], [0.5])
    assert (bars["showlegend"], line["showlegend"]) == (False, False)
    assert layout["xaxis"]["range"] == layout["yaxis"]["range"] == [0, 1]
    _, layout = histogram_plot(np.array([1]), np.array([1]), "a", 0.25)
    assert (layout["xaxis"]["range"], layout["xaxis"]["anchor"]) == ([0, 1], "y2")
    (shape,) = layout["shapes"]
    assert (shape["x0"], shape["x1"], shape["line"]["dash"]) == (0.25, 0.25, "dot")
    _, layout = class_bars_plot([ClassRow("a", 2, 2, 1)])
    assert layout["yaxis"]["showgrid"] is False
