"""The explorer in a real browser: a slider moves, and what is learned changes; nothing is asked of other machines."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import pytest

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(find_spec("marimo") is None, reason="needs marimo; pip install 'annosim[explore]'"),
]

#: On a loaded machine the first answer compiles, imports and draws.
PATIENCE = 180_000
BEFORE = "Infinite data teach one reward model to prefer C; people on average prefer B."


@pytest.fixture(scope="module")
def address():
    command = [sys.executable, "-m", "annosim", "explore", "--port", "0", "--no-show"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        yield server.stdout.readline().split()[0]
        server.terminate()


def test_a_slider_moves_what_is_learned(browser, address):
    assert address.startswith("http://127.0.0.1:")
    page, elsewhere, faults = browser.new_page(viewport={"width": 1200, "height": 900}), [], []
    page.on("pageerror", lambda error: faults.append(str(error)))

    def route(request):
        if request.request.url.startswith((address, "data:", "blob:")):
            request.continue_()
        else:
            elsewhere.append(request.request.url)
            request.abort()

    page.route("**/*", route)
    page.goto(address)
    page.get_by_role("heading", name=BEFORE).wait_for(timeout=PATIENCE)
    assert page.get_by_role("heading", name="Can the two types be known? Not identified").is_visible()
    assert page.get_by_text("A twin, with the same law").is_visible()
    assert page.get_by_text("No number of annotators shows the share").is_visible()
    slider = page.locator("[role=slider]").nth(1)  # type 1 on C: from 3 to its least value
    slider.focus()
    page.keyboard.press("Home")
    page.get_by_role("heading", name="prefer B, as people do on average").wait_for(timeout=PATIENCE)
    assert not page.get_by_role("heading", name=BEFORE).is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 1200
    assert not elsewhere and not faults
