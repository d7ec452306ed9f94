"""The review card's script in an empty page: its keys, and in which order decisions are stored."""

import numpy as np
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


def test_decisions_are_stored_in_the_order_of_the_keys(review):
    page = review(*map(card, range(1, 9)))
    wanted = [
        ("a", decision(1, "accept")),
        ("k", decision(2, "keep")),
        ("u", decision(3, "unclear")),
        ("X", decision(4, "exclude")),
        ("3", decision(5, "relabel", label="class 3")),
        ("0", decision(6, "relabel", label="class 10")),
        ("1", decision(7, "keep")),  # which it is already
    ]
    for number, (key, _) in enumerate(wanted, 1):
        assert seen(page) == f"{number}.png"
        page.key(key)
    assert seen(page) == "8.png"
    for number, (_, params) in enumerate(wanted, 1):
        assert page.asked("review_decide") == [params]  # one at a time
        assert page.page.evaluate(  # whoever leaves now is asked
            "() => !dispatchEvent(new Event('beforeunload', { cancelable: true }))"
        )
        page.answer("review_decide", {"progress": {"words": f"{number} reviewed"}})
        assert page.text("progress") == f"{number} reviewed"
        assert page.part("progress").get_attribute("data-stored") == str(number)
    assert page.asked("review_decide") == []
    assert page.page.evaluate(
        "() => dispatchEvent(new Event('beforeunload', { cancelable: true }))"
    )
    page.key("ArrowLeft", "ArrowLeft")
    assert page.text("decision") == "Decided: changed to class 10"
    page.key("ArrowLeft", "ArrowLeft", "ArrowLeft")
    assert page.text("decision") == "Decided: marked as unclear, and left out"


def test_a_key_that_is_held_decides_once(review):
    page = review(*map(card, range(1, 9)))
    for _ in range(3):
        page.page.keyboard.down("a")
    page.page.keyboard.up("a")
    assert seen(page) == "2.png"
    for _ in range(3):
        page.page.keyboard.down("ArrowRight")
    page.page.keyboard.up("ArrowRight")
    assert seen(page) == "5.png"


def test_a_refused_decision_shows_its_card_again(review):
    page = review(*map(card, range(1, 5)))
    page.key("ArrowRight", "a", "k")
    assert seen(page) == "4.png"
    page.answer("review_decide", {"error": "its label is 'class 5' now"})
    assert page.answer("review_cards", queue([card(2, "class 5")])) == {
        "ids": ["2"],
        "label_field": "truth",
    }
    assert (seen(page), page.text("label")) == ("2.png", "class 5")
    assert page.text("error") == "its label is 'class 5' now"
    assert page.text("decision") is None
    assert page.asked("review_decide") == [decision(3, "keep")]  # the others are stored


def test_what_is_decided_or_cannot_be_decided_is_not_asked_for(review):
    page = review(card(1, suggestion=None), *map(card, range(2, 7)))
    page.key("a")
    assert page.page.get_by_text("There is no suggestion to accept").count() == 1
    assert page.part("accept").is_disabled()
    for name in ("unclear", "exclude"):
        hint = page.part(name).get_attribute("title")
        assert hint.startswith("Deletes nothing: sample, label and file stay, but are left out of ")
    page.key("k")
    page.answer("review_decide", {"progress": PROGRESS})
    # What each key does to a decided label, whose label is now "class 2" or was kept.
    table = {"a": "ka3", "k": "k1", "u": "u", "x": "x"}
    for number, (key, same) in enumerate(table.items(), 2):
        page.key(key)
        page.answer("review_decide", {"progress": PROGRESS})
        page.key("ArrowLeft")
        assert seen(page) == f"{number}.png"
        for other in same.replace("3", "2"):
            page.key(other)
            assert page.asked("review_decide") == []
            assert page.page.get_by_text("This is decided already").count() == 1
        enabled = {x for x in ("accept", "keep", "unclear", "exclude") if page.part(x).is_enabled()}
        assert (
            enabled
            == {
                "a": {"unclear", "exclude"},
                "k": {"accept", "unclear", "exclude"},
                "u": {"accept", "keep", "exclude"},
                "x": {"accept", "keep", "unclear"},
            }[key]
        )
        page.key("ArrowRight")


