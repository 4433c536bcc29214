"""One template for every page: escaped, complete, and with nothing to load from elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

import jinja2
import numpy as np
import pandas as pd
import pytest

from annosim import plotting, reporting
from annosim.reporting import FigureEntry, HtmlTable, format_number, render, series, write_page
from annosim.results import Result

STYLE = Path(reporting.__file__).with_name("templates") / "style.css"


class Answer(Result):
    """A result with one line."""

    def _lines(self):
        return [("answer", "a < b & c")]


def test_a_page_shows_results_and_figures_in_their_order(tmp_path):
    figure, axes = plotting.figure()
    plotting.line(axes[0, 0], [0, 1], [0, 1])
    write_page(tmp_path / "page.html", "<title>", [Answer(), FigureEntry.draw(figure, caption="cost & use"), Answer()])
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<h1>&lt;title&gt;</h1>" in text and text.count("a &lt; b &amp; c") == 2
    assert text.index("a &lt; b") < text.index("<figure") < text.rindex("a &lt; b")
    assert "alt='cost &amp; use'" in text and "<figcaption>cost &amp; use</figcaption>" in text
    assert not re.search(r"https?://|@import|url\(|<link|<iframe", text)
    assert [f.name for f in tmp_path.iterdir()] == ["page.html"]


def test_a_template_without_one_of_its_values_is_an_error():
    with pytest.raises(jinja2.UndefinedError):
        render("page.html", title="x", finding="")


def test_numbers_of_any_library_are_shortened_and_booleans_are_words():
    frame = pd.DataFrame({"x": [1.23456789, float("nan")], "n": [3, 4], "yes": [True, False], "text": ["<b>", None]})
    table = HtmlTable.from_frame(frame)
    assert table.head == ("x", "n", "yes", "text")
    assert table.rows[0] == (("1.235", True), ("3", True), ("True", False), ("<b>", False))
    assert table.rows[1][0] == ("–", True)
    assert format_number(None) == "–"


def luminance(colour):
    from matplotlib.colors import to_rgb

    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_white_words_can_be_read_on_every_badge():
    badges = re.findall(r"^\.v[^{]*\{[^}]*background: (#\w+)", STYLE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(badges) == 4
    assert min(1.05 / (luminance(colour) + 0.05) for colour in badges) >= 4.5  # WCAG 2.1, text of any size


def test_the_numbers_in_a_figure_are_its_lines_bars_and_points():
    figure, grid = plotting.figure()
    axes = grid[0, 0]
    axes.plot(range(1_000), range(1_000), label="long")
    axes.scatter([0.5], [0.25], label="one")
    axes.axhline(3.0)
    axes.bar(["left", "right"], [2.0, -1.0], label="sides")
    axes.plot([0.0, np.nan], [1.0, 2.0])
    axes.set_title("panel")
    points = series.drawn_points(figure)
    assert 50 <= sum(name == "long" for _, name, _, _ in points) <= series.MOST_POINTS
    assert {(x, y) for _, name, x, y in points if name == "sides"} == {("left", 2.0), ("right", -1.0)}
    assert [(x, y) for _, name, x, y in points if name == "one"] == [(0.5, 0.25)]
    assert {panel for panel, *_ in points} == {"panel"}
    assert len({name for _, name, _, _ in points}) == 4  # the guide across the panel is none
    plotted, _ = plotting.figure()
    assert HtmlTable.from_figure(plotted) is None
