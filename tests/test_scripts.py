"""The scripts of "Why?", of the heatmaps' row, of imports and of plots, in an empty page."""

import matplotlib
import numpy as np
import pytest
from script_pages import empty_page, scripts  # noqa: F401

JET = matplotlib.colormaps["jet"](np.arange(256), bytes=True)[:, :3].astype(int)


# "Why?"


def explanation(id: str, predicted: str = "cat", label: str | None = "dog", **more) -> dict:
    shown = [predicted, label] if label not in (None, predicted) else [predicted]
    return {
        "id": id, "path": f"/{id}.png", "width": 200, "height": 100, "box": [0, 0, 1, 1],
        "predicted": predicted, "label": label, "classes": ["ape", "bee", "cat", "dog"],
        "bars": [{"label": predicted, "probability": 0.75}, {"label": "bee", "probability": 0.125}],
        "maps": [{"label": x, "picture": f"/{x}.png", "evidence": "some"} for x in shown],
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
    words += "The grid shows heatmaps in one color, more opaque where there is more evidence."
    assert page.text("why-legend") == words
    assert page.text("why-labels") == "found: cattruth: dog"
    assert page.texts("why-bar") == ["cat75.0%", "bee12.5%"]


def test_what_was_chosen_last_is_kept_for_the_next_sample(why):
    page = why()
    page.part("why-label").click()
    assert pressed(page) == ["dog (label)"]
    assert on_next_sample(page, "t", predicted="bee", label="ape") == ["ape (label)"]
    assert on_next_sample(page, "u", predicted="bee", label=None) == ["bee (predicted)"]
    page.part("why-none").click()
    assert on_next_sample(page, "v") == ["No heatmap"]
    assert page.part("heat").count() == 0
    assert page.text("why-legend") == "The image without a heatmap"
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
    own["maps"].append({"label": "ape", "picture": "/ape.png", "evidence": "some"})
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
    own["maps"].append({"label": "bee", "picture": "/bee.png", "evidence": "little"})
    page.answer("explain_sample", own)
    page.pixels()
    assert page.text("why-state") == "Little evidence for 'bee' in this image"
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
    assert page.text("why-legend") == ("speaks for dog, against catspeaks for cat, against dog")
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


# The row of heatmaps


def choices(count: int) -> list[dict]:
    names = ("predicted", "label", "both", "d", "e", "f")[:count]
    found = [{"label": n, "paths": [f"cam_{n}"], "words": [f"words of {n}"]} for n in names]
    if count > 2:
        found[2] = {
            "label": "both",
            "paths": ["for", "against"],
            "words": ["speaks for", "against"],
        }
    return found


@pytest.fixture
def row(scripts):  # noqa: F811
    """The row, with the fields that the grid shows at first."""

    def show(count: int, *active: str):
        colors = {
            f"color of {x}": "#00ff00" for x in ("cam_predicted", "cam_label", "for", "against")
        }
        values = {
            "active": [*active],
            "scheme": {"colorBy": "field"},
            "coloring": {},
            "painting": 0,
        }
        scripts.run("set", {**values, **colors})
        scripts.run("show", "GradcamHeatmaps", {"schema": {"view": {"choices": choices(count)}}})
        return scripts

    return show


def on(page) -> list[str]:
    return page.part("heatmaps").locator("[aria-pressed=true]").all_text_contents()


def test_one_kind_of_heatmap_is_shown_at_a_time(row):
    page = row(4, "truth", "cam_predicted", "found")
    assert on(page) == ["predicted"]
    for name, fields, path in (
        ("both", ["truth", "found", "for", "against"], "for"),
        ("label", ["truth", "found", "cam_label"], "cam_label"),
        ("None", ["truth", "found"], ""),
        ("predicted", ["truth", "found", "cam_predicted"], "cam_predicted"),
    ):
        page.part("heatmaps").get_by_text(name, exact=True).click()
        page.later(150)
        assert page.answer("set_active_fields") == {"fields": fields}
        assert page.answer("show_heatmap", {}) == {"path": path}
        page.run("set", {"active": fields})
        assert on(page) == [name]
    page.part("heatmaps").get_by_text("predicted", exact=True).click()
    page.later(150)
    assert page.asked("set_active_fields") == page.asked("show_heatmap") == []  # it is there


def test_the_last_click_counts_and_waits_for_the_tiles(row):
    page = row(3, "truth")
    assert on(page) == ["None"]
    page.run("set", {"painting": 1})
    for name in ("predicted", "label"):
        page.part("heatmaps").get_by_text(name, exact=True).click()
    page.later(2000)
    assert page.asked("set_active_fields") == []
    page.run("set", {"painting": 0})
    page.later(80)
    page.run("set", {"painting": 1})
    page.later(100)
    page.run("set", {"painting": 0})
    page.later(60)
    assert page.asked("set_active_fields") == []  # it was painted in between
    page.later(300)
    assert page.asked("set_active_fields") == [{"fields": ["truth", "cam_label"]}]
    assert page.answer("show_heatmap", {}) == {"path": "cam_label"}
    page.answer("set_active_fields")
    page.run("set", {"painting": 1})
    page.part("heatmaps").get_by_text("both", exact=True).click()
    page.later(9900)
    assert page.asked("set_active_fields") == []
    page.later(200)  # it does not wait for ever
    assert page.asked("set_active_fields") == [{"fields": ["truth", "for", "against"]}]


def test_more_than_five_are_a_list_and_the_shown_have_a_legend(row):
    page = row(6, "truth", "for", "against")
    assert page.part("heatmaps").locator("button").count() == 0
    own = page.part("show")
    assert own.evaluate("x => [x.value, ...[...x.options].map(y => y.value)]") == [
        *("for", "", "cam_predicted", "cam_label", "for", "cam_d", "cam_e", "cam_f"),
    ]
    assert page.texts("legend") == ["speaks for", "against"]
    own.select_option("cam_d")
    page.later(150)
    assert page.answer("set_active_fields") == {"fields": ["truth", "cam_d"]}
    assert page.answer("show_heatmap", {}) == {"path": "cam_d"}
    own.select_option("")
    page.later(150)
    assert page.asked("set_active_fields") == [{"fields": ["truth"]}]
    page.load()
    row(5, "cam_label")
    assert page.part("heatmaps").locator("button").count() == 6


def test_the_legend_has_the_colors_of_the_app(row):
    page = row(3, "cam_label")
    legend = page.part("legend")

    def seen() -> tuple[str, str]:
        background = "x => x.querySelector('span').style.background"
        return legend.get_attribute("data-color"), legend.evaluate(background)

    assert seen() == ("#00ff00", "linear-gradient(90deg, transparent, rgb(0, 255, 0))")
    scale = [[n, 0, 255 - n] for n in range(33)]
    steps = "rgb(0, 0, 255), rgb(16, 0, 239), rgb(32, 0, 223)"
    for part in (1, 255):
        own = [[x / part for x in one] for one in scale]
        page.run("set", {"scheme": {"colorBy": "value"}, "coloring": {"scale": own}})
        assert seen() == ("scale", f"linear-gradient(90deg, {steps})")


# Imports


RUNNING = {
    "id": "j", "label": "Import 'pets'", "state": "running", "state_word": "running",
    "has_ended": False, "progress": 0.255, "message": "Reading", "left": "2 min", "dataset": None,
    "can_repeat": False, "verb": "import_folders", "form": None,
}  # fmt: skip


@pytest.fixture
def imports(scripts):  # noqa: F811
    scripts.page.evaluate("test.operators.show_import[0].execute({ params: { job: 'j' } })")
    assert scripts.asked("import_state") == [{"job": "j"}]
    return scripts


def buttons(page) -> list[str]:
    return page.part("import").locator("button").all_text_contents()


def ended(page, state: str, **more) -> None:
    facts = {"state": state, "state_word": state, "has_ended": True, "message": "It is so"}
    page.answer("import_state", {**RUNNING, **facts, **more})


def test_an_import_is_followed_also_by_a_page_that_is_loaded_again(imports):
    page = imports
    page.answer("import_state", RUNNING)
    assert page.text("import") == "Import 'pets' · 26% · about 2 min leftReadingCancel"
    bar = page.part("import").locator("div div div")
    assert bar.evaluate("x => x.style.width") == "25.5%"
    page.later(400)
    assert page.asked("import_state") == []
    page.later(200)
    page.answer("import_state", {**RUNNING, "progress": 0.5, "left": None, "message": ""})
    assert page.text("import") == "Import 'pets' · 50%StartingCancel"
    page.load()
    assert page.asked("import_state") == [{"job": "j"}]
    page.answer("import_state", RUNNING)
    page.part("import").locator("button").click()
    assert page.asked("cancel_import") == [{"job": "j"}]
    assert buttons(page) == ["Canceling"]
    assert page.part("import").locator("button").is_disabled()
    page.later(600)
    page.answer("import_state", {**RUNNING, "state": "cancelling"})
    assert buttons(page) == []
    page.later(600)
    ended(page, "cancelled", can_repeat=True)
    assert page.text("import") == "Import 'pets' · cancelledIt is soResumeClose"
    page.load()
    assert page.asked("import_state") == []  # it has ended
    assert page.text("import") is None


def test_what_can_be_done_about_an_import_that_has_ended(imports):
    page = imports
    ended(page, "cancelled", can_repeat=True)
    page.part("import").get_by_text("Resume").click()
    assert page.answer("repeat_import", {"id": "k"}) == {"job": "j"}
    assert page.answer("import_state", RUNNING) == {"job": "k"}
    page.later(600)
    form = {"path": "/x"}
    ended(page, "failed", can_repeat=True, form=form)
    assert page.part("import").get_attribute("data-state") == "failed"
    page.part("import").get_by_text("Change and run again").click()
    assert page.asked("prompt_user_for_operation") == [
        {"operator_uri": "@gradcam/classifier/import_folders", "params": form}
    ]
    assert page.text("import") is None
    for state, can_repeat, shown in (
        ("failed", True, ["Close"]),
        ("lost", True, ["Resume", "Close"]),
        ("lost", False, ["Close"]),
    ):
        page.page.evaluate("test.operators.show_import[0].execute({ params: { job: 'l' } })")
        ended(page, state, can_repeat=can_repeat)
        assert buttons(page) == shown
    page.part("import").get_by_text("Close").click()
    assert page.text("import") is None
    page.page.evaluate("test.operators.show_import[0].execute({ params: { job: 'm' } })")
    page.answer("import_state", {"error": "There is no such job"})
    assert page.text("import") == "ImportThere is no such jobClose"


def test_the_dataset_of_an_import_is_opened_with_the_panel(imports):
    page = imports
    ended(page, "completed", dataset="pets")
    assert page.text("import") == "Import 'pets' · completedIt is soClose"
    assert page.answer("follow_job", {}) == {"job": "j"}
    page.later(1600)
    assert page.asked("open_panel") == []  # the page of the dataset is not there yet
    add = "name => document.body.insertAdjacentHTML('beforeend', `<p data-cy=${name}>`)"
    page.page.evaluate(add, "new-panel-btn")
    page.later(1500)
    asked = {"name": "classifier", "isActive": True, "layout": "horizontal"}
    assert page.asked("open_panel") == [asked]
    page.later(1500)
    assert len(page.asked("open_panel")) == 2
    page.page.evaluate(add, "gradcam-panel")
    page.later(1500)
    page.page.evaluate("document.querySelector('p[data-cy=gradcam-panel]').remove()")
    page.later(1500)
    assert len(page.asked("open_panel")) == 3  # it was discarded
    page.page.evaluate(add, "gradcam-panel")
    page.later(3 * 1500)
    page.page.evaluate("document.querySelector('p[data-cy=gradcam-panel]').remove()")
    page.later(5 * 1500)
    assert len(page.asked("open_panel")) == 3  # it stayed, and was closed by the person


def test_the_outcome_goes_away_once_it_is_read(imports):
    page = imports
    ended(page, "completed", dataset="pets")
    page.later(7900)
    assert page.text("import") is not None
    page.later(200)
    assert page.text("import") is None
    page.page.evaluate("test.operators.show_import[0].execute({ params: { job: 'k' } })")
    ended(page, "completed", dataset="pets")
    page.later(2900)
    page.page.mouse.click(5, 5)
    assert page.text("import") is not None  # too early to have read it
    page.later(200)
    page.part("import").locator("div").first.click()
    assert page.text("import") is not None
    page.page.mouse.click(5, 5)
    assert page.text("import") is None


def test_a_form_that_is_open_stays(imports):
    page = imports
    page.page.evaluate("document.body.insertAdjacentHTML('beforeend', '<p role=dialog>form</p>')")
    ended(page, "completed", dataset="pets")
    page.later(2100)
    assert page.asked("follow_job") == []
    assert page.text("import").endswith("It can be opened when the form is closedClose")
    page.page.evaluate("document.querySelector('[role=dialog]').remove()")
    page.later(600)
    assert buttons(page) == ["Open the dataset", "Close"]
    page.part("import").get_by_text("Open the dataset").click()
    assert page.asked("follow_job") == [{"job": "j"}]


# Plots


def test_plots_follow_the_width_of_the_panel(scripts):  # noqa: F811
    scripts.page.evaluate("""() => {
        document.body.innerHTML = '<p class=js-plotly-plot></p><p class=js-plotly-plot></p>'
        window.fitted = 0
        const plot = document.querySelector('.js-plotly-plot')
        plot._responsiveChartHandler = () => { fitted += 1 }
    }""")
    scripts.run("show", "GradcamPlotSizes", {})
    for width, fitted in ((800, 1), (700, 2)):
        scripts.page.evaluate("width => { document.body.style.width = `${width}px` }", width)
        scripts.page.wait_for_function("n => fitted === n", arg=fitted)
    scripts.run("hide")
    scripts.page.evaluate("document.body.style.width = '600px'")
    scripts.page.evaluate(
        "new Promise(x => { const o = new ResizeObserver(x); o.observe(document.body) })"
    )
    assert scripts.page.evaluate("fitted") == 2


# Forms


def test_whoever_types_keeps_the_focus(scripts):  # noqa: F811
    page = scripts.page
    page.evaluate("""() => {
        document.body.innerHTML = '<div role=dialog><input id=path><input type=checkbox id=more>' +
            '<p data-gradcam-form></p></div><div role=dialog><input id=a><input id=b></div>'
    }""")

    def focused(name: str) -> str:
        """What has the focus after FiftyOne has given it to an element."""
        return page.evaluate(f"() => {{ {name}.focus(); return document.activeElement.id }}")

    page.locator("#path").click()
    scripts.later(600)
    assert focused("more") == "more"  # nothing is typed
    page.locator("#path").click()
    page.keyboard.type("/tm")
    scripts.later(600)
    assert focused("more") == "path"
    page.keyboard.type("p")
    assert page.locator("#path").input_value() == "/tmp"
    scripts.later(600)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "more"
    page.locator("#path").click()
    page.keyboard.type("/")
    scripts.later(9000)
    assert focused("more") == "path"
    scripts.later(1100)
    assert focused("more") == "more"  # long after the last letter
    page.locator("#a").click()
    page.keyboard.type("x")
    scripts.later(600)
    assert focused("b") == "b"  # not a form of this plugin