def test_what_was_skipped_comes_again_after_the_last(review):
    page = review(*map(card, range(1, 5)))
    page.key("ArrowRight", "k", "ArrowRight", "ArrowRight")
    assert seen(page) == "1.png"
    words = "3 skipped suspicious labels are left. This is the first"
    assert page.page.get_by_text(words).count() == 1
    page.key("k")
    assert seen(page) == "3.png"  # 2 is decided
    page.key("ArrowRight", "k")
    assert seen(page) == "3.png"  # it was skipped, 4 kept: back to the first that is left
    page.key("k")
    assert page.text("empty").startswith("Nothing is left to review here.")


def test_suspicious_labels_that_were_skipped_come_again_before_the_others(review):
    cards = [card(n, suspicious=n < 4) for n in range(1, 6)]
    page = review(*cards, rest=3)  # which are not suspicious
    page.key("ArrowRight", "k", "ArrowRight")
    assert seen(page) == "1.png"
    words = "2 skipped suspicious labels are left. This is the first"
    assert page.page.get_by_text(words).count() == 1
    page.key("ArrowRight", "ArrowRight", "k")
    assert seen(page) == "1.png"  # also after a decision on the last
    words = "1 skipped suspicious label is left. This is the first"
    assert page.page.get_by_text(words).count() == 1
    page.key("k")
    assert seen(page) == "4.png"
    page.key("ArrowRight", "ArrowLeft")
    assert seen(page) == "4.png"


def test_skipped_labels_wait_for_suspicious_ones_that_are_not_loaded_yet(review):
    page = review(card(1), card(2), rest=5, suspicious=3)
    page.key("ArrowRight", "ArrowRight")
    assert page.text("loading") == "Loading the next labels…"


def test_a_photo_is_enlarged_until_a_click_or_escape(review):
    near = {"id": "9", "path": "/photos/near.png", "label": "class 7"}
    page = review(card(1, neighbors=[near]), card(2), card(3))

    def large() -> tuple[str, str] | None:
        found = page.part("enlarged")
        if not found.count():
            return None
        box = found.bounding_box()
        assert (box["width"], box["height"]) == (900, 900)  # as large as the window
        return found.locator("img").get_attribute("src"), found.text_content()

    assert large() is None
    page.part("neighbor").click()
    assert large() == ("/media/photos/near.png", "class 7")
    page.part("enlarged").click()
    assert large() is None
    page.part("area").locator("> div").click()
    assert large() == ("/media/photos/1.png", "class 1")
    page.key("k")  # the next one is large too
    assert large() == ("/media/photos/2.png", "class 1")
    page.key("Escape")
    assert large() is None
    assert page.run("asked", "review_decide") == [decision(1, "keep")]


def test_a_key_goes_to_the_first_label_that_is_not_reviewed(review):
    page = review(*map(card, range(1, 8)), rest=3, suspicious=3)
    page.key("k", "ArrowRight", "k", "ArrowRight", "f")  # 1 and 3 are decided, 2 and 4 skipped
    assert seen(page) == "2.png"
    page.key("F")
    assert page.page.get_by_text("This is the first label that is not reviewed").count() == 1
    page.key("k", "ArrowLeft", "ArrowLeft", "ArrowLeft")
    assert seen(page) == "1.png"
    page.part("first").click()
    assert seen(page) == "4.png"
    page.key("k", "k", "k", "k", "ArrowLeft")
    for _ in range(7):
        page.answer("review_decide", {"progress": PROGRESS})
    page.answer("review_cards", queue([], rest=3, suspicious=3))
    page.key("f")  # all that are here are decided
    assert page.text("loading") == "Loading the next labels…"
    page.answer("review_cards", queue([card(8)], rest=2, suspicious=2))
    assert seen(page) == "8.png"


def test_the_place_among_all_labels_of_a_kind(review):
    cards = [card(n, suspicious=n != 3) for n in (1, 2, 3, 4)] + [card(n) for n in (5, 6, 7, 8, 9)]
    page = review(*cards, rest=10, suspicious=4)
    assert page.text("name") == "1.png · suspicious label 1 of 12"
    page.key("k", "ArrowRight")
    assert page.text("name") == "3.png · other label 1 of 7"
    page.key("ArrowRight")
    assert page.text("name") == "4.png · suspicious label 3 of 12"


