"""Weights that cannot be used: limits, words, and which files are meant."""

import os
import pickle

import pytest
import torch
from torch import nn

from fiftyone_gradcam.model import file_shapes, state_file
from fiftyone_gradcam.model.backbones import get_backbone
from fiftyone_gradcam.model.blank import build_unset
from fiftyone_gradcam.model.checkpoint import (
    load_checkpoint,
    load_state,
    save_checkpoint,
    save_state,
)
from fiftyone_gradcam.model.families import _until
from fiftyone_gradcam.model.file_shapes import backbone_of_file, shapes_in
from fiftyone_gradcam.model.loading import LARGEST, load_into
from fiftyone_gradcam.model.stages import stages
from fiftyone_gradcam.model.state_file import WeightsError, read_weights_file
from fiftyone_gradcam.model.weights import (
    check_imagenet_weights,
    create_classifier,
    create_pretrained,
    imagenet_weights_file,
    load_weights,
    weights_at_hand,
)

NAME = "squeezenet1_1"
ADVICE = "Save it with torch.save(model.state_dict(), path)"


def saved(path, content, **options) -> str:
    torch.save(content, path, **options)
    return str(path)


def refused(call, *args) -> str:
    """The message of the error that a call raises."""
    with pytest.raises(ValueError, match=".") as caught:
        call(*args)
    return str(caught.value)


def test_files_that_cannot_be_read_are_named():
    for error, message in (
        (
            PermissionError(13, "no"),
            "'x.pt' cannot be read: permission denied. Let your user read it",
        ),
        (
            pickle.UnpicklingError("Unsupported GLOBAL os.system"),
            "'x.pt' is not a file of weights that torch can load safely (UnpicklingError): it "
            "contains objects other than tensors and plain values, such as a whole model. "
            + ADVICE,
        ),
        *(
            (
                error,
                f"'x.pt' is not a file of weights that torch can load safely "
                f"({type(error).__name__}): it is damaged, or was not written by torch.save. "
                f"{ADVICE}",
            )
            for error in (pickle.UnpicklingError("odd"), EOFError("GLOBAL"))
        ),
    ):
        assert str(state_file._unreadable("x.pt", error)) == message
    error = pickle.loads(pickle.dumps(WeightsError("It is odd", "Save it")))
    assert (str(error), error.reason, error.remedy) == (
        "It is odd. Save it",
        "It is odd",
        "Save it",
    )


def test_names_and_places_of_tensors_have_limits(tmp_path):
    path = tmp_path / "x.pt"
    one = torch.ones(1)
    assert list(read_weights_file(saved(path, {"a" * 300: one})).state) == ["a" * 300]
    assert refused(read_weights_file, saved(path, {"a" * 301: one})) == (
        f"{str(path)!r} contains a name of 301 characters, '{'a' * 80}…', which no network has. "
        f"{ADVICE}"
    )
    inner = {"w": one}
    deep = {"a": {"b": {"c": inner}}}
    assert list(read_weights_file(saved(path, deep)).state) == ["w"]
    assert "contains no state dict" in refused(read_weights_file, saved(path, {"o": deep}))
    # Of several, the one of the first known name counts; of others, ten are named.
    both = {"net": {"w": one * 2}, "model": inner, "x": {"w": one * 3}}
    assert read_weights_file(saved(path, both)).state["w"] == 1
    both = {"y": {"w": one * 2}, "net": {"own": inner}}
    assert read_weights_file(saved(path, both)).state["w"] == 1
    for count, more in ((10, ""), (11, " and 1 more")):
        several = {f"n{number:02d}" + "x" * 78: {"w": one} for number in range(count)}
        names = ", ".join(f"'n{number:02d}{'x' * 77}…'" for number in range(10))
        assert refused(read_weights_file, saved(path, several)) == (
            f"{str(path)!r} contains more than one dictionary of tensors: {names}{more}. Save only "
            f"the network's: torch.save(torch.load(path)[...], another_path)"
        )


