"""Fields of a dataset: which hold labels, which may be written, and what describes them."""

import re

import fiftyone as fo
import pytest

from fiftyone_gradcam.dataset import fields
from fiftyone_gradcam.dataset.fields import check_writable, describe_fields, field_name


@pytest.fixture
def dataset(name) -> fo.Dataset:
    dataset = fo.Dataset(name)
    samples = [fo.Sample(filepath=f"/{place}.png", text=text) for place, text in enumerate("ab")]
    samples[0]["own"] = fo.Classification(label="x")
    samples[0]["note"] = "mine"
    samples[0]["boxes"] = fo.Detections(detections=[])
    dataset.add_samples(samples)
    dataset.add_sample_field("empty", fo.EmbeddedDocumentField, embedded_doc_type=fo.Classification)
    return dataset


def refused(kind: type, message: str):
    return pytest.raises(kind, match=f"^{re.escape(message)}$")


def test_a_field_is_written_only_if_nothing_of_the_user_is_in_it(dataset):
    label = fo.Classification
    check_writable(dataset, {"new": label, "newer": None, "empty": label}, False)
    valid = "is not a valid field name. Use letters, digits and underscores, a letter first"
    for name in ("", "a b", "_new", "1st", 3):
        with refused(ValueError, f"{name!r} {valid}"):
            check_writable(dataset, {"new": label, name: label}, True)
    check_writable(dataset, {"x" * 240: None}, False)
    long = (
        f"{'x' * 40 + '…'!r} is too long for the name of a field, which names a folder of heatmaps "
        f"too and may have 240 bytes. Choose a shorter one"
    )
    for name in ("x" * 241, "x" * 40 + "é" * 101):
        with refused(ValueError, long):
            check_writable(dataset, {name: None}, False)
    for name, kind in (("own", None), ("text", label), ("boxes", label)):
        message = f"Field {name!r} of {dataset.name!r} holds values of another type. Choose another"
        with refused(ValueError, f"{message} name"):
            check_writable(dataset, {name: kind}, True)
    theirs = (
        f"Field 'own' of {dataset.name!r} was not written by this plugin. Choose another name, or "
        f"pass overwrite=True to replace its values"
    )
    with refused(ValueError, theirs):
        check_writable(dataset, {"empty": label, "own": label}, False)
    check_writable(dataset, {"own": label, "note": None}, True)
    fields.describe_field(dataset, "own", "ours")
    check_writable(dataset, {"own": label}, False)


def test_fields_of_labels_are_classifications_and_texts_of_the_user(dataset):
    assert fields.label_fields(dataset) == ["own", "empty", "text", "note"]
    assert fields.classification_fields(dataset) == ["own", "empty"]
    fields.describe_field(dataset, "note", "ours")
    assert fields.label_fields(dataset) == ["own", "empty", "text"]
    assert fields.labels_of(dataset, "own")[2] == ["x", None]
    dataset.set_values("text", ["", "b"])
    ids, paths, labels = fields.labels_of(dataset, "text")
    assert (ids, paths, labels) == (dataset.values("id"), ["/0.png", "/1.png"], [None, "b"])
    assert fields.class_counts(["b", None, "a", "b"]) == {"a": 1, "b": 2}
    assert fields.path_in(dataset, "text") == "text"
    assert [fields.path_in(dataset, x) for x in ("own", "gone")] == ["own.label", "gone.label"]
    known = "Its fields of labels: own, empty, text"
    message = f"'tex' is not a classification field or string field of {dataset.name!r}. Did you "
    with refused(ValueError, f"{message}mean 'text'? {known}"):
        fields.check_label_field(dataset, "tex")
    with pytest.raises(ValueError, match=r"^3 is not a classification field .*: own, empty, text$"):
        fields.label_path(dataset, 3)
    dataset.delete_sample_fields(["own", "empty", "text", "note"])
    with pytest.raises(ValueError, match="Its fields of labels: none$"):
        fields.label_path(dataset, "own")


def test_fields_are_described_in_one_write_and_only_if_they_change(dataset, monkeypatch):
    saved, save = [], fo.Dataset.save
    monkeypatch.setattr(fo.Dataset, "save", lambda x: (saved.append(x), save(x)))
    describe_fields(dataset, {"own": ("One", {"run": "r"}), "note": ("Two", {})})
    describe_fields(dataset, {"own": ("One", {"run": "r"})})
    assert len(saved) == 1
    describe_fields(dataset, {"own": ("One", {"run": "s"}), "note": ("Two", {})})
    describe_fields(dataset, {"own": ("Other", {"run": "s"})})
    assert len(saved) == 3
    dataset.reload()
    facts = {name: dataset.get_field(name) for name in ("own", "note", "text")}
    assert {name: (x.description, x.info) for name, x in facts.items()} == {
        "own": ("Other", {"written_by": "@gradcam/classifier", "run": "s"}),
        "note": ("Two", {"written_by": "@gradcam/classifier"}),
        "text": (None, None),
    }
    assert fields.field_info(dataset, "own") == facts["own"].info
    dataset.get_field("text").info = {"run": "r"}
    assert fields.field_info(dataset, "text") == fields.field_info(dataset, "gone") == {}
    fields.index(dataset, ["text", "own.label"])
    assert {"text", "own.label"} <= set(dataset.list_indexes())


def test_words_are_made_a_name_that_fits_a_file():
    assert field_name(" a b, c! ") == "a_b_c"
    assert field_name("!?") == "_"
    assert field_name("x" * 120) == "x" * 120
    long, other = field_name("x" * 121), field_name("é" * 61)
    assert re.fullmatch(r"x{111}_[0-9a-f]{8}", long)
    assert re.fullmatch(r"é{55}_[0-9a-f]{8}", other)
    assert field_name("x" * 120 + "y") != long


def test_media_that_are_no_images_are_refused(name):
    dataset = fo.Dataset(name)
    assert fields.root_dataset(dataset) is dataset  # without a sample it has no kind of media
    assert fields.root_dataset(dataset.view()) is dataset
    dataset.media_type = "point-cloud"
    message = f"A classifier needs one image per sample. {name!r} holds media of type 'point-cloud'"
    with refused(TypeError, f"{message}. Choose a dataset of images"):
        fields.root_dataset(dataset)
    with refused(
        TypeError,
        "Expected a FiftyOne dataset or view, not str. Load one with fo.load_dataset(name)",
    ):
        fields.root_dataset(name)


def test_views_that_hide_fields_are_shown_whole(dataset):
    view = dataset.skip(1).limit(1)
    assert fields.whole(view) is view
    assert fields.whole(dataset) is dataset
    for hiding in (
        view.select_fields("own").match_tags("x", bool=False),
        dataset.skip(1).exclude_fields("note"),
    ):
        found = fields.whole(hiding)
        assert list(found.values(["filepath", "note"])) == [["/1.png"], [None]]
        assert "text" in found.get_field_schema()
