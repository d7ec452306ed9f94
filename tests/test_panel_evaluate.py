"""The tabs "Evaluate" and "Scores" where predictions lack something, and at their limits."""

import fiftyone as fo
import numpy as np
import pytest
from fiftyone.operators import types
from panel_contexts import PAIRS, context, make_dataset, requests

from fiftyone_gradcam.app.panels import evaluate, scores
from fiftyone_gradcam.app.panels.comparison import compared_cells
from fiftyone_gradcam.app.panels.scores import _class_at
from fiftyone_gradcam.dataset.cached import cached
from fiftyone_gradcam.dataset.fields import describe_field

ALL = {"prediction_field": "found", "part": "all"}


@pytest.fixture
def dataset(name):
    return make_dataset(name)


def drawn(panel, dataset, state: dict, tab: str = "evaluate") -> dict:
    """What a tab shows once it is read, by name."""
    state |= {"tab": tab}
    ctx, shown = context(dataset, state), types.Object()
    {"evaluate": panel.read_evaluation, "scores": panel.read_scores}[tab](ctx)
    draw = {"evaluate": panel.draw_evaluation, "scores": panel.draw_scores}[tab]
    draw(context(dataset, state), shown)
    return shown.to_json()["properties"]


def with_scores(dataset, first: float, classes: list[str]) -> None:
    """Give the predictions scores of two classes, the same for all samples but the first."""
    describe_field(dataset, "found", "", run="r", label_field="own", classes=classes)
    rows = [[first, 1 - first], *[[0.5, 0.5]] * (len(PAIRS) - 1)]
    dataset.set_values("found_scores", rows)


def test_without_labels_the_tab_says_so_and_shows_no_matrix(panel, dataset):
    dataset.match_tags("test").set_values("own", [None, None])
    state = {"prediction_field": "found", "part": "test"}
    buttons = ["choices", "evaluation_buttons", "evaluation_words"]
    found = drawn(panel, dataset, state)
    assert list(found) == buttons
    words = "No sample here has both a label and a prediction."
    assert found["evaluation_words"]["default"] == words
    # Neither a search nor an earlier comparison changes that.
    state = {**ALL, "other": "other", "search": "a"}
    assert {"finding", "confusion"} <= set(drawn(panel, dataset, state))
    state["part"] = "test"
    assert list(drawn(panel, dataset, state)) == buttons
    state |= {"bar_search": None, "bars": None}
    found = drawn(panel, dataset, state, "scores")
    assert found["no_bars"]["default"] == "There are no labels here."
    assert state["bars"] is None
    found = drawn(panel, dataset, state | {"bar_search": "z"}, "scores")
    assert found["no_bars"]["default"] == "No class has such a name."


def test_parts_of_the_tab_are_there_if_they_have_something_to_show(panel, dataset):
    parts = ["matrix_words", "confusion", "pair_rows", "class_rows"]
    both = ["reliability_words", "reliability"]
    assert list(drawn(panel, dataset, {**ALL}))[4:] == [*parts, *both]
    dataset.set_values("found.confidence", [None] * len(PAIRS))
    state = {**ALL}
    assert list(drawn(panel, dataset, state))[4:] == parts
    assert state["reliability_words"] == ""
    # The class "d" is only predicted: it has no row of its own.
    assert list(drawn(panel, dataset, {**ALL, "search": "d"}))[4:] == parts[:3]
    right = [x and fo.Classification(label=x.label) for x in dataset.values("own")]
    dataset.set_values("found", right)
    assert list(drawn(panel, dataset, {**ALL}))[4:] == [parts[0], parts[1], parts[3]]


