"""What the App shows when it opens a dataset: stored colors, active fields, signed heatmaps."""

import os
from itertools import permutations

import fiftyone as fo
import numpy as np
import pytest
import torch
from fiftyone.core import odm
from made_runs import CLASSES, SIZE, make_run, some_digits
from PIL import Image

import fiftyone_gradcam as fg
from fiftyone_gradcam.app.operators.label_issues import FindLabelIssues
from fiftyone_gradcam.dataset.heatmaps import against_field, heatmap_pixels, is_signed, map_pixels
from fiftyone_gradcam.dataset.shown import (
    CLASS_COLORS,
    COLORS,
    LABEL_COLOR,
    MORE_COLORS,
    USUAL,
    WORD_COLORS,
    active_heatmaps,
    color_of,
    show_fields,
    stored_colors,
    with_one_heatmap,
)
from fiftyone_gradcam.explain.cam import explain
from fiftyone_gradcam.explain.overlay import colors_of
from fiftyone_gradcam.explain.render import save_heatmap
from fiftyone_gradcam.images.batches import Images
from fiftyone_gradcam.model.backbones import get_backbone
from fiftyone_gradcam.workflow.exporting import _write_means

MAGENTA, CYAN = "#ff00ff", "#00ffff"


@pytest.fixture
def dataset(tmp_path, name):
    """Twelve digits with the runs "a" and "b"."""
    for dataset in some_digits(tmp_path / "d", name):
        make_run(dataset, "a")
        make_run(dataset, "b", seed=1)
        yield dataset


def scheme_of(dataset) -> fo.ColorScheme:
    """As another process reads it."""
    dataset.reload()
    return dataset.app_config.color_scheme


WORDS = {"ground_truth": LABEL_COLOR, **WORD_COLORS}


def test_words_are_legible_on_their_colors_in_both_themes():
    colors = [*WORDS.values(), *MORE_COLORS]
    assert len({*colors}) == len(colors) == 11
    for color in colors:
        parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
        light = np.dot(linear, [0.2126, 0.7152, 0.0722])  # by WCAG 2
        assert 1.05 / (light + 0.05) >= 4.5  # white on it
        assert (light + 0.05) / 0.05 >= 4.5  # black on it


def field_colors(dataset) -> dict[str, str]:
    """Of fields, and of what is no field and was not prepared."""
    colors = {entry["path"]: entry["fieldColor"] for entry in scheme_of(dataset).fields}
    return {
        name: color
        for name, color in colors.items()
        if (dataset.get_field(name) or name not in USUAL)
        and color not in (WORDS.get(name), *MORE_COLORS)
    }


def test_a_new_dataset_has_the_colors_of_its_heatmaps_to_come(dataset):
    prepared = {
        "gradcam": MAGENTA,
        "gradcam_label": CYAN,
        "gradcam_runner_up": COLORS["runner_up"][0],
        "gradcam_contrast": COLORS["contrast"][0],
        "gradcam_contrast_against": COLORS["contrast"][1],
        **WORDS,
    }
    found = {entry["path"]: entry["fieldColor"] for entry in scheme_of(dataset).fields}
    assert found == prepared
    fg.predict(dataset, "a", heatmaps=("label",))
    found = {entry["path"]: entry["fieldColor"] for entry in scheme_of(dataset).fields}
    assert found == prepared  # and the others are prepared still


def test_words_of_further_fields_have_colors_of_their_own(dataset):
    names = [f"prediction_{number}" for number in range(9)]
    for name in names:
        fg.predict(dataset, "a", name, heatmaps=(), overwrite=True, progress=False)
    found = {entry["path"]: entry["fieldColor"] for entry in scheme_of(dataset).fields}
    assert [found[name] for name in names[:7]] == [*MORE_COLORS]
    assert {found[name] for name in names[7:]} <= {*MORE_COLORS}  # there are no more
    # An App that opened the dataset before gets them too.
    assert {name: found[name] for name in names}.items() <= stored_colors(dataset).colors.items()


