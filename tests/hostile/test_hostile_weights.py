"""Files of weights from anywhere: nothing in them is run, and what cannot be used is named."""

from __future__ import annotations

import builtins
import io
import os
import pickle
import random
import zipfile
from collections import OrderedDict

import pytest
import torch
from judging import MARKER, Input, judge_all, some, tree_of
from words import TEXTS

from fiftyone_gradcam.model.weights import create_model, create_pretrained

NAME, CLASSES = "small_cnn", 3


class Evil:
    """Runs something when it is unpickled."""

    def __init__(self, function, *args):
        self.function, self.args = function, args

    def __reduce__(self):
        return self.function, self.args


def evils(marker: str) -> list:
    """Objects that would make a file."""
    code = f"open({marker!r}, 'w').close()"
    return [
        Evil(os.system, f"touch {marker}"),
        Evil(builtins.exec, code),
        Evil(builtins.eval, code),
        Evil(builtins.open, marker, "w"),
        Evil(os.mkdir, marker),
        Evil(__import__("subprocess").Popen, ["touch", marker]),
        Evil(torch.load, marker),
        Evil(__import__("runpy").run_path, marker),
        Evil(builtins.__import__, "antigravity"),
    ]


def saved(content: object, **options) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


def spoiled(state: dict, source: random.Random, make) -> dict:
    name = source.choice([n for n, v in state.items() if v.dim()])
    found = OrderedDict(state)
    found[name] = make(found[name])
    return found


def rewritten(data: bytes, change) -> bytes:
    """A file of torch.save with a changed pickle in it."""
    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(result, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, change(content) if name.endswith("data.pkl") else content)
    return result.getvalue()


def shared(width: int, depth: int) -> dict:
    """Dictionaries that are the same ones over and over: few in the file, many to go through."""
    found: dict = {"x": 1}
    for _ in range(depth):
        found = {f"k{i}": found for i in range(width)}
    return found


TENSORS = {
    "transposed": lambda v: v.transpose(0, -1).contiguous(),
    "short": lambda v: v[:-1],
    "flat": lambda v: v.flatten()[:, None],
    "NaN": lambda v: v.float().fill_(float("nan")),
    "infinity": lambda v: torch.full_like(v, float("-inf"), dtype=torch.float),
    "too large": lambda v: v.double().fill_(1e200),
    "integers": lambda v: v.to(torch.int32),
    "bytes": lambda v: v.to(torch.uint8),
    "truth values": lambda v: v > 0,
    "complex": lambda v: v + 1j,
    "sparse": lambda v: v.to_sparse(),
    "meta": lambda v: v.to("meta"),
    "quantized": lambda v: torch.quantize_per_tensor(v.float(), 0.1, 0, torch.qint8),
    "half": lambda v: v.half(),
    "float 8": lambda v: v.to(torch.float8_e4m3fn),
    "empty": lambda v: v[:0],
    "scalar": lambda v: v.sum(),
    "huge claim": lambda v: torch.tensor(1.0).expand(10**12, *v.shape[1:]),
    "no storage of its own": lambda v: torch.tensor(1.0).expand(v.shape),
    "parameter": lambda v: torch.nn.Parameter(v.float()),
    "needs a gradient": lambda v: v.clone().requires_grad_(),
    "a list": lambda v: v.tolist(),
    "None": lambda v: None,
    "a text": lambda v: "x" * 10**5,
    "a dictionary": lambda v: {"weight": v},
}


