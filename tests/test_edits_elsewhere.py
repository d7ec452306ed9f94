"""Labels that are edited or deleted elsewhere; weights and files that are not what they were."""

import json
import os
from types import SimpleNamespace

import fiftyone as fo
import numpy as np
import pytest
import torch
from reviewable import make_reviewable

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset import durable, exported
from fiftyone_gradcam.dataset.anomalies import AnomalyMaps
from fiftyone_gradcam.dataset.decisions import adopt_edits, changed_since, decide
from fiftyone_gradcam.dataset.files import dataset_folder, files_below, remove_files
from fiftyone_gradcam.dataset.review_state import columns_of
from fiftyone_gradcam.dataset.reviews import journal, reviewing


@pytest.fixture
def dataset(name):
    """Four samples; their labels: cat, bird, cat and none."""
    return make_reviewable(name)


def edit(dataset, place: int, field: str, value) -> None:
    ids = dataset.values("id")
    dataset.set_values(field, {ids[place]: value}, key_field="id")


def adopted(dataset, field: str) -> list[tuple]:
    with reviewing(dataset):
        found = adopt_edits(dataset, columns_of(dataset, field))
    return [(x.filepath, x.decision, x.old_label, x.new_label, x.source) for x in found]


def test_labels_that_were_edited_elsewhere_are_corrections_of_what_was_decided(dataset):
    elsewhere = "edited outside of reviews"
    assert adopted(dataset, "own") == []  # nothing is known of the labels before
    edit(dataset, 2, "own.label", "dog")
    assert adopted(dataset, "own") == []
    fg.review(dataset, "keep")
    edit(dataset, 0, "own.label", "bird")
    edit(dataset, 3, "own", fo.Classification(label=""))  # is no label, as before
    assert adopted(dataset, "own") == [("/0.png", "relabel", "cat", "bird", elsewhere)]
    assert adopted(dataset, "own") == []
    assert dataset.values("review.label") == ["relabel", "keep", "keep", "keep"]
    assert dataset.first().prediction.label_score == 0.1  # follows
    edit(dataset, 3, "own", fo.Classification(label="dog"))
    edit(dataset, 1, "own", None)
    before = dataset.last().own.id
    assert sorted(adopted(dataset, "own")) == [
        ("/1.png", "relabel", "bird", None, elsewhere),
        ("/3.png", "relabel", None, "dog", elsewhere),
    ]
    assert dataset.last().own.id == before
    lines = [json.loads(line) for line in dataset.last()["review_history"]]
    assert (len(lines), lines[-1]["before"]["own"]) == (2, None)
    line = json.loads(dataset.skip(1).first()["review_history"][-1])
    assert line["before"]["own"]["label"] == "bird"


def test_labels_that_are_texts_are_kept_as_texts(dataset):
    dataset.set_values("text", ["a", "b", None, "d"])
    fg.review(dataset, "keep", label_field="text")
    edit(dataset, 0, "text", "c")
    edit(dataset, 1, "text", "")
    edit(dataset, 2, "text", "x")
    assert [row[1:4] for row in sorted(adopted(dataset, "text"))] == [
        ("relabel", "a", "c"),
        ("relabel", "b", None),
        ("relabel", None, "x"),
    ]
    lines = [json.loads(rows[-1])["before"]["text"] for rows in dataset.values("review_history")]
    assert lines == ["a", "b", None, "d"]
    assert dataset.values("text") == ["c", "", "x", "d"]
    # An empty text is no label: it can be decided on, and what was decided can be taken back.
    fg.review(dataset[1:2], "unclear", label_field="text")
    assert dataset.values("review.label") == ["relabel", "unclear", "relabel", "keep"]
    fg.undo_review(dataset)
    assert dataset.values("review.label") == ["relabel", "relabel", "relabel", "keep"]
    fg.undo_review(dataset)
    assert dataset.values("text") == ["a", "b", None, "d"]


def test_nothing_is_decided_about_samples_that_are_gone_or_were_shown_with_another_label(dataset):
    ids, columns = dataset.values("id"), columns_of(dataset, "own")

    def try_to(chosen: list[str], **given):
        with reviewing(dataset):
            return decide(dataset, chosen, columns, "keep", lambda *_: "dog", "Python", **given)

    with pytest.raises(ValueError) as error:  # noqa: PT011
        try_to([*ids[:2], "0" * 24])
    assert str(error.value) == (
        f"1 of 3 samples have been deleted from {dataset.name!r} in the meantime: {'0' * 24}. "
        f"Nothing was stored. Select the samples again"
    )
    words = changed_since({"filepath": "/1.png"}, "cat", "bird")
    assert words == (
        "The label of /1.png is 'bird', but was 'cat' when it was shown: it was changed elsewhere, "
        "and is left as it is. Review it again"
    )
    with pytest.raises(ValueError, match=f"^{words}$"):
        try_to(ids[:2], shown={ids[0]: "cat", ids[1]: "cat"})
    assert dataset.get_field("review") is None
    assert journal(dataset) == []
    made = try_to(ids[:2], shown={ids[0]: "cat", ids[1]: "bird", ids[2]: "dog"})
    assert [(x.old_label, x.new_label) for x in made] == [("cat", "dog"), ("bird", "dog")]
    assert dataset.values("own.label") == ["dog", "dog", "cat", None]