def active_of(dataset) -> list[str]:
    dataset.reload()
    return dataset.app_config.active_fields.paths


def store(dataset, **choices) -> None:
    """Let a person save colors in the App, which is another process."""
    scheme = fo.ColorScheme(**choices).to_dict()
    found = {"name": dataset.name}
    odm.get_db_conn().datasets.update_one(found, {"$set": {"app_config.color_scheme": scheme}})


def test_one_heatmap_is_active():
    maps = ["gradcam", "cam_b", "mine"]
    for active, wanted, expected in (
        ([], ["prediction", "gradcam", "cam_b"], ["prediction", "gradcam"]),
        (["label", "cam_b", "mine"], ["prediction", "gradcam"], ["label", "prediction", "gradcam"]),
        (["label", "cam_b"], ["quality"], ["label", "cam_b", "quality"]),
        (["mine", "cam_b"], ["quality"], ["mine", "quality"]),
        (["gradcam", "label"], ["gradcam"], ["gradcam", "label"]),
        ([], ["quality"], ["quality"]),
    ):
        assert with_one_heatmap(active, wanted, maps) == expected


def test_kinds_have_colors_of_their_own():
    kinds = [sign + kind for kind in COLORS for sign in ("", "against:")]
    colors = [color_of(kind, CLASSES) for kind in kinds]
    colors += [color_of(f"class:{name}", CLASSES) for name in CLASSES]
    colors += [color_of(f"against:class:{name}", CLASSES) for name in CLASSES]
    assert colors[0] == MAGENTA
    assert colors[2] == CYAN
    assert len(set(colors)) == len(colors) == 14
    rgb = np.array([[int(x[i : i + 2], 16) for i in (1, 3, 5)] for x in {*colors, *CLASS_COLORS}])
    for one, other in permutations(rgb, 2):
        assert np.abs(one - other).sum() >= 60
    many = [str(i) for i in range(1000)]
    assert color_of("class:999", many) == CLASS_COLORS[999 % len(CLASS_COLORS)]


def test_predict_stores_a_color_for_each_heatmap_and_activates_one(dataset):
    fg.predict(
        dataset, "a", heatmaps=("contrast", "label", "predicted"), heatmap_classes=["digit 1"]
    )
    scheme = scheme_of(dataset)
    assert (scheme.color_by, scheme.opacity) == ("field", 0.7)
    assert (scheme.color_pool, scheme.default_colorscale, scheme.colorscales) == (None, None, None)
    assert field_colors(dataset) == {
        "gradcam": MAGENTA,
        "gradcam_label": CYAN,
        "gradcam_contrast": COLORS["contrast"][0],
        "gradcam_contrast_against": COLORS["contrast"][1],
        "gradcam_digit_1": CLASS_COLORS[1],
    }
    assert active_of(dataset) == ["ground_truth", "prediction", "gradcam"]
    assert active_heatmaps(dataset) == ["gradcam"]
    fg.predict(dataset, "a", heatmaps=("label",))
    assert active_of(dataset) == ["ground_truth", "prediction", "gradcam_label"]
    fg.predict(dataset, "b", "p_b", heatmap_field="cam_b")
    assert active_of(dataset) == ["ground_truth", "prediction", "p_b", "cam_b"]
    assert field_colors(dataset)["cam_b"] == MAGENTA  # by kind, of whatever run
    fg.predict(dataset, "b", "p_b", heatmaps=())
    assert active_heatmaps(dataset) == ["cam_b"]


def test_other_choices_of_active_fields_stay(dataset):
    dataset.add_sample_field("mine", fo.EmbeddedDocumentField, embedded_doc_type=fo.Heatmap)
    dataset.app_config.active_fields = fo.ActiveFields(paths=["tags", "mine", "width"])
    dataset.save()
    fg.predict(dataset, "a", heatmaps=())
    assert active_of(dataset) == ["tags", "mine", "width", "prediction"]
    fg.predict(dataset, "a", heatmaps=("predicted", "label"))
    assert active_of(dataset) == ["tags", "width", "prediction", "gradcam"]
    assert "mine" not in field_colors(dataset)
    # The App can also say what is not active.
    dataset.app_config.active_fields = fo.ActiveFields(exclude=True, paths=["width", "gradcam"])
    dataset.save()
    show_fields(dataset, ["prediction"])
    assert active_of(dataset) == ["width", "gradcam"]
    fg.predict(dataset, "a", heatmaps=("predicted", "label"))
    assert active_of(dataset) == ["width", "gradcam_label", "mine"]
    assert active_heatmaps(dataset) == ["gradcam"]


