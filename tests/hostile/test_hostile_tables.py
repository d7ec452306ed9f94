"""CSV files from anywhere: a plan, or an error that names the table."""

from __future__ import annotations

import codecs
import random

import pytest
from judging import Input, judge_all, tree_of
from words import TEXTS, mixed

import fiftyone_gradcam as fg

HEADERS = ("filename", "label", "image_id", "class", "split", "fold", "id", "cat", "dog", "is_test",
           "image", "path", "species", "Dateiname", "x_min", "confidence", "_id", "")  # fmt: skip
COLUMNS = ("image_column", "label_column", "split_column")
IMAGES = ("1.png", "2.png", "3.png", "sub/4.png", "sub/5.png", "ä.png")
ENCODINGS = (
    "utf-8",
    "utf-8-sig",
    "utf-16",
    "utf-16-le",
    "utf-16-be",
    "cp1252",
    "utf-32",
    "utf-7",
    "cp037",
)
BY_HAND = {
    "empty": b"",
    "one byte": b"\xff",
    "a BOM alone": codecs.BOM_UTF16_LE,
    "half a letter": codecs.BOM_UTF16_LE + b"a",
    "zeros": bytes(5000),
    "an open quote": b'filename,label\n1.png,"cat\n2.png,dog\n' * 50,
    "a cell without end": b"filename,label\n1.png," + b"x" * 300_000 + b"\n2.png,dog\n",
    "a header without end": b"a" * 2_000_000,
    "columns without end": b"filename,label" + b"," * 200_000 + b"\n1.png,cat\n",
    "rows without end": b"filename,label\n" + b"1.png,cat\n" * 100_000,
    "classes without end": b"filename,label\n"
    + b"".join(b"1.png,c%d\n" % i for i in range(50_000)),
    "one-hot without end": b"filename," + b",".join(b"c%d" % i for i in range(3000)) + b"\n"
    + b"".join(b"%d.png" % i + b",0" * 2999 + b",1\n" for i in range(1, 4)),
    "lines of quotes": b'"' * 100_000,
    "line ends alone": b"\r\r\r\n\n\r" * 1000,
    "the same header twice": b"filename,label,label\n1.png,cat,dog\n2.png,dog,cat\n",
    "sep= alone": b"sep=;",
    "sep= over and over": b"sep=;\n" * 1000,
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4,
    "paths that lead out": b"filename,label\n../../etc/passwd,cat\n/etc/passwd,dog\n../1.png,cat\n"
    b"1.png,cat\n2.png,dog\n",
    "a formula": b"filename,label\n1.png,=cmd|'/c calc'!A1\n2.png,+1+1\n",
    "controls": b"filename,label\n1.png,\x00\x01\n2.png,\x1e\n3.png,\x1b[31m\n",
    "our own mark": b"filename,label\n1.png,cat\x1e\n\x1e\n2.png,dog\n",
    "surrogates": "filename,label\n1.png,\ud800\n2.png,b\n".encode("utf-8", "surrogatepass"),
    "two rows for one": b"filename,label\n1.png,cat\n1.png,dog\n2.png,dog\n",
    "numbers": b"filename,label\n1,1e999\n2,nan\n3,inf\n",
}  # fmt: skip


def table(source: random.Random) -> bytes:
    """A table with something wrong about it."""
    headers = [
        source.choice((*HEADERS, source.choice(TEXTS)[:300])) for _ in range(source.randint(1, 5))
    ]
    if source.random() < 0.7:
        headers[0] = source.choice(("filename", "image_id", "image", "path"))
    if source.random() < 0.6 and len(headers) > 1:
        headers[1] = source.choice(("label", "class", "species"))
    delimiter, rows = source.choice(",;\t|"), [headers]
    for _ in range(source.randint(0, 12)):
        row = [source.choice(IMAGES)]
        while len(row) < max(len(headers) + source.choice((0, 0, 0, -1, 1)), 1):
            row.append(
                source.choice(
                    ("cat", "dog", "0", "1", "", mixed(source), source.choice(TEXTS)[:2000])
                )
            )
        rows.append(row)
    text = source.choice(("\n", "\r\n", "\r")).join(map(delimiter.join, rows))
    data = bytearray(text.encode(source.choice(ENCODINGS), source.choice(("replace", "ignore"))))
    for _ in range(source.choice((0, 0, 1, 20))):
        if data:
            data[source.randrange(len(data))] = source.randrange(256)
    return bytes(data[: source.choice((len(data), len(data), len(data) // 2))])


def inputs(root, seed: int | str, count: int) -> list[Input]:
    """Tables beside images; found, or named."""
    source, found = random.Random(f"tables {seed}"), []
    made = list(BY_HAND.items()) if seed == 0 else []
    made += [(f"generated {i}", table(source)) for i in range(count - len(made))]
    for number, (what, data) in enumerate(made):
        home = root / str(number)
        for name in IMAGES:
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).write_bytes(b"x")
        name = source.choice(("labels.csv", "train.csv", "_classes.csv", "a b'c.csv"))
        (home / name).write_bytes(data)
        more = {}
        if source.random() < 0.6:
            more["table"] = source.choice((str(home / name), [str(home / name)]))
        for column in COLUMNS:
            if source.random() < 0.15:
                more[column] = source.choice((*HEADERS, *TEXTS))
        if source.random() < 0.1:
            more["class_names"] = str(home / name)
        if source.random() < 0.1:
            more["level"] = source.choice(("first", "last", "joined", "x"))
        found.append(
            Input(
                "plan_import",
                "tables",
                f"{what} {more}",
                lambda home=home, more=more: fg.plan_import(str(home), **more),
                (
                    str(home),
                    name,
                    *(x for x in ("level", "_column", "class_names") if any(x in m for m in more)),
                ),
                lambda plan, home=home: check_plan(plan, home),
            )
        )
    return found


def check_plan(plan, home) -> None:
    """A plan holds no files but those of the folder, each once, and can be shown."""
    paths = [item.path for item in plan.items]
    assert len(set(paths)) == len(paths)
    assert set(paths) <= {str(home / name) for name in IMAGES}
    str(plan).encode("utf-8", "surrogateescape")
    for label in plan.classes:
        assert label == label.strip()
        assert label


def check(items: list[Input], root) -> None:
    before = tree_of(root)
    judge_all(items, [])
    assert tree_of(root) == before


def test_hostile_tables_in_the_default_suite(tmp_path):
    check(inputs(tmp_path, "sample", 12), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_hostile_tables(seed, tmp_path):
    check(inputs(tmp_path, seed, 100), tmp_path)
