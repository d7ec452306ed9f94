"""Which class is taken for which: counts by the database, shares, intervals, plots."""

import os
import re

import fiftyone as fo
import numpy as np
import pytest
from scipy.stats import binomtest

import fiftyone_gradcam as fg
from fiftyone_gradcam.app import texts
from fiftyone_gradcam.app.panels.plots import confusion_plot, curves_plot
from fiftyone_gradcam.dataset.evaluation import (
    confusion_counts,
    count_mistakes,
    samples_between,
)
from fiftyone_gradcam.dataset.fields import describe_field
from fiftyone_gradcam.dataset.live import LiveTraining
from fiftyone_gradcam.review.confusion import class_rows, confusion_matrix, wilson_interval

PAIRS = [("a", "a"), ("a", "b"), ("a", "b"), ("b", "b"), ("c", "a"), (None, "a"), ("b", None)]


@pytest.fixture
def dataset(name):
    dataset = fo.Dataset(name)
    samples = [fo.Sample(filepath=f"/{number}.png") for number in range(len(PAIRS))]
    for number, (sample, (label, predicted)) in enumerate(zip(samples, PAIRS, strict=True)):
        sample["own"] = label and fo.Classification(label=label)
        confidence = 0.5 + number / 20
        sample["found"] = predicted and fo.Classification(label=predicted, confidence=confidence)
    samples[0].tags = ["test"]
    dataset.add_samples(samples)
    return dataset


def test_counts_by_the_database(dataset):
    counts = confusion_counts(dataset, "own", "found")
    assert counts == {("a", "a"): 1, ("a", "b"): 2, ("b", "b"): 1, ("c", "a"): 1}
    assert confusion_counts(dataset.match_tags("test"), "own", "found") == {("a", "a"): 1}
    view = samples_between(dataset, "own", "found", "a", "b")
    assert view.values("filepath") == ["/2.png", "/1.png"]  # the more confident first
    assert len(samples_between(dataset, "own", "found", "c", "b")) == 0


def test_matrix_and_shares():
    counts = {("a", "a"): 1, ("a", "b"): 2, ("b", "b"): 1, ("c", "a"): 1}
    matrix = confusion_matrix(counts, ["a", "b", "c"])
    assert matrix.tolist() == [[1, 2, 0], [0, 1, 0], [1, 0, 0]]
    rows = class_rows(matrix, ["a", "b", "c"])
    assert [(r.name, r.labelled, r.predicted, r.right) for r in rows] == [
        ("a", 3, 2, 1),
        ("b", 1, 3, 1),
        ("c", 1, 0, 0),
    ]
    assert [r.recall for r in rows] == [1 / 3, 1, 0]
    assert [r.precision for r in rows] == [1 / 2, 1 / 3, None]


@pytest.mark.parametrize(("right", "total"), [(0, 1), (1, 1), (3, 7), (140, 153), (9999, 10000)])
def test_wilson_interval(right, total):
    expected = binomtest(right, total).proportion_ci(0.95, "wilson")
    assert wilson_interval(right, total) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_intervals_of_none_and_of_all_end_at_0_and_1_whatever_is_rounded():
    for total in range(1, 200):  # such as 27 and 16, where rounding leads outside
        assert wilson_interval(0, total)[0] == pytest.approx(0, abs=1e-12)
        assert wilson_interval(0, total)[0] >= 0
        assert wilson_interval(total, total)[1] <= 1


def test_predicting_lets_the_database_find_labels_and_scores_quickly(trained):
    wanted = {"prediction.label", "prediction.label_score", "ground_truth.label"}
    assert wanted <= set(trained.list_indexes())


