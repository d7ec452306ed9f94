"""Pictures of trainings and of range tests: what is drawn where, and how it is written."""

import math

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from fiftyone_gradcam.training.drawn_curves import (
    curves_figure,
    draw_curves,
    draw_learning_rate_test,
    learning_rate_figure,
    rates_by_epoch,
    training_points,
    validation_epochs,
)
from fiftyone_gradcam.training.history import Epoch, Validation
from fiftyone_gradcam.training.learning_rate import LearningRateTest


def epoch(number, loss, accuracy, rate=1e-4) -> dict:
    return Epoch(number, loss, accuracy, None, None, rate, 1.0, 10.0).to_dict()


def validation(iteration, number, loss, accuracy, rate=1e-4) -> dict:
    return Validation(iteration, number, 1.0, 0.5, loss, accuracy, rate, 1.0, 9.0).to_dict()


# Two epochs of 10 iterations after the new layers alone, validated every 4 and at the end.
HISTORY = [epoch(0, 0.9, 0.6, 0.0), epoch(1, 0.5, 0.8, 1e-4), epoch(2, 0.3, 0.9, 5e-5)]
VALIDATIONS = [
    validation(0, 0, 0.8, 0.65),
    validation(4, 1, 0.7, 0.70, 9e-5),
    validation(8, 1, 0.6, 0.75, 6e-5),
    validation(12, 2, 0.55, 0.85, 4e-5),
    validation(16, 2, 0.45, 0.85, 1e-5),
    validation(20, 2, 0.5, 0.85, 0.0),
]
NAN = pytest.approx(math.nan, nan_ok=True)


def lines_of(figure: Figure, panel: int) -> dict[str, tuple[list, list]]:
    """What a panel shows, by name; what is not in the legend by number."""
    lines = figure.axes[panel].lines
    return {line.get_label(): tuple(map(list, line.get_data())) for line in lines}


def test_training_stands_at_the_end_of_epochs_and_validation_where_it_was():
    figure = curves_figure(HISTORY, VALIDATIONS, "title", best_epoch=2)
    places = pytest.approx([0, 0.4, 0.8, 1.2, 1.6, 2])
    loss, accuracy = lines_of(figure, 0), lines_of(figure, 1)
    # The new layers alone saw other images, so no line goes from there.
    assert loss["training"] == ([0, 0, 1, 2], [0.9, NAN, 0.5, 0.3])
    assert loss["validation"] == (places, [0.8, 0.7, 0.6, 0.55, 0.45, 0.5])
    assert accuracy["training"] == ([0, 0, 1, 2], [0.6, NAN, 0.8, 0.9])
    assert training_points(HISTORY[1:], "train_loss") == ([1, 2], [0.5, 0.3])
    assert accuracy["validation"] == (places, [0.65, 0.7, 0.75, 0.85, 0.85, 0.85])
    # The rate of the first step of each epoch, and those of validations.
    assert rates_by_epoch(HISTORY, VALIDATIONS) == (
        pytest.approx([0, 0.4, 0.8, 1, 1.2, 1.6, 2]),
        [1e-4, 9e-5, 6e-5, 5e-5, 4e-5, 1e-5, 0.0],
    )
    (rate, *_) = figure.axes[2].lines
    assert list(rate.get_ydata()) == [1e-4, 9e-5, 6e-5, 5e-5, 4e-5, 1e-5, 0.0]
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "accuracy", "learning rate"]
    assert figure.axes[2].get_xlabel() == "epoch"
    assert figure.axes[2].xaxis.get_major_formatter()(0) == "new layers"
    assert figure.axes[2].xaxis.get_major_formatter()(1) == "1"


