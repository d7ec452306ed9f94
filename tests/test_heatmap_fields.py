"""Fields of heatmaps, with and without the evidence against a class: by facts by hand."""

import fiftyone as fo
import numpy as np
import pytest
from fiftyone.core.odm import get_db_conn

from fiftyone_gradcam.dataset.fields import describe_field
from fiftyone_gradcam.dataset.heatmap_choices import (
    heatmap_choices,
    heatmap_names,
    store_choice,
)
from fiftyone_gradcam.dataset.heatmaps import (
    against_field,
    check_heatmap_field,
    heatmap_pixels,
    is_signed,
    map_pixels,
)

SIGNED = {"heatmap": {"method": "gradcam", "signed": True}}


@pytest.fixture
def dataset(name) -> fo.Dataset:
    dataset = fo.Dataset(name)
    dataset.add_sample(fo.Sample(filepath="/0.png"))
    return dataset


def add(dataset, name: str, kind: str | None, **facts) -> None:
    dataset.add_sample_field(name, fo.EmbeddedDocumentField, embedded_doc_type=fo.Heatmap)
    own = {"run": "r", "prediction_field": "found", "label_field": "own", "kind": kind}
    describe_field(dataset, name, "by hand", **(own | facts))


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, False),
        ({"kind": None}, False),
        (SIGNED, True),
        ({"kind": "label"}, False),
        ({"kind": "label", "heatmap": {"signed": False}}, False),
        ({"kind": "label", **SIGNED}, True),
        ({"kind": "contrast"}, True),
        ({"kind": "against:contrast"}, False),
        ({"kind": "against:label", **SIGNED}, False),
    ],
)
def test_heatmaps_are_signed_if_they_are_contrasts_or_were_asked_to_be(facts, expected):
    assert is_signed(facts) is expected


def test_the_evidence_against_a_class_is_found_by_its_facts(dataset):
    add(dataset, "map", "label", **SIGNED, against="map_against")
    with pytest.raises(
        ValueError,
        match=r"^The heatmaps in 'map' are signed, but the field 'map_against' with the evidence "
        r"against the class does not exist. Call predict\(\) again$",
    ):
        against_field(dataset, "map")
    (choice,) = heatmap_choices(dataset)  # which is shown as well as it can be
    assert (choice.label, choice.paths) == ("Label (map)", ("map",))
    assert choice.words == ("evidence for the label",)
    for number, other in enumerate(({"run": "s"}, {"heatmap": {}}, {"kind": "against:predicted"})):
        own = {"kind": "against:label", **SIGNED} | other
        add(dataset, f"other_{number}", **own)
        with pytest.raises(ValueError, match="does not exist"):
            against_field(dataset, "map")
    add(dataset, "renamed", "against:label", **SIGNED)
    assert against_field(dataset, "map") == "renamed"
    add(dataset, "second", "label", **SIGNED, against="renamed")
    with pytest.raises(ValueError, match="does not exist"):
        against_field(dataset, "map")  # it is the one of the second
    assert against_field(dataset, "second") == "renamed"
    add(dataset, "a_renamed", "against:label", **SIGNED)
    assert against_field(dataset, "map") == "a_renamed"
    assert against_field(dataset, "second") == "renamed"
    add(dataset, "third", "label", **SIGNED, against="late")
    add(dataset, "late", "against:label", **SIGNED)
    assert against_field(dataset, "third") == "late"
    add(dataset, "plain", "label", against="renamed")
    add(dataset, "former", "label", **SIGNED)
    add(dataset, "negative", "against:contrast", against="x")
    for name in ("plain", "former", "negative"):
        assert against_field(dataset, name) is None