def test_a_plot_of_a_matrix_says_what_each_cell_holds():
    matrix = np.array([[3, 1], [0, 4]])
    (trace, numbers), layout = confusion_plot(matrix, ["a", "<b>"], ["a", "<b>"])
    assert trace["z"] == [[0.75, 0.25], [0.0, 1.0]]
    assert trace["text"] == [
        [
            "a<br>predicted as a:<br>3 (75.0% of the label)",
            "a<br>predicted as &lt;b&gt;:<br>1 (25.0% of the label)",
        ],
        ["", "&lt;b&gt;<br>predicted as &lt;b&gt;:<br>4 (100.0% of the label)"],
    ]
    assert layout["yaxis"]["ticktext"] == ["a", "&lt;b&gt;"]
    assert list(zip(*(numbers[x] for x in ("x", "y", "text")), strict=True)) == [
        (0, 0, "75%"),
        (1, 0, "25%"),
        (1, 1, "100%"),
    ]


def test_mistakes_are_counted_where_labels_are_classes(dataset):
    def counted(**facts) -> int | None:
        describe_field(dataset, "found", "", run="r", **facts)
        return count_mistakes(dataset, "found")

    assert counted(label_field="own", classes=["a", "b"]) == 3  # "c" is not among them, and wrong
    assert count_mistakes(dataset[:2], "found") == 1
    assert count_mistakes(dataset[:1], "found") == 0
    assert counted(label_field="own", classes=["tench", "ant"]) is None
    assert counted(label_field=None, classes=["a", "b"]) is None


@pytest.mark.parametrize("by", ["row", "count"])
def test_numbers_of_a_matrix_are_legible_in_their_cells(by):
    """Each cell with samples is blue, however few they are, and its number contrasts with it."""
    for few in (*range(1, 12), *range(50, 1000, 50), 719, 721, 1100, 10**6):
        matrix = np.array([[0, few], [0, 1000]])
        (trace, numbers), _ = confusion_plot(matrix, ["a", "b"], ["c", "d"], by)
        inks = dict(
            zip(
                zip(numbers["y"], numbers["x"], strict=True),
                numbers["textfont"]["color"],
                strict=True,
            )
        )
        for place, ink in inks.items():
            cell = color_in(trace["colorscale"], trace["z"][place[0]][place[1]])
            assert contrast(cell, (255, 255, 255) if ink == "white" else rgb(ink)) > 4.5
        assert [trace["z"][0][0], trace["z"][1][0]] == [0.0, 0.0]
        assert (0, 0) not in inks
    assert trace["colorscale"][0][1] == trace["colorscale"][1][1] == "rgba(120,120,120,0.08)"


def color_in(scale: list, z: float) -> tuple[float, ...]:
    """The color that Plotly gives to a value: linear between the two places around it."""
    place = next(i for i in range(1, len(scale)) if scale[i][0] >= z > scale[i - 1][0])
    (low, first), (high, last) = scale[place - 1], scale[place]
    part = (z - low) / (high - low)
    return tuple(a + part * (b - a) for a, b in zip(rgb(first), rgb(last), strict=True))


def rgb(text: str) -> tuple[int, ...]:
    return tuple(int(text[i : i + 2], 16) for i in (1, 3, 5))


