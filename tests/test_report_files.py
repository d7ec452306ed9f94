"""Reports of datasets, as files, and as a browser shows them."""

import os
import re
import stat
from dataclasses import replace
from pathlib import Path

import fiftyone as fo
import numpy as np
import pytest
from conftest import save_digits
from made_runs import make_run
from test_reports import HOSTILE, Reader, facts_of

import fiftyone_gradcam as fg
from fiftyone_gradcam.__main__ import main
from fiftyone_gradcam.app.operators.import_folders import ImportFolders
from fiftyone_gradcam.dataset import runs
from fiftyone_gradcam.dataset.report_data import shown_folder, training_of
from fiftyone_gradcam.dataset.report_results import mistakes_of, results_of
from fiftyone_gradcam.dataset.reviews import Review
from fiftyone_gradcam.reports.facts import Data, Facts, Results
from fiftyone_gradcam.reports.page import page
from fiftyone_gradcam.review.kinds import KINDS
from fiftyone_gradcam.workflow import reporting
from fiftyone_gradcam.workflow.reporting import _label_field


@pytest.fixture
def reviewed(tmp_path, name):
    """Digits with a run, predictions, heatmaps, judged labels and corrections."""
    root = save_digits(tmp_path / "digits", per_class=8, side=24)
    (root / "digit 0" / "broken.png").write_bytes(b"")
    (root / "README.md").write_text("x")
    first = sorted((root / "digit 0").glob("*0*.png"))[0]
    (root / "digit 1" / "copy.png").write_bytes(first.read_bytes())
    dataset = fg.import_folders(str(root), name)
    fg.split(dataset, {"train": 0.5, "val": 0.5})
    make_run(dataset, "older", seed=1, files=False)
    make_run(dataset, "newer", seed=2, files=False)
    fg.predict(dataset, "newer", progress=False, device="cpu")
    return dataset


def check_without_pictures(dataset, out, out_of_it) -> None:
    """Another report, of another run, after a sample was left out."""
    fg.review(dataset.select(out_of_it.id), "exclude")
    fg.report(dataset, str(out), run="older", pictures=0, overwrite=True)
    text = out.read_text(encoding="utf-8")
    read = Reader(text)
    file = os.path.join(*Path(out_of_it.filepath).parts[-2:])
    assert f"Excluded, and left out: 1 sample: {file}." in read.sections["corrections"]
    assert "now labeled" not in text
    assert "Run older" in read.sections["training"]
    assert "No sample has both" in read.sections["accuracy"]  # the predictions are of another run