def test_the_weights_that_were_kept_are_marked():
    # Of three validations with the highest accuracy that of the lowest loss, at 1.6, is the best.
    figure = curves_figure(HISTORY, VALIDATIONS, "title", best_epoch=2)
    name = "kept: epoch 2, validation accuracy 85.0%"
    for panel in range(3):
        assert lines_of(figure, panel)[name][0] == pytest.approx([1.6, 1.6])
    ring = next(line for line in figure.axes[1].lines if line.get_markersize() == 13)
    assert tuple(map(list, ring.get_data())) == (pytest.approx([1.6]), [0.85])
    texts = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert texts == ["training", "validation", name]
    # Validations of other epochs may be better.
    earlier = lines_of(curves_figure(HISTORY, VALIDATIONS, "title", best_epoch=1), 0)
    found = earlier["kept: epoch 1, validation accuracy 75.0%"]
    assert found[0] == pytest.approx([0.8, 0.8])
    # Without validations the end of the epoch is marked; without a best epoch nothing.
    alone = lines_of(curves_figure(HISTORY, [], "title", best_epoch=2), 0)
    assert list(alone) == ["training", "kept: epoch 2"]
    assert alone["kept: epoch 2"][0] == [2, 2]
    unmarked = curves_figure(HISTORY, VALIDATIONS, "title", best_epoch=None)
    assert [len(axes.lines) for axes in unmarked.axes] == [2, 2, 1]


@pytest.mark.parametrize(
    ("rows", "places"),
    [
        ([(20, 1), (40, 2), (60, 3)], [1, 2, 3]),  # after each epoch
        ([(0, 0), (7, 1), (14, 2)], [0, 1, 2]),
        ([(30, 3), (50, 5)], [3, 5]),  # every 30 iterations, and at the end
        ([(25, 3), (50, 5)], [2.5, 5]),
        ([(30, 1)], [1]),  # cut short: no more can be known
        ([(0, 0)], [0]),
        ([(0, 1)], [0]),
        ([], []),
    ],
)
def test_iterations_become_epochs(rows, places):
    validations = [validation(iteration, number, 1.0, 0.5) for iteration, number in rows]
    assert validation_epochs(validations) == pytest.approx(places)


def test_rates_that_were_not_recorded_are_left_out():
    assert rates_by_epoch([{"epoch": 1}], [{"epoch": 1, "iteration": 4}]) == ([], [])


def test_a_rate_that_jumps_where_a_finished_training_went_on():
    history = [epoch(1, 1.0, 0.5, 1e-4), epoch(2, 1.0, 0.5, 8e-5)]
    validations = [validation(10, 1, 1.0, 0.5, 0.0), validation(20, 2, 1.0, 0.5, 1e-5)]
    assert rates_by_epoch(history, validations) == ([0, 1, 1, 2], [1e-4, 0.0, 8e-5, 1e-5])
    # The last step of an epoch comes before the first of the next one, whichever rate is lower.
    validations[0]["learning_rate"] = 9e-5
    assert rates_by_epoch(history, validations) == ([0, 1, 1, 2], [1e-4, 9e-5, 8e-5, 1e-5])


def test_new_layers_that_did_best_are_named_and_stand_clear_of_the_axis():
    history = [epoch(0, 1.0, 0.5, 0.0), epoch(1, 1.0, 0.5)]
    figure = curves_figure(history, [validation(0, 0, 1.0, 0.9)], "title", best_epoch=0)
    assert "kept: the new layers alone, validation accuracy 90.0%" in lines_of(figure, 0)
    assert figure.axes[2].get_xlim()[0] == pytest.approx(-0.02)  # of one epoch
    plain = curves_figure([epoch(n, 1.0, 0.5) for n in (1, 2)], [], "title", best_epoch=2)
    assert plain.axes[2].get_xlim()[0] == 0


def test_numbers_that_are_missing_leave_gaps():
    history = [epoch(1, 1.0, 0.5), epoch(2, math.nan, 0.6), epoch(3, math.inf, 0.7)]
    history[0]["train_accuracy"] = None
    validations = [validation(n, n, math.nan, math.nan) for n in (1, 2, 3)]
    figure = curves_figure(history, validations, "title", best_epoch=3)
    assert lines_of(figure, 0)["training"] == ([1, 2, 3], [1.0, NAN, NAN])
    assert lines_of(figure, 1)["training"] == ([1, 2, 3], [NAN, 0.6, 0.7])
    assert "validation" not in lines_of(figure, 0)
    assert list(lines_of(figure, 2))[-1] == "kept: epoch 3"


