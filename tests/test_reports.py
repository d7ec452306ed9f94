"""Reports: what the page says of values, names that attack it, and what a dataset's report has."""

import io
import re
from html import unescape
from html.parser import HTMLParser

import numpy as np
from PIL import Image

from fiftyone_gradcam.dataset.report_labels import decisions_of
from fiftyone_gradcam.dataset.reviews import Review
from fiftyone_gradcam.images.decode import DecodeOptions
from fiftyone_gradcam.reports.charts import Line, chart
from fiftyone_gradcam.reports.confusion import confused_pairs, worst_classes
from fiftyone_gradcam.reports.facts import (
    Compared,
    Correction,
    Data,
    Decisions,
    Facts,
    Mistake,
    Picture,
    Results,
    Suspect,
    Suspects,
    Training,
)
from fiftyone_gradcam.reports.html import tag
from fiftyone_gradcam.reports.page import page
from fiftyone_gradcam.review.comparison import Pairs

HOSTILE = [
    '<script>alert("1")</script>',
    "</style></title><img src=x onerror=alert(1)>",
    "\"onmouseover='alert(1)' x=\"",
    "a&amp;b &lt;i&gt; ]]> --> <!--",
    "\u202egnp.\x00exe\ud800",
    "javascript:alert(1)",
]
VOID = ("meta", "img")
KNOWN = {
    *("html", "head", "meta", "title", "style", "body", "header", "main", "footer", "section"),
    *("nav", "a", "h1", "h2", "h3", "p", "div", "span", "b", "i", "bdi", "code", "img", "dl", "dt"),
    *("dd", "table", "thead", "tbody", "tr", "th", "td", "figure", "figcaption", "svg", "line"),
    *("polyline", "circle", "text"),
}


class Reader(HTMLParser):
    """Reads a page as a browser does: which elements there are, and which texts in them."""

    def __init__(self, text: str):
        super().__init__()
        self.open, self.tags, self.texts, self.sections = [], [], [], {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, element, attributes):
        self.tags.append((element, dict(attributes)))
        if element not in VOID:
            self.open.append((element, dict(attributes).get("id")))

    def handle_startendtag(self, element, attributes):
        self.tags.append((element, dict(attributes)))

    def handle_endtag(self, element):
        assert self.open.pop()[0] == element

    def handle_data(self, data):
        self.texts.append(data)
        for element, key in self.open:
            if element == "section":
                self.sections[key] = self.sections.get(key, "") + data

    def rows(self, page: str, key: str) -> list[str]:
        """Texts of the cells of a section's tables, row by row."""
        own = page.split(f'id="{key}"')[1].split("</section>", maxsplit=1)[0]
        found = re.findall(r"<tr>(.*?)</tr>", own)
        strip = re.compile(r"<[^>]*>")
        return [
            " | ".join(strip.sub("", cell) for cell in re.split(r"</t[dh]>", row)[:-1])
            for row in found
        ]


def facts_of(names=("cat", "dog"), **changes) -> Facts:
    """A report in which each name stands wherever a name can stand."""
    a, b = names[0], names[-1]
    picture = Picture(b"\xff\xd8jpeg", 40, 30)
    matrix = np.array([[8, 2], [1, 9]])
    facts = {
        "title": a,
        "part": "",
        "made": "2026-01-02 03:04 UTC",
        "version": "1",
        "data": Data(
            "ground_truth", 21, 1, ["train", "val"],
            {a: {"train": 7, "val": 3}, b: {"train": 8, "": 2}},
            f"~/{a}", f"class: {b}", {"not an image": 2}, [(f"{a}.txt", b)], 1, 1,
        ),
        "training": Training(
            a, "2026-01-01T10:11:12", 2, {"backbone": b, "epochs": 2, "hidden": [4], "x": None},
            [
                {"epoch": 1, "train_loss": 1.0, "train_accuracy": 0.5, "val_loss": 0.8},
                {"epoch": 2, "train_loss": 0.5, "train_accuracy": 0.75, "val_loss": float("nan")},
            ],
            [], 2, 0.85, 20, [{"severity": "warning", "message": a}], [b],
        ),
        "results": Results("the samples tagged 'val'", [a, b], matrix, [b]),
        "mistakes": {
            a: [Mistake(picture, True, b, a, b, 0.987), Mistake(None, False, a, a, b, None)]
        },
        "heatmaps": True,
        "suspects": Suspects(
            "About 1 of 21 labels is wrong", "4 suspicious labels: 1 reviewed, 3 left", 3, {a: 2},
            [
                Suspect(picture, a, a, 0.0123, b, 0.9, b, True),
                Suspect(None, b, b, None, None, None, "", False),
            ],
        ),
        "decisions": Decisions(
            {"accept": 1, "keep": 2}, 2, 1,
            [Correction(a, a, b, None, b, a, picture), Correction(b, b, a, None, b, b)], 1,
            {"exclude": (3, [a, b]), "unclear": (1, [b])},
        ),
        "compared": Compared(
            "first", "second", "2026-01-02 10:11 UTC", Pairs(20, 14, 17, 1, 4, 2),
            {a: Pairs(10, 8, 8, 1, 1, 1), b: Pairs(10, 6, 9, 0, 3, 1)}, [b],
        ),
    }  # fmt: skip
    return Facts(**facts | changes)


