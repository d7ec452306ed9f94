"""Sections of a report about labels: suspicious labels and corrections."""

from __future__ import annotations

from .elements import count, missing, picture, section, table
from .facts import Decisions, Suspect, Suspects
from .html import Html, join, name_of, tag


def suspects_section(suspects: Suspects | None) -> Html:
    """The section with suspicious labels and the evidence."""
    title = "Suspicious labels"
    if suspects is None:
        text = (
            "Labels have not been judged yet: call find_label_issues(), or press Find label issues "
            "in the App."
        )
        return section("labels", title, missing(text))
    parts = [tag("p", tag("b", f"{suspects.words}."))] if suspects.words else []
    if suspects.progress:
        parts.append(tag("p", f"{suspects.progress}."))
    if suspects.kinds:
        kinds = "; ".join(f"{number:,} {kind}" for kind, number in suspects.kinds.items())
        parts.append(tag("p", f"Issues: {kinds}."))
    if not suspects.shown:
        parts.append(tag("p", "No suspicious label is left to review."))
        return section("labels", title, *parts)
    words = f"{count(suspects.total, 'suspicious label')} left"
    if len(suspects.shown) < suspects.total:
        words += f"; the {len(suspects.shown)} most suspicious are shown"
    parts.append(tag("p", f"{words}."))
    parts.append(tag("div", *map(_suspect, suspects.shown), class_="cards"))
    return section("labels", title, *parts)


def _suspect(one: Suspect) -> Html:
    other = None
    if one.suggestion is not None:
        score = f" {one.confidence:.1%}" if one.confidence is not None else ""
        other = tag("div", "suggested ", tag("b", name_of(one.suggestion)), score)
    quality = f"label quality {one.quality:.3f}" if one.quality is not None else None
    sure = tag("b", "sure") if one.sure else None
    marks = [x for x in (quality, sure) if x]
    return tag(
        "div",
        picture(one.picture, f"labeled {one.label}"),
        tag("div", "label ", tag("b", name_of(one.label))),
        other,
        tag("div", marks[0], *(join(", ", x) for x in marks[1:])) if marks else None,
        tag("div", one.evidence) if one.evidence else None,
        tag("div", name_of(one.file), class_="file"),
        class_="card",
    )


def _left_out(decision: str, number: int, files: list[str]) -> Html:
    """The files of samples that reviews have left out."""
    names = [x for file in files for x in (", ", name_of(file))][1:]
    more = f" and {number - len(files):,} more" if number > len(files) else ""
    what = {"exclude": "Excluded", "unclear": "Marked as unclear"}[decision]
    return tag("p", f"{what}, and left out: {count(number, 'sample')}: ", *names, f"{more}.")


def decisions_section(decisions: Decisions | None) -> Html:
    """The section with decisions of reviews and corrections."""
    title = "Corrections"
    if decisions is None:
        return section("corrections", title, missing("No label has been reviewed yet."))
    words = ", ".join(f"{number:,} {name}" for name, number in decisions.counts.items())
    parts = [tag("p", f"Decisions: {words}.")]
    parts += [_left_out(kind, *own) for kind, own in decisions.left_out.items()]
    if not decisions.shown:
        parts.append(tag("p", "No label was changed."))
        return section("corrections", title, *parts)
    rows = [
        (
            name_of(one.file),
            picture(one.picture, f"now labeled {one.new}") if place < decisions.pictured else "",
            name_of(one.old if one.old is not None else "no label"),
            name_of(one.new if one.new is not None else "no label"),
            f"{one.time[:16].replace('T', ' ')}" if one.time else "–",
            one.source,
            one.evidence or "–",
        )
        for place, one in enumerate(decisions.shown)
    ]
    titles = ("File", "Image", "Label before", "Label now", "When (UTC)", "Where", "Evidence then")
    parts.append(table([(x, False) for x in titles], rows))
    if 0 < decisions.pictured < len(rows):
        more = len(rows) - decisions.pictured
        words = f"Images of the latest {decisions.pictured}; {more} more are listed without."
        parts.append(tag("p", words, class_="soft"))
    if decisions.total > len(rows):
        words = f"The last {len(rows)} of {decisions.total:,} corrections are listed."
        parts.append(tag("p", words, class_="soft"))
    return section("corrections", title, *parts)
