"""Embeddings and probabilities that users pass: what is refused, with its whole message."""

import re

import fiftyone as fo
import numpy as np
import pytest

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset.embeddings import (
    check_can_wait,
    check_one_source,
    embedding_fields,
    given_embeddings,
    vector_fields,
)
from fiftyone_gradcam.dataset.fields import describe_field
from fiftyone_gradcam.dataset.given_probabilities import given_probabilities
from fiftyone_gradcam.dataset.layouts import facts_of_field, layouts, rename_run_in_layouts


@pytest.fixture
def dataset(name) -> fo.Dataset:
    dataset = fo.Dataset(name)
    dataset.add_samples([fo.Sample(filepath=f"/{place}.png") for place in range(3)])
    return dataset


def refused(kind: type, message: str):
    return pytest.raises(kind, match=f"^{re.escape(message)}$")


def test_embeddings_are_an_array_or_the_name_of_a_field(dataset):
    for wrong, name in ((None, "NoneType"), ({}, "dict"), (b"x", "bytes")):
        message = f"embeddings must be an array (N, C) or the name of a field, not {name}"
        with refused(TypeError, message):
            given_embeddings(dataset, wrong)
    message = (
        "embeddings holds NaN or infinity in 2 of 3 rows, such as row 1, of /1.png. Leave these "
        "samples out of both"
    )
    with refused(ValueError, message):
        given_embeddings(dataset, [[1, 2], [np.nan, 2], [1, np.inf]])
    message = (
        f"'x' is not a field of {dataset.name!r}. Fields of vectors: none yet; "
        f"compute_embeddings(..., field=) makes one"
    )
    with refused(ValueError, message):
        given_embeddings(dataset, "x")
    for name, values, message in (
        ("words", [["a"], ["b"], None], "Field 'words' does not hold vectors of numbers"),
        ("bare", [[], [], None], "The vectors in field 'bare' have no numbers"),
        (
            "short",
            [[1.0, 2.0], [3.0, 4.0], [1.0]],
            "The vector in field 'short' of /2.png has 1 numbers, not 2. Compute it again",
        ),
        (
            "odd",
            [[1.0], None, [float("inf")]],
            "The vector in field 'odd' of /2.png holds NaN or infinity. Compute it again",
        ),
    ):
        dataset.add_sample_field(name, fo.ListField)
        dataset.set_values(name, values)
        with refused(ValueError, message):
            given_embeddings(dataset, name)


def test_fields_of_vectors_are_those_of_arrays_and_of_lists_of_numbers(dataset, capsys):
    for name, kind in (("whole", fo.IntField), ("words", fo.StringField), ("real", fo.FloatField)):
        dataset.add_sample_field(name, fo.ListField, subfield=kind)
    dataset.add_sample_field("array", fo.ArrayField)
    dataset.add_sample_field("vector", fo.VectorField)
    assert vector_fields(dataset) == ["whole", "real", "array", "vector"]
    for name in ("real", "vector"):  # of `predict`, and of `compute_embeddings`
        describe_field(dataset, name, "by hand", run="r")
    assert embedding_fields(dataset) == ["whole", "array", "vector"]
    dataset.set_values("whole", [[1, 2], [3, 4], [5, 6]])
    assert given_embeddings(dataset, "whole").tolist() == [[1, 2], [3, 4], [5, 6]]
    assert capsys.readouterr().out == ""
    dataset.set_values("array", [np.array([[1.0, 2.0]]), None, np.array([[3.0], [4.0]])])
    found = given_embeddings(dataset[1:], "array")
    assert (np.isnan(found[0]).all(), found[1].tolist()) == (True, [3, 4])
    assert capsys.readouterr().out == "1 of 2 samples have no vector in 'array'\n"