def test_the_matrix_can_show_numbers_and_the_tab_says_what_it_lists(panel, dataset, monkeypatch):
    state = {**ALL}
    panel.read_evaluation(context(dataset, state))
    assert state["confusion"][1]["xaxis"]["title"]["text"] == "prediction; % of the label"
    panel.on_by(context(dataset, state, value="count"))
    assert state["by"] == "count"
    assert state["confusion"][1]["xaxis"]["title"]["text"] == "prediction"
    titles = [state[x] for x in ("matrix_title", "pair_title", "class_title")]
    assert titles == ["", "Most confused pairs", "Classes, worst recall first"]
    assert [row["share"] for row in state["pair_rows"]] == ["66.7%", "50.0%", "50.0%", "50.0%"]
    monkeypatch.setattr(evaluate, "MOST_ROWS", 2)
    panel.on_order(context(dataset, state, value="labelled"))
    titles = [state[x] for x in ("pair_title", "class_title")]
    assert titles == ["Most confused pairs (2 of 4)", "Classes, largest first (2 of 3)"]
    assert (len(state["pairs"]), state["shown_classes"]) == (2, ["a", "b"])
    assert [row["name"] for row in state["class_rows"]] == ["a", "b"]
    panel.on_search(context(dataset, state, value="c"))  # in the label or the prediction
    assert state["pairs"] == [["c", "a"], ["c", "d"]]
    panel.on_search(context(dataset, state, value="d"))
    assert state["pairs"] == [["c", "d"]]


def test_from_21_classes_on_the_matrix_shows_20_and_the_others_together(panel, dataset):
    for count, words in ((20, ""), (21, "20 of 21 classes, worst recall first: ")):
        names, state = [f"{n:02d}" for n in range(count)], {}
        matrix = np.eye(count, dtype=int)
        matrix[3, 3] = 0  # a class without samples has no row
        panel._read_matrix(context(dataset, state), None, matrix, names, names[::-1])
        others = [None] * (count - 20)
        shown = names[:0:-1] if others else names
        assert state["predictions"] == [*shown, *others]
        assert state["labels"] == [x for x in (*shown, *others) if x != "03"]
        assert state["matrix_title"] == words
        assert state["confusion"][1]["xaxis"]["title"]["text"] == "prediction; % of the label"
    state = {}
    panel._read_matrix(context(dataset, state), None, matrix, names, [])
    assert state == {}  # no class has such a name


def test_a_click_on_the_head_of_a_table_shows_nothing(panel, dataset):
    state = {**ALL, "other": "other"}
    panel.read_evaluation(context(dataset, state))
    for method, last in ((panel.on_class, 2), (panel.on_pair, 3), (panel.on_compared, 3)):
        for row, shows in ((-1, 0), (0, 1), (last, 1)):
            ctx = context(dataset, state, row=row)
            method(ctx)
            assert len(requests(ctx, "set_view")) == shows, (method, row)
    ctx = context(dataset, state, row=4)
    panel.on_compared(ctx)
    assert requests(ctx, "set_view") == []


def test_a_comparison_without_common_samples_says_so(panel, dataset):
    others = dataset.values("other")
    dataset.set_values("other", [None] * len(PAIRS))
    state = {**ALL, "other": "other"}
    found = drawn(panel, dataset, state)
    words = "No sample here has predictions of both."
    assert found["comparison_words"]["default"] == state["comparison_words"] == words
    assert (state["compared"], "change" in state["class_rows"][0]) == (None, False)
    assert [x["key"] for x in found["class_rows"]["view"]["columns"]][-1] == "f1"
    dataset.set_values("other", others)
    found = drawn(panel, dataset, state)
    assert "comparison_words" not in found
    assert [x["key"] for x in found["class_rows"]["view"]["columns"]][-1] == "change"
    assert state["class_rows"][0]["change"] == "+0.0"
    # A list that was never used is not set.
    for other, chosen in ((None, None), ("none", None), ("gone", "none")):
        state = {**ALL, "other": other}
        panel.read_evaluation(context(dataset, state))
        assert (state["other"], state.get("choices", {}).get("other")) == ("none", chosen)


def test_a_change_is_known_if_both_scores_are():
    both = {"a": [0.5, 0.75], "b": [None, 0.5], "c": [0.5, None], "d": [0.0, 0.0]}
    cells = [compared_cells(both, name).get("change") for name in "abcde"]
    assert cells == ["+25.0", "–", "–", "+0.0", "–"]
    assert compared_cells({}, "a") == {}


