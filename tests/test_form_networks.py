"""What forms say of networks and of files of weights."""

from collections import OrderedDict

import pytest
import torch
import torchvision
from made_runs import digits_with_two_runs
from test_forms import SMALL, form

from fiftyone_gradcam.app.operators.backbone_fields import GOOD, backbones
from fiftyone_gradcam.model.backbones import BACKBONES, get_backbone
from fiftyone_gradcam.model.blank import build_blank
from fiftyone_gradcam.model.facts import FACTS
from fiftyone_gradcam.model.file_shapes import backbone_of_file, shapes_in, signature


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Twelve digits in two splits, with two runs; the first has predicted all."""
    folder = tmp_path_factory.mktemp("networks") / "digits"
    yield from digits_with_two_runs(folder, "form networks")


def test_all_networks_are_in_the_list_and_the_good_ones_first(dataset):
    assert set(FACTS) == set(BACKBONES)
    field = form("fine_tune", dataset)["backbone"]
    assert field["view"]["name"] == "AutocompleteView"
    assert field["view"]["allow_user_input"] is False
    assert field["type"]["values"] == ["automatic", *backbones()]
    assert list(backbones())[: len(GOOD)] == list(GOOD)
    for name, shown in backbones().items():  # what each of them is good for
        assert shown.startswith(f"{name} · {GOOD[name]} (" if name in GOOD else f"{name} (")
    for name, has_weights in (("resnet18", True), ("small_cnn", False)):
        assert ("weights" in form("fine_tune", dataset, backbone=name)) is has_weights
    assert sorted(backbones()) == sorted(BACKBONES)
    for name, (accuracy, megabytes, last_layer, _) in FACTS.items():
        assert last_layer == get_backbone(name).family.last_layer
        if name == "small_cnn":
            continue
        entry = torchvision.models.get_model_weights(name).DEFAULT.meta
        assert accuracy == round(entry["_metrics"]["ImageNet-1K"]["acc@1"], 1)
        assert megabytes == round(entry["_file_size"])


def shapes_of(name: str, classes: int = 7) -> dict:
    state = build_blank(get_backbone(name), classes).state_dict()
    return {key: tuple(value.shape) for key, value in state.items()}


@pytest.mark.parametrize(
    "names",
    [SMALL, pytest.param(tuple(BACKBONES), marks=pytest.mark.slow)],
    ids=["small", "all"],
)
def test_each_network_is_reported_from_all_others(names):
    assert len({facts.shapes for facts in FACTS.values()}) == len(BACKBONES)
    for name in names:
        shapes = shapes_of(name)
        fits = [x for x in FACTS if signature(shapes, x) == FACTS[x].shapes]
        assert fits == [name]


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.model."])
def test_a_file_says_of_which_network_it_is(tmp_path, prefix, legacy):
    model = get_backbone("squeezenet1_1").build(5)
    state = OrderedDict((prefix + k, v.half()) for k, v in model.state_dict().items())
    path = tmp_path / "a.pth"
    whole = OrderedDict((k, torch.nn.Parameter(v)) for k, v in state.items())
    for content in (state, whole, {"epoch": 3, "state_dict": state, "optimizer": {"state": {}}}):
        torch.save(content, path, _use_new_zipfile_serialization=not legacy)
        assert backbone_of_file(str(path)) == "squeezenet1_1"
    shapes = shapes_in(str(path))
    assert shapes["classifier.1.weight"] == (5, 512, 1, 1)
    assert len(shapes) == len(state)


def test_other_files_are_of_no_network_and_run_no_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return (exec, (f"open({str(tmp_path / 'ran')!r}, 'w')",))

    path = tmp_path / "a.pth"
    for content in ({"a": torch.zeros(3, 3)}, Evil(), {"x": Evil()}, [1, 2], "text"):
        torch.save(content, path)
        assert backbone_of_file(str(path)) is None
    for data in (b"", b"PK", b"\x80\x02", b"PK\x03\x04 no archive", b"\x80\x02}q\x00."):
        path.write_bytes(data)
        assert backbone_of_file(str(path)) is None
    assert backbone_of_file(str(tmp_path)) is None
    assert backbone_of_file("/gone") is None
    assert not (tmp_path / "ran").exists()


def test_weights_of_another_network_are_flagged_as_soon_as_they_are_typed(dataset, tmp_path):
    path = tmp_path / "a.pth"
    torch.save(get_backbone("squeezenet1_1").build(5).state_dict(), path)
    chosen = {"weights": "file", "weights_file": {"absolute_path": str(path)}}
    wrong = form("fine_tune", dataset, backbone="mobilenet_v2", **chosen)["other_network"]
    assert wrong["error_message"] == (
        "This file holds weights of squeezenet1_1, not of mobilenet_v2. Choose squeezenet1_1 as "
        "the network, or another file"
    )
    right = form("fine_tune", dataset, backbone="squeezenet1_1", **chosen)
    assert "other_network" not in right
    assert right["found_network"]["view"]["label"] == "Weights of squeezenet1_1"
    imported = form("import_run", dataset, way="weights", **chosen)
    assert imported["backbone"]["default"] == "squeezenet1_1"  # found in the file
    wrong = form("import_run", dataset, way="weights", backbone="resnet18", **chosen)
    assert "other_network" in wrong


# A run repeated