def test_embeddings_and_a_network_are_not_given_together():
    check_one_source(None, "resnet18", "imagenet", run="r")
    check_one_source("field", None, None, run=None)
    for given, name in (
        ({"backbone": "x"}, "backbone"),
        ({"weights": "x"}, "weights"),
        ({"run": "x"}, "run"),
    ):
        message = f"Pass embeddings or {name}='x', not both: the network would not be used"
        with refused(ValueError, message):
            check_one_source("field", **given)
    check_can_wait(None)
    check_can_wait("field")
    with pytest.raises(ValueError, match="^A job takes embeddings from a field: store the array"):
        check_can_wait([[1.0]])


def test_probabilities_are_a_row_for_each_sample_that_adds_up_to_one():
    found = given_probabilities([[0.5025, 0.5025], [5, -3], [1, 0]], ["a", None, "b"], ["a", "b"])
    assert found.tolist() == [[0.5, 0.5], [5, -3], [1, 0]]
    with pytest.raises(ValueError, match=r"^probabilities must be an array of numbers \(N, K\): "):
        given_probabilities([["x", "y"]], ["a"], ["a", "b"])
    for count, names in ((2, "'0', '1'"), (10, ", '9'"), (11, ", '9' ...")):
        with pytest.raises(ValueError, match=f"in alphabetical order: .*{re.escape(names)}$"):
            given_probabilities([[1.0]], ["0"], [str(number) for number in range(count)])
    message = (
        "probabilities has the shape (1, 1), not (2, 2): pass a row for each of the 2 samples in "
        "their order, and a column for each of the 2 classes in alphabetical order: 'a', 'b'"
    )
    with refused(ValueError, message):
        given_probabilities([[1.0]], ["a", "b"], ["a", "b"])
    words = "Values must be at least 0, and each row must add up to 1. Apply softmax to logits"
    for row, about in (
        ([1.5, -0.5], "adds up to 1 and whose smallest value is -0.5"),
        ([0.5, 0.48], "adds up to 0.98 and whose smallest value is 0.48"),
        ([0.5, 0.52], "adds up to 1.02 and whose smallest value is 0.5"),
        ([np.inf, 0], "adds up to inf and whose smallest value is 0"),
    ):
        rows = [[np.nan, 1], [0, 1], row, row]
        message = f"2 rows of probabilities are invalid, such as row 2, which {about}. {words}"
        with refused(ValueError, message):
            given_probabilities(rows, [None, "a", "b", "b"], ["a", "b"])


def test_layouts_follow_the_name_of_a_run(dataset):
    for key in ("of_run", "of_field", "of_other", "theirs", "of_gone"):
        fg.show_embeddings(dataset, embeddings=np.eye(3), method="pca", brain_key=key)
    for key, rests_on in (
        ("of_run", {"run": "old", "given": {"run_or_backbone": "old", "seed": 1}}),
        (
            "of_field",
            {"field": "x", "facts": {"run": "old", "network": "n"}},
        ),
        ("of_other", {"run": "other", "facts": None, "given": {"run_or_backbone": "old"}}),
        ("theirs", None),
    ):
        config = dataset.get_brain_info(key).config
        config.rests_on, config.model = rests_on, "run 'old', run 'old'"
        config.build().update_run_config(dataset, key, config)
    record = dataset._doc.brain_methods["of_gone"]
    record.config["cls"] = "os.path.join"  # is none of a layout
    record.save()
    rename_run_in_layouts(dataset, "old", "new")
    found = {key: (config.rests_on, config.model) for key, config in layouts(dataset)}
    assert found == {
        "of_run": (
            {"run": "new", "given": {"run_or_backbone": "new", "seed": 1}},
            "run 'new', run 'old'",
        ),
        "of_field": (
            {"field": "x", "facts": {"run": "new", "network": "n"}},
            "run 'old', run 'old'",
        ),
        "of_other": (
            {"run": "other", "facts": None, "given": {"run_or_backbone": "old"}},
            "run 'old', run 'old'",
        ),
    }
    dataset.add_sample_field("x", fo.VectorField)
    assert facts_of_field(dataset, "x") == {}
    describe_field(dataset, "x", "by hand", network="n", run="r", version=None, more=1)
    assert facts_of_field(dataset, "x") == {"network": "n", "run": "r"}
