"""An App and a browser for tests; a picture of what a test that failed has come to."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def app_server():
    """An App's session, and its address."""
    from conftest import HOME
    from serving import launch

    session = launch(HOME)
    yield session, f"http://127.0.0.1:{session.server_port}/"
    session.close()


@pytest.fixture(scope="module")
def browser():
    """A browser, in which each test has windows and a storage of its own.

    It has an event loop in this thread, which other modules must not find running.
    """
    from browser import ARGUMENTS, find_chromium
    from conftest import absent
    from playwright.sync_api import sync_playwright

    chromium = find_chromium()
    if chromium is None:
        absent("a Chromium browser (such as `apt-get install chromium`)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def tabs(browser, app_server):
    """The module's tabs, the one in use last: a browser reads the App's code once for all.

    Another tab stays open, or the process of the App's pages would end between two of them.
    """
    from browser import VIEWPORT

    with browser.new_context(viewport=VIEWPORT) as context:
        context.new_page().goto(f"{app_server[1]}fiftyone")
        yield context, []


FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """Note that a test has failed, for its fixtures."""
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


def show_end(page, request) -> None:
    """Keep a picture of what a test that failed has come to."""
    if request.node.stash.get(FAILED, False):
        page.picture(f"end of {request.node.name}")


@pytest.fixture
def app(app_server, tabs, dataset, request):
    """A browser on the App, which remembers nothing; the module's `dataset` is open in its session.

    It is the tab of the module's last test, emptied.
    """
    import fiftyone as fo
    from browser import AppPage

    (session, url), (context, used) = app_server, tabs
    session.dataset = dataset
    session.clear_view()  # or a tab would keep the view of the last test
    session.spaces = fo.Space(children=[fo.Panel(type="Samples", pinned=True)])
    if not used or used[-1].page.is_closed():
        used.append(AppPage(context.new_page(), url))
    page = used[-1]
    page.empty(url)
    yield page
    if not page.page.is_closed():
        show_end(page, request)
        page.page.goto("about:blank")  # or it would see what the next test does
    assert page.errors == [], page.errors
