"""The panel "Why?" in an empty page: what it asks for, draws and keeps."""

import matplotlib
import numpy as np
import pytest
from script_pages import empty_page, scripts  # noqa: F401

JET = matplotlib.colormaps["jet"](np.arange(256), bytes=True)[:, :3].astype(int)


def shown_map(name: str, evidence: str = "some") -> dict:
    words = [f"Where it is for {name}"]
    return {"label": name, "picture": f"/{name}.png", "evidence": evidence, "words": words}


def explanation(id: str, predicted: str = "cat", label: str | None = "dog", **more) -> dict:
    shown = [predicted, label] if label not in (None, predicted) else [predicted]
    return {
        "id": id, "path": f"/{id}.png", "width": 200, "height": 100, "box": [0, 0, 1, 1],
        "predicted": predicted, "label": label, "classes": ["ape", "bee", "cat", "dog"],
        "bars": [{"label": predicted, "probability": 0.75}, {"label": "bee", "probability": 0.125}],
        "maps": [shown_map(x) for x in shown],
        "contrast": None, "words": ["It looks at the ears"], "notes": [], "neighbors": [],
        "neighbors_are": "images", "method": "Grad-CAM", "layer": "l4", "run": "r",
        "prediction_field": "found", "prediction_fields": ["found", "other"],
        "label_field": "truth", **more,
    }  # fmt: skip


@pytest.fixture
def why(scripts):  # noqa: F811
    """The panel, open on the sample "s"."""

    def show(**more):
        scripts.run("set", {"modal": "s"})
        scripts.run("show", "GradcamWhyModal", {})
        assert scripts.asked("explain_sample") == [{"id": "s"}]
        scripts.answer("explain_sample", explanation("s", **more))
        return scripts

    return show


def pressed(page) -> list[str]:
    """The texts of the buttons that are on."""
    return page.page.locator("button[aria-pressed=true][data-cy^=gradcam-why]").evaluate_all(
        "all => all.filter(x => x.dataset.cy !== 'gradcam-why-bar').map(x => x.textContent)"
    )


def on_next_sample(page, id: str, **more) -> list[str]:
    page.run("set", {"modal": id})
    page.answer("explain_sample", explanation(id, **more))
    return pressed(page)


def test_a_heatmap_is_drawn_in_the_colors_of_jet(why):
    page = why()
    assert pressed(page) == ["cat (predicted)"]
    found = page.pixels()
    assert (found[0] == 0).all()  # transparent where there is no evidence
    assert (found[1:, 3] == 255).all()
    assert np.abs(found[1:, :3] - JET[1:]).max() <= 1
    assert page.part("heat").evaluate("x => x.style.opacity") == "0.5"
    page.part("why-opacity").fill("0.25")
    assert page.part("heat").evaluate("x => x.style.opacity") == "0.25"
    assert "Opacity25%" in page.text("why")
    words = "No evidencemost evidence for cat · one scale for all classes"
    words += "Colors: jet, red = most evidence."
    of_grid = " In the grid, a heatmap has one color: the stronger the color, the more evidence."
    assert page.text("why-legend") == words + of_grid
    page.run("set", {"scheme": {"colorBy": "value"}})  # the grid has a color scale too
    assert page.text("why-legend") == words
    assert page.text("why-labels") == "found: cattruth: dog"
    assert page.texts("why-bar") == ["cat75.0%", "bee12.5%"]


def test_what_was_chosen_last_is_kept_for_the_next_sample(why):
    page = why()
    assert page.text("why-where") == "Where it is for cat"
    page.part("why-label").click()
    assert pressed(page) == ["dog (label)"]
    assert page.text("why-where") == "Where it is for dog"  # and no more for the other class
    assert on_next_sample(page, "t", predicted="bee", label="ape") == ["ape (label)"]
    assert on_next_sample(page, "u", predicted="bee", label=None) == ["bee (predicted)"]
    page.part("why-none").click()
    assert on_next_sample(page, "v") == ["No heatmap"]
    assert page.part("heat").count() == 0
    assert page.text("why-legend") == "The image without a heatmap"
    assert page.text("why-where") == ""
    page.part("why-opacity").fill("0.7")

    def opened_again(id: str, asked: dict | None = None) -> list[str]:
        page.run("hide")
        page.run("set", {"modal": id})
        page.run("show", "GradcamWhyModal", {})
        assert page.asked("explain_sample") == [{"id": id, **(asked or {})}]
        field = (asked or {}).get("prediction_field", "found")
        page.answer("explain_sample", explanation(id, prediction_field=field))
        return pressed(page)

    assert opened_again("w") == ["No heatmap"]
    assert page.part("why-opacity").evaluate("x => x.value") == "0.7"
    # A class that is neither is asked for once: the next sample has other classes.
    page.part("why-class").select_option("ape")
    own = explanation("w")
    own["maps"].append(shown_map("ape"))
    assert page.answer("explain_sample", own) == {"id": "w", "classes": ["ape"]}
    assert pressed(page) == ["ape"]
    assert opened_again("x") == ["cat (predicted)"]
    page.part("why-none").click()
    page.part("why-field").select_option("other")
    asked = {"id": "x", "prediction_field": "other"}
    assert page.answer("explain_sample", explanation("x", prediction_field="other")) == asked
    assert pressed(page) == ["cat (predicted)"]
    assert opened_again("y", {"prediction_field": "other"}) == ["No heatmap"]