def test_a_report_of_a_dataset(reviewed, tmp_path, capsys):
    dataset, out = reviewed, tmp_path / "made" / "report.html"
    suspicious = fg.find_label_issues(
        dataset, backbone="small_cnn", weights=fg.load_run(dataset, "newer").checkpoint
    )
    changed = suspicious.first()
    other = next(x for x in ("digit 0", "digit 1") if x != changed.ground_truth.label)
    fg.review(dataset.select(changed.id), "relabel", other)
    path = fg.report(dataset, str(out), progress=False)
    assert path == str(out)
    assert f"Report written to {out}" in capsys.readouterr().out
    assert stat.S_ISREG(os.stat(out).st_mode)
    text = out.read_text(encoding="utf-8")
    read = Reader(text)
    # Counted again from the dataset itself.
    val = dataset.match_tags("val")
    labels, predicted = val.values(["ground_truth.label", "prediction.label"])
    right = sum(x == y for x, y in zip(labels, predicted, strict=True))
    assert (
        f"{right} of {len(val)} samples are right. Measured on the samples tagged 'val'"
        in (read.sections["accuracy"])
    )
    assert "Run newer" in read.sections["training"]
    assert "Other runs: older." in read.sections["training"]
    assert "1 label was corrected since this run was trained" in read.sections["training"]
    assert os.path.join("digit 0", "broken.png") in read.sections["data"]
    assert "1 group of identical files, 1 of them with different labels" in read.sections["data"]
    wrong = {x for x, y in zip(labels, predicted, strict=True) if x != y}
    cards = re.findall(r'alt="([^"]+), predicted as ([^"]+)"', text)
    assert {label for label, _ in cards} == wrong
    assert all(label != other for label, other in cards)
    open_ids = [
        i
        for i, issue, other, review in zip(
            *dataset.values(["id", "issue.label", "suggested_label.label", "review.label"]),
            strict=True,
        )
        if (other or issue in KINDS[:3]) and not review
    ]
    shown = len(re.findall('alt="labeled ', text))
    assert shown == len(open_ids) >= 1
    words = f"{len(open_ids) + 1} suspicious labels: 1 reviewed, {len(open_ids)} left; about "
    assert re.search(f"{words}.*expected in all, 1 corrected so far", read.sections["labels"])
    rows = read.rows(text, "corrections")
    assert len(rows) == 2
    assert f"{changed.ground_truth.label} | {other}" in rows[1]
    assert text.count(f'alt="now labeled {other}"') == 1
    assert out.stat().st_size < 10 * 2**20
    # It is there already.
    before = out.read_bytes()
    with pytest.raises(FileExistsError, match="pass overwrite=True"):
        fg.report(dataset, str(out))
    assert out.read_bytes() == before
    check_without_pictures(dataset, out, suspicious.last())
    assert os.listdir(out.parent) == ["report.html"]
    # A view: its own samples, all of which are judged.
    view = dataset.match_tags("train").limit(5)
    fg.report(view, str(out), overwrite=True)
    read = Reader(out.read_text(encoding="utf-8"))
    assert "5 samples" in read.sections["data"]
    assert "Imported from" in read.sections["data"]
    assert "left out" not in read.sections["data"]
    assert "Measured on all of these samples" in read.sections["accuracy"]
    assert "5 of the samples are tagged 'train'" in read.sections["accuracy"]


def test_an_import_and_its_report_name_the_same_files(reviewed, tmp_path):
    out = fg.report(reviewed, str(tmp_path / "r.html"), pictures=0, progress=False)
    found = Reader(Path(out).read_text(encoding="utf-8")).sections["data"]
    assert "Skipped by the import: 1 .md file." in found
    assert "1 file left out by the import: 1 empty file." in found
    report = reviewed.info["import_folders"]["report"]
    assert (
        ImportFolders()
        .outcome(reviewed, {})["summary"]
        .endswith(
            f"; skipped: 1 .md file; files left out: 1 empty file. The full list is in {report}"
        )
    )


def test_corrections_count_from_when_the_run_was_trained(reviewed):
    run = fg.load_run(reviewed, "newer")

    def review(sample, time, new="b", field="ground_truth") -> Review:
        return Review(sample, "/x", "relabel", "a", new, field, "Python", time, "", None, "step")

    after, before = f"{run.trained}9", fg.load_run(reviewed, "older").trained
    assert before < run.trained
    reviews = [
        review("1", before), review("2", after), review("2", after, "c"), review("3", after, "a"),
        review("4", after, field="other"), review("5", None), review("6", after),
    ]  # fmt: skip
    found = training_of(reviewed, run, reviews)
    assert (found.corrected, found.retrained) == (2, None)  # the second and the sixth
    # A run that was trained after the last of them has learned them.
    future = [review("1", "2999")]
    for key, more, wanted in (
        ("before_review", {"labels": "before_review"}, None),
        ("other_field", {"label_field": "imported_label"}, None),
        ("again", {}, "again"),
    ):
        runs.save_run(reviewed, replace(run, key=key, **more))
        assert training_of(reviewed, run, reviews).retrained == wanted
        assert training_of(reviewed, run, future).retrained is None
    assert training_of(reviewed, run, []).retrained is None