def test_predictions_without_scores_have_no_histogram(panel, dataset):
    words = "These predictions have no scores."
    rest = ["scored_words", "bar_choices", "bar_words", "bars"]
    for describes in (False, True):  # neither classes nor scores; and classes alone
        if describes:
            describe_field(dataset, "found", "", run="r", label_field="own", classes=["a", "b"])
        state = {**ALL, "scored": "a"}
        found = drawn(panel, dataset, state, "scores")
        assert (list(found)[1:], found["scored_words"]["default"]) == (rest, words)
        assert state["scored"] is None
    with_scores(dataset, 0.5, ["a", "b"])
    assert list(drawn(panel, dataset, {**ALL}, "scores"))[1:3] == ["scored_class", "scored_words"]


def test_a_score_at_the_threshold_is_above_it(panel, dataset):
    with_scores(dataset, 0.25, ["a", "b"])
    ids = dataset.values("id")
    # Of eight labels three are "a": the score of the first is lower than that of the others.
    for threshold, below, above in ((0.25, 0, 5), (0.5, 1, 5), (0.75, 3, 0)):
        state = {**ALL, "scored": "a", "threshold": threshold}
        panel.read_scores(context(dataset, state))
        assert (state["below"], state["above"]) == (below, above)
        for side, count in (("below", below), ("above", above)):
            given = {"side": side, "label": "a", "threshold": threshold}
            ctx = context(dataset, state, **given)
            panel.on_side(ctx)
            views = [x["view"] for x in requests(ctx, "set_view")]
            found = [fo.DatasetView._build(dataset, x).values("id") for x in views]
            assert [len(x) for x in found] == ([count] if count else [])
            if side == "below" and count:
                assert found[0] == ids[:count]  # the lowest first
    words = (
        "Scores of **a**: 3 images with this label, 5 others. Click a bar to see its images, "
        "lowest scores first."
    )
    assert state["scored_words"].startswith(f"{words}\n\nAbove: ")
    state = {**ALL, "scored": "a", "threshold": 0.0}
    panel.read_scores(context(dataset, state))
    assert (state["threshold"], state["below"]) == (0.0, 0)  # 0 is a threshold too


def test_of_many_classes_the_first_bars_are_drawn(panel, dataset, monkeypatch):
    with_scores(dataset, 0.25, ["a", "c"])
    state = {**ALL}
    panel.read_scores(context(dataset, state))
    title = "Size and recall of each class, worst recall first"
    assert (state["bar_classes"], state["bar_title"]) == (["c", "a", "b"], title)
    assert state["scored"] == "c"  # the worst that has scores
    monkeypatch.setattr(scores, "MOST_BARS", 2)
    panel.on_bar_order(context(dataset, state, value="name"))
    title = "Size and recall of each class, by name (2 of 3)"
    assert (state["bar_classes"], state["bar_title"]) == (["a", "b"], title)
    for searched, known in (("b", "a"), ("z", "a")):  # without a bar, the first that has scores
        state = {**ALL, "bar_search": searched}
        panel.read_scores(context(dataset, state))
        assert state["scored"] == known
    # A class without scores has a bar, and stays no choice.
    ctx = context(dataset, state, idx=0, trace_idx=0, view={"shows": ["b"]})
    panel.on_class_bar(ctx)
    assert (state["scored"], len(requests(ctx, "set_view"))) == ("a", 1)


def test_a_list_of_classes_stands_at_places():
    known = ["a", "b"]
    found = [_class_at(known, x) for x in ("0", 1, "1", "2", "-1", "x", None, "")]
    assert found == ["a", "b", "b", None, None, None, None, None]


def test_counts_are_made_again_when_they_are_asked_for(panel, dataset):
    state = {**ALL, "tab": "evaluate"}
    assert [cached(dataset, ("mine",), lambda x=x: x) for x in (1, 2)] == [1, 1]
    panel.on_count_again(context(dataset, state))
    assert cached(dataset, ("mine",), lambda: 2) == 2
    assert "2 of 7 samples" in state["evaluation_words"]