def test_the_page_says_what_it_was_given():
    text = page(facts_of())
    read = Reader(text)
    assert "21 samples, 2 classes; labels in the field ground_truth." in read.sections["data"]
    assert "1 sample without a label." in read.sections["data"]
    assert "2 files left out by the import: 2 not an image." in read.sections["data"]
    assert "1 group of identical files, 1 of them with different labels." in read.sections["data"]
    assert read.rows(text, "data")[2:] == [
        "Class | train | val | none | Samples | ",
        "cat | 7 | 3 | 0 | 10 | ",
        "dog | 8 | 0 | 2 | 10 | ",
        "all classes | 15 | 3 | 2 | 20 | ",
    ]
    assert (
        "2 epochs; the best weights are those of epoch 2, validation accuracy 85.0% on 20 images."
        in (read.sections["training"])
    )
    # 17 of 20: Wilson's interval by hand is (1.7 + .19207 -+ 1.96 sqrt(.1275 + .0480) / 2...)
    assert (
        "Accuracy 85.0% (95% interval 64.0% to 94.8%): 17 of 20 samples are right."
        in (read.sections["accuracy"])
    )
    assert read.rows(text, "accuracy") == [
        "Class | Samples | Right | Recall | Precision | F1",
        "cat | 10 | 8 | 80.0% | 88.9% | 84.2%",
        "dog | 10 | 9 | 90.0% | 81.8% | 85.7%",
    ]
    assert read.rows(text, "confusion") == [
        " | predicted", "label | cat | dog", "cat | 8 | 2", "dog | 1 | 9",
        "Label | Predicted | Samples | Of the label",
        "cat | dog | 2 | 20.0%",
        "dog | cat | 1 | 10.0%",
    ]  # fmt: skip
    for words in ("label cat", "predicted dog 98.7%", "cannot be shown"):
        assert words in read.sections["mistakes"]
    for words in (
        "suggested dog 90.0%",
        "label quality 0.012, sure",
        "4 suspicious labels: 1 reviewed, 3 left.",
        "3 suspicious labels left; the 2 most suspicious are shown",
    ):
        assert words in read.sections["labels"]
    rows = read.rows(text, "corrections")[1:]
    assert rows == ["cat |  | cat | dog | – | dog | cat", "dog |  | dog | cat | – | dog | dog"]
    assert text.count('alt="now labeled dog"') == 1
    for words in (
        "Images of the latest 1; 1 more are listed without.",
        "Excluded, and left out: 3 samples: cat, dog and 1 more.",
        "Marked as unclear, and left out: 1 sample: dog.",
    ):
        assert words in read.sections["corrections"]
    assert "Decisions: 1 accept, 2 keep." in read.sections["corrections"]
    assert (
        "'first' is right on 14 of 20 images (70.0%), 'second' on 17 (85.0%).The difference may be "
        "chance: too few images to tell them apart (McNemar's exact test, p = 0.38). Compared on "
        "2026-01-02 10:11 UTC."
    ) in read.sections["comparison"]
    assert [unescape(row) for row in read.rows(text, "comparison")] == [
        "Result | Samples | Share",
        "Both are right | 13 | 65.0%",
        "Fixed: only 'second' is right | 4 | 20.0%",
        "Broken: only 'first' is right | 1 | 5.0%",
        "Both are wrong | 2 | 10.0%",
        "Class | Samples | Right by 'first' | Right by 'second'",
        "dog | 10 | 6 | 9",
        "cat | 10 | 8 | 8",
    ]
    assert {key for key in read.sections if key} == {
        *("data", "training", "accuracy", "confusion", "mistakes", "labels", "corrections"),
        "comparison",
    }