def test_of_what_is_found_about_labels_tiles_show_the_issue_alone(tmp_path, name):
    for found in some_digits(tmp_path / "six", name, per_class=6):
        likely = np.full((18, 3), 0.05)
        likely[np.arange(18), np.repeat([1, 1, 2], 6)] = 0.9
        view = fg.find_label_issues(found, probabilities=likely)
        assert active_of(found) == ["ground_truth", "issue"]
        assert FindLabelIssues().outcome(view, {})["fields"] == ["issue"]
        # What a person has turned on, or off, stays.
        found.app_config.active_fields = fo.ActiveFields(paths=["label_quality", "suggested_label"])
        found.save()
        fg.find_label_issues(found, probabilities=likely)
        assert active_of(found) == ["label_quality", "suggested_label", "issue"]


def test_colors_that_a_person_chose_stay(dataset):
    theirs = {
        "path": "ground_truth",
        "colorByAttribute": "label",
        "valueColors": [{"value": "digit 1", "color": "yellow"}],
    }
    gradcam = {"path": "gradcam", "fieldColor": "#123456"}
    elsewhere = {"path": "not_yet_there", "fieldColor": "#654321"}
    store(
        dataset,
        color_pool=["#12ab34"],
        color_by="value",
        opacity=0.25,
        fields=[theirs, gradcam, elsewhere],
        default_colorscale={"name": "viridis"},
        label_tags={"fieldColor": "#00ff00"},
        show_skeletons=False,
    )
    fg.predict(dataset, "a", heatmaps=("predicted", "label"))
    scheme = scheme_of(dataset)
    assert (scheme.color_by, scheme.opacity, scheme.color_pool) == ("value", 0.25, ["#12ab34"])
    assert scheme.default_colorscale["name"] == "viridis"
    assert (scheme.label_tags, scheme.show_skeletons) == ({"fieldColor": "#00ff00"}, False)
    label = {"path": "gradcam_label", "fieldColor": CYAN}
    assert scheme.fields == [theirs, gradcam, elsewhere, label]
    assert stored_colors(dataset).colors == {"gradcam": "#123456", "gradcam_label": CYAN}


def test_what_is_not_saved_yet_goes_along(dataset):
    fg.predict(dataset, "a")
    dataset.info["unsaved"] = "precious"
    dataset.app_config.active_fields.paths = ["tags"]
    store(dataset, opacity=0.25)  # in the App, at the same time
    show_fields(dataset, ["prediction"])
    assert active_of(dataset) == ["tags", "prediction"]
    assert dataset.info["unsaved"] == "precious"
    assert scheme_of(dataset).opacity == 0.25
    assert field_colors(dataset) == {"gradcam": MAGENTA}


def test_an_app_that_colors_by_value_goes_on_with_it(dataset, monkeypatch):
    monkeypatch.setattr(fo.app_config, "color_by", "value")  # FIFTYONE_APP_COLOR_BY=value
    fg.predict(dataset, "a")
    scheme = scheme_of(dataset)
    assert (scheme.color_by, scheme.default_colorscale) == ("value", None)
    assert field_colors(dataset) == {"gradcam": MAGENTA}


