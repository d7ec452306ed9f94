"""Lists that are cut off: with so many entries they are whole, with one more the rest is named."""

import math
from types import SimpleNamespace
from typing import ClassVar

import fiftyone as fo
import numpy as np
import pytest
from fiftyone.operators import types
from panel_contexts import context, requests
from reviewable import at, make_reviewable

import fiftyone_gradcam as fg
from fiftyone_gradcam.app.operators import call, explain_call, params, predict, training_summary
from fiftyone_gradcam.app.operators.split_preview import preview
from fiftyone_gradcam.app.operators.training_time import Images, Time
from fiftyone_gradcam.app.panels import review, scores
from fiftyone_gradcam.dataset import cached
from fiftyone_gradcam.dataset.fields import describe_field
from fiftyone_gradcam.dataset.issues import note_label_issues
from fiftyone_gradcam.dataset.judged import judged

NAMES = [f"c{number:02d}" for number in range(51)]


@pytest.fixture(scope="module")
def dataset():
    """Two samples of each of 51 classes; of each odd class the second is predicted as the next.

    Of the first samples, which are predicted rightly, 20 are tagged "test", 21 "val", and 50
    "train".
    """
    dataset = fo.Dataset("limits")
    samples = []
    for number, name in enumerate(NAMES):
        limits = {"test": 20, "val": 21, "train": 50}
        tags = [tag for tag, count in limits.items() if number < count]
        for is_second in (False, True):
            found = NAMES[(number + 1) % 51] if is_second and number % 2 else name
            sample = fo.Sample(f"/{number}_{is_second}.png", tags=[] if is_second else tags)
            sample["own"] = fo.Classification(label=name)
            sample["found"] = fo.Classification(label=found, confidence=0.75)
            samples.append(sample)
    dataset.add_samples(samples)
    describe_field(dataset, "found", "Of r", run="r", label_field="own", classes=NAMES)
    yield dataset
    dataset.delete()


ODD, EVEN = NAMES[1::2], NAMES[::2]  # with a recall of one half, and of 1


@pytest.mark.parametrize(
    ("part", "title", "labels", "others", "rows"),
    [
        ("test", "", NAMES[:20], False, "Classes, worst recall first"),
        (
            "val",
            "20 of 21 classes, worst recall first: ",
            [*NAMES[:20], None],
            True,
            "Classes, worst recall first (20 of 21)",
        ),
        (
            "all",
            "20 of 51 classes, worst recall first: ",
            [*ODD[:20], None],
            True,
            "Classes, worst recall first (20 of 51)",
        ),
    ],
)
def test_classes_of_the_matrix(panel, dataset, part, title, labels, others, rows):
    state = {"prediction_field": "found", "part": part}
    panel.read_evaluation(context(dataset, state))
    assert (state["matrix_title"], state["class_title"]) == (title, rows)
    assert state["labels"] == labels
    assert state["predictions"][-1:] == ([None] if others else [NAMES[19]])
    assert state["shown_classes"] == labels[:20]
    pairs = [[name, NAMES[NAMES.index(name) + 1]] for name in ODD[:20]] if part == "all" else []
    assert state["pairs"] == pairs
    words = "Most confused pairs (20 of 25)" if pairs else "Most confused pairs"
    assert state["pair_title"] == words
    assert [(x["label"], x["count"], x["share"]) for x in state["pair_rows"]] == [
        (name, "1", "50.0%") for name, _ in pairs
    ]


def test_what_is_searched_is_counted_among_what_is_found(panel, dataset):
    state = {"prediction_field": "found", "part": "all", "search": "C1", "order": "name"}
    panel.read_evaluation(context(dataset, state))
    assert state["labels"] == [*NAMES[10:20], None]
    assert state["matrix_title"] == "10 of 51 classes, by name: "
    assert state["class_title"] == "Classes, by name"
    # c09 is predicted as c10.
    assert state["pairs"] == [[NAMES[n], NAMES[n + 1]] for n in (9, 11, 13, 15, 17, 19)]
    state["search"] = "C5"
    panel.read_evaluation(context(dataset, state))
    assert (state["labels"], state["shown_classes"]) == (["c50", None], ["c50"])