def test_losses_far_apart_get_a_logarithmic_axis():
    near = [epoch(1, 2.0, 0.5), epoch(2, 0.1, 0.6)]
    far = [epoch(1, 4.0, 0.5), epoch(2, 0.1, 0.6)]
    tiny = [epoch(1, 4.0, 0.5), epoch(2, 0.02, 0.6)]
    gap = [epoch(1, math.nan, 0.5), *far]
    zero = [epoch(1, 4.0, 0.5), epoch(2, 0.0, 0.6)]
    all_of_them = (near, far, tiny, gap, zero)
    scales = [curves_figure(h, [], "", 2).axes[0].get_yscale() for h in all_of_them]
    assert scales == ["linear", "log", "log", "log", "linear"]


def test_many_points_have_no_markers():
    for count, marker in ((40, "o"), (41, "")):
        history = [epoch(n, 1.0, 0.5) for n in range(1, count + 1)]
        (line, *_) = curves_figure(history, [], "", None).axes[0].lines
        assert line.get_marker() == marker


def painted(path, colour: tuple[int, int, int]) -> int:
    """How many pixels have a colour, or nearly."""
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    return int((np.abs(pixels - colour).max(2) < 10).sum())


@pytest.mark.parametrize(
    ("history", "validations", "best"),
    [
        (HISTORY, VALIDATIONS, 2),
        ([epoch(1, 0.5, 0.5)], [validation(9, 1, 0.4, 0.6)], 1),
        ([epoch(0, 0.5, 0.5, 0.0)], [validation(0, 0, 0.4, 0.6)], 0),
        ([], [], None),
    ],
    ids=["whole", "one epoch", "new layers alone", "nothing"],
)
@pytest.mark.filterwarnings("error")
def test_the_picture_is_written(tmp_path, history, validations, best):
    path = tmp_path / "folder" / "curves.png"
    draw_curves(history, validations, str(path), "a $name with_ {signs}$", best)
    with Image.open(path) as image:
        assert (image.format, image.size) == ("PNG", (1000, 700))
    assert (painted(path, (0, 114, 178)) > 20) == bool(history)
    assert (painted(path, (213, 94, 0)) > 20) == bool(validations)
    assert [file.name for file in path.parent.iterdir()] == ["curves.png"]


