"""The tab "Review" with its buttons: what is there with and without labels, runs and a check."""

import pytest
from fiftyone.operators import types
from panel_contexts import context, make_dataset, requests

import fiftyone_gradcam as fg
from fiftyone_gradcam.app.panels.review import review_words
from fiftyone_gradcam.dataset.run import Run
from fiftyone_gradcam.dataset.runs import save_run

CARD = {"id": "1", "label": "a*", "suggestion": "b", "path": "/x/y_.png", "evidence": "why*"}
ACTIONS = ["Find label issues", "Accept all sure suggestions", "Export reviews"]


@pytest.fixture
def dataset(name):
    return make_dataset(name)


def drawn(panel, dataset, **state) -> dict:
    shown = types.Object()
    panel.draw_review(context(dataset, {"can_review": True, "classes": [], **state}), shown)
    return shown.to_json()["properties"]


def labels_in(row: dict) -> list[str]:
    return [x["view"]["label"] for x in row["type"]["properties"].values()]


def test_what_is_read_of_labels_runs_and_a_check(panel, dataset):
    import fiftyone as fo

    state: dict = {}
    panel.read_review(context(dataset, state))
    assert state == {"can_review": True, "has_runs": False, "is_judged": False}
    recipe = {"backbone": "small_cnn", "epochs": 1}
    save_run(dataset, Run("k", dataset.name, ["a", "b"], recipe, [], 1, "own", "/none"))
    from fiftyone_gradcam.dataset.storing import Declared, declare

    facts = {"classes": ["a", "b"], "label_field": "own"}
    declare(dataset, "label_quality", Declared("float", "low is bad", facts, {}))
    panel.read_review(context(dataset, state))
    assert state == {"can_review": True, "has_runs": True, "is_judged": True}
    empty = fo.Dataset(f"{dataset.name} empty")
    state = {"by_buttons": True}
    panel.read_review(context(empty, state))
    empty.delete()
    assert state == {
        "by_buttons": True, "can_review": False, "has_runs": False, "is_judged": False,
    }  # fmt: skip


def test_without_labels_the_tab_says_what_to_do(panel, dataset):
    found = drawn(panel, dataset, can_review=False)
    words = "There are no labels here yet. Import labeled folders."
    assert {name: x["default"] for name, x in found.items()} == {"no_labels": words}


def test_actions_come_first_until_labels_are_checked(panel, dataset):
    parts = ["review_card", "buttons"]
    found = drawn(panel, dataset, is_judged=False)
    assert list(found) == ["review_buttons", *parts]
    variants = [
        (x["view"]["label"], x["view"]["variant"])
        for x in found["review_buttons"]["type"]["properties"].values()
    ]
    assert variants == [
        (label, "outlined" if n else "contained") for n, label in enumerate(ACTIONS)
    ]
    assert found["review_card"]["view"]["component"] == "GradcamReviewCard"
    name = found["buttons"]["view"]["componentsProps"]["container"]["className"]
    assert name == "gradcam-without-card"
    found = drawn(panel, dataset, is_judged=True, has_runs=True)
    assert list(found) == [*parts, "review_buttons"]
    views = [x["view"] for x in found["review_buttons"]["type"]["properties"].values()]
    assert [x["label"] for x in views] == [
        *ACTIONS[:2], "Retrain on corrected labels", ACTIONS[2],
    ]  # fmt: skip
    assert {x["variant"] for x in views} == {"outlined"}


def test_a_label_is_reviewed_by_buttons(panel, dataset):
    state = {"by_buttons": True, "is_judged": True, "card": CARD, "classes": ["a*", "b"]}
    found = drawn(panel, dataset, **state, review_words="1 left*")
    assert found["review_progress"]["default"] == "1 left\\*"
    row = found["review_decisions"]
    assert labels_in(row) == [
        *("Undo", "Back to the card", "Keep", "Accept b", "Unclear", "Exclude"),
    ]
    asked = [x["view"].get("params") for x in row["type"]["properties"].values()][2:]
    decisions = ["keep", "accept", "unclear", "exclude"]
    assert asked == [{"id": "1", "shown": "a*", "decision": x} for x in decisions]
    assert found["review_evidence"]["default"] == "**a\\*** · y\\_.png\n\nwhy\\*"
    assert found["picture_1"]["default"] == "/media?filepath=%2Fx%2Fy_.png"
    views = [x["view"] for x in found["review_classes"]["type"]["properties"].values()]
    assert [(x["label"], x["params"]["label"]) for x in views] == [("a*", "a*"), ("b", "b")]
    assert views[1]["params"]["decision"] == "relabel"
    row = drawn(panel, dataset, **state | {"card": CARD | {"suggestion": None}})["review_decisions"]
    assert labels_in(row) == ["Undo", "Back to the card", "Keep", "Unclear", "Exclude"]
    found = drawn(panel, dataset, **state | {"card": None})
    assert labels_in(found["review_decisions"]) == ["Undo", "Back to the card"]
    assert found["review_done"]["default"] == "Nothing is left to review."
    assert "review_classes" not in found


def test_what_cannot_be_undone_or_decided_is_said(panel, dataset):
    state = {"tab": "review", "by_buttons": True, "decided": ["x"]}
    ctx = context(dataset, state)
    panel.on_undo_review(ctx)
    (said,) = requests(ctx, "notify")
    assert said["variant"] == "error"
    assert state["decided"] is None
    assert state["card"]  # it is looked again
    first = dataset.values("id")[0]
    given = {"id": first, "shown": "b", "decision": "keep"}  # its label is "a"
    ctx = context(dataset, state, **given)
    panel.on_decide(ctx)
    (said,) = requests(ctx, "notify")
    assert (said["variant"], state["decided"]) == ("error", None)
    assert fg.list_reviews(dataset) == []
    panel.on_decide(context(dataset, state, **given | {"shown": "a"}))
    assert state["decided"] == [first, "a", "keep", None]
    assert [x.decision for x in fg.list_reviews(dataset)] == ["keep"]


def test_the_progress_ends_with_what_is_left():
    for words, left, shown in (("a", "b", "a. b"), ("a", "", "a"), ("", "b", "b"), ("", "", "")):
        assert review_words({"words": words, "left": left}) == shown