@pytest.mark.parametrize(
    ("part", "order", "classes", "title"),
    [
        ("train", "recall", NAMES[:50], "Size and recall of each class, worst recall first"),
        ("all", "recall", [*ODD, *EVEN[:25]],
         "Size and recall of each class, worst recall first (50 of 51)"),
        ("all", "name", NAMES[:50], "Size and recall of each class, by name (50 of 51)"),
    ],
)  # fmt: skip
def test_bars_of_classes(panel, dataset, part, order, classes, title):
    state = {"prediction_field": "found", "part": part, "bar_order": order}
    panel.read_scores(context(dataset, state))
    assert (state["bar_classes"], state["bar_title"]) == (classes, title)
    assert state["scored_words"] == "These predictions have no scores."


def test_samples_that_a_click_shows(panel, dataset, monkeypatch):
    monkeypatch.setattr(scores, "MOST_SAMPLES", 3)
    values, ids = np.array([0.1, 0.9, 0.5, 0.7, 0.3]), dataset.limit(5).values("id")
    found = scores.ClassScores(
        np.array([bytes.fromhex(i) for i in ids], "V12"), values, np.ones(5, bool)
    )
    ctx = context(dataset, {"prediction_field": "found", "part": "all"})
    chosen = panel.chosen(ctx)
    for wanted, highest, order, words in (
        (values < 0.6, False, [0, 4, 2], []),
        (values < 0.6, True, [2, 4, 0], []),
        (values < 0.8, False, [0, 4, 2], ["The lowest 3 of 4 are shown."]),
        (values < 0.8, True, [3, 2, 4], ["The highest 3 of 4 are shown."]),
        (values > 1, True, None, ["There are no such images."]),
    ):
        ctx = context(dataset, {})
        panel._show(ctx, chosen, found, wanted, highest)
        assert [x["message"] for x in requests(ctx, "notify")] == words
        views = [fo.DatasetView._build(dataset, x["view"]) for x in requests(ctx, "set_view")]
        assert [x.values("id") for x in views] == (
            [] if order is None else [[ids[i] for i in order]]
        )


def test_classes_of_the_buttons_of_a_review(panel, dataset, monkeypatch):
    state = {"by_buttons": True}
    panel.read_review(context(dataset, state))
    assert state["classes"] == NAMES[:10]
    for letters, shown in ((40, "x" * 40), (41, f"{'x' * 26}…{'x' * 13}")):
        card = {"id": "1", "label": "a", "suggestion": "x" * letters, "path": "/x", "evidence": ""}
        drawn = types.Object()
        state = {"by_buttons": True, "can_review": True, "is_judged": True, "card": card}
        panel.draw_review(context(dataset, {**state, "classes": []}), drawn)
        row = drawn.to_json()["properties"]["review_decisions"]["type"]["properties"]
        assert row["accept"]["view"]["label"] == f"Accept {shown}"
        assert len(shown) == 40
    assert review.MOST_LETTERS == 40


# Forms


