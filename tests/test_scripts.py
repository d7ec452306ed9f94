"""The scripts of the heatmaps' row, of imports, plots and forms, in an empty page."""

import pytest
from script_pages import empty_page, scripts  # noqa: F401

# The row of heatmaps


def choices(count: int) -> list[dict]:
    names = ("predicted", "label", "both", "d", "e", "f")[:count]
    found = [
        {"label": n, "paths": [f"cam_{n}"], "words": [f"words of {n}"], "strength": f"how {n}"}
        for n in names
    ]
    if count > 2:
        found[2] = {
            "label": "both",
            "paths": ["for", "against"],
            "words": ["speaks for", "against"],
            "strength": "how both",
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
        }
        scripts.run("set", {**values, **colors})
        scripts.run("show", "GradcamHeatmaps", {"schema": {"view": {"choices": choices(count)}}})
        scripts.later(200)  # the tiles are painted
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
        page.later(0)
        assert page.answer("set_active_fields") == {"fields": fields}
        assert page.answer("show_heatmap", {}) == {"path": path}
        page.run("set", {"active": fields})
        assert on(page) == [name]
    page.part("heatmaps").get_by_text("predicted", exact=True).click()
    page.later(0)
    assert page.asked("set_active_fields") == page.asked("show_heatmap") == []  # it is there


def test_the_last_click_counts_and_waits_for_the_tiles(row):
    page = row(3, "truth")
    assert on(page) == ["None"]
    page.run("paint", "1", "a.jpg")
    for name in ("predicted", "label"):
        page.part("heatmaps").get_by_text(name, exact=True).click()
    page.later(4000)
    assert page.asked("set_active_fields") == []
    page.run("painted", "1")
    page.later(100)
    page.run("paint", "2", "a.jpg")  # FiftyOne starts some jobs later
    page.later(300)
    page.run("painted", "2")
    page.later(100)
    assert page.asked("set_active_fields") == []
    page.later(100)
    assert page.asked("set_active_fields") == [{"fields": ["truth", "cam_label"]}]
    assert page.answer("show_heatmap", {}) == {"path": "cam_label"}
    page.answer("set_active_fields")
    page.run("paint", "lost", "b.jpg")
    page.part("heatmaps").get_by_text("both", exact=True).click()
    page.later(4000)
    page.run("paint", "3", "c.jpg")  # as long as others are painted, it may still be answered
    page.later(1500)
    page.run("painted", "3")
    page.later(4900)
    assert page.asked("set_active_fields") == []
    page.later(200)
    assert page.asked("set_active_fields") == [{"fields": ["truth", "for", "against"]}]


def test_more_than_five_are_a_list_and_the_shown_have_a_legend(row):
    page = row(6, "truth", "for", "against")
    assert page.part("heatmaps").locator("button").count() == 0
    own = page.part("show")
    assert own.evaluate("x => [x.value, ...[...x.options].map(y => y.value)]") == [
        *("for", "", "cam_predicted", "cam_label", "for", "cam_d", "cam_e", "cam_f"),
    ]
    assert page.texts("legend") == ["speaks for", "against"]
    assert page.text("strength") == "how both"  # once for both colors
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
    assert page.text("strength") == "how label"
    scale = [[n, 0, 255 - n] for n in range(33)]
    steps = "rgb(0, 0, 255), rgb(16, 0, 239), rgb(32, 0, 223)"
    for part in (1, 255):
        own = [[x / part for x in one] for one in scale]
        page.run("set", {"scheme": {"colorBy": "value"}, "coloring": {"scale": own}})
        assert seen() == ("scale", f"linear-gradient(90deg, {steps})")
        # There is no one color.
        assert page.text("strength") == "From left to right in the bar: from least to most."


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


def test_the_panel_scrolls_to_its_top_once_when_it_is_asked_to(scripts):  # noqa: F811
    def scrolled(top: float | None) -> int:
        scripts.run("show", "GradcamPlotSizes", {"schema": {"view": {"top": top}}})
        return scripts.page.evaluate("document.documentElement.scrollTop")

    scripts.page.evaluate("() => { document.body.style.height = '5000px'; scrollTo(0, 700) }")
    assert [scrolled(top) for top in (None, 0)] == [700, 700]
    assert scrolled(1.5) == 0
    scripts.page.evaluate("scrollTo(0, 300)")
    assert scrolled(1.5) == 300  # drawn again, after a tab was changed
    assert scrolled(2.5) == 0


# Forms


def test_whoever_types_keeps_the_focus(scripts):  # noqa: F811
    page = scripts.page
    page.evaluate("""() => {
        document.body.innerHTML = '<div role=dialog id=own><input id=path><input id=other>' +
            '<p data-gradcam-form></p></div><div role=dialog id=their><input id=a></div>'
    }""")

    def appears(form: str, more: str = "") -> str:
        """What has the focus after a field has appeared, to which FiftyOne gives the focus."""
        return page.evaluate(
            f"""() => {{
                const field = document.createElement('input')
                field.type = 'checkbox'
                field.id = 'new'
                document.getElementById('{form}').append(field)
                {more}
                field.focus()
                return document.activeElement.id
            }}"""
        )

    page.locator("#path").click()
    assert appears("own") == "new"  # nothing is typed
    page.locator("#path").click()
    page.keyboard.type("/tm")
    assert appears("own") == "path"
    page.keyboard.type("p")
    assert page.locator("#path").input_value() == "/tmp"
    # A field that was there already gets the focus, by whatever gives it.
    assert page.evaluate("() => { other.focus(); return document.activeElement.id }") == "other"
    page.locator("#path").click()
    page.keyboard.type("/")
    insists = "field.addEventListener('blur', () => field.focus())"
    assert appears("own", insists) == "new"  # or there would be no end
    page.evaluate("document.querySelectorAll('#new').forEach(x => x.remove())")
    page.locator("#path").click()
    page.keyboard.type("/")
    scripts.later(9000)
    assert appears("own") == "path"
    scripts.later(1100)
    assert appears("own") == "new"  # long after the last letter
    page.locator("#a").click()
    page.keyboard.type("x")
    assert appears("their") == "new"  # not a form of this plugin


@pytest.mark.parametrize(
    ("first", "focus"),
    [
        ("<button></button><input id=folder>", "folder"),
        ("<input id=folder value=known>", ""),
        ("<input type=checkbox id=box>", ""),
    ],
)
def test_a_form_that_begins_with_an_empty_text_field_has_the_focus_in_it(scripts, first, focus):  # noqa: F811
    found = scripts.page.evaluate(
        """async (first) => {
            const noted = async () => { for (let n = 0; n < 9; n++) await null }  // by observers
            const form = document.createElement('div')
            form.role = 'dialog'
            form.innerHTML = '<input id=search>'
            document.body.append(form)
            await noted()
            const all = [document.activeElement.id]  // not yet a form of this plugin
            form.innerHTML = `<div data-gradcam-form>${first}</div>
                <div data-gradcam-form><input id=next></div>`
            await noted()
            all.push(document.activeElement.id)
            document.activeElement.blur()
            form.append(document.createElement('p'))
            await noted()
            return [...all, document.activeElement.id]  // only as it opens
        }""",
        first,
    )
    assert found == ["", focus, ""]
