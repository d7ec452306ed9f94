"""Bulk decisions, the queue and the tab, on real contexts without a browser."""

import fiftyone as fo
import fiftyone.operators as foo
import numpy as np
import pytest
from fiftyone.operators import types
from panel_contexts import context, requests
from PIL import Image

import fiftyone_gradcam as fg
from fiftyone_gradcam.app.operators import contact_sheet as sheets
from fiftyone_gradcam.app.panels.classifier import ClassifierPanel
from fiftyone_gradcam.dataset.decisions import adopt_edits
from fiftyone_gradcam.dataset.overview import overview
from fiftyone_gradcam.dataset.prediction_fields import HEATMAP_ATTRIBUTES
from fiftyone_gradcam.dataset.review_cards import cards
from fiftyone_gradcam.dataset.review_counts import review_counts
from fiftyone_gradcam.dataset.review_queue import (
    Filters,
    queue,
    queued,
    sure_ids,
)
from fiftyone_gradcam.dataset.review_state import columns_of
from fiftyone_gradcam.dataset.reviews import reviewing
from fiftyone_gradcam.dataset.storing import Declared, declare

URI = "@gradcam/classifier/"
#        label, quality, suggestion, kind of issue, sure
ROWS = [
    ("a", 0.30, "b", "wrong label", False),
    ("b", 0.10, "c", "wrong label", True),
    ("a", 0.20, "b", "wrong label", True),
    ("c", 0.90, None, "poor image", False),
    ("b", 0.95, None, None, False),
    ("a", None, None, None, False),
]


@pytest.fixture
def dataset(name, tmp_path):
    dataset = fo.Dataset(name)
    facts = {"classes": ["a", "b", "c"], "label_field": "own"}
    declare(dataset, "label_quality", Declared("float", "", facts, {}))
    declare(dataset, "suggested_label", Declared("classification", "", facts, {}))
    declare(dataset, "issue", Declared("classification", "", facts, {"evidence": "text"}))
    samples = []
    for number, (label, quality, other, kind, sure) in enumerate(ROWS):
        path = str(tmp_path / f"{number}.png")
        Image.fromarray(np.full((20, 30, 3), 40 * number, np.uint8)).save(path)
        sample = fo.Sample(filepath=path, own=fo.Classification(label=label), label_quality=quality)
        sample["suggested_label"] = other and fo.Classification(label=other, confidence=0.8)
        sample["issue"] = kind and fo.Classification(label=kind, evidence="why", sure=sure)
        samples.append(sample)
    dataset.add_samples(samples, dynamic=True)
    return dataset


def places(dataset, ids) -> list[int]:
    every = dataset.values("id")
    return [every.index(i) for i in ids]


def form(verb: str, dataset, selected=(), **params) -> dict:
    ctx = foo.executor.ExecutionContext(
        request_params={
            "dataset_name": dataset.name, "params": params, "selected": list(selected)
        },
        operator_uri=URI + verb,
    )  # fmt: skip
    return foo.get_operator(URI + verb).resolve_input(ctx).type.properties


def execute(verb: str, dataset, selected=(), **params):
    ctx = {"dataset": dataset, "params": params, "selected": list(selected)}
    return foo.execute_operator(URI + verb, ctx)


def test_the_queue_begins_with_the_lowest_quality_and_follows_filters(dataset):
    columns = columns_of(dataset)
    assert columns.label_field == "own"

    def found(**chosen) -> list[int]:
        return places(dataset, queued(dataset, columns, Filters(**chosen)))

    assert found() == [1, 2, 0, 3, 4]
    assert found(kind="poor image") == [3]
    assert found(label="a") == [2, 0]
    assert found(label="a", suggestion="b") == [2, 0]
    assert found(label="b", suggestion="a") == []
    assert found(below=0.2) == [1]
    # What has a kind of issue and no quality is looked at too, last of all.
    last = {dataset.values("id")[5]: fo.Classification(label="too few to judge")}
    dataset.set_values("issue", last, key_field="id")
    assert found() == [1, 2, 0, 3, 4, 5]
    dataset.set_values("issue", dict.fromkeys(last), key_field="id")
    # A decision about labels in another field is none about these.
    dataset.set_values("other", [fo.Classification(label=row[0]) for row in ROWS])
    fg.review(dataset.limit(2), "keep", label_field="other")
    assert found() == [1, 2, 0, 3, 4]
    fg.review(dataset.select(dataset.values("id")[2]), "keep")
    assert found() == [1, 0, 3, 4]
    dataset.set_values("own.label", {dataset.values("id")[2]: "c"}, key_field="id")
    # The label has changed since: its quality is that of "keep". Another class is still suggested.
    assert found() == [1, 0, 2, 3, 4]
    shown = queue(dataset, None, Filters())
    assert shown["classes"] == ["a", "b", "c"]
    assert shown["kinds"] == ["poor image", "wrong label"]
    # Of decided labels, the grid shows no suggestion: filters offer those that it shows.
    assert shown["pairs"] == [["a", "b", 1], ["b", "c", 1]]
    assert [card["evidence"] for card in shown["cards"][:1]] == ["wrong label: why"]


