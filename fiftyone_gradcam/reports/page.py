"""The page of a report: one self-contained HTML file."""

from __future__ import annotations

from .comparison import comparison_section
from .confusion import confusion_section
from .facts import Facts
from .html import Html, join, name_of, tag
from .labels import decisions_section, suspects_section
from .predictions import accuracy_section, mistakes_section, tiles
from .sources import data_section, training_section
from .style import STYLE

# Whatever the page contains, no script runs and nothing is loaded.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
LINKS = {
    "data": "Data",
    "training": "Training",
    "accuracy": "Accuracy",
    "comparison": "Comparison",
    "confusion": "Confusion matrix",
    "mistakes": "Worst classes",
    "labels": "Suspicious labels",
    "corrections": "Corrections",
}


def page(facts: Facts) -> str:
    """Render a report as HTML."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", f"{facts.title}: report"),
        tag("style", Html(STYLE)),
    )
    part = f"{facts.part}. " if facts.part else ""
    header = tag(
        "header",
        tag("h1", name_of(facts.title)),
        tag(
            "p",
            f"{part}Report of {facts.made}, by fiftyone-gradcam {facts.version}.",
            class_="soft",
        ),
        tag("nav", *(tag("a", text, href=f"#{key}") for key, text in LINKS.items())),
    )
    main = tag(
        "main",
        tiles(facts),
        data_section(facts.data),
        training_section(facts.training),
        accuracy_section(facts.results),
        comparison_section(facts.compared),
        confusion_section(facts.results),
        mistakes_section(facts),
        suspects_section(facts.suspects),
        decisions_section(facts.decisions),
    )
    words = (
        "Heatmaps show where the evidence for a class was found, not whether it is the right "
        "evidence."
    )
    footer = tag("footer", tag("p", words))
    body = tag("body", header, main, footer)
    return f"<!DOCTYPE html>\n{tag('html', join(head, body), lang='en')}\n"
