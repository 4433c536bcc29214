"""One template for every page: escaped, complete, and with nothing to load from elsewhere."""

from __future__ import annotations

import re

import jinja2
import pandas as pd
import pytest

from annosim import plotting
from annosim.reporting import FigureEntry, HtmlTable, format_number, render, write_page
from annosim.results import Result


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
        render("page.html", title="x")


def test_numbers_of_any_library_are_shortened_and_booleans_are_words():
    frame = pd.DataFrame({"x": [1.23456789, float("nan")], "n": [3, 4], "yes": [True, False], "text": ["<b>", None]})
    table = HtmlTable.from_frame(frame)
    assert table.head == ("x", "n", "yes", "text")
    assert table.rows[0] == (("1.235", True), ("3", True), ("True", False), ("<b>", False))
    assert table.rows[1][0] == ("–", True)
    assert format_number(None) == "–"