def test_the_last_suspicious_label_is_the_end_and_the_others_a_second_choice(scripts):  # noqa: F811
    page, others = scripts, [card(n, suspicious=False, suggestion=None) for n in (2, 3)]
    totals = {"words": "", "checked": True, "suspicious": 29, "others": 369, "others_left": 2}
    page.run("show", "GradcamReviewCard", {})
    page.answer("review_cards", queue([card(1), *others], progress=totals))
    assert page.text("name") == "1.png · suspicious label 29 of 29"
    assert page.text("finished") is None
    words = "Unclear and Exclude delete nothing: sample, label and file stay, but are left out of "
    assert words in page.text("legend-chips")
    page.key("a")
    # At once: the next key must not decide about a label that nothing speaks against.
    assert page.text("finished").startswith("All suspicious labels are reviewed.")
    assert page.text("name") is None
    page.key("a", "k", "u", "x", "1", "c", "ArrowRight")
    said = "All 29 suspicious labels are reviewed, no label is corrected"
    stored = page.answer("review_decide", {"progress": {**totals, "finished": said}})
    assert stored == decision(1, "accept")
    assert page.asked("review_decide") == []
    assert page.text("finished") == f"{said}.Go to StepsReview the other 2 labels too"
    page.key("ArrowLeft")
    assert (seen(page), page.text("decision")) == ("1.png", "Decided: changed to class 2")
    page.key("ArrowRight")
    page.part("others").click()
    assert page.text("name") == "2.png · other label 368 of 369"
    page.key("k")
    assert page.answer("review_decide", {"progress": totals}) == decision(2, "keep")


def test_with_a_filter_other_labels_are_shown_without_asking(scripts):  # noqa: F811
    totals = {"words": "", "checked": True, "suspicious": 29, "others": 369, "others_left": 2}
    one = queue([card(2, suspicious=False)], rest=1, progress=totals)
    scripts.run("show", "GradcamReviewCard", {})
    scripts.answer("review_cards", one)
    assert scripts.text("finished").startswith("All suspicious labels are reviewed.")
    scripts.part("kind").select_option("outlier")
    scripts.answer("review_cards", one)
    # Its place is among those that match.
    assert scripts.text("name") == "2.png · other label 1 of 2"


def test_more_cards_are_fetched_when_five_are_left(review):
    page = review(*map(card, range(1, 8)), rest=3, suspicious=2)
    page.key("ArrowRight")
    assert page.asked("review_cards") == []
    page.key("k")
    assert page.asked("review_cards") == []  # decisions are stored first
    page.answer("review_decide", {"progress": PROGRESS})
    known = ["2", "1", "3", "4", "5", "6", "7"]  # the decided ones first
    assert page.asked("review_cards") == [{"known": known}]
    found = [card(n) for n in (7, 8, 9)]
    page.answer("review_cards", queue(found, rest=1, suspicious=1))
    assert page.text("name") == "3.png · suspicious label 3 of 10"
    page.key(*["ArrowRight"] * 4)
    assert page.asked("review_cards") == [{"known": [*known, "8", "9"]}]
    page.answer("review_cards", {"error": "the database is away"})
    assert page.text("error") == "the database is away"
    assert seen(page) == "7.png"


def test_labels_that_were_reviewed_elsewhere_are_loaded_again(review):
    page = review(card(1), card(2))
    page.key("k")
    assert seen(page) == "2.png"
    page.page.evaluate("test.operators.reload_review[0].execute({ params: {} })")
    assert page.asked("review_cards") == []  # before what was decided here is stored
    page.answer("review_decide", {"progress": PROGRESS})
    assert page.answer("review_cards", queue([card(3)])) == {"adopt": True}
    assert seen(page) == "3.png"
    page.run("hide")
    page.page.evaluate("test.operators.reload_review[0].execute({ params: {} })")
    assert page.asked("review_cards") == []


