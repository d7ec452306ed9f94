"""Draw the list of steps with the jobs that run, and the buttons of what to do next."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from fiftyone.operators import types

from ...jobs.job import SPELLED
from ..texts import markdown
from .actions import STEP_OF
from .choices import row_of
from .estimates import TIMED
from .next_step import REVIEW, START, Next, quickly

# What a step consists of; other verbs of it, such as to find anomalies, leave its line as it is.
MAKES = frozenset(
    [
        *("import_folders", "split", "fine_tune", "predict", "find_label_issues", "retrain"),
        *("export_folders", "export_reviews", "report"),
    ]
)
DONE, NOW, LATER = "✓", "➤", "○"
ESTIMATING = "estimating the time…"


def step_line(name: str, done: bool, fact: str, is_now: bool) -> str:
    """Return the line of a step."""
    sign = NOW if is_now else DONE if done else LATER
    words = f"**{name}**" if is_now or done else name
    return f"{sign}&nbsp; {words}" + (f" · {markdown(fact)}" if fact else "")


def running_steps(cards: Iterable[dict]) -> dict[str, str]:
    """Return by step how far its job is, such as "running 40%, about 3 min left"."""
    found: dict[str, str] = {}
    for card in cards:
        if card["state"] not in ("queued", "running", "cancelling") or card["verb"] not in MAKES:
            continue
        words = SPELLED.get(card["state"], card["state"])
        if card["state"] != "queued":
            words += f" {card['progress']:.0%}"
        if card["left"]:
            words += f", about {card['left']} left"
        found.setdefault(STEP_OF[card["verb"]], words)
    return found


def draw_next(
    panel: types.Object,
    options: list[dict],
    times: dict[str, dict],
    on_next: Callable,
    is_timing: bool = False,
) -> None:
    """Draw the suggestions: the first one is the primary button.

    Args:
        panel: the panel
        options: the suggestions, the most useful first, from `Next.to_dict`
        times: what is estimated, by the label of the button
        on_next: handles a click, with the parameter "label"
        is_timing: whether times that are missing are being estimated
    """
    first, shown = options[0], []
    for one in options:
        shown.append(one)
        if _time(times, one).get("is_long"):
            shown.append(quickly(Next(**one)).to_dict())
    own = _about(times, first, is_timing)
    words = first["words"].removesuffix(".") + (f" ({own})." if own else ".")
    panel.md(f"**Next:** {markdown(words)}", name="next_words")
    buttons = row_of(panel, "next_buttons")
    for place, one in enumerate(shown):
        _button(buttons, f"next_{place}", one, on_next, "outlined" if place else "contained")
    lines = [
        f"{markdown(one['label'])}: {markdown(words)}"
        for one in shown
        if one is not first and (words := _about(times, one, is_timing))
    ]
    if lines:
        panel.md("  \n".join(lines), name="next_times")


def draw_meanwhile(panel: types.Object, options: list[dict], on_next: Callable) -> None:
    """Draw what can be done while a job runs; see `draw_next`."""
    for place, one in enumerate(one for one in options if one["how"] == REVIEW):
        panel.md(f"**Meanwhile:** {markdown(one['words'])}", name=f"meanwhile_words_{place}")
        _button(panel, f"meanwhile_{place}", one, on_next, "outlined")


def _button(panel: types.Object, name: str, one: dict, on_next: Callable, variant: str) -> None:
    given = {"label": one["label"]}
    panel.btn(name, label=one["label"], on_click=on_next, params=given, variant=variant)


def _about(times: dict[str, dict], one: dict, is_timing: bool) -> str:
    """Return what is known of a suggestion, such as "resnet18, 10 epochs, about 3 min".

    Whoever reads it before the time is estimated should see that it will be there soon.
    """
    known = _time(times, one)
    words = [known.get("words") or ""]
    if is_timing and one["how"] == START and one["verb"] in TIMED and not known.get("seconds"):
        words.append(ESTIMATING)
    return ", ".join(filter(None, words))


def _time(times: dict[str, dict], one: dict) -> dict:
    return times.get(one["label"]) or {}