def test_files_that_are_skipped_and_files_that_are_left_out_are_two_things():
    for skipped, left_out, words in (
        ({}, {}, ["The import left out no files."]),
        (
            {".md files": 1, "masks beside images": 2},
            {},
            [
                "Skipped by the import: 1 .md file; 2 masks beside images.",
                "The import left out no other files.",
            ],
        ),
        (
            {".md files": 2},
            {"empty file": 1},
            [
                "Skipped by the import: 2 .md files.",
                "1 file left out by the import: 1 empty file.",
            ],
        ),
    ):
        data = Data("", 3, 3, [], {}, "~/x", "", left_out, skipped=skipped)
        read = Reader(page(facts_of(data=data)))
        found = [x for x in read.texts if "the import" in x.lower()]
        assert found == words


def test_the_largest_classes_are_listed_first():
    counts = {"cat": {"train": 2}, "ant": {"train": 4, "val": 1}, "dog": {"train": 5}}
    text = page(facts_of(data=Data("ground_truth", 12, 0, ["train", "val"], counts)))
    assert [row.split(" | ")[0] for row in Reader(text).rows(text, "data")] == [
        *("Class", "ant", "dog", "cat", "all classes")
    ]


def test_hostile_names_are_text_and_nothing_is_loaded():
    names = [f"{own}{place}" for place, own in enumerate(HOSTILE)]
    many = Results("all", names, np.ones((6, 6), int), names)
    for first, last in zip(names, reversed(names), strict=True):
        text = page(facts_of((first, last), results=many))
        text.encode("utf-8")
        read = Reader(text)
        assert {name for name, _ in read.tags} <= KNOWN
        for name, attributes in read.tags:
            assert not any(key.startswith("on") for key in attributes), (name, attributes)
            assert attributes.get("src", "data:image/jpeg;base64,").startswith("data:image/jpeg")
            assert attributes.get("href", "#").startswith("#")
        shown = re.sub("[\x00\u202e\ud800]", "\ufffd", first)
        assert any(shown == one for one in read.texts)
        assert not re.search("[\x00\u202a-\u202e\ud800-\udfff]", text)
        (policy,) = [x["content"] for _, x in read.tags if "http-equiv" in x]
        assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    long = Reader(page(facts_of(("x" * 5000, "y"))))
    assert max(map(len, long.texts[5:])) <= 2000


def test_what_there_is_nothing_of_is_said():
    data = Data("", 3, 3, [], {})
    none = dict.fromkeys(("training", "results", "suspects", "decisions", "compared"))
    read = Reader(page(facts_of(data=data, mistakes={}, heatmaps=False, **none)))
    said = {
        "data": ("no record of sources", "No sample has a label", "There is no split"),
        "training": ("no training run yet: call fine_tune()",),
        "accuracy": ("No sample has both a label and a prediction: call predict()",),
        "confusion": ("There are no predictions.",),
        "mistakes": ("There are no predictions.",),
        "labels": ("not been judged yet: call find_label_issues()",),
        "corrections": ("No label has been reviewed yet",),
        "comparison": ("not compared with another one yet: call retrain() or compare_runs()",),
    }
    for key, words in said.items():
        assert all(one in read.sections[key] for one in words), key
    right = Results("all", ["a"], np.array([[3]]), [])
    read = Reader(page(facts_of(results=right, mistakes={})))
    assert "There are no wrong predictions" in read.sections["mistakes"]
    assert "No class is confused with another" in read.sections["confusion"]
    imported = facts_of().training.__class__(
        "r", None, 2, {"backbone": "x"}, [], [], 0, None, None, [], []
    )
    assert "No curves" in Reader(page(facts_of(training=imported))).sections["training"]


def test_many_classes_show_the_worst():
    matrix = np.diag(np.full(60, 10))
    matrix[7, 30] = 5
    matrix[59, 0] = 3
    assert worst_classes(matrix, 4) == [0, 7, 30, 59]
    assert confused_pairs(matrix, 9) == [(7, 30, 5), (59, 0, 3)]
    names = [f"class {i:02}" for i in range(60)]
    text = page(facts_of(results=Results("all", names, matrix, [])))
    rows = Reader(text).rows(text, "confusion")
    assert len(rows[1].split(" | ")) == 1 + 20 + 1  # a column of all others
    assert rows[1].endswith(" | others")
    assert "class 07" in rows[1]
    row = next(row for row in rows if row.startswith("class 59"))
    assert row.split(" | ")[1] == "3"  # as class 00, the first of the worst
    assert "The worst 30 of 60 classes" in Reader(text).sections["accuracy"]


def test_of_classes_with_equal_recall_the_larger_is_listed_first():
    matrix = np.array([[1, 1, 0], [2, 2, 0], [0, 0, 3]])
    text = page(facts_of(results=Results("all", ["a", "b", "c"], matrix, [])))
    names = [row.split(" | ")[0] for row in Reader(text).rows(text, "accuracy")]
    assert names[-3:] == ["b", "a", "c"]