def contrast(one: tuple, other: tuple) -> float:
    """The contrast ratio of two colors by WCAG 2.1, from 1 to 21."""

    def light(color: tuple) -> float:
        linear = [
            x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4
            for x in (c / 255 for c in color)
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, bright = sorted((light(one), light(other)))
    return (bright + 0.05) / (dark + 0.05)


def test_a_plot_of_curves_holds_what_is_running(name):
    history = [
        {"epoch": n, "train_loss": 1 / n, "train_accuracy": n / 3, "learning_rate": 0.1}
        for n in (1, 2)
    ]
    validations = [
        {"iteration": 5 * n, "epoch": n, "val_loss": 2 / n, "val_accuracy": n / 4,
         "learning_rate": 0.1} for n in (1, 2)
    ]  # fmt: skip
    running = {"epoch": 2.5, "train_loss": 0.4, "train_accuracy": 0.9}
    rows = {"history": history, "validations": validations, "running": running, "epochs": 10}
    (loss, val_loss, accuracy, *_), layout = curves_plot(rows, None)
    assert (loss["x"], loss["y"]) == ([1, 2, 2.5], [1, 0.5, 0.4])
    assert (val_loss["x"], val_loss["y"]) == ([1, 2], [2, 1])
    assert accuracy["y"] == [1 / 3, 2 / 3, 0.9]
    assert layout["xaxis"]["range"][1] == pytest.approx(10.2)
    alone = {"epoch": 0, "train_loss": 2.0, "train_accuracy": 0.2, "learning_rate": 0.0}
    (loss, *_), _ = curves_plot(rows | {"history": [alone, *history]}, None)
    assert (loss["x"], loss["y"]) == ([0, 0, 1, 2, 2.5], [2, None, 1, 0.5, 0.4])  # with a gap
    below = [x for name in ("yaxis3", "yaxis2", "yaxis") for x in layout[name]["domain"]]
    assert below == sorted(set(below))  # one plot below the other, and each on the page
    assert (below[0], below[-1]) == (0, 1)
    live = LiveTraining(fo.Dataset(name), "key", 10)
    assert live.read() is None
    live.store.set("key", rows)
    assert live.read() == rows
    live.forget()
    assert live.read() is None


def test_texts_of_people_mean_nothing_to_markdown_and_plotly():
    assert texts.markdown("<img src=x> *a*_b_") == "&lt;img src=x\\> \\*a\\*\\_b\\_"
    assert texts.plotly("<b>" * 3) == "&lt;b&gt;&lt;b&gt;&lt;b&gt;"
    assert texts.plotly("x" * 20 + "y" * 20) == "x" * 16 + "…" + "y" * 7  # ends tell names apart
    assert [texts.duration(s) for s in (0.2, 40, 600, 7500)] == [
        "1 s",
        "40 s",
        "10 min",
        "2 h 5 min",
    ]
    assert (texts.percent(None), texts.percent(0.9412)) == ("–", "94.1%")


def test_a_training_says_what_it_will_do(trained):
    import fiftyone.operators as foo

    uri = "@gradcam/classifier/fine_tune"
    params = {"label_field": "ground_truth", "backbone": "small_cnn"}

    def form(**more) -> dict:
        ctx = foo.executor.ExecutionContext(
            request_params={"dataset_name": trained.name, "params": {**params, **more}},
            operator_uri=uri,
        )
        return foo.get_operator(uri).resolve_input(ctx).to_json()["type"]["properties"]

    fields = form()
    words = fields["summary"]["view"]["label"]
    counts = trained.match_tags("train").count_values("ground_truth.label")
    classes = ", ".join(f"{name} {counts[name]}" for name in sorted(counts))
    assert f"{sum(counts.values())} training images ({classes})" in words
    assert f"{len(trained.match_tags('val'))} validation images" in words
    assert "All layers are trained" in words
    if "About " not in words:  # it is being measured: FiftyOne waits for it, and asks again
        loader = fields["training_estimate"]["view"]
        assert loader["operator"] == "@gradcam/classifier/training_estimate"
        assert loader["dependencies"] == ["about"]
        asked = {"dataset": trained, "params": loader["params"]}
        result = foo.execute_operator(loader["operator"], asked).result
        assert result == {"is_there": True, **loader["params"]}
        fields = form()
        assert "training_estimate" not in fields
    assert re.search(r"About \d+ (s|min) on ", fields["summary"]["view"]["label"])
    few = form(images_per_class=2, advanced=True)["summary"]["view"]["label"]
    assert "6 training images (digit 0 2, digit 1 2, digit 2 2)" in few


def test_how_long_a_training_takes_is_estimated_from_what_was_measured(trained, monkeypatch):
    from fiftyone_gradcam.jobs.measure import NICE, main
    from fiftyone_gradcam.training.duration import Speed, estimate_seconds
    from fiftyone_gradcam.training.recipes import make_recipe

    speed = Speed("cpu", decode=1.0, learn=10.0, look=2.0)
    recipe = make_recipe("default", backbone="small_cnn", weights="none", epochs=3)
    assert estimate_seconds(speed, recipe, 100, 20) == 120 + 3 * (100 * 10 + 20 * 2)
    linear = make_recipe("linear-probe", backbone="squeezenet1_1")
    # 100 images are decoded once more, and shown to the network in three ways, to choose a resize.
    assert estimate_seconds(speed, linear, 100, 20) == 120 + 120 * 2 + 100 * (1 + 3 * 2)
    assert estimate_seconds(speed, linear, 39, 20) == 59 + 59 * 2  # too few to compare
    assert estimate_seconds(speed, linear, 900, 0) == 900 + 900 * 2 + 300 * (1 + 3 * 2)
    # What is frozen is only evaluated, but augmented images are so in each epoch.
    shifted = make_recipe("linear-probe", backbone="small_cnn", weights="none", translation=3)
    assert estimate_seconds(speed, shifted, 100, 20) == 120 + 30 * (100 + 20) * 2
    request = {
        "recipe": "default", "choices": {"backbone": "small_cnn", "weights": "none"},
        "classes": 3, "paths": trained.limit(8).values("filepath"),
    }  # fmt: skip
    found = main(request)
    assert found["image_size"] == 32
    speed = Speed(**found["speed"])
    assert speed.device in ("cpu", "cuda", "mps")
    assert min(speed.decode, speed.learn, speed.look) > 0
    asked = []
    monkeypatch.setattr(os, "nice", asked.append)
    assert "None of" in main({**request, "paths": ["/gone.png"] * 4})["error"]
    assert asked == []
    main({**request, "paths": ["/gone.png"] * 4, "yields": True})
    assert asked == [NICE]  # nobody waits for it


@pytest.mark.parametrize("is_forked", [True, False])
def test_one_measurement_at_a_time_and_one_for_what_makes_no_difference(
    trained, is_forked, monkeypatch
):
    from fiftyone_gradcam.jobs import fork_client
    from fiftyone_gradcam.jobs.measure import Measurements
    from fiftyone_gradcam.training.duration import Speed

    if is_forked and not fork_client.can_fork():
        return  # processes are started there
    monkeypatch.setattr(fork_client, "can_fork", lambda: is_forked)
    measurements = Measurements()
    request = {
        "recipe": "default", "choices": {"backbone": "small_cnn", "weights": "none"},
        "classes": 3, "paths": trained.limit(8).values("filepath"),
    }  # fmt: skip
    other = {**request, "choices": {**request["choices"], "batch_size": 3}}
    assert measurements.look(request, 0.0) is None
    first = measurements.going
    assert measurements.look(request, 0.0) is None
    assert measurements.going is first  # which the second look waits for
    assert measurements.look(other, 0.0) is None
    assert first.process.is_forked == is_forked
    first.thread.join(30)
    assert not first.thread.is_alive()
    assert first.process.was_ended  # it gave way
    found = measurements.look(other, 120)
    assert Speed(**found["speed"]).device in ("cpu", "cuda", "mps")
    kept = []
    more = {**other, "classes": 4}
    assert measurements.look(more, 120, keep=kept.append) is not None
    assert kept == [measurements.look(more, 0.0, starts=False)]
    for epochs in (1, 50):
        choices = {"epochs": epochs, "learning_rate": 0.1, "seed": 3, "freeze": "backbone"}
        same = {**other, "choices": {**other["choices"], **choices}}
        assert measurements.look(same, 0.0, starts=False) == found
    # A panel does not end what a form waits for; a job ends both.
    assert measurements.look(request, 0.0) is None
    going = measurements.going
    assert measurements.look({**request, "classes": 5}, 0.0, yields=True) is None
    assert measurements.going is going
    assert not going.process.was_ended
    measurements.stop()
    assert going.process.was_ended
    going.thread.join(30)
    assert not going.thread.is_alive()


def test_curves_of_a_training_are_written_while_it_goes_on(trained):
    from conftest import QUICK

    seen = []

    def look(done, total, message):
        rows = LiveTraining(trained, "live").read()
        if rows is not None:
            seen.append((len(rows["history"]), len(rows["validations"]), rows["epochs"]))

    run = fg.fine_tune(trained, "live", **QUICK, progress=look)
    assert seen[-1] == (6, 6, 6)
    assert seen == sorted(seen)
    assert LiveTraining(trained, "live").read() is None  # it is a run now
    fg.delete_run(trained, run.key)
