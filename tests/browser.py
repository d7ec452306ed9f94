"""A real browser on a real App."""

import io
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

SCREENSHOTS = Path(__file__).resolve().parents[1] / ".screenshots"
# Each costs about a second: of a test that passes they are taken if this variable is set.
WANTED = "FIFTYONE_GRADCAM_SCREENSHOTS"
# Errors of FiftyOne's own: what it cannot fetch from the internet, and
# what its drawing of heatmaps stumbles over when the grid is drawn again.
NOT_OURS = (
    *("ERR_NAME_NOT_RESOLVED", "entry is loading"),
    "dataset is not defined",  # when another dataset is opened beside an open panel
)
VIEWPORT = {"width": 1500, "height": 900}
SOON = 5000  # ms for a click on what is there already
FORGOTTEN = "cookies,local_storage,indexeddb,cache_storage,service_workers"
# Things that move are where they will be at once: a click would wait until they stand still.
# A very short duration is no remedy: it is of all properties of all elements, and whatever is
# drawn again then starts transitions by the thousand, which doubled the time of these tests.
STILL = """
    const style = document.createElement("style")
    style.textContent = `*, *::before, *::after {
        transition: none !important;
        animation-duration: 0.01ms !important; animation-delay: 0s !important;
        animation-iteration-count: 1 !important;
    }`
    const add = () => document.documentElement.append(style)
    document.documentElement ? add() : addEventListener("DOMContentLoaded", add)
"""
# What reaches beyond the box in which the panel scrolls, but for tables in boxes of their own.
SIDEWAYS = """() => {
    const scrolls = (x) => ['auto', 'scroll'].includes(getComputedStyle(x).overflowX)
    let box = [...document.querySelectorAll('[role=tab]')].find((x) => x.innerText === 'Steps')
    do box = box.parentElement
    while (!scrolls(box) || box.clientHeight < 300)
    const right = box.getBoundingClientRect().right + 1
    const isInOwnBox = (x) => {
        for (x = x.parentElement; x !== box; x = x.parentElement)
            if (scrolls(x) && x.querySelector('table')) return true
        return false
    }
    const beyond = [...box.querySelectorAll('*')].filter((x) => {
        const place = x.getBoundingClientRect()
        return place.width && place.right > right && !isInOwnBox(x)
    })
    const page = document.documentElement
    return [
        ...beyond.map((x) => `${x.tagName} ${x.innerText || x.className}`.slice(0, 80)),
        ...(box.scrollWidth > box.clientWidth ? [`panel: ${box.scrollWidth}`] : []),
        ...(page.scrollWidth > page.clientWidth ? [`page: ${page.scrollWidth}`] : []),
    ]
}"""
SEEN = "fiftyone-enterprise-tooltip-seen"  # an advertisement that covers the grid at first
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--process-per-site",  # so that what has read the App's code once is used for the next page
]


def find_chromium() -> str | None:
    """A Chromium on this machine, or the one that Playwright can download."""
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        if path := shutil.which(name):
            return path
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    if not os.path.exists(path):
        install = [sys.executable, "-m", "playwright", "install", "chromium"]
        subprocess.run(install, capture_output=True, check=False)
    return path if os.path.exists(path) else None