def test_cards_show_the_heatmaps_of_the_label_and_of_the_suggestion(dataset):
    """And none that says what speaks against a class, or for one and against another."""
    fields = {
        "cam_contrast": "contrast", "cam_against": "against:predicted", "cam": "predicted",
        "cam_label": "label", "cam_runner_up": "runner_up",
    }  # fmt: skip
    targets = ("b", "a", "b", "a", "c")
    sample = dataset.first()
    for peak, (name, kind), target in zip(range(1, 6), fields.items(), targets, strict=True):
        declare(dataset, name, Declared("heatmap", "", {"kind": kind}, HEATMAP_ATTRIBUTES))
        path = f"/{name}.png"
        sample[name] = fo.Heatmap(map_path=path, target=target, peak=float(peak))
    sample.save()
    one, other = cards(dataset, columns_of(dataset), dataset.values("id")[:2])
    assert (one["label"], one["suggestion"]) == ("a", "b")
    assert one["maps"] == {
        "a": {"path": "/cam_label.png", "peak": 4.0}, "b": {"path": "/cam.png", "peak": 3.0},
    }  # fmt: skip
    assert other["maps"] == {}


def test_the_counts_add_up(dataset):
    """Three suspicious labels, two others, one never checked: each decision by hand."""
    ids = dataset.values("id")

    def counts() -> tuple:
        found = review_counts(dataset, columns_of(dataset))
        assert found.checked
        assert found.suspicious == found.reviewed + found.left
        in_queue = queue(dataset, None, Filters(), 1)  # what comes next is what is left
        assert len(in_queue["cards"]) + in_queue["rest"] == found.left + found.others_left
        shown = sum(card["suspicious"] for card in in_queue["cards"])
        assert shown + in_queue["rest_suspicious"] == found.left
        assert in_queue["progress"] == {
            "words": found.words, "left": found.remark, "finished": found.finished,
            "checked": True, "suspicious": found.suspicious, "others_left": found.others_left,
            "others": found.others_left + found.others_reviewed,
        }  # fmt: skip
        return (
            *(found.left, found.others_left, found.reviewed, found.others_reviewed),
            *(found.corrected, found.expected),
        )

    assert counts() == (3, 2, 0, 0, 0, None)
    fg.review(dataset.select(ids[0]), "accept")
    assert counts() == (2, 2, 1, 0, 1, None)
    fg.review(dataset.select(ids[1]), "keep")
    assert counts() == (1, 2, 2, 0, 1, None)
    fg.review(dataset.select(ids[2]), "exclude")
    assert counts() == (0, 2, 3, 0, 1, None)
    fg.review(dataset.select(ids[3]), "relabel", "a")
    assert counts() == (0, 1, 3, 1, 2, None)
    fg.review(dataset.select(ids[5]), "unclear")  # which nobody has checked, and so nobody asks
    assert counts() == (0, 1, 3, 2, 2, None)
    fg.undo_review(dataset, count=2)
    assert counts() == (0, 2, 3, 0, 1, None)
    dataset.set_values("own.label", {ids[1]: "a"}, key_field="id")  # elsewhere: to be looked at
    assert counts() == (1, 2, 2, 0, 1, None)
    dataset.set_values("own.label", {ids[1]: "b"}, key_field="id")
    # Two labels of the same image are suspicious without a suggestion.
    dataset.set_values("issue.label", {ids[4]: "equal files, two labels"}, key_field="id")
    assert counts() == (1, 1, 3, 0, 1, None)
    # What was corrected before the check is no part of its estimate. A label that was corrected
    # or kept before is not suspicious to the check; one that was excluded is as before.
    corrected = fg.list_reviews(dataset)[0].time
    for began, reviewed, expected in (("0", (3, 0), 7), (corrected, (2, 1), 8), ("9", (1, 2), 8)):
        dataset.info["label_issues"] = {"estimate": 7, "began": began, "label_field": "own"}
        dataset.save()
        assert counts() == (1, 1, *reviewed, 1, expected)
    dataset.info["label_issues"] = {"estimate": 7, "began": "0", "label_field": "other"}
    dataset.save()
    assert counts() == (1, 1, 3, 0, 1, None)


