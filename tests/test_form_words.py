"""The words of all forms: arguments by their labels, plain American English, no citations."""

import ast
import re

import pytest
from conftest import REPOSITORY
from test_operators import CALLS

from fiftyone_gradcam.app.operators import OPERATORS
from fiftyone_gradcam.app.operators.labels import LABELS, OF_VERBS, in_labels

APP = REPOSITORY / "fiftyone_gradcam" / "app"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("pass overwrite=True", "turn on “Replace what is there”"),
        ("Pass keep_masks=False", "Turn off “Keep masks”"),
        ("another name, or overwrite=True", "another name, or turn on “Replace what is there”"),
        ("Pass label_from='folder' or more", "Set “Classes come from” to “folder” or more"),
        ("weights='none' is not", "“Pretrained weights” set to “none” is not"),
        ("pass weights= with a file", "pass “Pretrained weights” with a file"),
        ("by split_from here", "by “Splits come from” here"),
        ("count must be at least 1, not 0", "“Number of samples” must be at least 1, not 0"),
        ("Call split() again", "Call “Split into train, val and test” again"),
        ("the label of a run, and its name", "the label of a run, and its name"),
        ("field 'label_field' of the data", "field 'label_field' of the data"),
        ("/a/label_from/x.jpg", "/a/label_from/x.jpg"),
        ("“Keep masks” as it is", "“Keep masks” as it is"),
    ],
)
def test_messages_are_in_the_words_of_the_form(text, shown):
    assert in_labels(text).split() == shown.split()
    assert in_labels(in_labels(text)) == in_labels(text)


def test_a_form_may_call_an_argument_something_else():
    left = "Canceled: 4 of 9 images have predictions now. Pass resume=True to continue"
    assert in_labels(left, "predict").endswith(" now. “Resume” continues with the others")
    assert in_labels("scale=3", "fine_tune") == "“Zoom” set to 3"
    assert in_labels("scale=3", "predict") == "“Heatmap scale” set to 3"


def raised_texts() -> list[tuple[str, str]]:
    """Texts of errors that verbs raise, with "x" in the place of values."""
    found = []
    for room in ("workflow", "folders", "dataset", "training", "arguments.py"):
        place = REPOSITORY / "fiftyone_gradcam" / room
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            for node in ast.walk(ast.parse(path.read_text())):
                if not (isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)):
                    continue
                for text in node.exc.args[:1]:
                    parts = text.values if isinstance(text, ast.JoinedStr) else [text]
                    words = [p.value if isinstance(p, ast.Constant) else "x" for p in parts]
                    found.append((path.name, "".join(map(str, words))))
    return found


def test_no_message_of_a_verb_shows_an_argument_of_a_form():
    texts = raised_texts()
    assert len(texts) > 100
    names = {*LABELS, *(n for own in OF_VERBS.values() for n in own)}
    names = [name for name in names if "_" in name]
    left = re.compile(rf"(?<![\w.'/])({'|'.join(names)})(?![\w'.(])")
    for path, text in texts:
        assert not left.search(in_labels(text)), (path, in_labels(text))


def shown_texts() -> list[tuple[str, str]]:
    """Texts of forms: all but docstrings and names."""
    found = []
    for path in sorted((APP / "operators").glob("*.py")):
        tree = ast.parse(path.read_text())
        documents = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        found += [
            (path.name, node.value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
            and id(node) not in documents and " " in node.value.strip()
        ]  # fmt: skip
    return found


def test_forms_are_in_plain_american_english_and_cite_nothing():
    wrong = re.compile(
        r"labelled|grey|colour|learnt|anew|beforehand|begun|parted|watched|gone through|mend|told|"
        r"normalis|visualis|arXiv|et al",
        re.IGNORECASE,
    )
    texts = shown_texts()
    assert len(texts) > 300
    assert [x for x in texts if wrong.search(x[1])] == []
    assert len(set(LABELS.values())) > 80
    for name, label in LABELS.items():
        assert label[0].isupper() or label == "MixUp", name


def test_every_operator_says_in_a_line_what_it_does():
    for operator in OPERATORS:
        config = operator().config
        if config.name in (*CALLS, "training_estimate"):
            assert config.unlisted
            continue
        assert 15 < len(config.description) < 90, config.name
        assert not config.description.endswith(".")


def test_import_and_enter_opens_the_import_of_folders():
    """FiftyOne's list of operators is sorted by the first letter of the description, or label."""
    listed = [one for one in (op().config for op in OPERATORS) if not one.unlisted]
    found = [
        one for one in listed if "import" in f"{one.name} {one.label} {one.description}".lower()
    ]
    assert {one.name for one in found} >= {"import_folders", "import_run"}
    first = min(found, key=lambda one: ord((one.description or one.label)[0]))
    assert first.name == "import_folders"
