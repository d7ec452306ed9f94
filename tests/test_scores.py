"""The tabs "Scores" and "Evaluate" without a browser: what is counted, and what a click shows."""

import fiftyone as fo
import numpy as np
import pytest
from panel_contexts import context, requests
from scored import HOSTILE, class_names, scored_dataset
from sklearn.metrics import confusion_matrix as sklearn_matrix
from sklearn.metrics import precision_recall_fscore_support

import fiftyone_gradcam as fg
from fiftyone_gradcam.app.panels.classifier import ClassifierPanel
from fiftyone_gradcam.app.panels.plots import confusion_plot, reliability_plot
from fiftyone_gradcam.app.panels.score_plots import histogram_plot, histogram_words
from fiftyone_gradcam.app.texts import shortened, wrapped
from fiftyone_gradcam.dataset import cached as kept
from fiftyone_gradcam.dataset.class_scores import class_scores
from fiftyone_gradcam.dataset.evaluation import counts_of_two, evaluation_counts
from fiftyone_gradcam.dataset.fields import describe_field
from fiftyone_gradcam.dataset.reviews import left_out
from fiftyone_gradcam.review.calibration import Bin, reliability
from fiftyone_gradcam.review.comparison import Pairs
from fiftyone_gradcam.review.confused import condensed, confused_pairs, in_order, matches
from fiftyone_gradcam.review.confusion import class_rows, confusion_matrix
from fiftyone_gradcam.review.score_histogram import histogram, places, ranked

