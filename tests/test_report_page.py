"""A report as a whole: each element, class and number of a page, and words that depend on facts."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from test_reports import VOID, Reader, facts_of

from fiftyone_gradcam.reports.charts import Line, chart, training_charts
from fiftyone_gradcam.reports.facts import Data
from fiftyone_gradcam.reports.html import cut, tag
from fiftyone_gradcam.reports.page import page

KEPT = Path(__file__).parent / "report_page.txt"
AGAIN = "if this change is intended, run `PYTHONPATH=. python tests/test_report_page.py`"


class Outline(HTMLParser):
    """Writes a page as lines: elements with attributes and texts, indented by depth."""

    def __init__(self, text: str):
        super().__init__()
        self.lines, self.open = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, element, attributes):
        self.handle_startendtag(element, attributes)
        if element not in VOID:
            self.open.append(element)

    def handle_startendtag(self, element, attributes):
        words = [element, *(f"{key}={value!r}" for key, value in attributes)]
        self.lines.append(" " * len(self.open) + " ".join(words) + ":")

    def handle_endtag(self, element):
        assert self.open.pop() == element
        if self.lines[-1] != " end":
            self.lines.append(" end")

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            own = self.lines[-1].startswith(" " * (len(self.open) - 1) + self.open[-1])
            text = repr(data)
            self.lines[-1:] = (
                [f"{self.lines[-1]} {text}"]
                if own
                else [self.lines[-1], " " * len(self.open) + text]
            )


def outline(text: str) -> str:
    """The lines of a page, those of ends of elements left out."""
    return "".join(f"{line}\n" for line in Outline(text).lines if line != " end")


def test_the_page_is_the_one_that_was_looked_at():
    """`report_page.txt` was compared with the facts by hand, figure by figure."""
    found, kept = outline(page(facts_of())).splitlines(), KEPT.read_text().splitlines()
    assert found == kept, AGAIN


def data(**changes):
    return {"data": replace(facts_of().data, **changes)}


def training(**changes):
    return {"training": replace(facts_of().training, **changes)}


def suspects(*shown, **changes):
    own = facts_of().suspects
    return {"suspects": replace(own, shown=list(shown) or own.shown, **changes)}


def decisions(**changes):
    return {"decisions": replace(facts_of().decisions, **changes)}


def compared(**changes):
    return {"compared": replace(facts_of().compared, **changes)}


NAMES = [f"c{i:02}" for i in range(31)]
FEW = {name: {"train": i + 1} for i, name in enumerate(NAMES)}
CORRECTION = facts_of().decisions.shown[0]
SUSPECT = facts_of().suspects.shown[0]
MISTAKE = facts_of().mistakes["cat"][0]
EPOCHS = [{"epoch": n, "train_loss": 1.0} for n in range(41)]
# What is changed of the facts, the section, and what it says then, or does not say.
SAID = [
    ({"part": "a view of 3"}, None, ["a view of 3. Report of 2026-01-02 03:04 UTC,"], []),
    (data(samples=1, counts={"cat": {"": 1}}, parts=[]), "data", ["1 sample, 1 class;"], ["none"]),
    (data(samples=1234), "data", ["1,234 samples"], []),
    (data(unlabeled=0), "data", [], ["without a label"]),
    (data(layout=""), "data", ["Imported from ~/cat."], ["("]),
    (data(folder=None), "data", ["Not imported by this plugin"], ["Imported from"]),
    (data(left_out={"x": 1}), "data", ["1 file left out by the import: 1 x."], ["more."]),
    (data(left_out={"x": 2000}), "data", ["2,000 files left out", "2,000 x.", "1,999 more."], []),
    (data(left_out=None), "data", [], ["left out"]),
    (data(contradictions=0), "data", ["1 group of identical files."], ["different labels"]),
    (data(equal=2), "data", ["2 groups of identical files, 1 of them"], []),
    (data(equal=0), "data", [], ["identical"]),
    ({"data": Data("", 1, 0, [], {})}, "data", ["1 sample"], ["identical"]),
    ({"data": Data("", 1, 0, [], {}, equal=2)}, "data", ["2 groups of identical files."], []),
    (data(counts={"a": {"train": 3}}), "data", [], ["all classes", "none"]),
    (data(parts=[]), "data", ["There is no split"], ["train20"]),
    (data(counts={}), "data", ["No sample has a label."], []),
    (data(counts=FEW), "data", ["The 30 largest of 31 classes are listed."], ["c00"]),
    (data(counts=dict([*FEW.items()][1:])), "data", ["c01"], ["largest"]),
    (training(trained=None), "training", ["Run cat: dog, 2 classes."], ["UTC"]),
    (
        training(best_epoch=0),
        "training",
        ["the best weights are those of the new layers alone,"],
        [],
    ),
    (training(val_images=None), "training", ["validation accuracy 85.0%."], []),
    (training(val_accuracy=None), "training", ["those of epoch 2."], ["validation accuracy"]),
    (training(history=[{"epoch": 0}]), "training", ["No curves"], ["best weights"]),
    (training(history=[{"epoch": 1}]), "training", ["1 epoch; the best", "No curves"], []),
    (training(corrected=1), "training", ["Note: 1 label was corrected since this run"], []),
    (
        training(corrected=2),
        "training",
        ["Note: 2 labels were corrected since this run was trained: retrain() repeats it"],
        ["on the corrected labels"],
    ),
    (
        training(corrected=2, retrained="again"),
        "training",
        ["since this run was trained; the run 'again' was trained on the corrected labels."],
        ["retrain()"],
    ),
    (training(findings=[{"message": "m"}]), "training", ["Note: m"], ["Warning"]),
    (training(others=[]), "training", [], ["Other runs"]),
    (training(others=["a", "b"]), "training", ["Other runs: a, b."], []),
    (training(recipe={"a": True, "b": False}), "training", ["ayes", "bno"], []),
    (training(recipe={"a": [], "b": (1, 2)}), "training", ["anone", "b1, 2"], []),
    (training(recipe={"a": 1e-4, "b": 1000000}), "training", ["a0.0001", "b1000000"], []),
    ({"mistakes": {"cat": [replace(MISTAKE, score=None)]}}, "mistakes", [], ["%"]),
    ({"mistakes": {}}, "mistakes", ["There are no wrong predictions."], ["lowest"]),
    ({"heatmaps": False}, "mistakes", ["There are no heatmaps: call predict()"], ["Evidence"]),
    (suspects(words=""), "labels", ["4 suspicious labels"], ["About"]),
    (suspects(progress=""), "labels", ["About 1 of"], ["4 suspicious labels"]),
    (suspects(kinds={}), "labels", [], ["Issues"]),
    (suspects(kinds={"a": 1, "b": 2000}), "labels", ["Issues: 1 a; 2,000 b."], []),
    (suspects(total=2), "labels", ["2 suspicious labels left."], ["are shown"]),
    (suspects(SUSPECT, total=1), "labels", ["1 suspicious label left."], ["are shown"]),
    (suspects(replace(SUSPECT, confidence=None)), "labels", ["suggested dog"], ["%"]),
    (suspects(replace(SUSPECT, quality=None)), "labels", ["sure"], ["quality"]),
    (suspects(replace(SUSPECT, sure=False)), "labels", ["quality 0.012"], ["sure"]),
    (decisions(counts={"a": 1000}), "corrections", ["Decisions: 1,000 a."], []),
    (decisions(pictured=0), "corrections", ["catdog"], ["listed without"]),
    (decisions(pictured=2), "corrections", ["cannot be shown"], ["listed without"]),
    (decisions(shown=[]), "corrections", ["No label was changed."], ["File"]),
    (decisions(total=2), "corrections", ["dogdogcat–"], ["corrections are listed"]),
    (decisions(total=3), "corrections", ["The last 2 of 3 corrections are listed."], []),
    (decisions(left_out={}), "corrections", [], ["left out"]),
    (
        decisions(left_out={"exclude": (2, ["a", "b"])}),
        *("corrections", ["Excluded, and left out: 2 samples: a, b."], ["more."]),
    ),
    (decisions(shown=[replace(CORRECTION, old=None)]), "corrections", ["catno labeldog"], []),
    (decisions(shown=[replace(CORRECTION, new=None)]), "corrections", ["catcatno label"], []),
    (decisions(shown=[replace(CORRECTION, evidence="")]), "corrections", ["dog–"], []),
    (
        decisions(shown=[replace(CORRECTION, time="2026-01-01T10:11:12")]),
        *("corrections", ["2026-01-01 10:11dog"], ["10:11:12"]),
    ),
    (
        compared(classes=dict.fromkeys(NAMES, facts_of().compared.pairs)),
        *("comparison", ["30 of 31 classes are listed.", "c29"], ["c30"]),
    ),
    (
        compared(classes=dict.fromkeys(NAMES[:30], facts_of().compared.pairs)),
        *("comparison", ["c29"], ["are listed"]),
    ),
    (
        {"results": replace(facts_of().results, names=NAMES, matrix=np.eye(31, dtype=int))},
        *("accuracy", ["The worst 30 of 31 classes are listed.", "c29"], ["c30"]),
    ),
    (
        {"results": replace(facts_of().results, names=NAMES[:30], matrix=np.eye(30, dtype=int))},
        *("accuracy", ["30 of 30 samples are right", "c29"], ["are listed"]),
    ),
    (
        {"results": replace(facts_of().results, names=NAMES[:20], matrix=np.eye(20, dtype=int))},
        *("confusion", ["c19", "No class is confused"], ["others", "most mistakes"]),
    ),
    (
        {"results": replace(facts_of().results, names=NAMES[:21], matrix=np.eye(21, dtype=int))},
        *("confusion", ["The 20 of 21 classes with most mistakes. Rows", "others"], ["c20"]),
    ),
]


@pytest.mark.parametrize("case", range(len(SAID)))
def test_what_is_said_depends_on_the_facts(case):
    changes, key, there, absent = SAID[case]
    read = Reader(page(facts_of(**changes)))
    text = "".join(read.texts) if key is None else read.sections[key]
    assert [words for words in there if words not in text] == []
    assert [words for words in absent if words in text] == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"results": None, "suspects": None, "decisions": None}, ["21 samples", "2 classes"]),
        (data(samples=1234, counts={"a": {"": 1}}), ["1,234 samples", "1 class"]),
        (data(samples=1, counts=FEW), ["1 sample", "31 classes"]),
        (suspects(total=1), ["1 suspicious label left"]),
        (suspects(total=0), ["0 suspicious labels left"]),
        (decisions(labels=2, total=3), ["2 labels corrected so far"]),
    ],
)
def test_key_figures_agree_with_their_nouns(changes, said):
    text = page(facts_of(**changes))
    own = text.split('<div class="tiles">')[1].split("<section", maxsplit=1)[0]
    found = re.findall("<b>(.*?)</b><span>(.*?)</span>", own)
    assert set(said) <= {f"{number} {words}" for number, words in found}
    assert len(found) == (2 if changes.get("results", 0) is None else 5)


@pytest.mark.parametrize(
    ("values", "is_share", "labels"),
    [
        ([0.3, 2.3], False, "0 0.5 1 1.5 2 2.5"),
        ([0.3, 1.2], False, "0 0.2 0.4 0.6 0.8 1 1.2"),  # six steps
        ([0.0, 0.0], False, "0 0.2"),
        ([-2.0, 5.0], False, "-2 0 2 4 6"),
        ([0.92, 0.97], True, "0.92 0.94 0.96 0.98 1"),
        ([0.01, 0.9], True, "0 0.2 0.4 0.6 0.8 1"),
        ([0.1, 3.0], False, "0 0.5 1 1.5 2 2.5 3"),  # 30 times as much: linear
        ([0.1, 3.1], False, "0.1 1 10"),
        ([0.0, 3.1], False, "0 1 2 3 4"),
        ([0.1, 1.0, 10.0], False, "0.1 1 10"),
    ],
)
def test_the_vertical_axis_has_round_values(values, is_share, labels):
    line = Line("a", "training", (range(1, len(values) + 1), values))
    text = chart("x", [line], None, is_share=is_share)
    assert re.findall(r'end">([^<]*)</text>', text) == labels.split()
    # An axis that ends at the first and last value: a dot is where its own value is labeled.
    places = re.findall(r'y="([\d.]+)" text-anchor="end">([^<]*)<', text)
    at = {float(label): float(y) - 4 for y, label in places}
    dots = [float(y) for y in re.findall(r'cy="([\d.]+)"', text)]
    for value, dot in zip(values, dots, strict=True):
        if value in at:
            assert dot == pytest.approx(at[value], abs=0.05)
    assert list(at.values())[:: len(at) - 1] == [238, 14]
    assert np.diff(list(at.values())) == pytest.approx(-224 / (len(at) - 1), abs=0.11)


@pytest.mark.parametrize(
    ("last", "step"),
    [
        *((1, 1), (10, 1), (11, 2), (21, 5), (51, 10), (101, 20), (201, 50), (501, 100)),
        *((1001, 200), (2001, 500), (5000, 500)),
    ],
)
def test_about_ten_epochs_are_labeled(last, step):
    text = chart("x", [Line("a", "training", ([1, last], [1.0, 2.0]))], None)
    labels = re.findall(r'<text x="([\d.]+)" y="256" text-anchor="middle">(\d+)<', text)
    assert [int(label) for _, label in labels] == list(range(0, last + 1, step))
    for x, label in labels:
        assert float(x) == pytest.approx(56 + 450 * int(label) / last, abs=0.05)


def test_the_line_of_the_kept_weights_is_named():
    line = Line("a", "training", ([0, 1], [1.0, 2.0]))
    for mark, name in ((None, None), (0, "the new layers alone"), (1.5, "epoch 1.5")):
        text = chart("x", [line], mark)
        assert re.findall("kept: (.*?)<", text) == ([name] if name else [])
    names = re.findall('middle">(.*?)<', text)
    assert names == ["new layers", "1", "epoch"]
    later = chart("x", [Line("a", "training", ([1, 2], [1.0, 2.0]))], None)
    assert re.findall('middle">(.*?)<', later) == ["0", "1", "2", "epoch"]


def test_many_points_have_no_dots():
    for count, dots in ((40, 40), (41, 0)):
        line = Line("a", "training", (range(count), [1.0] * count))
        assert chart("x", [line], None).count("<circle") == dots
    gap = Line("a", "training", (range(4), [1.0, None, None, 1.0]))
    text = chart("x", [gap], None)
    assert (text.count("<circle"), text.count("<polyline")) == (2, 0)


def test_validations_are_drawn_where_they_took_place():
    history = [{"epoch": 1, "train_loss": 1.0}, {"epoch": 2, "train_loss": 0.5}]
    halves = [
        {"epoch": epoch, "iteration": place, "val_loss": 0.8, "val_accuracy": 0.5}
        for epoch, place in ((1, 2), (1, 4), (2, 6), (2, 8))
    ]
    loss, accuracy = training_charts(history, halves, 2)
    dots = re.findall(r'<circle cx="([\d.]+)" cy="[\d.]+" r="3.5" class="validation"', loss)
    assert dots == ["168.5", "281.0", "393.5", "506.0"]
    assert "<title>Accuracy of validation by epoch</title>" in accuracy
    assert training_charts([{"epoch": 1}], [], None) == []
    alone = [{"epoch": 0, "train_loss": 2.0}, *history]
    (loss,) = training_charts(alone, [], None)
    assert loss.count("<polyline") == 1  # from epoch 1: the new layers saw other images
    (points,) = re.findall(r'<polyline points="([^"]+)"', loss)
    assert [x.split(",")[0] for x in points.split()] == ["281.0", "506.0"]


def test_texts_are_cut_in_the_middle():
    assert [cut("abcdef", most) for most in (6, 5, 4)] == ["abcdef", "ab…ef", "ab…f"]
    assert tag("i", hidden=True, class_=False, data_x=None, text_anchor=0) == (
        '<i hidden text-anchor="0"></i>'
    )
    assert tag("br", id="a") + tag("circle", r=1) == '<br id="a"><circle r="1"/>'


if __name__ == "__main__":
    KEPT.write_text(outline(page(facts_of())))
