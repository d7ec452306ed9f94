"""Files of weights as people have them: what is in them is found, or refused with one error."""

import hashlib
import os
import re
from collections import OrderedDict

import pytest
import torch
import torchvision
from published import as_saved, differences, fresh
from torch import nn
from torchvision.models import Weights, WeightsEnum

from fiftyone_gradcam.model.state_file import WeightsError, read_weights_file
from fiftyone_gradcam.model.weights import (
    DownloadError,
    _download,
    create_model,
    create_pretrained,
    imagenet_weights_file,
)

NAME, HEAD = "squeezenet1_1", "classifier.1."


@pytest.fixture(scope="module")
def state():
    return create_model(NAME, 7, "none").state_dict()


@pytest.fixture
def saved(tmp_path):
    """Saves a file and gives its path."""

    def save(content) -> str:
        torch.save(content, tmp_path / "weights.pth")
        return str(tmp_path / "weights.pth")

    return save


def loads(path: str, state: dict, classes: int = 7) -> None:
    found = create_model(NAME, classes, path).state_dict()
    assert {n for n in state if torch.equal(found[n], state[n])} == set(state)


@pytest.mark.parametrize(
    "prefix",
    [
        "module.", "_orig_mod.", "model.", "net.", "backbone.", "module._orig_mod.",
        "_orig_mod.module.", "model.net.", "model.backbone.module.",
    ],
)  # fmt: skip
def test_what_stands_before_the_names_is_taken_away(saved, state, prefix):
    loads(saved({prefix + n: v for n, v in state.items()}), state)


def test_wrapped_networks_load_as_they_are_saved(saved, tmp_path):
    model = create_model("mnasnet0_5", 4, "none")  # which needs its version
    for wrap in (
        nn.DataParallel,
        torch.compile,
        lambda m: torch.compile(nn.DataParallel(m)),
        lambda m: nn.ModuleDict({"model": m}),
    ):
        path = saved({"state_dict": wrap(model).state_dict()})
        assert differences(create_model("mnasnet0_5", 4, path), model) == []
    bare = {n.removeprefix("x"): v for n, v in model.state_dict().items()}  # its version is lost
    assert differences(create_model("mnasnet0_5", 4, saved(bare)), model) == []


def test_the_one_dictionary_of_tensors_is_found(saved, state):
    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(2))], momentum=0.9, lr=0.1)
    optimizer.param_groups[0]["params"][0].grad = torch.ones(2)
    optimizer.step()
    more = {"epoch": 3, "optimizer": optimizer.state_dict(), "loss": torch.tensor(0.5).item()}
    for name in ("state_dict", "model_state_dict", "model", "anything"):
        loads(saved({**more, name: state}), state)
    loads(saved({"run": {"model": {"state_dict": state}}, **more}), state)
    lightning = {
        "pytorch-lightning_version": "2.1.0",
        "global_step": 7,
        "state_dict": {f"model.{n}": v for n, v in state.items()}
        | {"criterion.weight": torch.ones(7)},
        "callbacks": {"ModelCheckpoint": {"best_model_score": torch.tensor(0.9)}},
        "optimizer_states": [optimizer.state_dict()],
        "hyper_parameters": {"class_weights": torch.ones(7), "lr": 0.1},
    }
    reported = []
    path = saved(lightning)
    found = create_model(NAME, 7, path, warn=reported.append)
    assert all(torch.equal(found.state_dict()[n], v) for n, v in state.items())
    assert reported == [f"Not used from {path!r}: criterion.weight, not part of the network"]
    ema = {n: v + 1 for n, v in state.items()}
    loads(saved({"model_ema": ema, "model": state}), state)
    with pytest.raises(WeightsError, match="more than one dictionary of tensors: 'a', 'b'"):
        read_weights_file(saved({"a": state, "b": ema}))