def test_undo(review):
    page = review(*map(card, range(1, 5)), rest=0)
    page.key("a", "a", "ArrowRight")
    for _ in range(2):
        page.answer("review_decide", {"progress": PROGRESS})
    page.key("z")
    before = {"progress": {"words": "1 reviewed"}, "classes": CLASSES}
    page.answer("review_undo", {"cards": [card(2)], "count": 1, **before})
    assert (seen(page), page.text("label"), page.text("decision")) == ("2.png", "class 1", None)
    assert page.page.get_by_text("Undone", exact=True).count() == 1
    assert page.text("progress") == "1 reviewed"
    # Three decisions of one call: one of a card that is here, two that were not.
    page.key("z")
    page.answer("review_undo", {"cards": [card(9), card(1), card(8)], "count": 4, **before})
    assert page.page.get_by_text("4 decisions are undone").count() == 1
    assert page.text("name") == "9.png · suspicious label 2 of 7"
    page.key("z")
    page.answer("review_undo", {"error": "There is nothing to undo"})
    assert page.text("error") == "There is nothing to undo"


def test_heatmaps_of_both_classes_are_drawn_on_one_scale(review):
    maps = {
        "class 1": {"path": "/a.png", "peak": 0.5},
        "class 2": {"path": "/b.png", "peak": 1.0},
    }
    page = review(
        card(1, maps=maps), card(2, maps={"class 2": {"path": "/c.png", "peak": 0.2}}), card(3)
    )
    values = np.arange(256)
    for words, color, scale in (
        ("Heatmap of the label: class 1", (0, 255, 255), 0.5),
        ("Heatmap of the suggestion: class 2", (255, 0, 255), 1.0),
    ):
        page.key("h")
        assert page.text("shown") == f"{words}. The stronger the color, the more evidence."
        bar = page.part("shown-color").evaluate("x => x.style.background")
        assert bar == f"linear-gradient(90deg, transparent, rgb{color})"
        found = page.pixels()
        assert np.abs(found[:, 3] - 0.75 * scale * values).max() <= 1
        assert (found[128:, :3] == color).all()
    page.key("h")
    assert page.text("shown") is None
    page.key("ArrowRight", "h")
    assert page.text("shown").startswith("Heatmap of the suggestion: class 2.")
    assert np.abs(page.pixels()[:, 3] - 0.75 * values).max() <= 1  # it is the only one
    page.key("ArrowRight", "h")
    assert page.text("shown") is None
    assert page.page.get_by_text("No heatmaps of these classes yet").count() == 1


def test_the_grid_shows_new_labels_after_a_pause_or_when_the_card_is_left(review):
    page = review(*map(card, range(1, 5)))
    page.key("k")
    page.later(5000)
    assert page.asked("reload_dataset") == []  # it is not stored yet
    assert not page.part("behind").is_visible()
    page.answer("review_decide", {"progress": PROGRESS})
    page.later(1900)
    page.key("k")
    page.answer("review_decide", {"progress": PROGRESS})
    page.later(1900)
    assert page.asked("reload_dataset") == []
    assert page.text("behind") == "The grid follows in 2 s"
    assert page.part("behind").is_visible()
    page.later(200)
    assert len(page.asked("reload_dataset")) == 1
    assert not page.part("behind").is_visible()
    page.run("hide")
    assert len(page.asked("reload_dataset")) == 1  # nothing was decided since
    page.load()
    review(*map(card, range(1, 5)))
    page.key("z")
    back = {"cards": [card(1)], "count": 1, "progress": PROGRESS, "classes": CLASSES}
    page.answer("review_undo", back)
    page.run("hide")
    assert len(page.asked("reload_dataset")) == 1


def test_what_is_chosen_fetches_other_cards(review):
    page = review(*map(card, range(1, 4)))
    chosen = {}
    for name, value, wanted in (
        ("class", "class 3", {"label": "class 3", "suggestion": None}),
        ("pair", '["class 1","class 2"]', {"label": "class 1", "suggestion": "class 2"}),
        ("class", "class 2", {"label": "class 2", "suggestion": None}),
        ("below", "0.25", {"below": 0.25}),
        ("kind", "outlier", {"kind": "outlier"}),
        ("below", "", {"below": None}),
        ("class", "", {"label": None, "suggestion": None}),
    ):
        chosen |= wanted
        page.part(name).select_option(value)
        assert page.answer("review_cards", queue([card(7)])) == {**chosen, "adopt": True}
        assert seen(page) == "7.png"
    assert page.part("below").evaluate("x => x.value") == ""
    labels = page.part("pair").evaluate("x => [...x.options].map(y => y.textContent)")
    assert labels == ["All pairs of classes", "class 1 → class 2 (3)"]


