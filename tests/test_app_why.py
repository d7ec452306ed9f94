"""Why? in the sample modal, and the row that switches heatmaps, in a real browser."""

import re

import fiftyone as fo
import numpy as np
import pytest
from conftest import save_digits
from made_runs import make_run
from serving import until
from tiles import CYAN, MAGENTA, check_tiles, expected_tile

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset.shown import active_heatmaps
from fiftyone_gradcam.explain.overlay import colors_of

PIXELS = """([name, x, y]) => {
    const canvas = [...document.querySelectorAll('[data-cy=gradcam-heat]')]
        .find((one) => one.dataset.drawn?.endsWith(name));
    if (!canvas) return null;  // it is drawn again
    const pen = canvas.getContext('2d');
    return [canvas.width, canvas.height, ...pen.getImageData(x, y, 1, 1).data];
}"""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Twelve digits, seen by a run through the crop, with three kinds of heatmaps."""
    root = save_digits(tmp_path_factory.mktemp("why") / "digits", per_class=4, side=192)
    dataset = fg.import_folders(str(root), "why in the app")
    make_run(dataset, "made", resize="crop")
    fg.predict(dataset, "made", heatmaps=("predicted", "label", "contrast"), progress=False)
    yield dataset
    dataset.delete()


def part(app, name: str):
    return app.page.locator(f"[data-cy=gradcam-{name}]")


def legend(app, what: str) -> list[str]:
    """The colors or paths of the legend, all read in one look."""
    return part(app, "legend").evaluate_all(f"(found) => found.map((one) => one.dataset.{what})")


def stored_heatmaps(dataset) -> list[str]:
    """The heatmaps that the grid shows, as they are stored."""
    dataset.reload()
    return active_heatmaps(dataset)


def shown(app, *names: str) -> None:
    """Wait until these heatmaps are drawn, and no other."""
    code = """(names) => {
        const found = [...document.querySelectorAll('[data-cy=gradcam-heat]')]
            .map((one) => one.dataset.drawn);
        return found.length === names.length
            && names.every((name) => found.some((x) => x && x.endsWith(name)));
    }"""
    app.page.wait_for_function(code, arg=list(names), timeout=60_000)


def explained(app, sample_id: str) -> None:
    """Wait until the panel explains a sample."""
    app.page.locator(f"[data-cy=gradcam-why][data-of='{sample_id}']").wait_for()


def test_the_grid_shows_one_kind_of_heatmap_at_a_time(app, dataset):
    app.open(dataset.name)
    app.open_panel()
    for name, field, color in (
        ("gradcam_label", "gradcam_label", CYAN),
        ("none", None, MAGENTA),
        ("gradcam", "gradcam", MAGENTA),
    ):
        part(app, f"show-{name}").click()
        check_tiles(app.page, [expected_tile(sample, field, color) for sample in dataset])
        app.page.wait_for_function(
            f"() => document.querySelector('[data-cy=gradcam-show-{name}]')?.ariaPressed === 'true'"
        )
        colors = [] if field is None else ["#{:02x}{:02x}{:02x}".format(*color)]
        until(lambda colors=colors: legend(app, "color") == colors)
        until(lambda field=field: stored_heatmaps(dataset) == ([field] if field else []))
    with app._answered("execute"):
        part(app, "show-gradcam_contrast").click()
    paths = ["gradcam_contrast", "gradcam_contrast_against"]
    until(lambda: legend(app, "path") == paths)
    words = part(app, "legend").all_inner_texts()
    assert words[1] == "speaks for the label rather than for the predicted class"
    until(lambda: stored_heatmaps(dataset) == paths)
    app.screenshot("heatmaps of the grid")


def test_fields_of_unusual_names_get_their_color_at_once(app, app_server, name, tmp_path):
    # Not made by import_folders: no color is stored before a job is to write heatmaps.
    root = save_digits(tmp_path / "digits", per_class=4, side=192)
    dataset = fo.Dataset(name)
    dataset.add_samples(
        fo.Sample(str(path), ground_truth=fo.Classification(label=path.parent.name))
        for path in sorted(root.glob("*/*.png"))
    )
    make_run(dataset, "made", files=False)
    app_server[0].dataset = dataset
    app.open(dataset.name)
    app.open_panel()
    check_tiles(app.page, [expected_tile(sample) for sample in dataset])
    params = {"run": "made", "prediction_field": "odd", "heatmap_field": "odd_maps"}
    app.page.evaluate(
        """(params) => {
            window.__foo__.executeOperator("@gradcam/classifier/predict", params);
        }""",
        params,
    )
    app.wait_for_text("Predicted 12 images", 180)
    dataset.reload()
    check_tiles(app.page, [expected_tile(sample, "odd_maps") for sample in dataset])
    until(lambda: legend(app, "color") == ["#ff00ff"])
    app.screenshot("unusual names")
    app.page.goto("about:blank")  # or the App would ask for what is gone


def test_why(app, dataset):
    sample = next(x for x in dataset if x.prediction.label != x.ground_truth.label)
    place = dataset.values("id").index(sample.id)
    app.open(dataset.name)
    app.page.locator("[data-cy=looker]").nth(place).click()
    app.page.locator("[data-cy=modal]").get_by_text("Why?").first.click()
    explained(app, sample.id)
    found = fg.explain_sample(sample)
    assert part(app, "why-labels").inner_text().split("\n") == [
        f"prediction: {sample.prediction.label}",
        f"ground_truth: {sample.ground_truth.label}",
    ]
    bars = [x.split("\n") for x in part(app, "why-bar").all_inner_texts()]
    values = [100 * value for _, value in found.top()]
    assert [float(x[-1].removesuffix("%")) for x in bars] == pytest.approx(values, abs=0.06)
    check_words(app, found)
    check_picture(app, found)
    app.screenshot("why")
    # The slider needs no server.
    asked = app._asked["execute"]
    opacity = """() => {
        const canvas = document.querySelector('[data-cy=gradcam-heat]');
        return canvas && getComputedStyle(canvas).opacity;
    }"""
    assert float(app.page.evaluate(opacity)) == 0.5
    part(app, "why-opacity").fill("0.8")
    app.page.wait_for_function(f"() => ({opacity})() === '0.8'")  # as soon as it is drawn
    assert app._asked["execute"] == asked
    check_choices(app, found)
    # The arrow keys move on, a click opens a similar image.
    ids = dataset.values("id")
    step, key = (1, "ArrowRight") if place + 1 < len(ids) else (-1, "ArrowLeft")
    app.page.keyboard.press(key)
    explained(app, ids[place + step])
    other = dataset[ids[place + step]]
    assert other.prediction.label in part(app, "why-labels").inner_text()
    part(app, "why-neighbor").first.click()
    explained(app, fg.explain_sample(other).neighbors[0].sample_id)
    # FiftyOne leaves Escape to its picture of the sample, which was there before this panel.
    app.page.keyboard.press("Escape")
    app.page.locator("[data-cy=modal]").wait_for(state="detached")
    # What was chosen last, no heatmap, is kept for the next sample that is opened.
    app.page.locator("[data-cy=looker]").nth(place).click()
    app.page.locator("[data-cy=modal]").get_by_text("Why?").first.click()
    explained(app, sample.id)
    shown(app)
    assert part(app, "why-none").get_attribute("aria-pressed") == "true"
    # Without a classifier, it says so, and this is no error.
    fg.delete_run(dataset, "made")
    app.open(dataset.name)
    app.page.locator("[data-cy=looker]").nth(place).click()
    app.page.locator("[data-cy=modal]").get_by_text("Why?").first.click()
    said = "There is no classifier yet whose predictions could be explained"
    part(app, "why-missing").get_by_text(said).wait_for()
    assert part(app, "why-error").count() == 0
    part(app, "why-again").click()
    part(app, "why-busy").wait_for(state="detached")
    part(app, "why-missing").get_by_text(said).wait_for()
    app.screenshot("why without a network")


def check_picture(app, found) -> None:
    """The heatmap of the predicted class in jet, where the network saw the image."""
    shown(app, found.predicted)
    until(lambda: part(app, "why-state").count() == 0)
    picture = found.picture(found.predicted)
    row, column = np.unravel_index(picture.argmax(), picture.shape)
    for y, x in ((row, column), (picture.shape[0] // 2, picture.shape[1] // 2), (0, 0)):
        asked = [found.predicted, int(x), int(y)]
        width, height, *color, alpha = app.page.wait_for_function(PIXELS, arg=asked).json_value()
        assert (height, width) == picture.shape
        assert alpha == (255 if picture[y, x] else 0)  # outside of the crop the image is bare
        if alpha:
            assert np.abs(colors_of("jet")[picture[y, x]] - np.array(color)).max() <= 2
    assert picture[0, 0] == 0  # a corner that the network did not see
    outline, image = (app.still_box(part(app, x)) for x in ("outline", "why-image"))
    assert outline["width"] / image["width"] == pytest.approx(224 / 256, abs=0.01)


def check_words(app, found) -> None:
    """What is said of the heatmap of the predicted class is below it, the rest in the list."""
    of_heatmap = list(found.map_of(found.predicted).words)
    assert of_heatmap[0].startswith(f"The evidence for '{found.predicted}' is")
    rest = [x for x in found.words if x not in of_heatmap]
    assert part(app, "why-words").locator("li").all_inner_texts() == rest
    assert part(app, "why-where").inner_text() == "\n".join(of_heatmap)


def check_colors(app, found) -> None:
    """Both sides of a contrast, each in the color that its field has in the grid, and its bar."""
    bars = part(app, "why-legend").locator("span span").all()
    sides = zip(("for", "against"), found.contrast_pictures(), bars, strict=True)
    for color, (name, picture, bar) in zip(((128, 255, 0), (128, 0, 255)), sides, strict=True):
        row, column = np.unravel_index(picture.argmax(), picture.shape)
        *_, red, green, blue, alpha = app.page.evaluate(PIXELS, [name, int(column), int(row)])
        assert alpha == picture.max()
        # The canvas keeps colors times opacity, in whole steps.
        assert np.abs(np.array([red, green, blue]) - color).max() <= 2 + 255 // alpha
        shown_color = bar.evaluate("(bar) => getComputedStyle(bar).backgroundColor")
        assert shown_color == f"rgb{color}"


def check_choices(app, found) -> None:
    """The label, the contrast in two colors, any class, and none."""
    part(app, "why-label").click()
    shown(app, found.label)
    words = "\n".join(found.map_of(found.label).words)
    until(lambda: part(app, "why-where").inner_text() == words)
    part(app, "why-contrast").click()
    shown(app, "for", "against")
    legend = part(app, "why-legend").inner_text()
    assert f"speaks for {found.label}, against {found.predicted}" in legend
    check_colors(app, found)
    app.screenshot("why contrast")
    third = next(name for name, _ in found.top() if name not in (found.predicted, found.label))
    check_words_over_the_image(app, third)
    part(app, "why-none").click()
    shown(app)
    assert part(app, "why-state").count() == 0


def check_words_over_the_image(app, name: str) -> None:
    """A heatmap that is still computed does not look as an empty one does."""
    address, asked = "**/operators/execute", []

    def keep(route) -> None:
        asked.append(route)

    app.page.route(address, keep)
    part(app, "why-bar").filter(has_text=name).click()
    words = f"Computing the heatmap of '{name}'…"
    until(lambda: part(app, "why-state").all_inner_texts() == [words])
    until(lambda: len(asked) == 1)
    answer = asked[0].fetch()
    text = re.sub('"evidence": ?"[a-z]+"', '"evidence": "none"', answer.text())
    asked[0].fulfill(response=answer, body=text)
    app.page.unroute(address)
    shown(app, name)
    words = f"No evidence for '{name}' in this image"
    until(lambda: part(app, "why-state").all_inner_texts() == [words])
    app.screenshot("why without evidence")
