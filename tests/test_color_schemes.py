"""Which colors and fields the App shows, where nothing was stored or little."""

import fiftyone as fo
import pytest

from fiftyone_gradcam.dataset.prediction_fields import HEATMAP_ATTRIBUTES
from fiftyone_gradcam.dataset.shown import (
    active_heatmaps,
    color_of,
    forget_colors,
    paint_by_value,
    plan_colors,
    stored_colors,
)
from fiftyone_gradcam.dataset.storing import Declared, declare


@pytest.fixture
def dataset(name):
    """No samples, and two fields of heatmaps."""
    made = fo.Dataset(name)
    for field in ("cam", "cam_label"):
        declare(made, field, Declared("heatmap", "", {"kind": "predicted"}, HEATMAP_ATTRIBUTES))
    return made


def test_heatmaps_are_active_that_are_listed_or_that_are_not_hidden(dataset):
    assert active_heatmaps(dataset) == []
    for exclude, paths, active in (
        (False, ["cam", "own"], ["cam"]),
        (True, ["cam", "own"], ["cam_label"]),
        (True, [], ["cam", "cam_label"]),
        (None, [], []),
    ):
        dataset.app_config.active_fields = fo.ActiveFields(paths=paths, exclude=exclude)
        assert active_heatmaps(dataset) == active


def test_colors_of_deleted_fields_are_forgotten(dataset):
    forget_colors(dataset, ["cam"])
    assert dataset.app_config.color_scheme is None
    assert stored_colors(dataset) is None
    entries = [{"path": name, "fieldColor": "#111111"} for name in ("cam", "cam_label", "own")]
    scales = [{"path": name, "name": "jet"} for name in ("cam", "cam_label")]
    dataset.app_config.color_scheme = fo.ColorScheme(fields=entries, colorscales=scales)
    dataset.save()
    found = stored_colors(dataset)
    assert found.colors == {"cam": "#111111", "cam_label": "#111111"}  # no other plugin's
    forget_colors(dataset, iter(["cam"]))
    scheme = dataset.app_config.color_scheme
    assert ([x["path"] for x in scheme.fields], [x["path"] for x in scheme.colorscales]) == (
        ["cam_label", "own"], ["cam_label"]
    )  # fmt: skip
    dataset.app_config.color_scheme = fo.ColorScheme()
    dataset.save()
    forget_colors(dataset, ["cam"])
    assert stored_colors(dataset).colors == {}


def test_heatmaps_that_will_be_written_get_colors_and_keep_those_they_have(dataset):
    kinds = {"cam": "label", "cam_label": "label", "new": "class:b"}
    entries = [
        {"path": "cam", "fieldColor": "#111111", "colorByAttribute": "target"},
        {"path": "cam_label", "fieldColor": None},
        {"path": "own", "fieldColor": "#222222"},
    ]
    dataset.app_config.color_scheme = fo.ColorScheme(fields=entries, opacity=0.25)
    dataset.save()
    colors = {"cam": "#111111", "cam_label": "#ff00ff", "new": "#bfff00"}
    assert plan_colors(dataset, kinds, ["a", "b"]) == colors
    dataset.reload()
    scheme = dataset.app_config.color_scheme
    found = {entry["path"]: entry["fieldColor"] for entry in scheme.fields}
    assert found == {**colors, "own": "#222222"}
    assert scheme.fields[0]["colorByAttribute"] == "target"
    assert (scheme.color_by, scheme.opacity) == ("field", 0.25)
    paint_by_value(dataset)
    dataset.reload()
    scheme = dataset.app_config.color_scheme
    assert (scheme.color_by, scheme.opacity) == ("value", 0.5)
    # The field of "new" was not written, and is taken for a deleted one.
    assert {entry["path"] for entry in scheme.fields} == {"cam", "cam_label", "own"}


@pytest.mark.parametrize(
    ("kind", "color"),
    [
        ("label", "#00ffff"),
        ("against:label", "#ff0000"),
        ("class:b", "#bfff00"),
        ("against:class:b", "#9050ff"),  # three further
        ("against:class:f", "#bfff00"),
        ("class:h", "#4040ff"),  # as the first: there are seven
        ("class:other", "#ff00ff"),
        ("b", "#ff00ff"),
        ("", "#ff00ff"),
        (None, "#ff00ff"),
    ],
)
def test_the_color_of_each_kind(kind, color):
    assert color_of(kind, list("abcdefgh")) == color