def test_weights_are_tensors_of_numbers_enough_for_the_network(tmp_path):
    facts = {"recipe": {}, "classes": ["a", "b", "c"], "backbone": "small_cnn"}
    check = exported._check_weights
    for wrong in ([torch.zeros(9)], {"a": torch.zeros(9), "b": 1}):
        with pytest.raises(ValueError, match="^it is not a dictionary of tensors$"):
            check(wrong, facts)
    check({"a": torch.zeros(2), "b": torch.ones(1, dtype=torch.int64)}, facts)
    message = r"^it has too few weights for layers of widths \[3\]$"
    with pytest.raises(ValueError, match=message):
        check({"a": torch.zeros(2)}, facts)
    facts["recipe"]["hidden"] = (4, 5)  # 4 * 5 + 5 * 3 weights, and 4 at the least before
    check({"a": torch.zeros(39)}, facts)
    with pytest.raises(ValueError, match=r"layers of widths \[4, 5, 3\]$"):
        check({"a": torch.zeros(38)}, facts)
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="^'b' holds values that are not finite numbers$"):
            check({"a": torch.zeros(40), "b": torch.tensor([0, value])}, facts)
    path = tmp_path / "weights.pt"
    with pytest.raises(FileNotFoundError):
        exported._read_weights(str(path))
    for content in (b"", b"no weights"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="^the file is damaged, or holds other objects than"):
            exported._read_weights(str(path))


def test_weights_of_another_network_are_refused_in_few_words(tmp_path, monkeypatch):
    recipe = {"backbone": "small_cnn", "weights": "none"}
    facts = {"recipe": recipe, "classes": ["a", "b"], "backbone": "small_cnn"}
    source, target = tmp_path / "run", tmp_path / "target"
    source.mkdir()
    torch.save({"x": torch.zeros(9)}, source / "weights.pt")
    with pytest.raises(ValueError, match="Export the run again$") as error:
        exported.unpack(str(source), facts, str(target))
    start = f"The weights in {str(source / 'weights.pt')!r} do not fit 'small_cnn' with 2 classes: "
    words = str(error.value)
    assert words.startswith(start)
    assert words[len(start) + 500 :] == "…. Export the run again"
    torch.save([1], source / "weights.pt")
    with pytest.raises(ValueError, match="2 classes: it is not a dictionary of tensors. Export"):
        exported.unpack(str(source), facts, str(target))

    def full(*_):
        raise OSError(28, "No space left on device")

    torch.save({"x": torch.zeros(9)}, source / "weights.pt")
    monkeypatch.setattr(exported, "save_checkpoint", full)
    with pytest.raises(OSError, match="No space left on device"):
        exported.unpack(str(source), facts, str(target))


def test_heatmaps_of_anomalies_go_if_they_are_not_stored(dataset):
    ids = dataset.values("id")
    maps = AnomalyMaps(dataset, "odd_map", ids, "squash")

    def draw() -> str:
        maps.draw(1, np.array([[0.0, 0.25], [0.5, 0.75]]), (8, 6))
        return maps.values[ids[1]]["map_path"]

    try:
        with pytest.raises(KeyError), maps.keeping():
            raise KeyError(draw())
        assert maps.values[ids[1]]["peak"] == 0.75
        assert maps.values[ids[1]]["target"] == "anomaly"
        assert not os.path.exists(maps.values[ids[1]]["map_path"])
        with maps.keeping():
            path = draw()
        assert not os.path.exists(path)  # nothing refers to it
        with maps.keeping():
            sample = dataset.first()
            sample["odd_map"] = fo.Heatmap(map_path=draw())
            sample.save()
        assert os.path.exists(path)
    finally:
        home = dataset_folder(dataset)
        remove_files(files_below(home), home)


@pytest.mark.parametrize(
    ("hello", "expected"),
    [
        ({"topologyVersion": {"processId": 1}}, 1),
        ({"topologyVersion": {"processId": 1}, "setName": "rs"}, None),
        ({"topologyVersion": {"processId": 1}, "msg": "isdbgrid"}, None),
        ({"topologyVersion": {"processId": 1}, "msg": "other"}, 1),
        ({}, None),
    ],
)
def test_only_a_database_on_its_own_can_lose_what_it_confirmed(monkeypatch, hello, expected):
    client = SimpleNamespace(admin=SimpleNamespace(command=lambda _: hello))
    monkeypatch.setattr(durable.foo, "get_db_client", lambda: client)
    assert durable._process() == expected