def test_a_label_that_was_kept_is_not_called_suspicious_in_the_grid(dataset):
    """But it still counts as one that was, its card still says why, and a decision can change."""
    columns, ids = columns_of(dataset), dataset.values("id")
    dataset.set_values("issue.label", {ids[1]: "ambiguous"}, key_field="id")
    before = cards(dataset, columns, ids[:4])
    for place in (0, 1, 3):
        fg.review(dataset.select(ids[place]), "keep")
    fg.review(dataset.select(ids[2]), "unclear")  # which settles nothing about the label
    chips = zip(
        *dataset.limit(4).values(["label_quality", "suggested_label.label", "issue.label"]),
        strict=True,
    )
    # What is wrong with an image is so whatever its label is.
    kept = [(1.0, None, None), (1.0, None, None), (None, "b", "wrong label")]
    assert list(chips) == [*kept, (1.0, None, "poor image")]
    found = review_counts(dataset, columns)
    assert (found.reviewed, found.left, found.others_reviewed) == (3, 0, 1)
    after = cards(dataset, columns, ids[:4])
    for name in ("label", "suggestion", "kind", "evidence", "suspicious"):
        assert [x[name] for x in after] == [x[name] for x in before], name
    assert [x["decision"] for x in after] == ["keep", "keep", "unclear", "keep"]
    # The suggestion can still be accepted, and a class chosen; then it is about the same evidence.
    (made,) = fg.review(dataset.select(ids[0]), "accept")
    assert (made.old_label, made.new_label, made.suggestion) == ("a", "b", "b")
    assert made.evidence == before[0]["evidence"] == "wrong label: why"
    assert review_counts(dataset, columns).reviewed == 3
    fg.undo_review(dataset, count=5)
    assert cards(dataset, columns, ids[:4]) == before
    assert dataset.values("suggested_label.confidence")[:3] == [0.8] * 3
    # A label that was reviewed before the last check is what that check found.
    fg.review(dataset.select(ids[0]), "keep")
    assert review_counts(dataset, columns).reviewed == 1
    dataset.info["label_issues"] = {"began": "9", "label_field": "own"}
    dataset.save()
    checked = columns_of(dataset)
    found = review_counts(dataset, checked)
    assert (found.reviewed, found.others_reviewed) == (0, 1)
    (card,) = cards(dataset, checked, ids[:1])
    assert (card["suggestion"], card["suspicious"]) == (None, False)


def test_labels_that_were_edited_elsewhere_count_in_all_places(dataset):
    columns, ids = columns_of(dataset), dataset.values("id")
    fg.review(dataset.select(ids[0]), "keep")
    dataset.set_values("own.label", {ids[0]: "c"}, key_field="id")
    assert overview(dataset).review == review_counts(dataset, columns)
    assert overview(dataset).review.reviewed == 0
    with reviewing(dataset):
        adopt_edits(dataset, columns)
    assert overview(dataset).review == review_counts(dataset, columns)
    assert overview(dataset).review.reviewed == 1


def test_a_decision_is_shown_until_the_label_changes(dataset):
    ids = dataset.values("id")

    def decision() -> str | None:
        (card,) = cards(dataset, columns_of(dataset), ids[:1])
        return card["decision"]

    assert decision() is None
    fg.review(dataset.limit(1), "accept")
    assert decision() == "accept"
    dataset.set_values("own.label", {ids[0]: "c"}, key_field="id")
    assert decision() is None
    dataset.set_values("other", [fo.Classification(label="c") for _ in ROWS])
    fg.review(dataset.limit(1), "keep", label_field="other")  # a decision about another label
    assert decision() is None


