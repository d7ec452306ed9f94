"""Sections of a report about predictions: accuracy, classes, and the worst mistakes."""

from __future__ import annotations

from ..review.confusion import class_rows, wilson_interval
from .elements import MOST_CLASSES, count, missing, percent, picture, section, table
from .facts import Facts, Mistake, Results
from .html import Html, name_of, tag


def tiles(facts: Facts) -> Html:
    """The key figures at the top of the page."""
    found = [(f"{facts.data.samples:,}", "samples" if facts.data.samples != 1 else "sample")]
    found.append((f"{len(facts.data.counts):,}", "class" + "es" * (len(facts.data.counts) != 1)))
    if facts.results is not None:
        total, right = int(facts.results.matrix.sum()), int(facts.results.matrix.trace())
        low, high = wilson_interval(right, total)
        found.append(
            (percent(right / total), f"accuracy (95% interval {percent(low)} to {percent(high)})")
        )
    if facts.suspects is not None:
        sure = facts.suspects.total
        found.append((f"{sure:,}", "suspicious label" + "s" * (sure != 1) + " left"))
    if facts.decisions is not None:
        labels = facts.decisions.labels
        found.append((f"{labels:,}", "label" + "s" * (labels != 1) + " corrected so far"))
    boxes = (
        tag("div", tag("b", value), tag("span", words), class_="tile") for value, words in found
    )
    return tag("div", *boxes, class_="tiles")


def accuracy_section(results: Results | None) -> Html:
    """The section with accuracy, its confidence interval, and metrics of each class."""
    if results is None:
        text = (
            "No sample has both a label and a prediction: call predict(), or press Predict in the "
            "App."
        )
        return section("accuracy", "Accuracy", missing(text))
    total, right = int(results.matrix.sum()), int(results.matrix.trace())
    low, high = wilson_interval(right, total)
    parts = [
        tag(
            "p",
            tag("b", f"Accuracy {percent(right / total)}"),
            f" (95% interval {percent(low)} to {percent(high)}): {right:,} of "
            f"{count(total, 'sample')} are right. Measured on {results.of}.",
        ),
        *(tag("p", tag("b", "Note: "), note, class_="note") for note in results.notes),
        tag("h3", "Classes, worst recall first"),
    ]
    known = [row for row in class_rows(results.matrix, results.names) if row.labelled]
    known.sort(key=lambda row: (row.recall, -row.labelled, row.name))
    rows = [
        (
            name_of(row.name),
            f"{row.labelled:,}",
            f"{row.right:,}",
            percent(row.recall),
            percent(row.precision),
            percent(row.f1),
        )
        for row in known[:MOST_CLASSES]
    ]
    titles = ("Samples", "Right", "Recall", "Precision", "F1")
    parts.append(table([("Class", False), *((title, True) for title in titles)], rows))
    if len(known) > MOST_CLASSES:
        words = f"The worst {MOST_CLASSES} of {len(known):,} classes are listed."
        parts.append(tag("p", words, class_="soft"))
    return section("accuracy", "Accuracy", *parts)


def mistakes_section(facts: Facts) -> Html:
    """The section with confident mistakes of the classes with the lowest recall, with heatmaps."""
    title = "Worst classes"
    if facts.results is None:
        return section("mistakes", title, missing("There are no predictions."))
    if not facts.mistakes:
        return section("mistakes", title, tag("p", "There are no wrong predictions."))
    parts = [tag("p", "Mistakes of the classes with the lowest recall, most confident first.")]
    if facts.heatmaps:
        legend = tag("span", class_="scale")
        words = "Evidence for the predicted class: none "
        parts.append(tag("p", words, legend, " most in this image.", class_="soft"))
    else:
        text = "There are no heatmaps: call predict(), or press Predict in the App."
        parts.append(missing(text))
    for name, own in facts.mistakes.items():
        parts.append(tag("h3", name_of(name)))
        parts.append(tag("div", *map(_mistake, own), class_="cards"))
    return section("mistakes", title, *parts)


def _mistake(one: Mistake) -> Html:
    score = f" {one.score:.1%}" if one.score is not None else ""
    return tag(
        "div",
        picture(one.picture, f"{one.label}, predicted as {one.predicted}"),
        tag("div", "label ", tag("b", name_of(one.label))),
        tag("div", "predicted ", tag("b", name_of(one.predicted)), score),
        tag("div", name_of(one.file), class_="file"),
        class_="card",
    )