CLASSES = 30


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Thirty classes of four samples each, eight of them with names that are hard to show."""
    dataset = scored_dataset("scores of many", tmp_path_factory.mktemp("many"), CLASSES)
    yield dataset
    dataset.delete()


@pytest.fixture
def panel():
    return ClassifierPanel()


def read(panel, dataset, tab: str, state: dict) -> dict:
    """The state once a tab is read; it must be drawable too."""
    state |= {"tab": tab, "next": ["x", "Next", "why"]}
    ctx = context(dataset, state)
    {"scores": panel.read_scores, "evaluate": panel.read_evaluation}[tab](ctx)
    panel.render(ctx).to_json()
    return state


def shown(panel, dataset, state: dict, method: str, **params) -> list[str] | None:
    """Ids of the samples that an event shows; None if it shows none."""
    ctx = context(dataset, state, **params)
    getattr(panel, method)(ctx)
    views = requests(ctx, "set_view")
    return fo.DatasetView._build(dataset, views[0]["view"]).values("id") if views else None


def columns(dataset, *paths) -> list[np.ndarray]:
    return [np.array(x, object) for x in dataset.values(["id", *paths])]


def test_bins_by_hand():
    scores = np.array([0.0, 0.049, 0.05, 0.3, 0.999, 1.0, np.nan])
    assert places(scores).tolist() == [0, 0, 1, 6, 19, 19, -1]
    counts = histogram(scores)
    assert counts.tolist() == [2, 1, *[0] * 4, 1, *[0] * 12, 2]
    random = np.random.default_rng(0).random(1000)
    assert histogram(random, 8).tolist() == np.histogram(random, 8, (0, 1))[0].tolist()
    chosen = np.array([True, True, False, True, True, True, False])
    assert ranked(scores, chosen, False, 3).tolist() == [0, 1, 3]
    assert ranked(scores, chosen, True, 2).tolist() == [5, 4]


def test_confused_pairs_and_orders_by_hand():
    matrix = np.array([[5, 3, 0], [3, 1, 0], [0, 1, 0]])
    pairs = confused_pairs(matrix, ["a", "b", "c"])
    assert [(p.label, p.predicted, p.count, p.share) for p in pairs] == [
        ("b", "a", 3, 0.75),  # as many as the next, but of fewer
        ("a", "b", 3, 0.375),
        ("c", "b", 1, 1.0),
    ]
    rows = class_rows(matrix, ["a", "b", "c"])
    assert [r.name for r in in_order(rows, "recall")] == ["c", "b", "a"]
    assert [r.name for r in in_order(rows, "precision")] == ["b", "a", "c"]  # none comes last
    assert [r.name for r in in_order(rows, "labelled")] == ["a", "b", "c"]
    assert [r.name for r in in_order(reversed(rows), "name")] == ["a", "b", "c"]
    with pytest.raises(ValueError, match="by must be one of 'f1', .* not 'size'"):
        in_order(rows, "size")
    # Of the same recall, the one with most images comes first, and then by name.
    rows = class_rows(np.array([[1, 1, 0], [0, 2, 2], [2, 0, 2]]), ["x", "y", "z"])
    assert [r.name for r in in_order(rows, "recall")] == ["y", "z", "x"]
    assert condensed(matrix, [1]).tolist() == [[1, 3], [4, 5]]
    assert condensed(matrix, [2, 0]).tolist() == [[0, 0, 1], [0, 5, 3], [0, 3, 1]]
    assert matches("Great Dane", "dane gr")
    assert matches("x", None)
    assert not matches("Great Dane", "cat")


def test_pairs_of_counts_are_those_of_answers():
    counts = {("a", "a", "a"): 4, ("a", "a", "b"): 3, ("a", "b", "a"): 2, ("b", "a", "a"): 1,
              ("b", "c", "b"): 5}  # fmt: skip
    right = [[(three[0] == three[i]) for three, n in counts.items() for _ in range(n)]
             for i in (1, 2)]  # fmt: skip
    assert Pairs.counted(counts) == Pairs.of(*map(np.array, right))
    assert Pairs.counted(counts) == Pairs(15, 7, 11, 3, 7, 1)


def test_counts_in_one_pass_are_those_of_sklearn(many):
    pairs, bins = evaluation_counts(many, "ground_truth", "prediction")
    _, labels, found, confidence = columns(
        many, "ground_truth.label", "prediction.label", "prediction.confidence"
    )
    names = sorted({*labels, *found})
    matrix = confusion_matrix(pairs, names)
    assert (matrix == sklearn_matrix(labels, found, labels=names)).all()
    expected = precision_recall_fscore_support(labels, found, labels=names, zero_division=0)
    for row, precision, recall, f1, support in zip(
        class_rows(matrix, names), *expected, strict=True
    ):
        assert (row.precision or 0, row.recall or 0, row.f1 or 0, row.labelled) == pytest.approx(
            (precision, recall, f1, support)
        )
    by_hand = reliability(confidence.astype(float), labels == found)
    assert [(b.low, b.high, b.count) for b in bins] == [(b.low, b.high, b.count) for b in by_hand]
    for one, other in zip(bins, by_hand, strict=True):
        assert (one.confidence or 0, one.accuracy or 0) == pytest.approx(
            (other.confidence or 0, other.accuracy or 0)
        )


def test_a_confidence_between_two_bins_is_in_the_lower_one(name):
    confidences = [0.0, 0.25, 0.5, 0.75, 1.0]  # exact in binary
    dataset = fo.Dataset(name)
    dataset.add_samples(
        fo.Sample(
            filepath=f"/{number}.png",
            ground_truth=fo.Classification(label="a"),
            prediction=fo.Classification(label="a", confidence=confidence),
        )
        for number, confidence in enumerate(confidences)
    )
    _, bins = evaluation_counts(dataset, "ground_truth", "prediction")
    by_hand = reliability(np.array(confidences), np.ones(5, bool))
    assert [one.count for one in bins] == [one.count for one in by_hand]
    assert [one.high for one in bins if one.confidence == 0.5] == [0.5]
    dataset.delete()


def test_the_scores_of_a_class_are_read_by_one_query(many):
    ids, labels, rows = columns(many, "ground_truth.label", "prediction_scores")
    for place, name in enumerate(class_names(CLASSES)):
        found = class_scores(many, "ground_truth", "prediction", name)
        order = np.argsort(found.ids_of(range(len(found.ids))))
        assert np.array(found.ids_of(order)).tolist() == sorted(ids)
        by_id = np.argsort(ids)
        assert found.scores[order].tolist() == [rows[i][place] for i in by_id]
        assert found.own[order].tolist() == [labels[i] == name for i in by_id]
    with pytest.raises(ValueError, match="'prediction' has no scores of the class 'cat'"):
        class_scores(many, "ground_truth", "prediction", "cat")


def test_samples_without_label_or_whole_scores_have_no_score(name):
    dataset = fo.Dataset(name)
    rows = (
        *(("a", [1.0, 0.0]), ("b", [0.25, 0.75]), (None, [0.5, 0.5]), ("a", None), ("a", [0.5])),
        *(("", [0.5, 0.5]), ("a", [0.0, 1.0]), ("b", [np.nan, 0.5]), ("b", [0.5, 0.3, 0.2])),
    )
    samples = [fo.Sample(filepath=f"/{n}.png") for n in range(len(rows))]
    for number, (label, row) in enumerate(rows):
        samples[number]["own"] = label
        samples[number]["p_scores"] = row
        samples[number]["p"] = fo.Classification(label="a")
    dataset.add_samples(samples)
    describe_field(dataset, "p", "made up", run="r", label_field="own", classes=["a", "b"])
    found = class_scores(dataset, "own", "p", "a")
    ids = dataset.values("id")
    assert found.ids_of(range(len(found.ids))) == [*ids[:2], *ids[6:8]]
    np.testing.assert_array_equal(found.scores, [1.0, 0.25, 0.0, np.nan])
    assert found.own.tolist() == [True, False, True, False]
    dataset._sample_collection.update_one({"filepath": "/6.png"}, {"$set": {"p_scores.0": None}})
    assert class_scores(dataset, "own", "p", "a").scores.tolist()[:2] == [1.0, 0.25]
    assert len(class_scores(dataset, "own", "p", "a").ids) == 3
    assert len(class_scores(dataset.limit(0), "own", "p", "a").ids) == 0


def test_the_histogram_of_a_class_and_what_its_bars_show(panel, many):
    ids, labels, rows = columns(many, "ground_truth.label", "prediction_scores")
    scores = np.array(rows.tolist())
    for place in (0, 1, 3, 20):
        name = class_names(CLASSES)[place]
        state = read(panel, many, "scores", {"scored": name, "threshold": 0.5})
        own, score = labels == name, scores[:, place]
        assert (state["below"], state["above"]) == (
            (own & (score < 0.5)).sum(),
            (~own & (score >= 0.5)).sum(),
        )
        for trace, group in enumerate((own, ~own)):
            for bin_ in (0, 1, 19):
                wanted = group & (np.minimum(np.floor(score * 20), 19) == bin_)
                for first, sign in (("lowest", 1), ("highest", -1)):
                    order = sorted(np.flatnonzero(wanted), key=lambda i: sign * score[i])
                    found = shown(
                        panel, many, state | {"first": first}, "on_score_bar",
                        trace_idx=trace, idx=bin_, view={"shows": name},
                    )  # fmt: skip
                    assert (found or []) == ids[order].tolist()
        for side, wanted, sign in (("below", own & (score < 0.5), 1),
                                   ("above", ~own & (score >= 0.5), -1)):  # fmt: skip
            order = sorted(np.flatnonzero(wanted), key=lambda i: sign * score[i])
            given = {"side": side, "label": name, "threshold": 0.5}
            found = shown(panel, many, {**state, "scored": "another"}, "on_side", **given)
            assert (found or []) == ids[order].tolist()
    state = read(panel, many, "scores", {"scored_class": "3"})  # after a restart of the server
    assert state["scored"] == "two\nlines"
    state = read(panel, many, "scores", {"scored": "gone", "scored_class": "3"})
    assert state["scored"] == state["bar_classes"][0]  # the worst class comes first
    panel.on_scored(context(many, state, value="3"))
    assert state["scored"] == "two\nlines"
    panel.on_scored(context(many, state, value=None))  # the field was emptied
    assert state["scored"] == "two\nlines"


def test_bars_of_classes_show_the_class_or_its_mistakes(panel, many):
    ids, labels, found, score = columns(
        many, "ground_truth.label", "prediction.label", "prediction.label_score"
    )
    state = read(panel, many, "scores", {"bar_order": "name"})
    assert state["bar_classes"] == sorted(class_names(CLASSES))
    shows = {"shows": list(state["bar_classes"])}
    for place, name in enumerate(shows["shows"]):
        for trace, wanted in enumerate((labels == name, (labels == name) & (found != name))):
            order = sorted(np.flatnonzero(wanted), key=lambda i: score[i])
            seen = shown(panel, many, state, "on_class_bar", idx=place, trace_idx=trace, view=shows)
            assert (seen or []) == ids[order].tolist(), name
        assert state["scored"] == name
    state = read(panel, many, "scores", {"bar_search": "OMEGA very"})
    assert state["bar_classes"] == [HOSTILE[7]]
    read(panel, many, "scores", {"bar_search": "nothing like it"})


def test_hostile_names_are_found_by_rows_and_cells(panel, many):
    ids, labels, found = columns(many, "ground_truth.label", "prediction.label")
    state = read(panel, many, "evaluate", {"order": "name"})
    assert state["shown_classes"] == sorted(class_names(CLASSES))[:20]
    assert state["labels"][-1] is state["predictions"][-1] is None  # all other classes
    for row, name in enumerate(state["shown_classes"]):
        assert set(shown(panel, many, state, "on_class", row=row)) == set(ids[labels == name])
    for row, (label, predicted) in enumerate(state["pairs"]):
        expected = ids[(labels == label) & (found == predicted)]
        assert set(shown(panel, many, state, "on_pair", row=row)) == set(expected)
    assert shown(panel, many, state, "on_pair", row=-1) is None  # the head of the table
    total = 0
    for y, label in enumerate(state["labels"]):
        for x, predicted in enumerate(state["predictions"]):
            own = ~np.isin(labels, state["predictions"]) if label is None else labels == label
            other = (
                ~np.isin(found, state["predictions"]) if predicted is None else found == predicted
            )
            if (own & other).any():
                seen = shown(panel, many, state, "on_cell", x=x, y=y)
                assert set(seen) == set(ids[own & other])
                total += len(seen)
    assert total == len(ids)
    state = read(panel, many, "evaluate", {"search": "$money"})
    assert state["shown_classes"] == [HOSTILE[1]]
    assert all(HOSTILE[1] in pair for pair in state["pairs"])
    state = read(panel, many, "evaluate", {"search": "nothing like it"})
    assert (state["labels"], state["pairs"], state["class_rows"]) == (None, [], [])


@pytest.mark.parametrize("label", ['$money & "quotes" {braces}', "a.b.c"])
def test_the_lowest_scores_of_a_class_whose_name_means_something_to_the_database(many, label):
    view = fg.lowest_scores(many, label)
    assert view.values("ground_truth.label") == [label] * 4
    scores = view.values("prediction.label_score")
    assert scores == sorted(scores)


def test_two_runs_on_the_same_images(panel, many):
    ids, labels, now, before = columns(
        many, "ground_truth.label", "prediction.label", "second.label"
    )
    assert sum(counts_of_two(many, "ground_truth", "second", "prediction").values()) == len(ids)
    state = read(panel, many, "evaluate", {"other": "second", "order": "name"})
    right, other = labels == now, labels == before
    words = f"'second' is right on {other.sum()} of {len(ids)} images ({other.mean():.1%}), "
    assert state["compared"]["headline"].startswith(f"{words}'prediction' on {right.sum()} ")
    groups = [right & other, right & ~other, ~right & other, ~right & ~other]
    for row, own in enumerate(groups):
        assert state["compared"]["rows"][row]["count"] == str(own.sum())
        seen = shown(panel, many, state, "on_compared", row=row)
        assert set(seen or []) == set(ids[own])
    names = sorted({*labels, *now, *before})
    f1 = [precision_recall_fscore_support(labels, x, labels=names, zero_division=0)[2]
          for x in (before, now)]  # fmt: skip
    change = dict(zip(names, 100 * (f1[1] - f1[0]), strict=True))
    cells = {row["name"]: row["change"] for row in state["class_rows"]}
    for name in state["shown_classes"]:
        assert float(cells[shortened(name, 60)]) == pytest.approx(change[name], abs=0.051)
    state = read(panel, many, "evaluate", {"other": "gone"})
    assert (state["other"], state["comparison_words"], state["compared"]) == ("none", "", None)


def test_what_is_counted_is_kept_until_the_dataset_changes(name, tmp_path):
    dataset, calls = scored_dataset(name, tmp_path, 3), []

    def count() -> int:
        calls.append(len(dataset))
        return calls[-1]

    def asked() -> int:
        return kept.cached(dataset, ("count",), count)

    assert [asked(), asked()] == [12, 12]
    assert len(calls) == 1
    for change in (
        lambda: dataset.limit(1).tag_samples("x"),
        lambda: dataset.limit(1).set_values("ground_truth.label", ["b"]),
        lambda: dataset.delete_samples(dataset.limit(1)),
        lambda: dataset.add_sample(fo.Sample(filepath="/x.png")),
        lambda: describe_field(dataset, "ground_truth", "of a person"),
        kept.forget,
    ):
        before = len(calls)
        change()
        assert asked() == len(dataset)
        assert asked() == len(dataset)
        assert len(calls) == before + 1
    # Of another dataset it is another, even if that is in the same state.
    twin = dataset.clone()
    own = [kept.cached(x, ("name",), lambda x=x: x.name, state=(1,)) for x in (dataset, twin)]
    assert own == [dataset.name, twin.name]
    twin.delete()
    for number in range(2 * kept.MOST):
        kept.cached(dataset, (number,), count)
    assert len(kept._KEPT) == kept.MOST


def test_samples_that_reviews_have_left_out_do_not_count(panel, name, tmp_path):
    dataset = scored_dataset(name, tmp_path, 3)
    out = dataset.limit(2).values("id")
    fg.review(dataset.select(out[:1]), "exclude")
    fg.review(dataset.select(out[1:]), "unclear")
    dataset.reload()
    assert left_out(dataset) == {"exclude": out[:1], "unclear": out[1:]}
    assert left_out(dataset.select_fields("ground_truth")) == left_out(dataset)
    state = read(panel, dataset, "scores", {"scored": class_names(3)[0]})
    assert "2 images with this label, 8 others" in state["scored_words"]
    assert "\n\nAbove: images with this label. Below: all" in state["scored_words"]
    assert "Left out by reviews: 1 excluded, 1 unclear." in state["scored_words"]
    assert "of 10 samples" in read(panel, dataset, "evaluate", {})["evaluation_words"]


def test_plots_show_any_name_and_small_numbers():
    matrix = np.zeros((21, 21), int)
    matrix[0, 0], matrix[0, 1], matrix[1, 0] = 199, 1, 4
    names = class_names(21)
    (trace, numbers), layout = confusion_plot(matrix, names, names, "row")
    ticks = layout["yaxis"]["ticktext"]
    assert len(set(ticks)) == 21
    assert "<" not in "".join(ticks)
    assert list(zip(*(numbers[x] for x in ("x", "y", "text")), strict=True)) == [
        (0, 0, "100"), (1, 0, "&lt;1"), (0, 1, "100"),
    ]  # fmt: skip
    (_, numbers), _ = confusion_plot(matrix, names, names, "count")
    assert numbers["text"] == ["199", "1", "4"]
    assert all(len(line) < 100 for text in trace["text"] for x in text for line in x.split("<br>"))
    assert wrapped("ab " * 40, 60).count("<br>") == 1
    own, other = np.zeros(20, int), np.zeros(20, int)
    own[3], other[0], other[19] = 2, 90000, 3
    traces, layout = histogram_plot(own, other, HOSTILE[0], 0.25)
    assert traces[0]["y"] == [None, None, None, 2, *[None] * 16]
    assert traces[0]["x"][3] == pytest.approx(0.175)
    assert "<img" not in traces[0]["hovertext"][3]
    assert layout["yaxis2"]["type"] == "log"  # or 3 of 90,000 would not be seen
    assert layout["yaxis"]["type"] == "log"  # both have one scale, to be compared
    axes = [layout[x]["title"]["text"] for x in ("yaxis", "yaxis2")]
    assert axes == ["own images,<br>log scale", "other images,<br>log scale"]
    assert histogram_words(own, other) == (
        "Above: images with this label. Below: all other images, both in a log scale. The dotted "
        "line is the threshold."
    )
    assert layout["shapes"][0]["x0"] == 0.25
    many = np.array([0, 900, 60])  # of which none is too small to be seen
    plain = histogram_plot(many, many, "a", 0.5)[1]
    assert "type" not in plain["yaxis"]
    assert plain["yaxis2"]["title"]["text"] == "other images"  # there is one kind of scale
    assert histogram_words(many, many) == (
        "Above: images with this label. Below: all other images. The dotted line is the threshold."
    )
    for pair in ((many, np.array([0, 900, 29])), (np.array([0, 900, 29]), many)):
        axes = histogram_plot(*pair, "a", 0.5)[1]
        assert axes["yaxis"]["type"] == axes["yaxis2"]["type"] == "log"
    nothing = histogram_plot(np.zeros(3, int), np.array([0, 900, 29]), "a", 0.5)[1]
    assert nothing["yaxis"]["range"][1] > nothing["yaxis"]["range"][0]


def test_a_reliability_plot_says_how_many_there_are_where_there_are_any():
    bins = [Bin(0.0, 0.1, 0, None, None), Bin(0.1, 0.2, 3, 0.15, 1 / 3), Bin(0.2, 0.3, 1, 0.3, 0.0)]
    (bars, line), _ = reliability_plot(bins)
    assert bars["text"] == ["", "3", "1"]
    assert bars["y"] == [0, 1 / 3, 0]
    assert bars["x"] == pytest.approx([0.05, 0.15, 0.25])
    assert bars["hovertext"][1] == "3 of confidence 0.1 to 0.2: 33.3% right"
    assert (line["x"], line["y"]) == ([0, 1], [0, 1])
