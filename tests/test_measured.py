"""Whether accuracies were measured on the same samples with the same labels."""

import fiftyone as fo
import pytest

from fiftyone_gradcam.dataset.measured import difference, measured_on

ONE = {"samples": "1", "labels": "1"}
OTHER_LABELS = {"samples": "1", "labels": "2"}
OTHERS = {"samples": "2", "labels": "2"}


@pytest.mark.parametrize(
    ("measured", "why"),
    [
        ({}, None),
        ({"x": None}, None),
        ({"x": ONE}, None),
        ({"x": ONE, "y": ONE, "z": ONE}, None),
        ({"x": ONE, "y": OTHER_LABELS}, "with different labels"),
        ({"x": ONE, "y": OTHERS}, "on different samples"),  # whose labels differ too
        ({"x": ONE, "y": None, "z": None}, "on samples that are unknown ('y', 'z')"),
        ({"x": None, "y": None}, "on samples that are unknown ('x', 'y')"),
        ({"x": ONE, "y": None, "z": OTHER_LABELS}, "with different labels"),
        ({"x": ONE, "y": None, "z": OTHERS}, "on different samples"),
    ],
)
def test_the_reason_why_accuracies_cannot_be_compared(measured, why):
    words = f"These accuracies were measured {why}: compare_runs() uses the same samples for both"
    assert difference(measured) == (why and words)


def test_samples_are_known_by_their_id_or_else_by_their_file(name):
    dataset = fo.Dataset(name)
    dataset.add_samples([fo.Sample("/1.png"), fo.Sample("/2.png")])
    found = measured_on(dataset, ["/1.png", "/gone.png"], ["a", "b"])
    assert measured_on(dataset, ["/gone.png", "/1.png"], ["b", "a"]) == found
    assert measured_on(dataset, ["/1.png", "/x.png"], ["a", "b"])["samples"] != found["samples"]
    assert [len(digest) for digest in found.values()] == [24, 24]
    sample = dataset.first()
    sample.filepath = "/moved.png"
    sample.save()
    assert measured_on(dataset, ["/moved.png", "/gone.png"], ["a", "b"]) == found
    swapped = measured_on(dataset, ["/moved.png", "/gone.png"], ["b", "a"])
    assert (swapped["samples"] == found["samples"], swapped["labels"] == found["labels"]) == (
        True, False
    )  # fmt: skip