def test_cards_that_were_skipped_do_not_come_again(dataset):
    def page(known) -> tuple[list[int], int, int]:
        ids = [dataset.values("id")[place] for place in known]
        found = queue(dataset, None, Filters(), 2, ids)
        own = places(dataset, [card["id"] for card in found["cards"]])
        return own, found["rest"], found["rest_suspicious"]

    assert page([]) == ([1, 2], 3, 1)
    assert page([1, 2]) == ([0, 3], 1, 0)
    assert page([1, 2, 0, 3]) == ([4], 0, 0)
    assert page([1, 2, 0, 3, 4]) == ([], 0, 0)


def test_selected_samples_are_reviewed_in_bulk(dataset):
    ids = dataset.values("id")
    assert "none_selected" in form("review", dataset)
    fields = form("review", dataset, ids[:2], decision="relabel")
    assert fields["label"].type.values == ["a", "b", "c"]
    execute("review", dataset, ids[:2], decision="accept")
    assert dataset.values("own.label")[:3] == ["b", "c", "a"]
    execute("review", dataset, ids[3:5], decision="relabel", label="a")
    execute("review", dataset, ids[5:], decision="relabel", new_class="new")
    assert dataset.values("own.label")[3:] == ["a", "a", "new"]
    assert {one.source for one in fg.list_reviews(dataset)} == {"App, selection"}
    execute("undo_review", dataset, count=2)
    assert dataset.values("own.label") == ["b", "c", "a", "c", "b", "a"]
    with pytest.raises(Exception, match="Select samples in the grid"):
        execute("review", dataset, decision="keep")
    offered = form("review", dataset, ids[:2])["decision"].type.values
    assert offered == ["accept", "relabel", "keep", "unclear", "exclude"]
    dataset.delete_sample_field("suggested_label")
    assert form("review", dataset, ids[:2])["decision"].type.values == offered[1:]


def test_a_decision_of_the_card_is_about_its_field_and_says_where_it_was_made(dataset):
    dataset.set_values("other", [fo.Classification(label="x") for _ in ROWS])
    sample_id = dataset.values("id")[1]

    def decide(**params) -> dict:
        operator = foo.get_operator(URI + "review_decide")
        request = {"dataset_name": dataset.name, "params": {"id": sample_id, **params}}
        ctx = foo.executor.ExecutionContext(request, operator_uri=operator.uri)
        return operator.execute(ctx)

    decide(decision="keep", shown="x", label_field="other", source="App, sample modal")
    decide(decision="relabel", label="a", shown="b", source="somewhere else")
    assert [(x.label_field, x.new_label, x.source) for x in fg.list_reviews(dataset)] == [
        ("other", "x", "App, sample modal"),
        ("own", "a", "App, Review tab"),
    ]
    assert "is 'a', but was 'b' when it was shown" in decide(decision="keep", shown="b")["error"]


def test_all_sure_suggestions_are_accepted_after_a_look_and_undone_in_one_step(
    dataset, monkeypatch
):
    # What is sure to be a poor image is suggested no other class.
    dataset.set_values("issue.sure", {dataset.values("id")[3]: True}, key_field="id")
    assert places(dataset, sure_ids(dataset, columns_of(dataset))) == [1, 2]
    fields = form("accept_sure", dataset)
    assert fields["count"].view.label == "2 labels get the suggested class"
    assert "data:image/webp;base64," in fields["sheet"].default
    assert fields["look"].invalid
    captions = []
    monkeypatch.setattr(
        sheets,
        "sheet",
        lambda pictures, texts, *sizes, clear: captions.extend(texts) or pictures[0],
    )
    sheets.contact_sheet(dataset, columns_of(dataset), dataset.values("id")[1:3])
    assert captions == [f"{ROWS[place][0]}\n> {ROWS[place][2]}" for place in (1, 2)]
    with pytest.raises(Exception, match="Check the pictures first"):
        execute("accept_sure", dataset)
    request = {"dataset_name": dataset.name, "params": {}}
    with pytest.raises(ValueError, match="sure must be true"):  # whoever asks without the form
        foo.get_operator(URI + "accept_sure").arguments(foo.executor.ExecutionContext(request))
    execute("accept_sure", dataset, sure=True)
    assert dataset.values("own.label") == ["a", "c", "b", "c", "b", "a"]
    fields = form("accept_sure", dataset)
    said = fields["none"].view.label
    assert said.startswith("No label here is almost certainly wrong. Review labels one by one")
    assert isinstance(fields["none"].view, types.Notice)  # good news is no error
    assert [fields[name].invalid for name in ("none", "nothing")] == [False, True]
    assert len(fg.undo_review(dataset)) == 2
    unchecked = dataset.clone()
    unchecked.delete_sample_fields(["label_quality", "suggested_label", "issue"])
    field = form("accept_sure", unchecked)["none"]
    said = field.view.label
    unchecked.delete()
    assert field.invalid
    assert said == "Labels have not been checked yet. Find label issues first"
    assert dataset.values("own.label") == [row[0] for row in ROWS]