def test_a_field_that_holds_no_heatmaps_is_refused_with_those_that_do(dataset):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        check_heatmap_field(dataset, "map")
    message = f"'map' is not a heatmap field of {dataset.name!r}. Its heatmap fields: "
    assert str(error.value) == f"{message}none; call predict() first"
    with pytest.raises(ValueError, match="to choose. Its heatmap fields: none$"):
        store_choice(dataset, "map")
    store_choice(dataset, None)
    assert dataset.app_config.active_fields is None  # nothing was chosen before
    add(dataset, "maps", "label")
    add(dataset, "others", "predicted")
    with pytest.raises(ValueError, match="Did you mean 'maps'.* Its heatmap fields: maps, others$"):
        check_heatmap_field(dataset, "map")
    assert check_heatmap_field(dataset, "maps")["kind"] == "label"


def test_a_choice_replaces_the_heatmaps_that_the_database_has_as_active(dataset):
    for name in ("map", "other"):
        add(dataset, name, "predicted")
    dataset.app_config.active_fields = fo.ActiveFields(paths=["tags"], exclude=False)
    dataset.save()
    own, records = {"_id": dataset._doc.id}, get_db_conn().datasets

    def active() -> list[str]:
        return records.find_one(own)["app_config"]["active_fields"]["paths"]

    # Another process has chosen in the meantime.
    records.update_one(own, {"$set": {"app_config.active_fields.paths": ["tags", "map", "id"]}})
    store_choice(dataset, "other")
    assert active() == ["tags", "id", "other"]
    store_choice(dataset, None)
    assert active() == ["tags", "id"]
    dataset.app_config.active_fields.exclude = True
    dataset.save()
    store_choice(dataset, "map")
    assert active() == ["tags", "id"]


def test_pixels_are_those_of_both_fields_with_a_sign(dataset):
    positive = np.array([[1, 255], [128, 0]], np.uint8)
    negative = np.array([[255, 1], [128, 0]], np.uint8)
    sample = dataset.first()
    for name in ("map", "against"):
        add(dataset, name, "label")
    sample["map"] = fo.Heatmap(map=positive.astype(float))
    sample.save()
    found = heatmap_pixels(sample["map"])
    assert (found.dtype, found.tolist()) == (np.uint8, positive.tolist())
    assert map_pixels(sample, "map", None).tolist() == positive.tolist()
    message = f"^{sample.filepath} has a heatmap in 'map', but none in 'against'$"
    with pytest.raises(OSError, match=message):
        map_pixels(sample, "map", "against")
    sample["against"] = fo.Heatmap(map=negative)
    # 128 means zero, and 0 that the model saw nothing there.
    assert map_pixels(sample, "map", "against").tolist() == [[1, 255], [128, 0]]


def test_choices_are_in_the_order_of_their_kinds_and_default_names_come_first(dataset):
    for name, kind in (
        ("unknown", None),
        ("aa", "class:a"),
        ("own_contrast", "contrast"),
        ("gradcam_runner_up", "runner_up"),
        ("cam", "predicted"),
        ("gradcam", "predicted"),
        ("hidden", "against:predicted"),
        ("gradcam_label", "label"),
    ):
        add(dataset, name, kind)
    found = heatmap_choices(dataset)
    assert [one.label for one in found] == [
        "Predicted",
        "Predicted (cam)",
        "Label",
        "Runner-up",
        "Contrast (own_contrast)",
        "a (aa)",
        "unknown",
    ]
    assert found[3].words == ("evidence for the second most probable class",)
    assert found[5].words == ("evidence for 'a'",)
    assert found[6].words == ("unknown",)


def test_the_fields_of_all_kinds_are_named_after_the_first():
    assert heatmap_names((), (), "map", True) == {}
    names = heatmap_names(("contrast", "predicted"), ("a b",), "map", False)
    assert names == {
        "predicted": "map",
        "contrast": "map_contrast",
        "class:a b": "map_a_b",
        "against:contrast": "map_contrast_against",
    }
    assert heatmap_names(("label",), ("a",), "map", True) == {
        "label": "map_label",
        "class:a": "map_a",
        "against:label": "map_label_against",
        "against:class:a": "map_a_against",
    }