def test_prefixes_are_removed_from_names_and_versions(tmp_path):
    own = nn.Sequential(nn.BatchNorm1d(2))
    state = {f"module.model.{name}": value for name, value in own.state_dict().items()}
    file = read_weights_file(saved(tmp_path / "x.pt", state))
    assert sorted(file.state) == sorted(own.state_dict())
    assert file.original["0.bias"] == "module.model.0.bias"
    assert file.beside == set()
    file = read_weights_file(saved(tmp_path / "x.pt", {**state, "extra": torch.ones(1)}))
    assert file.beside == {"extra"}
    file = read_weights_file(saved(tmp_path / "x.pt", own.state_dict()))
    assert file.beside == set()
    versions = {"model.a": {"v": 3}, "model": {"v": 2}, "": {"v": 1}, "b": 4}
    assert dict(state_file._bare_versions(versions)) == {"": {"v": 2}, "a": {"v": 3}}


def test_cached_weights_must_have_a_last_layer_for_imagenet(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    path = imagenet_weights_file(NAME)
    os.makedirs(os.path.dirname(path))
    model = build_unset(get_backbone(NAME), 7)
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    torch.save(model.state_dict(), path)
    assert refused(check_imagenet_weights, NAME) == (
        f"The cached ImageNet weights of {NAME!r} cannot be used: {path!r} has no last layer for "
        f"the classes of ImageNet. Delete {path!r}: it is downloaded again when it is needed"
    )
    assert weights_at_hand(NAME) == "imagenet"
    assert weights_at_hand("small_cnn") == "none"
    assert imagenet_weights_file("small_cnn") is None
    assert refused(load_weights, "small_cnn", "imagenet") == (
        "'small_cnn' has no ImageNet weights. Pass weights='none'"
    )
    assert refused(create_pretrained, NAME, path) == (
        f"The weights in {path!r} have no last layer for the 1000 classes of ImageNet. Fine-tune a "
        f"run from them first"
    )
    assert refused(create_pretrained, NAME, "none") == (
        f"{NAME!r} without weights cannot predict. Pass 'imagenet' or a file"
    )
    for weights in ("imagenet", "none"):
        assert refused(create_classifier, NAME, 7, weights) == (
            f"weights must be the path of a file here, not {weights!r}"
        )
    assert refused(create_classifier, NAME, 3, path).startswith(
        f"The weights in {path!r} have a last layer for 7 classes, but 3 classes are named. Name "
    )
    assert not create_classifier(NAME, 7, path).training


def test_values_of_weights_have_a_limit(tmp_path):
    backbone = get_backbone("small_cnn")
    model = build_unset(backbone, 3)
    state = {name: torch.zeros_like(value) for name, value in model.state_dict().items()}
    first = next(name for name, value in state.items() if value.dim() == 4)

    def load(**changed):
        file = read_weights_file(saved(tmp_path / "x.pt", {**state, **changed}))
        return load_into(build_unset(backbone, 3), backbone, file, "x.pt")

    largest = state[first].clone()
    largest.flatten()[0] = -LARGEST
    assert load(**{first: largest}).has_head
    assert refused(lambda: load(**{first: largest * 1.01})) == (
        f"'{first}' in 'x.pt' contains a value of 1.01e+10, which is too large for a network: the "
        f"file is damaged. Download it or save it again"
    )
    largest.flatten()[1] = float("nan")
    assert refused(lambda: load(**{first: largest})).startswith(
        f"'{first}' in 'x.pt' contains NaN or infinity: 1 of {largest.numel():,} values"
    )
    for count, more in ((3, ""), (4, " and 1 more")):
        names = [f"other{number}" for number in range(count)]
        wrapped = {f"module.{name}": value for name, value in state.items()}
        content = {**wrapped, **dict.fromkeys(names, torch.ones(1))}
        file = read_weights_file(saved(tmp_path / "x.pt", content))
        assert load_into(build_unset(backbone, 3), backbone, file, "x.pt").notes == (
            f"Not used from 'x.pt': other0, other1, other2{more}, not part of the network",
        )


def test_checkpoints_and_states_that_cannot_be_read(tmp_path):
    path, description = (
        str(tmp_path / "a" / "x.pt"),
        {"backbone": "small_cnn", "classes": ["a", "b"]},
    )
    assert refused_file(path) == (
        f"The checkpoint {path!r} does not exist. Train again with fine_tune()"
    )
    state = build_unset(get_backbone("small_cnn"), 2).state_dict()
    save_checkpoint(path, state, description)
    model, found = load_checkpoint(path)
    assert found == description
    assert not model.training
    for content in (
        {"state_dict": state, "description": {**description, "classes": ["a"]}},
        {"state_dict": state, "description": {"classes": ["a", "b"]}},
        {"state_dict": state},
        [],
    ):
        saved(path, content)
        assert refused(load_checkpoint, path).startswith(f"{path!r} is not a readable checkpoint: ")
    assert refused(load_state, str(tmp_path / "no.pt"), "run") == (
        f"There is no training 'run' to resume: its state {str(tmp_path / 'no.pt')!r} does not "
        f"exist. Leave resume out to start one"
    )
    save_state(path, {"recipe": {}, "epoch": 2})
    assert load_state(path, "run") == {"recipe": {}, "epoch": 2}
    for content, missing in (({"recipe": {}}, "'epoch'"), ({"epoch": 2}, "'recipe'")):
        save_state(path, content)
        assert refused(load_state, path, "run") == (
            f"The state {path!r} of training 'run' cannot be read ({missing}). Start over with "
            f"overwrite=True"
        )


def refused_file(path: str) -> str:
    with pytest.raises(FileNotFoundError) as caught:
        load_checkpoint(path)
    return str(caught.value)


def test_shapes_are_read_without_torch(tmp_path, monkeypatch):
    path = tmp_path / "x.pt"
    state = build_unset(get_backbone("small_cnn"), 2).state_dict()
    shapes = {name: tuple(value.shape) for name, value in state.items()}
    content = {"epoch": 3, "optimizer": {"state": {0: torch.ones(2)}}, "net": {"model": state}}
    for options in ({}, {"_use_new_zipfile_serialization": False}):
        saved(path, content, **options)
        assert shapes_in(str(path)) == shapes
        assert backbone_of_file(str(path)) == "small_cnn"
    saved(path, {"a": {"b": {"c": {"w": torch.ones(2)}}}})
    assert shapes_in(str(path)) == {"w": (2,)}
    saved(path, {"a": {"b": {"c": {"d": {"w": torch.ones(2)}}}}})
    assert shapes_in(str(path)) is None
    saved(path, {"module.w": nn.Parameter(torch.ones(2, 3)), 3: torch.ones(1)})
    assert shapes_in(str(path)) == {"w": (2, 3)}
    assert backbone_of_file(str(path)) is None
    monkeypatch.setattr(file_shapes, "MOST_BYTES", 10)
    assert shapes_in(str(path)) is None
    path.write_bytes(b"not a file of torch")
    assert shapes_in(str(path)) is None
    assert shapes_in(str(tmp_path / "gone")) is None


def test_a_network_of_its_last_layer_alone_has_no_stages():
    class Alone(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale, self.fc = nn.Parameter(torch.ones(1)), nn.Linear(2, 2)

    assert stages(Alone(), "fc") == {}
    own = Alone()
    own.norm, own.body = nn.BatchNorm1d(2), nn.Linear(2, 2)
    assert stages(own, "fc") == {
        "norm": ["norm.weight", "norm.bias", "scale"],  # nothing is before it
        "body": ["body.weight", "body.bias"],
    }
    with pytest.raises(AssertionError, match="no end in the model"):
        _until(nn.Sequential(nn.Identity()), "end", torch.ones(1))