@pytest.mark.parametrize("opacity", [0.4, 0.5])
def test_what_earlier_versions_stored_is_replaced(dataset, opacity):
    choices = {"color_by": "value", "opacity": opacity, "default_colorscale": {"name": "jet"}}
    store(dataset, **choices, color_pool=["#12ab34"])
    fg.predict(dataset, "a")
    scheme = scheme_of(dataset)
    assert scheme.color_pool == ["#12ab34"]
    assert field_colors(dataset) == {"gradcam": MAGENTA}
    if opacity == 0.4:
        found = scheme.color_by, scheme.opacity, scheme.default_colorscale
        assert found == ("field", 0.7, None)
    else:  # a person's
        assert (scheme.color_by, scheme.opacity) == ("value", 0.5)
        assert scheme.default_colorscale["name"] == "jet"


def test_fields_that_are_no_more_lose_their_colors(dataset):
    fg.predict(dataset, "a", heatmaps=("predicted", "contrast"))
    fg.predict(dataset, "b", "p_b", heatmap_field="cam_b")
    scheme = scheme_of(dataset)
    scheme.fields = [*scheme.fields, {"path": "ground_truth", "fieldColor": "#111111"}]
    scheme.colorscales = [{"path": "gradcam", "name": "hot"}, {"path": "cam_b", "name": "hot"}]
    dataset.save()
    fg.delete_run(dataset, "a")
    assert field_colors(dataset) == {"cam_b": MAGENTA, "ground_truth": "#111111"}
    assert scheme_of(dataset).colorscales == [{"path": "cam_b", "name": "hot"}]
    dataset.rename_sample_field("cam_b", "renamed")
    fg.rename_run(dataset, "b", "c")
    show_fields(dataset, [])
    assert field_colors(dataset) == {"renamed": MAGENTA, "ground_truth": "#111111"}
    assert active_heatmaps(dataset) == ["renamed"]


def signed_maps(dataset, kind: str, samples) -> np.ndarray:
    """Maps (N, h, w) of a run, computed beside the workflow."""
    run, backbone = fg.load_run(dataset, "a"), get_backbone("small_cnn")
    (batch,) = Images([s.filepath for s in samples], SIZE).batches(len(samples))
    pixels = backbone.normalize(batch.images)
    own = torch.tensor([CLASSES.index(s.ground_truth.label) for s in samples])
    targets = ["predicted", own]
    found = explain(run.load_model(), backbone, pixels, targets, signed=kind == "predicted").maps
    first, second = (m.numpy() for m in found)
    return first if kind == "predicted" else first - second


@pytest.mark.parametrize("storage", ["file", "database"])
@pytest.mark.parametrize("kind", ["predicted", "contrast"])
def test_signed_maps_are_shown_by_halves_and_read_whole(dataset, kind, storage):
    options = {"interpolation": "nearest", "storage": storage, "signed": kind == "predicted"}
    fg.predict(dataset, "a", heatmaps=(kind,), **options)
    name = "gradcam" if kind == "predicted" else "gradcam_contrast"
    against = against_field(dataset, name)
    assert against == f"{name}_against"
    assert is_signed(dataset.get_field(name).info)
    assert not is_signed(dataset.get_field(against).info)
    assert dataset.exists(name).values("id") == dataset.exists(against).values("id")
    samples = list(dataset.exists(name))
    assert len(samples) >= 3
    cams = signed_maps(dataset, kind, samples)
    assert (cams < 0).any(axis=(1, 2)).sum() >= 3
    for sample, cam in zip(samples, cams, strict=True):
        pixels = heatmap_pixels(sample[name])
        times = np.array(pixels.shape) // cam.shape
        share = np.kron(cam, np.ones(times)) / np.abs(cam).max()
        # The App paints by value / 255: nothing where the map is not above zero.
        assert np.abs(pixels - (1 + 254 * share.clip(0))).max() <= 1
        assert np.abs(heatmap_pixels(sample[against]) - (1 + 254 * (-share).clip(0))).max() <= 1
        whole = map_pixels(sample, name, against)
        assert np.abs(whole - (128 + 127 * share)).max() <= 1
        assert sample[name].peak == pytest.approx(np.abs(cam).max(), rel=1e-3)
        assert sample[against].peak == sample[name].peak