def test_of_weights_of_imagenet_nothing_is_reported(state, monkeypatch, tmp_path):
    """Their thousand classes are hardly anybody's."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    path, notes = imagenet_weights_file(NAME), []
    os.makedirs(os.path.dirname(path))
    torch.save(state, path)
    for weights, count in (("imagenet", 0), (path, 1)):
        create_model(NAME, 3, weights, warn=notes.append)
        assert len(notes) == count


def test_a_last_layer_of_other_classes_is_left_out_and_reported(saved, state):
    path, reported = saved(state), []
    body = {n: v for n, v in state.items() if not n.startswith(HEAD)}
    model = create_model(NAME, 3, path, warn=reported.append)
    assert all(torch.equal(model.state_dict()[n], v) for n, v in body.items())
    assert reported == [
        f"The last layer in {path!r} is for other classes (classifier.1.bias 7, "
        f"classifier.1.weight 7 x 512 x 1 x 1) and is not used"
    ]
    reported.clear()
    create_model(NAME, 7, path, warn=reported.append)
    assert reported == []
    create_model(NAME, 7, saved(body), warn=reported.append)
    assert reported == [f"There is no last layer in {path!r}: a new one is used"]
    with pytest.raises(ValueError, match="no last layer for the 1000 classes"):
        create_pretrained(NAME, path)
    # A network whose own last layer was replaced beside it, as by `self.fc` in a class.
    body, own = {f"backbone.{n}": v for n, v in body.items()}, {}
    own["classifier.1.weight"], own["classifier.1.bias"] = (
        state[HEAD + n] for n in ("weight", "bias")
    )
    loads(saved({**body, **own}), state)


def spoiled(state: dict, name: str, value) -> OrderedDict:
    return OrderedDict({**state, name: value})


FIRST = "features.0.weight"


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda s: {0: torch.ones(1), **s}, "contains the key 0, which is not a name .*torch.save"),
        (lambda s: {**s, "epoch": 3}, "'epoch', a value of type int"),
        (lambda s: spoiled(s, FIRST, s[FIRST].to_sparse()), f"'{FIRST}' in .*not a dense tensor"),
        (lambda s: spoiled(s, FIRST, s[FIRST].to("meta")), f"'{FIRST}' in .*no values"),
        (
            lambda s: spoiled(s, FIRST, torch.quantize_per_tensor(s[FIRST], 0.1, 0, torch.qint8)),
            f"'{FIRST}' in .*quantized",
        ),
        (lambda s: spoiled(s, FIRST, s[FIRST].char()), f"'{FIRST}' in .*torch.int8, but"),
        (lambda s: spoiled(s, FIRST, s[FIRST] + 1j), f"'{FIRST}' in .*torch.complex64, but"),
        (
            lambda s: spoiled(s, FIRST, s[FIRST].index_fill(0, torch.tensor([1]), float("nan"))),
            f"'{FIRST}' in .*NaN or infinity: 27 of 1,728 values.*diverged",
        ),
        (
            lambda s: spoiled(s, FIRST, s[FIRST].double().fill_(1e300)),
            f"'{FIRST}' in .*NaN or infinity: 1,728 of 1,728",
        ),
        (
            lambda s: spoiled(s, FIRST, s[FIRST].index_fill(0, torch.tensor([1]), -(2.0**100))),
            f"'{FIRST}' in .* a value of 1.27e\\+30, .*is damaged. Download it or save it again",
        ),
        (
            lambda s: spoiled(s, FIRST, torch.tensor(1.0).expand(10**9, 3, 3, 3)),
            r"0 tensors missing, 0 unknown, 1 of another shape \(such as 'features.0.weight', "
            r"1000000000 x 3 x 3 x 3 for 64 x 3 x 3 x 3\)",
        ),
        (
            lambda s: dict(list(s.items())[3:]),
            r"'squeezenet1_1': 3 tensors missing, 0 unknown, .*'features.0.weight'.*incomplete",
        ),
        (
            lambda s: {n: v for n, v in s.items() if n != "classifier.1.bias"},
            r"1 tensors missing.*'classifier.1.bias'",
        ),
        (
            lambda s: {**s, "extra.weight": torch.ones(1)},
            r"0 tensors missing, 1 unknown.*'extra.weight'",
        ),
        (
            lambda s: {**s, "module.features.0.weight": s[FIRST]},
            "two tensors for 'features.0.weight': 'features.0.weight' and 'module.feat",
        ),
        (lambda s: {"state_dict": {}, "epoch": 1}, "no state dict"),
        (lambda s: [s], "no state dict"),
        (lambda s: torch.ones(3), "no state dict"),
        (lambda s: nn.Linear(2, 2), "safely.*whole model.*torch.save"),
        (lambda s: fresh("resnet18").state_dict(), "not those of 'squeezenet1_1'.*backbone"),
    ],
)
def test_what_cannot_be_used_is_refused_with_file_name_and_remedy(saved, state, change, match):
    path = saved(change(state))
    with pytest.raises(WeightsError, match=match) as caught:
        create_model(NAME, 7, path)
    assert re.escape(path) in re.escape(str(caught.value))
    assert len(str(caught.value)) < 600


def test_weights_of_other_floats_are_taken(saved, state):
    half = {n: v.half() for n, v in state.items()}
    loads(saved(half), {n: v.float() for n, v in half.items()})
    loads(saved({n: v.double() for n, v in state.items()}), state)
    odd = {n: v.bfloat16() for n, v in state.items()}
    loads(saved(odd), {n: v.float() for n, v in odd.items()})


def test_a_version_that_torchvision_does_not_know_is_refused(saved):
    state = as_saved("mnasnet0_5")
    state._metadata[""]["version"] = 9
    with pytest.raises(WeightsError, match="version should be set to 1 or 2 instead of 9"):
        create_model("mnasnet0_5", 2, saved(state))


def test_a_download_is_kept_if_it_is_what_its_name_says(monkeypatch, tmp_path):
    home = tmp_path / "home"
    path = home / "hub" / "checkpoints" / "squeezenet1_1.pth"
    torch.save({}, tmp_path / "saved.pth")
    digest = hashlib.sha256((tmp_path / "saved.pth").read_bytes()).hexdigest()[:8]
    for start in ("0" * 8, digest):
        source = (tmp_path / "saved.pth").rename(tmp_path / f"squeezenet1_1-{start}.pth")

        class Known(WeightsEnum):
            DEFAULT = Weights(url=source.as_uri(), transforms=None, meta={})

        monkeypatch.setattr(torchvision.models, "get_model_weights", lambda _, own=Known: own)
        if start != digest:
            with pytest.raises(DownloadError, match=f"start with '{start}', but it is '{digest}"):
                _download(NAME, str(path))
            assert [path for path in home.rglob("*") if path.is_file()] == []
            source.rename(tmp_path / "saved.pth")
    _download(NAME, str(path))
    assert [path for path in home.rglob("*") if path.is_file()] == [path]
    assert path.read_bytes() == source.read_bytes()


def test_what_differs_from_the_network_is_counted(saved, state):
    own = {name: value for name, value in state.items() if not name.startswith("features.0.")}
    own["features.3.squeeze.weight"] = torch.zeros(3, 3, 1, 1)
    with pytest.raises(WeightsError, match="2 tensors missing, 0 unknown, 1 of another shape"):
        create_model(NAME, 7, saved(own))


def test_weights_without_a_version_are_of_the_current_one(saved):
    """The stem of the first version was wider; its weights are brought to the second's shape."""
    own = as_saved("mnasnet0_5")
    found = create_model("mnasnet0_5", 1000, saved(dict(own))).state_dict()
    assert {name for name in own if torch.equal(found[name], own[name])} == set(own)


def test_versions_that_are_none_are_passed_over(saved, state):
    own = OrderedDict(state)
    own._metadata = {"": 3, 5: {"version": 2}, "features": {"version": 1}}
    loads(saved(own), state)


def test_half_a_file_is_refused(tmp_path, state):
    torch.save(state, tmp_path / "whole.pth")
    content = (tmp_path / "whole.pth").read_bytes()
    for count in (0, 1, 100, len(content) // 2, len(content) - 10):
        (tmp_path / "cut.pth").write_bytes(content[:count])
        with pytest.raises(WeightsError, match=r"cut\.pth.*safely.*damaged.*torch\.save"):
            create_model(NAME, 3, str(tmp_path / "cut.pth"))
