"""The review card in an empty page, for tests of its script."""

import pytest
from script_pages import empty_page, scripts  # noqa: F401

CLASSES = [f"class {number}" for number in range(1, 12)]
PROGRESS = {"words": "nothing reviewed"}


def card(number: int, label: str = "class 1", suggestion: str | None = "class 2", **more) -> dict:
    return {
        "id": str(number), "path": f"/photos/{number}.png", "label": label, "maps": {},
        "suggestion": suggestion, "neighbors": [], "suspicious": True, "evidence": "", **more,
    }  # fmt: skip


def queue(cards: list[dict], rest: int = 0, suspicious: int = 0, **more) -> dict:
    return {
        "cards": cards, "rest": rest, "rest_suspicious": suspicious, "progress": PROGRESS,
        "label_field": "truth", "classes": CLASSES, "kinds": ["outlier"],
        "pairs": [["class 1", "class 2", 3]], **more,
    }  # fmt: skip


@pytest.fixture
def review(scripts):  # noqa: F811
    """A card for each of some labels."""

    def show(*cards: dict, rest: int = 0, suspicious: int = 0):
        scripts.run("show", "GradcamReviewCard", {})
        assert scripts.text("loading") == "Loading the labels to review…"
        asked = scripts.answer("review_cards", queue([*cards], rest, suspicious))
        assert asked == {"adopt": True}
        return scripts

    return show


def decision(number: int, what: str, **more) -> dict:
    return {
        "id": str(number), "decision": what, "shown": "class 1", "label_field": "truth",
        "new_class": False, "source": "App, Review tab", **more,
    }  # fmt: skip


def seen(page) -> str:
    """The file name of the card that is shown."""
    return page.text("name").partition(" · ")[0]