def test_the_last_column_has_the_predictions_of_all_other_classes():
    matrix = np.diag(np.full(60, 10))
    matrix[0, 40:60] = 1  # 20 of 30 are wrong, each as another class
    matrix[np.arange(1, 20), np.arange(21, 40)] = 2
    assert worst_classes(matrix, 20) == list(range(20))
    names = [f"class {i:02}" for i in range(60)]
    text = page(facts_of(results=Results("all", names, matrix, [])))
    last = {row[:8]: row.split(" | ")[-1] for row in Reader(text).rows(text, "confusion")[2:22]}
    assert last == {names[0]: "20", **dict.fromkeys(names[1:20], "2")}
    assert '<td style="background:rgba(var(--bad),0.44)" title="66.7% of the label">20</td>' in text


def test_curves_are_where_the_numbers_are():
    line = Line("training", "training", ([0, 1, 2, 3], [0.5, 1.0, None, 0.0]))
    text = chart("Accuracy", [line], 2, is_share=True)
    circles = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', text)
    assert circles == [("56.0", "126.0"), ("206.0", "14.0"), ("506.0", "238.0")]
    (points,) = re.findall(r'<polyline points="([^"]+)"', text)  # broken where a number is missing
    assert points == "56.0,126.0 206.0,14.0"
    assert '<line x1="356.0" x2="356.0"' in text
    spread = Line("training", "training", ([1, 2], [1e-3, 10.0]))
    labels = re.findall(r'end">([\d.e+-]+)</text>', chart("Loss", [spread], None))
    assert labels == ["0.001", "0.01", "0.1", "1", "10"]
    for ys in ([0.0, 0.0], [1.0], [3e7, 1e7], [-2.0, 5.0]):
        text = chart("Loss", [Line("a", "training", (range(len(ys)), ys))], None)
        places = [float(y) for y in re.findall(r'cy="([-\d.]+)"', text)]
        assert all(14 <= y <= 238 for y in places), ys


def test_nothing_is_made_where_text_is_expected():
    assert tag("p", "<b>", tag("b", "&"), None, 3, title='"') == (
        '<p title="&quot;">&lt;b&gt;<b>&amp;</b>3</p>'
    )


def test_of_many_corrections_the_last_are_listed_first():
    reviews = [
        Review(*(str(n), f"/data/{n}.png", "relabel", "a", "b" if n % 2 else "a", "own"),
               *("Python", f"2026-01-01T10:{n:04}", "", None, "step"))
        for n in range(250)
    ]  # fmt: skip
    found = decisions_of(reviews, "/data", DecodeOptions(), 24)
    assert (found.total, found.counts) == (125, {"relabel": 250})
    assert [x.file for x in found.shown] == [f"{n}.png" for n in range(249, 50, -2)]
    assert (found.pictured, found.left_out) == (24, {})
    assert decisions_of([], "/data", DecodeOptions(), 24) is None


def test_the_files_of_left_out_samples_are_named_and_some_corrections_have_an_image(tmp_path):
    for n in range(3):
        Image.new("RGB", (400, 200), (80 * n, 0, 0)).save(tmp_path / f"{n}.png")

    def review(n: int, decision: str, new: str = "a") -> Review:
        own = (str(n), str(tmp_path / f"{n}.png"), decision, "a", new, "own", "Python")
        return Review(*own, "2026-01-01T10:00", "", None, "step")

    reviews = [review(n, "relabel", "b") for n in (9, 0, 1, 2)]  # the file of 9 is gone
    reviews += [review(n, "exclude") for n in range(100, 125)]
    reviews += [review(100, "unclear"), review(101, "keep"), review(102, "exclude")]
    found = decisions_of(reviews, str(tmp_path), DecodeOptions(), 2)
    assert found.left_out == {
        "exclude": (23, ["102.png", *(f"{n}.png" for n in range(124, 105, -1))]),
        "unclear": (1, ["100.png"]),
    }
    assert found.pictured == 2
    images = [one.picture and (one.picture.width, one.picture.height) for one in found.shown]
    assert images == [(220, 110), (220, 110), None, None]
    red = [np.asarray(Image.open(io.BytesIO(x.picture.jpeg)))[50, 50, 0] for x in found.shown[:2]]
    assert np.abs(np.array(red, int) - [160, 80]).max() <= 3  # the latest first
    assert decisions_of(reviews, str(tmp_path), DecodeOptions(), 9).pictured == 4
