"""Which heatmaps can be shown together, what their colors mean, and colors of those to come."""

import fiftyone as fo
import pytest
from made_runs import make_run, some_digits

import fiftyone_gradcam as fg
from fiftyone_gradcam.app.planned_colors import color_planned, planned_kinds
from fiftyone_gradcam.dataset.heatmap_choices import heatmap_choices, store_choice, with_choice
from fiftyone_gradcam.dataset.shown import active_heatmaps, color_of, paint_by_value, show_fields


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Digits with all kinds of heatmaps, fields of unusual names, and one of somebody else."""
    for dataset in some_digits(tmp_path_factory.mktemp("choices"), "choices", per_class=2):
        make_run(dataset, "made")
        every = ("predicted", "label", "runner_up", "contrast")
        fg.predict(dataset, "made", "own", ("predicted",), heatmap_field="aaa", signed=True)
        fg.predict(dataset, "made", heatmaps=every, heatmap_classes=["digit 1"])
        dataset.add_sample_field("theirs", fo.EmbeddedDocumentField, embedded_doc_type=fo.Heatmap)
        yield dataset


def test_choices_are_one_kind_each_and_say_what_their_colors_mean(dataset):
    found = {one.label: one for one in heatmap_choices(dataset)}
    assert list(found) == [
        "Predicted",
        "Predicted (aaa)",
        "Label",
        "Runner-up",
        "Contrast",
        "digit 1 (gradcam_digit_1)",
        "theirs",
    ]
    assert found["Contrast"].paths == ("gradcam_contrast", "gradcam_contrast_against")
    assert found["Contrast"].words == (
        "speaks for the predicted class rather than for the label",
        "speaks for the label rather than for the predicted class",
    )
    assert found["Predicted (aaa)"].paths == ("aaa", "aaa_against")
    assert found["Predicted (aaa)"].words[1] == "evidence against the predicted class"
    assert found["Label"].words == ("evidence for the label",)
    assert "'digit 1'" in found["digit 1 (gradcam_digit_1)"].words[0]
    assert found["theirs"].words == ("theirs",)
    # What is said of the strength of a color is right in "Why?" too, which draws two of them alike.
    more = "Stronger color: more evidence."
    assert found["Contrast"].strength == more
    jet = f"{more} 'Why?' uses jet: red = most."
    assert {found[x].strength for x in ("Predicted", "Label", "Runner-up")} == {jet}
    assert found["theirs"].strength == "Stronger color: higher value."
    # Of a contrast it is declared what the predicted class is compared with; of others not.
    for name in ("gradcam_contrast", "gradcam_contrast_against", "gradcam", "gradcam_label"):
        is_contrast = "contrast" in name
        assert (dataset.get_field(f"{name}.versus") is not None) is is_contrast
        if is_contrast:
            own = zip(*map(dataset.values, ("ground_truth.label", f"{name}.target")), strict=True)
            wanted = [label if target else None for label, target in own]
            assert dataset.values(f"{name}.versus") == wanted != [None] * len(dataset)


def test_one_choice_takes_the_place_of_the_others():
    maps = ["gradcam", "gradcam_label", "aaa"]
    assert with_choice(["prediction", "gradcam", "aaa", "tags"], maps, None) == [
        "prediction",
        "tags",
    ]


def test_a_choice_is_stored_with_the_dataset(dataset):
    show_fields(dataset, ["gradcam"])
    before = [x for x in dataset.app_config.active_fields.paths if x != "gradcam"]
    store_choice(dataset, "gradcam_contrast")
    assert active_heatmaps(dataset) == ["gradcam_contrast", "gradcam_contrast_against"]
    store_choice(dataset, None)
    assert active_heatmaps(dataset) == []
    assert dataset.app_config.active_fields.paths == before
    # Who shows all fields except some goes on to do so.
    config = dataset.app_config
    config.active_fields = fo.ActiveFields(paths=["tags"], exclude=True)
    dataset.save()
    store_choice(dataset, "gradcam")
    found = dataset.app_config.active_fields
    assert (found.paths, found.exclude) == (["tags"], True)
    config.active_fields = fo.ActiveFields(paths=before, exclude=False)
    dataset.save()
    with pytest.raises(
        ValueError, match="'prediction' is not a heatmap field of 'choices' to choose"
    ):
        store_choice(dataset, "prediction")


def test_the_fields_that_predict_writes_are_known_before(dataset):
    given = {
        "heatmaps": ("predicted", "contrast"),
        "heatmap_field": "x",
        "heatmap_classes": ["a b"],
    }
    assert planned_kinds(given) == {
        "x": "predicted",
        "x_contrast": "contrast",
        "x_a_b": "class:a b",
        "x_contrast_against": "against:contrast",
    }
    assert planned_kinds({}) == {"gradcam": "predicted"}


def test_colors_of_heatmaps_to_come_are_stored_and_given_to_the_app(dataset, name, monkeypatch):
    class Context:
        def trigger(self, name, params):
            return name, params

    ctx = Context()
    ctx.dataset = fo.Dataset(name)
    shown = fo.ColorScheme(fields=[{"path": "mine", "fieldColor": "#123456"}])
    monkeypatch.setattr("fiftyone_gradcam.app.showing._scheme_in_app", lambda _: shown)
    given = {"heatmap_field": "odd name", "signed": True, "run": "none"}
    expected = {
        "odd name": color_of("predicted", []),
        "odd name_against": color_of("against:predicted", []),
    }
    ((message, params),) = color_planned(ctx, given)
    assert message == "set_color_scheme"
    stored = ctx.dataset.app_config.color_scheme.fields
    entries = [{"path": path, "fieldColor": color} for path, color in expected.items()]
    assert stored == entries
    assert params["fields"] == [*shown.fields, *entries]
    # A color that a person chose stays.
    ctx.dataset.app_config.color_scheme.fields[0]["fieldColor"] = "#abcdef"
    ctx.dataset.save()
    ((_, params),) = color_planned(ctx, given)
    assert params["fields"][1] == {"path": "odd name", "fieldColor": "#abcdef"}
    # Where tiles show heatmaps already, the App is left alone.
    ctx.dataset = dataset
    assert list(color_planned(ctx, given)) == []
    paths = [x["path"] for x in dataset.app_config.color_scheme.fields]
    assert "odd name" in paths


def test_a_scale_is_painted_at_half_opacity_and_keeps_the_colors(dataset):
    before = dataset.app_config.color_scheme.fields
    paint_by_value(dataset)
    scheme = dataset.app_config.color_scheme
    assert (scheme.color_by, scheme.opacity) == ("value", 0.5)
    assert [x for x in before if x["path"].startswith("gradcam")] == [
        x for x in scheme.fields if x["path"].startswith("gradcam")
    ]