def test_of_classes_with_equal_recall_the_largest_comes_first(name):
    dataset = fo.Dataset(name)
    rows = [("a", "b"), ("b", "a"), ("b", "a"), ("c", "c"), ("c", "a"), ("d", "d")]
    for number, (label, predicted) in enumerate(rows):
        sample = fo.Sample(f"/gone/{number}.png", own=fo.Classification(label=label))
        sample["found"] = fo.Classification(label=predicted, confidence=number / 10)
        dataset.add_sample(sample)
    results, judged = results_of(dataset, "own", "found")
    found = mistakes_of(judged, results, "own", "found")
    assert list(found) == ["b", "a", "c"]  # 0 of 2, 0 of 1, 1 of 2; and no wrong one of "d"
    assert [one.score for one in found["b"]] == [0.2, 0.1]  # the most confident first
    assert {one.picture for own in found.values() for one in own} == {None}


def test_what_a_report_refuses(reviewed, tmp_path, monkeypatch, capsys):
    out = str(tmp_path / "report.html")
    cases = [
        ({"out": str(tmp_path)}, IsADirectoryError, "is a folder. Name a file in it"),
        ({"out": str(tmp_path / "x.pdf")}, ValueError, "out must end in .html, not 'x.pdf'"),
        ({"run": "newr"}, ValueError, "Did you mean 'newer'"),
        ({"label_field": "nowhere"}, ValueError, "'nowhere' is not a classification field"),
        ({"pictures": -1}, ValueError, "pictures must be a whole number from 0 to 200, not -1"),
        ({"pictures": True}, ValueError, "pictures must be a whole number .* not True"),
        ({"pictures": 2.5}, ValueError, "pictures must be a whole number .* not 2.5"),
        ({"pictures": 201}, ValueError, "pictures must be at most 200, not 201"),
    ]  # fmt: skip
    for given, error, words in cases:
        with pytest.raises(error, match=words):
            fg.report(reviewed, **{"out": out} | given)
        assert not os.path.exists(out)
    # What is half written is gone, and an older report is what it was.
    fg.report(reviewed, out, pictures=0)
    before = Path(out).read_bytes()

    def fail(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        with pytest.raises(OSError, match="The disk is full"):
            fg.report(reviewed, out, overwrite=True)
    assert Path(out).read_bytes() == before
    assert not [x for x in os.listdir(tmp_path) if x.endswith(".part")]
    # The command line says the same in its own words.
    command = ["report", reviewed.name, "--out", out]
    assert main(command) == 1
    assert "Choose another name, or pass --overwrite" in capsys.readouterr().err
    assert main([*command, "--overwrite", "--pictures", "3"]) == 0
    assert main(["report", reviewed.name, "--out", "x.txt"]) == 1
    assert "--out must end in .html, not 'x.txt'" in capsys.readouterr().err
    assert main(["report", "nowhere"]) == 1
    assert "There is no dataset 'nowhere'" in capsys.readouterr().err


def test_a_report_that_another_process_has_written_meanwhile_stays(tmp_path, name, monkeypatch):
    dataset, out = fo.Dataset(name), tmp_path / "report.html"

    def written_meanwhile(facts) -> str:
        out.write_text("theirs")
        return page(facts)

    monkeypatch.setattr(reporting, "page", written_meanwhile)
    with pytest.raises(FileExistsError, match=r"html' exists. Choose another name, or pass overwr"):
        fg.report(dataset, str(out))
    assert os.listdir(tmp_path) == ["report.html"]
    assert out.read_text() == "theirs"
    fg.report(dataset, str(out), pictures=200, overwrite=True)
    assert out.read_text() != "theirs"


def test_a_report_is_about_the_labels_that_a_run_was_trained_on(reviewed, tmp_path):
    run = fg.load_run(reviewed, "newer")
    other = replace(run, label_field="mine")
    assert _label_field(reviewed, "prediction", run) == "prediction"
    assert _label_field(reviewed, None, run) == "ground_truth"
    assert _label_field(reviewed, None, other) == "ground_truth"  # which is not there
    assert _label_field(reviewed, None, None) == "ground_truth"
    labels = [fo.Classification(label="digit 9") for _ in reviewed]
    reviewed.set_values("mine", labels)
    assert _label_field(reviewed, None, other) == "mine"

    def facts(samples, label_field) -> Facts:
        return reporting._facts(samples, run, label_field, 0, lambda *_: None)

    whole, part = facts(reviewed, "ground_truth"), facts(reviewed.limit(2), None)
    assert (whole.part, whole.heatmaps, whole.compared) == ("", True, None)
    assert (part.part, part.heatmaps, part.results) == ("A view of 2 samples", False, None)
    reviewed.delete_sample_field("gradcam")
    fg.compare_runs(reviewed, "older", "newer", progress=False)
    whole = facts(reviewed, "ground_truth")
    assert (whole.heatmaps, whole.compared.b) == (False, "newer")
    steps = []
    out = str(tmp_path / "r.htm")
    fg.report(reviewed, out, label_field="mine", progress=lambda *step: steps.append(step))
    read = Reader(Path(out).read_text("utf-8"))
    assert "digit 9" in read.sections["data"]
    assert "Comparing predictions with labels" in [words for _, _, words in steps]
    counted = [step for step in steps if step[2] in WORK]
    assert counted == [(n, 4, words) for n, words in enumerate(WORK)]
    reviewed.set_values("mine", [None] * len(labels))
    fg.report(reviewed, out, label_field="mine", overwrite=True)
    read = Reader(Path(out).read_text("utf-8"))
    assert "No sample has both" in read.sections["accuracy"]


WORK = (
    "Counting samples",
    "Comparing predictions with labels",
    "Looking at suspicious labels",
    "Drawing",
)


def test_a_dataset_of_nothing_but_images(tmp_path, name):
    root = save_digits(tmp_path / "digits", per_class=1)
    dataset = fo.Dataset(name)
    out = fg.report(dataset, str(tmp_path / "empty.html"))
    assert "0 samples" in Reader(Path(out).read_text("utf-8")).sections["data"]
    dataset.add_samples([fo.Sample(str(p)) for p in root.glob("*/*.png")])
    out = fg.report(dataset, str(tmp_path / "plain.html"))
    read = Reader(Path(out).read_text("utf-8"))
    assert "3 samples, 0 classes" in read.sections["data"]
    assert "No sample has a label" in read.sections["data"]


def test_a_browser_shows_it_whole_and_runs_nothing(browser, tmp_path):
    names = [f"{HOSTILE[i % 6]} {i} {'long ' * (i % 20)}" for i in range(60)]
    matrix = np.diag(np.full(60, 10)) + (np.arange(3600).reshape(60, 60) % 17 == 0)
    data = Data("ground_truth", 600, 0, ["train"], {name: {"train": 10} for name in names})
    facts = facts_of(names, data=data, results=Results("all", names, matrix, []))
    path = tmp_path / "report.html"
    path.write_text(page(facts), encoding="utf-8")
    seen, inks = [], set()
    for width, scheme in ((1600, "light"), (1100, "dark")):
        tab = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        tab.on("dialog", lambda dialog: (seen.append(dialog.message), dialog.dismiss()))
        tab.on("console", lambda message: seen.append(message.text))
        tab.on("pageerror", lambda error: seen.append(str(error)))
        tab.on(
            "request",
            lambda request: seen.append(request.url) if not request.url.startswith("data:") else 0,
        )
        tab.goto(path.as_uri())
        tab.mouse.move(300, 300)
        assert tab.evaluate("document.documentElement.scrollWidth") == width
        assert tab.locator("section").count() == 8
        assert tab.title() == f"{re.sub('[^ -~]', '', names[0])}: report"
        inks.add(tab.evaluate("getComputedStyle(document.body).color"))
        tab.close()
    assert seen == [path.as_uri()] * 2
    assert len(inks) == 2  # light and dark


@pytest.mark.parametrize(
    ("home", "folder", "shown"),
    [
        ("/home/me", "/home/me/photos", "~/photos"),
        ("/home/me", "/home/me", "~"),
        ("/home/me", "/home/meg/photos", "/home/meg/photos"),
        ("/home/me", "/data/photos", "/data/photos"),
        ("/", "/data/photos", "/data/photos"),
    ],
)
def test_the_home_folder_is_not_named(monkeypatch, home, folder, shown):
    monkeypatch.setenv("HOME", home)
    assert shown_folder(folder) == shown