class AppPage:
    """The App as a person uses it: press a button, fill the form, look at the pictures.

    Args:
        page: of the browser
        url: of the App
        moves: whether things move as they do for a person, which takes longer
    """

    def __init__(self, page, url: str, moves: bool = False):
        self.page, self.url = page, url
        self.errors: list[str] = []
        # An empty page has no storage.
        page.add_init_script(f"try {{ localStorage.setItem('{SEEN}', 'true') }} catch {{}}")
        if not moves:
            page.add_init_script(f"try {{ {STILL} }} catch {{}}")
        page.on("console", self._note)
        page.on("pageerror", lambda error: self._keep(str(error)))
        # What was asked of the server by each of its routes for operators, and what has an end.
        self._asked, self._ended = Counter(), Counter()
        page.on("request", lambda request: self._count(self._asked, request))
        page.on("requestfinished", lambda request: self._count(self._ended, request))
        page.on("requestfailed", lambda request: self._count(self._ended, request))
        page.on("domcontentloaded", lambda _: self._ended.update(self._asked - self._ended))
        page.set_default_timeout(120_000)  # a machine may be busy

    def empty(self, url: str) -> None:
        """Forget all of an earlier test, as a new tab of a new browser would.

        Args:
            url: of the App
        """
        self.url = url
        self.page.unroute_all()
        self.page.set_viewport_size(VIEWPORT)
        self.forget()
        browser = self.page.context.new_cdp_session(self.page)
        origin = {"origin": url.rstrip("/"), "storageTypes": FORGOTTEN}
        browser.send("Storage.clearDataForOrigin", origin)
        browser.detach()
        for kept in (self.errors, self._asked, self._ended):
            kept.clear()

    def forget(self) -> None:
        """Leave the App, and forget what the tab keeps: the App itself would write it again."""
        self.page.goto(f"{self.url}fiftyone")  # a page of the same address, and a small one
        self.page.evaluate("() => { localStorage.clear(); sessionStorage.clear() }")
        self.page.goto("about:blank")

    def _note(self, message) -> None:
        if message.type == "error":
            self._keep(message.text)

    def _keep(self, text: str) -> None:
        if not any(mark in text for mark in NOT_OURS):
            self.errors.append(text)

    def _count(self, counter: Counter, request) -> None:
        if "/operators/" in request.url:
            counter[request.url.rpartition("/")[2]] += 1

    @contextmanager
    def _answered(self, route: str, seconds: float = 60) -> Iterator[None]:
        """Wait until the server has answered all that was asked of it for what is done within."""
        before = self._asked[route]
        yield
        end = time.monotonic() + seconds
        while self._asked[route] == before or self._ended[route] < self._asked[route]:
            assert time.monotonic() < end, f"{route}: {self._ended[route]} of {self._asked[route]}"
            self.page.wait_for_timeout(30)

    @contextmanager
    def form(self) -> Iterator[None]:
        """Wait until the server has built the form that is opened or changed within."""
        with self._answered("resolve-type"):
            yield
        self.dialog.wait_for()

    def open(self, dataset_name: str) -> None:
        """Open a dataset and wait until its pictures are there."""
        from urllib.parse import quote

        self.page.goto(f"{self.url}datasets/{quote(dataset_name)}")
        self.page.locator("[data-cy=looker]").first.wait_for()

    def press(self, verb: str) -> None:
        """Press a button of the plugin above the grid, also behind "More items"."""
        buttons = self.page.locator(f'[data-item-id="@gradcam/classifier/{verb}"]')
        buttons.first.wait_for(state="attached")
        more = self.page.locator('[data-itemid="grid-actions-row"]').locator("xpath=..")
        more = more.locator("svg[data-testid=ExpandMoreIcon]").last
        with self.form():
            end = time.monotonic() + 120
            while not self._pressed(buttons, more):
                assert time.monotonic() < end, f"no button {verb}, but {self._above(buttons)}"
                self.page.wait_for_timeout(50)

    def _pressed(self, buttons, more) -> bool:
        """Whether a button could be clicked; not while the row of buttons is laid out again."""
        from playwright.sync_api import TimeoutError as TooLate

        try:
            if self._is_on_top(buttons.first):
                buttons.first.click(timeout=SOON)
                return True
            if buttons.count() == 1:  # else the list is open, and shows the second one
                if not more.is_visible():
                    self.page.mouse.move(0, 0)  # something lies above it, such as a tooltip
                    return False
                more.click(timeout=SOON)
            buttons.nth(1).click(timeout=SOON)  # the first one lies hidden beyond the row
        except TooLate:
            self._leave(buttons)
            return False
        return True

    def _leave(self, buttons) -> None:
        """Move the mouse over all buttons and away, or a tooltip stays above them.

        FiftyOne keeps that of a button which was moved from below the mouse as the row changed.
        """
        places = """(one) => [...one.closest("[data-item-id]").parentElement.children]
            .map((x) => x.getBoundingClientRect()).map(({ x, y, width, height }) =>
                [x + width / 2, y + height / 2])"""
        for place in buttons.last.evaluate(places):
            self.page.mouse.move(*place)
        self.page.mouse.move(0, 0)

    def _above(self, buttons) -> list[str]:
        """What lies at the middle of each button, for the message of a failure."""
        code = """(buttons) => buttons.map((one) => {
            const { x, y, width, height } = one.getBoundingClientRect()
            const top = document.elementFromPoint(x + width / 2, y + height / 2)
            return `${x} ${y} ${width} ${height} ${(top?.outerHTML ?? "nothing").slice(0, 300)}`
        })"""
        return buttons.evaluate_all(code)

    def _is_on_top(self, element) -> bool:
        """Whether a click at the middle of an element reaches it."""
        code = """(element) => {
            const { x, y, width, height } = element.getBoundingClientRect()
            return element.contains(document.elementFromPoint(x + width / 2, y + height / 2))
        }"""
        return element.evaluate(code)

    @property
    def dialog(self):
        return self.page.locator("[data-cy=operators-prompt-modal], .MuiDialog-root").first

    def field(self, label: str):
        """The input below a label of the form."""
        return self.dialog.get_by_text(label, exact=True).locator(
            "xpath=following::input[not(contains(@class, 'MuiSelect-nativeInput'))][1]"
        )

    def fill(self, label: str, text: str) -> None:
        """Write into the input below a label of the form."""
        with self.form():
            self.field(label).fill(text)

    def choose(self, label: str, option: str) -> None:
        """Choose from the list below a label of the form."""
        self.dialog.get_by_text(label, exact=True).locator(
            "xpath=following::*[@role='combobox'][1]"
        ).click()
        with self.form():
            self.page.get_by_role("option", name=option).first.click()

    def execute(self) -> None:
        """Send the form."""
        self.dialog.locator("[aria-label='split button'] button").first.click()

    def wait_for_text(self, text: str | re.Pattern, seconds: float = 60) -> None:
        """Wait until a text is shown."""
        self.page.get_by_text(text).first.wait_for(timeout=1000 * seconds)

    def open_panel(self) -> None:
        """Open the plugin's panel, if it is not open."""
        if not self.page.get_by_role("tab", name="Steps").is_visible():
            self.page.locator("[data-cy=new-panel-btn]").first.click()
            self.page.get_by_text("Grad-CAM classifier", exact=True).first.click()
            self.page.get_by_role("tab", name="Steps").wait_for()

    def tab(self, name: str) -> None:
        """Turn to a tab of the panel."""
        self.page.get_by_role("tab", name=name).click()

    def choose_in_panel(self, label: str, option: str, seconds: float = 60) -> None:
        """Choose from a list of the panel, once the list has what is to be chosen."""
        end = time.monotonic() + seconds
        box = self.page.get_by_text(label, exact=True).last.locator(
            "xpath=following::*[@role='combobox'][1]"
        )
        found = self.page.get_by_role("option", name=option).first
        while not self._opened(box) or not found.is_visible():
            assert time.monotonic() < end, f"{label} has no {option}"
            # Click beside the list, which is as it was when it was opened.
            self.page.mouse.click(2, 2)
            self.page.get_by_role("listbox").wait_for(state="detached")
        text, asked = found.inner_text(), self._asked["execute"]
        # A choice that changes nothing asks nothing of the server. Any other asks a moment after it
        # is shown; a choice made before then would be answered as if this one were not made.
        is_new = text != box.inner_text()
        found.click()
        while (
            box.inner_text() != text
            or (is_new and self._asked["execute"] == asked)
            or self._ended["execute"] < self._asked["execute"]
        ):
            assert time.monotonic() < end, f"{label} is {box.inner_text()}, not {text}"
            self.page.wait_for_timeout(30)

    def _opened(self, box) -> bool:
        """Click a list of the panel, and return whether it opened: it may be drawn again."""
        from playwright.sync_api import TimeoutError as TooLate

        try:
            box.click()
            self.page.get_by_role("option").first.wait_for(timeout=SOON)
        except TooLate:
            return False
        return True

    def click(self, name: str) -> None:
        """Click a button by its label."""
        self.page.get_by_role("button", name=name, exact=True).first.click()

    def sideways(self) -> list[str]:
        """What is cut off at the right of the panel, or of the page; empty if nothing is."""
        return self.page.evaluate(SIDEWAYS)

    def still_box(self, element, seconds: float = 30) -> dict[str, float]:
        """Where an element is, once it has stopped moving: a plot is drawn in several steps."""
        end, before = time.monotonic() + seconds, None
        while (box := element.bounding_box()) is None or box != before:
            assert time.monotonic() < end, f"it is not seen, or moves: {box}"
            before = box
            self.page.wait_for_timeout(100)
        return box

    def points(self, trace: int = 0) -> int:
        """How many points a trace of the panel's first plot has; 0 if there is no plot."""
        code = f"() => document.querySelector('.js-plotly-plot')?.data?.[{trace}]?.x?.length ?? 0"
        return self.page.evaluate(code)

    def wait_for_points(self, beyond: int, seconds: float = 60) -> None:
        """Wait until a plot has more points than it had."""
        end = time.monotonic() + seconds
        while self.points() <= beyond:
            assert time.monotonic() < end, f"{beyond} points, and no more"
            self.page.wait_for_timeout(100)

    def screenshot(self, name: str) -> None:
        """Keep a picture for people, if they want any."""
        if os.environ.get(WANTED):
            self.picture(name)

    def picture(self, name: str) -> np.ndarray:
        """Take a picture, keep it, and return its pixels (H, W, 3)."""
        SCREENSHOTS.mkdir(exist_ok=True)
        data = self.page.screenshot(path=SCREENSHOTS / f"{name}.png")
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)

    def grid(
        self, name: str, until: Callable[[np.ndarray], bool] | None = None, seconds: float = 30
    ) -> np.ndarray:
        """The pixels of the grid of samples alone.

        Args:
            name: of the picture
            until: what is to be seen of the pixels; waited for as long as `seconds`
        """
        end = time.monotonic() + seconds
        pixels = self._grid(name)
        while until is not None and not until(pixels) and time.monotonic() < end:
            self.page.wait_for_timeout(200)
            pixels = self._grid(name)
        return pixels

    def _grid(self, name: str) -> np.ndarray:
        box = self.still_box(self.page.locator("[data-cy=fo-grid]").first)
        pixels = self.picture(name)
        top, left = round(box["y"]), round(box["x"])
        return pixels[top : top + round(box["height"]), left : left + round(box["width"])]


def colourful(pixels: np.ndarray) -> float:
    """Share of pixels that are clearly not grey."""
    return float((pixels.max(2) - pixels.min(2) > 40).mean())