def test_overlays_and_means_of_signed_maps(dataset, tmp_path):
    fg.predict(dataset, "a", signed=True, interpolation="nearest")
    samples = list(dataset)
    means = fg.mean_heatmaps(dataset)
    cams = signed_maps(dataset, "predicted", samples)
    shares = cams / np.abs(cams).max((1, 2), keepdims=True)
    for label in CLASSES:
        rows = [s.ground_truth.label == label for s in samples]
        expected = shares[rows].mean(0)
        side = means[label].shape[0] // expected.shape[0]
        centers = means[label][side // 2 :: side, side // 2 :: side]
        assert np.abs(centers - expected).max() < 0.02
    paths = fg.export_overlays(dataset, str(tmp_path / "o"), height=64, contact_sheet=False)
    picture = np.asarray(Image.open(paths[0])).astype(int)[:64, 72:136]
    whole = map_pixels(samples[0], "gradcam", "gradcam_against")
    colored = Image.fromarray(colors_of("jet")[whole]).resize((64, 64), Image.Resampling.BILINEAR)
    assert np.abs(picture - np.asarray(colored)).mean() < 12  # JPEG
    assert whole.min() < 100
    # The half is a heatmap of its own.
    half = fg.mean_heatmaps(dataset, "gradcam_against")
    assert all(mean.min() >= 0 for mean in half.values())
    assert max(mean.max() for mean in half.values()) > 0.05


def test_pictures_of_means_have_one_scale_for_all_classes(tmp_path):
    """The largest is 0.8 against a class, which is 1 as a pixel; 0.4 in favor is 128 + 127 / 2."""
    means = {"a": np.full((9, 9), -0.8), "b": np.full((9, 9), 0.4), "c": np.zeros((9, 9))}
    _write_means(means, dict.fromkeys(means, 3), True, str(tmp_path / "m"), "jet", False)
    for label, pixel in (("a", 1), ("b", 192), ("c", 128)):
        picture = np.asarray(Image.open(tmp_path / "m" / f"mean_{label}.png").convert("RGB"))
        assert (picture == colors_of("jet")[pixel]).all()


def test_the_half_against_is_found_by_what_it_is(dataset):
    fg.predict(dataset, "a", signed=True)
    fg.predict(dataset, "a", heatmap_field="other", signed=True)
    dataset.rename_sample_field("gradcam_against", "away")
    assert against_field(dataset, "gradcam") == "away"
    assert against_field(dataset, "other") == "other_against"
    fg.rename_run(dataset, "a", "c")
    assert against_field(dataset, "gradcam") == "away"
    dataset.delete_sample_field("away")
    message = "'gradcam' are signed, but the field 'gradcam_against' .* does not exist.*predict"
    for verb in (fg.mean_heatmaps, lambda x: fg.export_overlays(x, "nowhere")):
        with pytest.raises(ValueError, match=message):
            verb(dataset)
    assert not os.path.exists("nowhere")


def test_signed_maps_of_earlier_versions_are_read_and_replaced(dataset):
    fg.predict(dataset, "a", signed=True)
    dataset.delete_sample_field("gradcam_against")
    field = dataset.get_field("gradcam")
    field.info = {key: value for key, value in field.info.items() if key != "against"}
    field.save()
    rows = np.tile(np.array([[1], [128], [255], [128]], np.uint8), (4, 16))
    for path in dataset.values("gradcam.map_path"):
        save_heatmap(rows, path)
    assert against_field(dataset, "gradcam") is None
    mean = fg.mean_heatmaps(dataset)["digit 0"]
    rows_of_mean = mean[7::14].mean(1)  # the centers of 16 rows of 14 pixels
    assert rows_of_mean == pytest.approx([-1, 0, 1, 0] * 4, abs=0.05)
    fg.predict(dataset, "a", signed=True, resume=True)
    assert against_field(dataset, "gradcam") == "gradcam_against"
    assert set(dataset.exists("gradcam_against").values("id")) == set(dataset.values("id"))
    assert all(heatmap_pixels(sample.gradcam).tolist() != rows.tolist() for sample in dataset)
