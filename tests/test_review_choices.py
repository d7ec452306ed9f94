"""The review card's script in an empty page: heatmaps, filters, classes, and where keys count."""

import numpy as np
from review_pages import CLASSES, PROGRESS, card, decision, queue, seen


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
    back |= {"decision": "keep", "label": "class 1"}
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
    note = "kite is a new class. Z takes it back"
    assert page.page.get_by_text(note, exact=True).count() == 1
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
    back |= {"decision": "relabel", "label": "kite"}
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


def test_the_card_of_a_sample_that_is_open(scripts):
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
    assert scripts.text("later") is None
    scripts.answer("review_decide", {"progress": PROGRESS})
    assert scripts.page.evaluate("keys") == ["ArrowRight"]  # FiftyOne's key for the next sample
    assert scripts.text("later").startswith("The tab Sample and the grid show the label as it is")
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