@pytest.mark.parametrize(
    ("classes", "parts", "is_table"), [(6, 6, True), (7, 6, False), (6, 7, False)]
)
def test_the_table_of_a_split(dataset, classes, parts, is_table):
    samples = dataset.match(fo.ViewField("own.label").is_in(NAMES[:classes]))
    inputs = types.Object()
    given = {"samples": samples, "groups": None, "label_field": "own", "seed": 0, "folds": parts}
    preview(inputs, {**given, "fractions": None})
    text = inputs.to_json()["properties"]["preview"]["default"]
    assert text.count("fold_") == parts * (1 + is_table)
    assert ("| class |" in text) == is_table
    assert ("| c05 |" in text) == is_table


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (8, "36 training images (c00 1, c01 2, c02 3, c03 4, c04 5, c05 6, c06 7, c07 8)"),
        (9, "45 training images (c00 1, c01 2, c02 3, c03 4, c04 5, c05 6, c06 7, c07 8 and 1 "
            "more class)"),
        (10, "55 training images (c00 1, c01 2, c02 3, c03 4, c04 5, c05 6, c06 7, c07 8 and 2 "
             "more classes)"),
    ],
)  # fmt: skip
def test_the_summary_of_a_training(dataset, monkeypatch, count, words):
    monkeypatch.setattr(training_summary, "training_time", lambda *_: Time(59.6, "cpu"))
    images = Images({name: n for n, name in enumerate(NAMES[:count], 1)}, 3, [])
    given = {"samples": dataset, "recipe": "default", "label_field": "own"}
    for more, said in (
        ({}, "All layers are trained"),
        ({"freeze": "backbone"}, "Only the new layers are trained"),
        ({"freeze": 2}, "All but the first 2 stages are trained"),
    ):
        inputs = types.Object()
        training_summary.summary_view(context(dataset, {}), inputs, {**given, **more}, images)
        (shown,) = inputs.to_json()["properties"].values()
        whole = f"{words}. 3 validation images. {said}. About 60 s on the CPU"
        assert shown["view"]["label"] == whole


def test_classes_with_heatmaps_of_their_own():
    for count in (200, 201):
        inputs, names = types.Object(), [f"c{n}" for n in range(count)]
        predict.Predict()._classes_input(inputs, names)
        fields = inputs.to_json()["properties"]
        assert ("heatmap_classes" in fields) == (count == 200)


@pytest.mark.parametrize(
    ("kind", "fits", "not_fits"),
    [
        (params.TEXT, ["", "x" * 4096], ["x" * 4097, "a\0", 1, []]),
        (params.TEXTS, [[], ["x"] * 10_000], [["x"] * 10_001, [1], ["x" * 4097], "x"]),
        (params.NUMBER, [0, -0.5, 2**53, -(2**53)], [2**53 + 1, True, "1", math.nan, math.inf]),
        (params.WHOLE, [0, 3.0, -(2**53)], [0.5, False, 2**53 + 1]),
        (params.SWITCH, [True, False], [1, 0, "true"]),
        (params.PATH, ["/x", {"absolute_path": "/x"}, {}], [{"absolute_path": "x" * 4097}, 3]),
    ],
)  # fmt: skip
def test_kinds_of_parameters(kind, fits, not_fits):
    assert [value for value in fits if not kind.fits(value)] == []
    assert [value for value in not_fits if kind.fits(value)] == []


def test_parameters_are_shown_in_part():
    assert params._shown("x" * 58) == f"'{'x' * 58}'"
    assert params._shown("x" * 59) == f"'{'x' * 59}…"
    assert params._shown(10**5000) == "a number of thousands of digits"


# Calls of scripts


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("wrong"), "wrong"),
        (TypeError("wrong"), "wrong"),
        (TimeoutError("The dataset is in use"), "The dataset is in use"),
        (PermissionError(13, "Permission denied"), "[Errno 13] Permission denied"),
    ],
)
def test_a_script_gets_the_message_of_an_error(dataset, error, words):
    class Own(call.Call):
        kinds: ClassVar = {"name": params.TEXT, "count": params.WHOLE}

        def answer(self, dataset, given):
            if given["name"] is None:
                raise error
            return given

    ctx = context(dataset, {})
    assert Own().execute(ctx) == {"error": words}
    ctx = context(dataset, {}, name="n", count=2, other=3)
    assert Own().execute(ctx) == {"name": "n", "count": 2}
    ctx = context(dataset, {}, name="n", count="2")
    assert Own().execute(ctx) == {"error": "count must be a whole number"}


def test_how_much_evidence_a_heatmap_shows():
    found = {}
    for most in (0, 1, 25, 26, 255):
        pixels = np.zeros((2, 2), np.uint8)
        pixels[1, 1] = most
        one = explain_call._map(SimpleNamespace(picture=lambda label, own=pixels: own), "a")
        found[most] = one["evidence"]
    assert found == {0: "none", 1: "little", 25: "little", 26: "some", 255: "some"}