def test_the_tab_reviews_by_buttons(dataset):
    panel, state = ClassifierPanel(), {"tab": "review", "by_buttons": True}
    panel.read(context(dataset, state))
    assert state["card"]["id"] == dataset.values("id")[1]
    drawn = panel.render(context(dataset, state)).type.properties
    assert {"review_progress", "review_evidence"} <= set(drawn)
    asked = {"id": state["card"]["id"], "shown": "b", "decision": "relabel", "label": "a"}
    panel.on_decide(context(dataset, state, **asked))
    assert dataset.values("own.label")[1] == "a"
    assert state["card"]["id"] == dataset.values("id")[2]
    words = "3 suspicious labels: 1 reviewed, 2 left; 1 corrected so far"
    assert state["review_words"] == words
    stale = {**asked, "label": "c"}  # from a page that still shows the label as it was before
    ctx = context(dataset, state, **stale)
    panel.on_decide(ctx)
    (reported,) = requests(ctx, "notify")
    assert "it was changed elsewhere" in reported["message"]
    panel.on_undo_review(context(dataset, state))
    assert dataset.values("own.label")[1] == "b"
    panel.on_buttons(context(dataset, state))
    card = panel.render(context(dataset, state)).type.properties["review_card"]
    assert card.view.to_json()["component"] == "GradcamReviewCard"


def test_the_script_of_the_card_names_what_the_server_offers():
    """A name that one of them changes would leave the other without an answer."""
    from conftest import REPOSITORY

    script = (REPOSITORY / "fiftyone_gradcam" / "app" / "review_queue.js").read_text()
    for name in ("review_cards", "review_decide", "review_undo"):
        assert f'call("{name}"' in script
        assert foo.get_operator(URI + name).config.unlisted
    for source in ("App, sample modal", "App, Review tab"):
        assert source in script


def test_reviews_are_exported_by_a_form(dataset, tmp_path):
    fg.review(dataset.limit(1), "accept")
    path = tmp_path / "reviews.csv"
    execute("export_reviews", dataset, csv_path=str(path))
    assert "wrong label: why" in path.read_text()
    assert form("export_reviews", dataset, csv_path=str(path))["exists"].invalid
    assert form("export_reviews", dataset, csv_path=str(tmp_path))["folder"].invalid


def test_cards_show_the_three_most_similar_images_that_are_there(dataset):
    ids = dataset.values("id")
    nearest = [ids[4], ids[2], "0" * 24, ids[5], ids[1]]
    for own, place in ((nearest, 0), (nearest[:2], 1)):
        sample = dataset[ids[place]]
        sample.issue["neighbors"] = own
        sample.save()
    one, other, none = cards(dataset, columns_of(dataset), [ids[0], ids[1], ids[5]])
    paths = dataset.values("filepath")
    wanted = [{"id": ids[n], "path": paths[n], "label": ROWS[n][0]} for n in (4, 2)]
    assert one["neighbors"] == wanted  # the third was deleted
    assert (other["neighbors"], none["neighbors"]) == (wanted, [])
    sample = dataset[ids[0]]
    sample.issue["neighbors"] = [*nearest[:2], *nearest[3:]]
    sample.save()
    (one,) = cards(dataset, columns_of(dataset), [ids[0]])
    assert [x["id"] for x in one["neighbors"]] == [ids[4], ids[2], ids[5]]