def test_classes_are_found_by_a_part_of_their_name(review):
    page = review(*map(card, range(1, 6)))
    assert page.text("find") == "COther of 11 classes"
    page.key("c")
    box = page.part("find-box")
    box.press_sequentially("CLASS 1")
    assert page.texts("found") == ["class 1", "class 10", "class 11"]
    box.press("0")
    box.press("Enter")
    assert page.answer("review_decide", {"progress": PROGRESS}) == decision(
        1, "relabel", label="class 10"
    )
    assert page.text("find-box") is None
    page.key("/")
    box.type("kite")
    assert page.text("new") == "Add the class kite"
    box.press("Enter")
    assert page.answer("review_decide", {"progress": PROGRESS}) == decision(
        2, "relabel", label="kite", new_class=True
    )
    assert page.text("find") == "COther of 12 classes"  # it can be chosen at once
    page.key("c")
    box.press_sequentially("kit")
    assert page.texts("found") == ["kite"]
    box.press("Escape")
    page.key("c")
    box.press("x")  # is typed, and decides nothing
    box.press("Escape")
    assert (seen(page), page.text("find-box")) == ("3.png", None)
    assert page.asked("review_decide") == []
    # Undone, the class is none any more; one that is still to be stored is.
    page.key("z", "c")
    box.press_sequentially("newt")
    box.press("Enter")
    back = {"cards": [card(2)], "count": 1, "progress": PROGRESS, "classes": CLASSES}
    page.answer("review_undo", back)
    page.key("c")
    box.press_sequentially("t")
    assert page.texts("found") == ["newt"]


def test_keys_that_are_meant_for_others_decide_nothing(review):
    page = review(*map(card, range(1, 4)))
    page.key("Control+a", "Alt+k", "Meta+u", "q", "Enter")
    page.page.evaluate("document.body.insertAdjacentHTML('beforeend', '<p class=MuiDialog-root>')")
    page.key("a")
    page.page.evaluate("document.querySelector('.MuiDialog-root').remove()")
    page.page.evaluate("document.body.insertAdjacentHTML('beforeend', '<p data-cy=modal>')")
    page.key("a")  # a sample is open, with a card of its own
    page.page.evaluate("document.querySelector('[data-cy=modal]').remove()")
    assert (seen(page), page.asked("review_decide")) == ("1.png", [])
    page.key("a")
    assert len(page.asked("review_decide")) == 1


def test_the_card_of_a_sample_that_is_open(scripts):  # noqa: F811
    scripts.page.evaluate(
        "() => { window.keys = []; document.addEventListener('keydown', e => keys.push(e.key)) }"
    )
    scripts.run("set", {"modal": "7"})
    scripts.run("show", "GradcamReviewModal", {})
    # FiftyOne draws its panels in the modal.
    scripts.page.evaluate("""() => {
        const modal = document.createElement('div')
        modal.dataset.cy = 'modal'
        document.body.append(modal)
        modal.append(document.querySelector('[data-cy=gradcam-review]').parentElement.parentElement)
    }""")
    assert scripts.text("loading") == "Loading this label…"
    found = queue([card(7)], rest=5)
    assert scripts.answer("review_cards", found) == {"ids": ["7"], "adopt": True}
    assert scripts.text("name") == "7.png"
    assert scripts.text("next") is scripts.text("back") is scripts.text("first") is None
    scripts.key("f")  # which is FiftyOne's
    assert scripts.page.evaluate("keys.splice(0)") == ["f"]
    scripts.part("accept").click()
    params = decision(7, "accept", source="App, sample modal")
    assert scripts.asked("review_decide") == [params]
    assert scripts.page.evaluate("keys") == []
    scripts.answer("review_decide", {"progress": PROGRESS})
    assert scripts.page.evaluate("keys") == ["ArrowRight"]  # FiftyOne's key for the next sample
    scripts.later(3000)
    assert scripts.asked("reload_dataset") == []  # which would close the sample
    assert scripts.asked("review_cards") == []  # there is one card only
    scripts.key("Escape")
    scripts.later(200)
    assert scripts.page.evaluate("test.closed") == 1
    scripts.page.evaluate("() => document.querySelector('[data-cy=modal]').remove()")
    scripts.later(300)
    assert scripts.answer("reload_dataset") == {}  # now the grid shows the new label
    scripts.later(3000)
    assert scripts.asked("reload_dataset") == []
