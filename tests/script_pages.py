"""The scripts of the App's bundle in an empty page: no App, and no server, but a real browser."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import REPOSITORY
from PIL import Image

ADDRESS = "http://scripts.test/"
SCRIPTS = REPOSITORY / "fiftyone_gradcam" / "app"
SMALL_REACT = Path(__file__).with_name("small_react.js")
NAMES = ("small_react.js", "bundle.js")
PAGE = "<!doctype html><meta charset=utf-8><body>" + "".join(
    f"<script src=/{name}></script>" for name in NAMES
)
LOADED = (
    "() => window.test && Object.keys(test.components).length === 5 && test.operators.show_import"
)


def gray_ramp() -> bytes:
    """A gray picture of 256 x 1 pixels with each value once, from 0 to 255."""
    file = io.BytesIO()
    Image.fromarray(np.arange(256, dtype=np.uint8)[None]).save(file, "PNG")
    return file.getvalue()


RAMP = gray_ramp()


class ScriptPage:
    """A page with the scripts; its time stands still unless it is set forward."""

    def __init__(self, page):
        self.page, self.errors = page, []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._note)
        page.route(f"{ADDRESS}**", self._serve)
        page.clock.install(time=0)
        page.clock.pause_at(1000)
        page.set_default_timeout(10_000)

    def _note(self, message) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def _serve(self, route) -> None:
        path = route.request.url.removeprefix(ADDRESS).partition("?")[0]
        if path == "small_react.js":
            route.fulfill(path=SMALL_REACT)
        elif path.endswith(".js"):
            route.fulfill(path=SCRIPTS / path)
        elif path.endswith(".png"):
            route.fulfill(body=RAMP, content_type="image/png")
        else:
            route.fulfill(body=PAGE, content_type="text/html")

    def load(self) -> None:
        """Load the page, or load it again."""
        self.page.goto(f"{ADDRESS}page")
        self.page.wait_for_function(LOADED)

    def run(self, script: str, *arguments: object) -> object:
        """Call a function of `test` in the page."""
        found = self.page.evaluate(f"async (all) => await test.{script}(...all)", list(arguments))
        self.page.evaluate("async () => { for (let n = 0; n < 100; n++) await null }")
        return found

    def asked(self, name: str) -> list[dict]:
        return self.run("asked", name)

    def answer(self, name: str, result: object = None) -> dict:
        """Answer the first call of an operator, and return its parameters."""
        return self.run("answer", name, *([] if result is None else [result]))

    def part(self, name: str):
        return self.page.locator(f"[data-cy=gradcam-{name}]")

    def text(self, name: str) -> str | None:
        """The text of an element; None if it is not there."""
        found = self.part(name).all_text_contents()
        assert len(found) <= 1, found
        return found[0] if found else None

    def texts(self, name: str) -> list[str]:
        return self.part(name).all_text_contents()

    def key(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def later(self, milliseconds: int) -> None:
        self.page.clock.run_for(milliseconds)

    def pixels(self, number: int = 0) -> np.ndarray:
        """(256, 4) colors and opacities of a drawn heatmap, for each gray value of the ramp."""
        canvas = self.part("heat").nth(number)
        self.page.wait_for_function(
            "(n) => document.querySelectorAll('[data-cy=gradcam-heat]')[n]?.dataset.drawn",
            arg=number,
        )
        found = canvas.evaluate("(x) => [...x.getContext('2d').getImageData(0, 0, 256, 1).data]")
        return np.array(found).reshape(256, 4)


@pytest.fixture(scope="module")
def empty_page(browser) -> Iterator[ScriptPage]:
    """One page for a module."""
    with browser.new_context(viewport={"width": 900, "height": 900}) as context:
        yield ScriptPage(context.new_page())


@pytest.fixture
def scripts(empty_page) -> Iterator[ScriptPage]:
    """The page, with nothing in it yet."""
    empty_page.page.evaluate("() => { try { sessionStorage.clear() } catch {} }")
    empty_page.load()
    yield empty_page
    assert empty_page.errors == []