def test_a_picture_that_fails_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "curves.png"
    draw_curves(HISTORY, VALIDATIONS, str(path), "title", 2)
    before = path.read_bytes()

    def full(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr("matplotlib.backends.backend_agg.FigureCanvasAgg.print_png", full)
    with pytest.raises(OSError, match="disk full"):
        draw_curves(HISTORY, [], str(path), "another", 2)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["curves.png"]


RATES = tuple(np.geomspace(1e-6, 1e-1, 6).tolist())
TEST = LearningRateTest(
    RATES, (2.0, 2.2, 1.0, 0.5, 60.0, 900.0), (2.0, 2.1, 1.5, 1.0, 8.0, 90.0), 1e-4, "", 3e-5
)


def test_the_range_test_is_drawn_over_the_rate(tmp_path):
    figure = learning_rate_figure(TEST, "title")
    (panel,) = figure.axes
    lines = lines_of(figure, 0)
    assert lines["each batch"] == (list(RATES), list(TEST.losses))
    assert lines["smoothed"] == (list(RATES), list(TEST.smoothed))
    assert lines["suggested: 1.0e-04"][0] == [1e-4, 1e-4]
    assert lines["recipe: 3.0e-05"][0] == [3e-5, 3e-5]
    assert [line.get_linestyle() for line in panel.lines] == ["-", "-", "--", ":"]
    assert panel.get_xscale() == "log"
    # Up to the lowest smoothed loss there was at most 2.1: half as much again is shown.
    assert panel.get_ylim() == pytest.approx((0, 3.15))
    draw_learning_rate_test(TEST, str(tmp_path / "test.png"), "title")
    with Image.open(tmp_path / "test.png") as image:
        assert image.size == (1000, 700)
    assert painted(tmp_path / "test.png", (213, 94, 0)) > 300


def look_of(line) -> tuple:
    return line.get_color(), line.get_linestyle(), line.get_linewidth(), line.get_marker()


def test_how_figures_look():
    figure = curves_figure(HISTORY, VALIDATIONS, "a $title$", best_epoch=2)
    title = figure._suptitle
    assert (title.get_text(), title.get_parse_math(), title.get_fontsize()) == (
        *("a $title$", False, 14),
    )
    assert (figure.get_facecolor(), figure.get_dpi()) == ((1, 1, 1, 1), 100)
    assert type(figure.get_layout_engine()).__name__ == "ConstrainedLayoutEngine"
    loss, accuracy, rate = figure.axes
    assert list(loss.get_gridspec().get_height_ratios()) == [3, 3, 1.4]
    assert loss.get_shared_x_axes().joined(loss, rate)
    for axes in figure.axes:
        grid = axes.yaxis.get_gridlines()[0]
        assert (grid.get_color(), grid.get_linewidth()) == ("#DDDDDD", 0.8)
        assert axes.get_axisbelow() is True
        shown = {side for side, spine in axes.spines.items() if spine.get_visible()}
        assert shown == {"left", "bottom"}
    train, val, kept = loss.lines
    assert look_of(train) == ("#0072B2", "-", 1.8, "o")
    assert look_of(val) == ("#D55E00", "--", 1.8, "s")
    assert look_of(kept)[:3] == ("#666666", ":", 1.5)
    assert kept.get_zorder() < train.get_zorder()
    assert (train.get_markersize(), train.get_clip_on()) == (5, False)
    assert look_of(rate.lines[0]) == ("#444444", "-", 1.8, "o")
    ring = next(line for line in accuracy.lines if line.get_markersize() == 13)
    assert ring.get_markeredgecolor() == "#D55E00"
    assert (loss.margins()[1], accuracy.margins()[1], rate.get_ylim()[0]) == (0.1, 0.1, 0)
    assert rate.yaxis.get_major_formatter()(1e-5) == "1e-05"
    assert rate.xaxis.get_major_locator().tick_values(0, 2).tolist() == [0, 1, 2]
    assert loss.get_legend().get_frame_on() is False
    plain = curves_figure([epoch(n, 1.0, 0.5) for n in (1, 2)], [], "title", best_epoch=None)
    assert plain.axes[2].xaxis.get_major_formatter()(0) == "0"
    assert curves_figure([], [], "title", best_epoch=None).axes[0].get_legend() is None
    (panel,) = learning_rate_figure(TEST, "title").axes
    assert (panel.get_xlabel(), panel.get_ylabel()) == (
        *("learning rate of the backbone", "training loss"),
    )
    each, smoothed, suggested, own = panel.lines
    assert (each.get_color(), each.get_alpha()) == ("#0072B2", 0.35)
    assert look_of(smoothed)[:3] == ("#0072B2", "-", 2.5)
    assert look_of(suggested)[:3] == ("#D55E00", "--", 2)
    assert look_of(own)[:3] == ("#666666", ":", 2)
    assert panel.get_legend().get_frame_on() is False


def test_without_a_suggestion_or_a_rise_nothing_is_cut_off():
    calm = LearningRateTest(RATES[:2], (2.0, 1.0), (2.0, 1.5), None, "", 3e-5)
    figure = learning_rate_figure(calm, "title")
    assert list(lines_of(figure, 0)) == ["each batch", "smoothed", "recipe: 3.0e-05"]
    bottom, top = figure.axes[0].get_ylim()
    assert bottom == 0
    assert 2.0 < top < 2.2
    level = LearningRateTest(RATES[:2], (2.0, 1.0), (1.0, 1.0), None, "", 3e-5)
    assert 2.0 < learning_rate_figure(level, "title").axes[0].get_ylim()[1] < 2.2