# What is kept


def test_what_was_asked_for_longest_ago_is_computed_again(dataset, monkeypatch):
    monkeypatch.setattr(cached, "MOST", 2)
    cached.forget()
    made = []

    def ask(*keys: str) -> list[str]:
        made.clear()
        for key in keys:
            cached.cached(dataset, (key,), lambda key=key: made.append(key), ("state",))
        return list(made)

    assert ask("a", "b", "a") == ["a", "b"]
    assert ask("c", "a") == ["c"]  # of a and b, b was asked for longest ago
    assert ask("b", "a") == ["b"]
    assert ask("c") == ["c"]
    cached.forget()


# Label issues


def test_pairs_of_classes_with_half_a_wrong_label_are_listed(dataset):
    pairs = np.array([[0, 0.5, 2.04], [0.49, 0, 2.06], [0.5, 2.04, 0]])
    estimate = SimpleNamespace(pairs=pairs, count=7.6, low=4.9, high=9.1)
    verdict = SimpleNamespace(estimate=estimate, wrong=np.zeros(30))
    issues = {n: SimpleNamespace(kind=kind) for n, kind in enumerate(("a", "b", "a"))}
    before = dict(dataset.info)
    noted = note_label_issues(dataset, verdict, issues, ["x", "y", "z"], {"w": 2}, {"seed": 3})
    dataset.info = before
    dataset.save()
    assert noted == {
        "seed": 3, "judged": 30, "estimate": 8, "low": 4, "high": 10,
        "pairs": [  # rows are true classes, columns given labels; equal counts in their order
            {"label": "z", "class": "y", "count": 2.1},
            {"label": "z", "class": "x", "count": 2.0},
            {"label": "y", "class": "z", "count": 2.0},
            {"label": "y", "class": "x", "count": 0.5},
            {"label": "x", "class": "z", "count": 0.5},
        ],
        "kinds": {"a": 2, "b": 1},
        "too_few": [{"class": "w", "count": 2}],
    }  # fmt: skip


# At a limit


@pytest.mark.parametrize(
    ("threshold", "below", "above"), [(0.5, 1, 2), (0.51, 2, 1), (0.4, 0, 3), (0.0, 0, 3)]
)
def test_a_score_at_the_threshold_is_above_it(panel, dataset, monkeypatch, threshold, below, above):
    values, own = np.array([0.5, 0.4, 0.5, 0.4, 0.6]), np.array([1, 1, 0, 0, 0], bool)
    found = scores.ClassScores(np.zeros(5, "V12"), values, own)
    monkeypatch.setattr(panel, "_scores", lambda *_: found)
    state = {"prediction_field": "found", "part": "all", "scored": "c00", "threshold": threshold}
    ctx = context(dataset, state)
    panel._read_histogram(ctx, panel.chosen(ctx))
    assert (state["below"], state["above"]) == (below, above)
    assert state["scored_words"].startswith(
        "Scores of **c00**: 2 images with this label, 3 others. "
    )


def test_what_is_left_out_is_of_the_part_that_is_looked_at(name):
    dataset = make_reviewable(name)
    ids = dataset.values("id")
    for tag, places in (("test", (0, 1)), ("val", (2, 3))):
        at(dataset, *places).tag_samples(tag)
    fg.review(at(dataset, 0), "exclude")
    fg.review(at(dataset, 2), "unclear")
    for part, left, out in (
        ("test", [1], {"exclude": [ids[0]]}),
        ("val", [3], {"unclear": [ids[2]]}),
        ("all", [1, 3], {"exclude": [ids[0]], "unclear": [ids[2]]}),
    ):
        samples, found = judged(dataset, part, ("one state",))
        assert samples.values("id") == [ids[i] for i in left]
        assert {key: own for key, own in found.items() if own} == out
    dataset.delete()