def test_a_class_that_is_picked_is_asked_for(why):
    page = why()
    assert page.part("why-class").evaluate("x => [...x.options].map(y => y.value)") == [
        *("", "ape", "dog"),  # not those with a bar
    ]
    page.part("why-bar").nth(1).click()
    assert page.asked("explain_sample") == [{"id": "s", "classes": ["bee"]}]
    assert page.text("why-state") == "Computing the heatmap of 'bee'…"
    own = explanation("s")
    own["maps"].append(shown_map("bee", "little"))
    page.answer("explain_sample", own)
    page.pixels()
    assert page.text("why-state") == "Little evidence for 'bee' in this image"
    assert page.text("why-where") == "Where it is for bee"
    page.part("why-bar").nth(0).click()  # which is there
    assert page.asked("explain_sample") == []
    assert pressed(page) == ["cat (predicted)"]


def test_without_a_classifier_it_says_what_to_do_and_looks_again(scripts):  # noqa: F811
    scripts.run("set", {"modal": "s"})
    scripts.run("show", "GradcamWhyModal", {})
    scripts.answer("explain_sample", {"missing": "There is no classifier yet."})
    assert scripts.text("why-missing") == "There is no classifier yet.Look again"
    assert (scripts.text("why-error"), scripts.text("why-busy")) == (None, None)
    scripts.part("why-again").click()
    scripts.answer("explain_sample", explanation("s"))
    assert scripts.text("why-missing") is None
    assert scripts.texts("why-bar") == ["cat75.0%", "bee12.5%"]


def test_an_answer_for_an_earlier_sample_is_not_shown(why):
    page = why()
    assert page.part("why").get_attribute("data-of") == "s"
    page.run("set", {"modal": "t"})
    assert page.part("why").get_attribute("data-of") == ""
    assert page.text("why-busy") == " Asking the network…"
    page.later(1100)
    page.run("set", {"modal": "u"})
    page.later(1100)
    assert page.text("why-busy") == " Asking the network…"
    assert page.text("why-state") == "Computing the heatmap…"
    page.answer("explain_sample", explanation("t", predicted="bee"))
    assert page.part("why").get_attribute("data-of") == ""
    page.later(200)
    assert page.text("why-busy").startswith(" Loading the network.")
    page.answer("explain_sample", {"error": "There is no run"})
    assert page.text("why-error") == "There is no run"
    assert page.text("why-labels") is None
    on_next_sample(page, "v")
    assert page.text("why-error") is None
    assert page.text("why-busy") is None


def test_two_classes_are_compared_in_two_colors(why):
    colors = ["#ff8000", "#0040ff"]
    one = {"label": "dog", "other": "cat", "own": "/own.png", "against": "/a.png", "colors": colors}
    page = why(contrast=one)
    page.part("why-contrast").click()
    for number, color in enumerate(((255, 128, 0), (0, 64, 255))):
        found = page.pixels(number)
        assert (found[:, 3] == np.arange(256)).all()
        assert (found[255, :3] == color).all()
    sources = page.part("heat").evaluate_all(
        "all => all.map(x => [x.dataset.drawn, x.style.opacity])"
    )
    assert sources == [["s for", "0.8"], ["s against", "0.8"]]
    assert page.text("why-legend") == (
        "speaks for dog, against catspeaks for cat, against dog"
        "The stronger the color, the more evidence."
    )
    bars = (
        page.part("why-legend")
        .locator("span span")
        .evaluate_all("all => all.map(x => x.style.background)")
    )
    assert bars == ["rgb(255, 128, 0)", "rgb(0, 64, 255)"]
    assert on_next_sample(page, "t", contrast=one) == ["dog or cat?"]
    assert on_next_sample(page, "u") == ["cat (predicted)"]  # there is nothing to compare


def test_what_else_is_said_of_an_image(why):
    near = [
        {"id": "n1", "path": "/a/n1.png", "label": "dog"},
        {"id": "n2", "path": "/n2.png", "label": None},
    ]
    page = why(box=[0.25, 0, 0.75, 1], neighbors=near, notes=["The label is unsure"])
    outline = page.part("outline").evaluate(
        "x => [x.style.left, x.style.top, x.style.width, x.style.height]"
    )
    assert outline == ["25%", "0%", "50%", "100%"]
    assert page.texts("why-neighbor") == ["dog", "no label"]
    colors = (
        page.part("why-neighbor").locator("span").evaluate_all("all => all.map(x => x.style.color)")
    )
    assert colors == ["inherit", "rgb(255, 109, 4)"]
    page.part("why-neighbor").nth(1).click()
    assert page.asked("open_sample") == [{"id": "n2"}]
    assert page.text("why-words") == "It looks at the ears"
    assert page.page.get_by_role("note").all_text_contents() == ["The label is unsure"]
    empty = explanation("t")
    empty["maps"][0]["evidence"] = "none"
    page.run("set", {"modal": "t"})
    page.answer("explain_sample", empty)
    page.pixels()
    assert page.text("why-state") == "No evidence for 'cat' in this image"
    assert page.text("outline") is None  # all of it was seen
    assert page.page.get_by_text("No features of this network are kept").count() == 1


def test_escape_closes_a_sample(why):
    page = why()

    def closed() -> int:
        page.key("Escape")
        page.later(140)
        before = page.page.evaluate("test.closed")
        page.later(20)
        return page.page.evaluate("test.closed") - before

    page.run("set", {"fullscreen": True})
    assert closed() == 0
    page.run("set", {"fullscreen": False})
    page.page.evaluate("document.body.insertAdjacentHTML('beforeend', '<p class=MuiPopover-root>')")
    assert closed() == 0
    page.page.evaluate("document.querySelector('.MuiPopover-root').remove()")
    page.part("why-opacity").focus()
    assert closed() == 0
    page.part("why-opacity").evaluate("x => x.blur()")
    assert closed() == 1
    page.key("a")
    page.later(200)
    assert page.page.evaluate("test.closed") == 1