def contents(seed: int, marker: str, light: bool = False) -> list[tuple[str, bytes]]:
    """What files hold, by what is hostile about it; if `light`, what is made in no time."""
    source = random.Random(seed)
    torch.manual_seed(seed)
    state = create_model(NAME, CLASSES, "none").state_dict()
    good = saved(state)
    found = [(f"random bytes {n}", source.randbytes(n)) for n in (0, 1, 2, 10, 1000, 10**5)]
    for head in (b"PK\x03\x04", b"\x80\x02", b"\x80\x04\x95", good[:64], b"ustar", b"\x93NUMPY"):
        found += [(f"random after {head[:6]!r}", head + source.randbytes(500)) for _ in range(2)]
    found += [(f"cut at {n}", good[:n]) for n in source.sample(range(len(good)), 10)]
    for _ in range(12):
        data = bytearray(good)
        for _ in range(source.choice((1, 5, 50))):
            data[source.randrange(len(data))] = source.randrange(256)
        found.append(("flipped bytes", bytes(data)))
    for evil in evils(marker):
        protocol = source.choice(range(2, 6))
        where = source.choice([evil, {"state_dict": evil}, {**state, "x": evil}, [evil]])
        found.append((f"pickled {evil.function.__name__}", pickle.dumps(evil, protocol=protocol)))
        found.append((f"saved {evil.function.__name__}", saved(where)))
        old = saved(where, _use_new_zipfile_serialization=False)
        found.append((f"saved as before {evil.function.__name__}", old))
    for words, make in TENSORS.items():
        found.append((words, saved(spoiled(state, source, make))))
    key = source.choice(list(state))
    for text in source.sample(TEXTS, 8):
        found.append((f"a key {text!r:.40}", saved({**state, text: torch.ones(1)})))
        found.append((f"under {text!r:.40}", saved({text: state, "epoch": 1})))
    if light:
        return [*found, ("shared dictionaries", saved(shared(100, 6)))]
    lost = {n: v for n, v in state.items() if n != key}
    found += [
        ("one is missing", saved(lost)),
        ("none", saved({})),
        ("keys of no text", saved({0: torch.ones(1), **state})),
        ("keys of bytes", saved({b"x": torch.ones(1)})),
        ("another network", saved(create_model("squeezenet1_1", 2, "none").state_dict())),
        ("a whole network", saved(create_model(NAME, CLASSES, "none"))),
        ("another head", saved(create_model(NAME, 7, "none").state_dict())),
        ("nested deep", saved({"a": {"b": {"c": {"d": {"e": {"f": state}}}}}})),
        ("two networks", saved({"a": state, "b": state})),
        ("twice", saved({**state, **{f"module.{n}": v for n, v in state.items()}})),
        ("prefixes without end", saved({"module." * 10**4 + n: v for n, v in state.items()})),
        ("many keys", saved({f"k{i}": i for i in range(10**5)})),
        ("many tensors", saved({f"k{i}": torch.ones(0) for i in range(3000)})),
        ("shared dictionaries", saved(shared(100, 6))),
        ("wide shared dictionaries", saved(shared(1500, 4))),
        ("lists in lists", b"\x80\x02" + b"]" * 10**5 + b"a" * (10**5 - 1) + b"."),
        ("lists in lists in a file", rewritten(good, lambda _: b"\x80\x02" + b"]" * 3000
                                                + b"a" * 2999 + b".")),
        ("an endless claim", rewritten(good, lambda _: b"\x80\x02\x8e" + b"\xff" * 7 + b"\x7f")),
        ("numbers of 2 MB", rewritten(good, lambda _: b"\x80\x02\x8b\x00\x00\x20\x00" + b"9" * 10)),
        ("another pickle", rewritten(good, lambda _: pickle.dumps(evils(marker)[0], 2))),
        ("half a pickle", rewritten(good, lambda x: x[: len(x) // 2])),
        ("a zip of nothing", rewritten(good, lambda _: b"")),
        ("versions of no use", saved(versions(state, {"": {"version": "x"}, 3: 4, "a": None}))),
        ("versions nobody knows", saved(versions(state, {"": {"version": 10**30}}))),
        ("a json", b'{"conv1.weight": [1, 2]}'),
        ("a tensor", saved(torch.ones(3))),
        ("a number", saved(3)),
        ("a picture", b"\x89PNG\r\n\x1a\n" + bytes(100)),
    ]  # fmt: skip
    return found


def versions(state: dict, metadata: dict) -> OrderedDict:
    found = OrderedDict(state)
    found._metadata = metadata
    return found


def inputs(folder, seed: int, light: bool = False) -> list[Input]:
    """Files of weights, and how they are used."""
    marker = str(folder / MARKER)
    source, found = random.Random(seed), []
    for number, (what, data) in enumerate(contents(seed, marker, light)):
        path = folder / f"weights {number}.pth"
        path.write_bytes(data)
        use = source.choice((
            lambda p: create_model(NAME, CLASSES, p, warn=lambda _: None),
            lambda p: create_model(NAME, CLASSES, p, hidden=(4,)),
            lambda p: create_pretrained(NAME, p),
            lambda p: create_model("squeezenet1_1", 2, p) if "another" in p else
            create_model(NAME, CLASSES, p),
        ))  # fmt: skip
        found.append(
            Input(
                *("create_model", "weights", what),
                lambda use=use, p=str(path): use(p),
                (path.name,),
                check_model,
            )
        )
    return found


def check_model(model) -> None:
    """A network that was accepted gives numbers."""
    with torch.no_grad():
        assert torch.isfinite(model.eval()(torch.zeros(1, 3, 32, 32))).all()


def check(items: list[Input], folder) -> None:
    before = tree_of(folder)
    judge_all(items, [])
    assert tree_of(folder) == before  # no marker either


def test_hostile_weights_in_the_default_suite(tmp_path):
    check(some(inputs(tmp_path, 0, light=True), 0, 12), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 4))
def test_hostile_weights(seed, tmp_path):
    check(inputs(tmp_path, seed), tmp_path)
