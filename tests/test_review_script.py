"""The review card's script in an empty page: its keys, and in which order decisions are stored."""

from review_pages import CLASSES, PROGRESS, card, decision, queue, seen


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
    sure = {"suggestion_confidence": 0.908}
    page = review(card(1, neighbors=[near], **sure), card(2, suggestion=None), card(3))

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
    # It says what the card below it says: a key would decide blindly.
    keys = "K keep class 1, U unclear, X exclude, Z undo, Esc close"
    words = f"Label: class 1 · Suggested: class 2 90.8% · A accept class 2, {keys}"
    assert large() == ("/media/photos/1.png", words)
    page.key("k")  # the next one is large too
    assert large() == ("/media/photos/2.png", f"Label: class 1 · {keys}")
    page.key("ArrowLeft")
    assert "· Decided: class 1 was kept · A accept" in large()[1]
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


def test_the_last_suspicious_label_is_the_end_and_the_others_a_second_choice(scripts):
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
    page.run("hide")
    # From any place, they begin with the first that is not decided.
    page.run("show", "GradcamReviewCard", {})
    decided = [card(n, suspicious=False, suggestion=None) for n in (4, 5)]
    page.answer("review_cards", queue([*decided, *others], progress=totals))
    page.part("others").click()
    page.key("k", "k", "ArrowLeft", "ArrowLeft", "ArrowLeft")
    for _ in range(2):
        page.answer("review_decide", {"progress": totals})
    assert seen(page) == "4.png"
    page.run("hide")
    page.run("show", "GradcamReviewCard", {})
    page.answer("review_cards", queue(others, progress=totals))
    page.part("others").click()
    page.key("k")
    assert page.answer("review_decide", {"progress": totals}) == decision(2, "keep")


def test_with_a_filter_other_labels_are_shown_without_asking(scripts):
    totals = {"words": "", "checked": True, "suspicious": 29, "others": 369, "others_left": 2}
    one = queue([card(2, suspicious=False)], rest=1, progress=totals)
    scripts.run("show", "GradcamReviewCard", {})
    scripts.answer("review_cards", one)
    assert scripts.text("finished").startswith("All suspicious labels are reviewed.")
    scripts.part("kind").select_option("outlier")
    scripts.answer("review_cards", one)
    # Its place is among those that match.
    assert scripts.text("name") == "2.png · other label 1 of 2"
    scripts.answer("review_cards", one)  # more of them
    scripts.part("below").select_option("0.05")
    scripts.answer("review_cards", queue([], progress=totals))
    empty = "No label that is left to review matches the filters below. Clear filters"
    assert scripts.text("empty") == empty
    scripts.part("clear").click()
    assert scripts.answer("review_cards", one) == {"adopt": True}
    assert scripts.text("finished").startswith("All suspicious labels are reviewed.")


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
    one = {"cards": [card(2)], "count": 1, "decision": "accept", "label": "class 2"}
    page.answer("review_undo", {**one, **before})
    assert (seen(page), page.text("label"), page.text("decision")) == ("2.png", "class 1", None)
    assert page.page.get_by_text("Undone: changed to class 2 (2.png)", exact=True).count() == 1
    assert page.text("progress") == "1 reviewed"
    # Three decisions of one call: one of a card that is here, two that were not.
    page.key("z")
    page.answer("review_undo", {"cards": [card(9), card(1), card(8)], "count": 4, **before})
    assert page.page.get_by_text("4 decisions are undone").count() == 1
    assert page.text("name") == "9.png · suspicious label 2 of 7"
    page.key("z")
    page.answer("review_undo", {"error": "There is nothing to undo"})
    assert page.text("error") == "There is nothing to undo"
