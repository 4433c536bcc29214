"""The page is one file that opens offline: finding, key figure, claims, and then the rest."""

from __future__ import annotations

import base64
import dataclasses
import html
import html.parser
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from annosim import plotting
from annosim.study import CONTROL, STUDY_ADDS, Cell, Preset, Statement, Study, at_most, load_study, run_study

COIN = Path(__file__).with_name("coin.py")


class Page(html.parser.HTMLParser):
    """Collects what a page would load, and checks that tags close."""

    def __init__(self, text):
        super().__init__()
        self.loads, self.open = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)
        self.loads += [v for k, v in attrs if k in ("src", "href", "srcset", "data", "action", "poster")]

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, tag


def measured(n):
    return {"n": n, "text": "<b>&amp;</b>", "curve": np.arange(3), "list": [1, 2], "big": np.inf}


def first_figure(found):
    """The key <figure>."""
    fig, axes = plotting.figure()
    plotting.line(axes[0, 0], [0, 1], [0, 1])
    return fig


def broken_figure(found):
    """Never drawn."""
    return found.get("measured", "absent", n=1)


def counts(found):
    """A table of the study's own."""
    return pd.DataFrame({"what": ["a<b"], "how many": [1.23456789]})


def broken_table(found):
    return 1 / 0


def bad(found):
    return at_most(found.get("measured", "n", n=300), 5)


STUDY = Study(
    "page",
    "A title with <script>",
    "https is not a link here",
    {"quick": Preset(0.1, {"sizes": list(range(1, 301))})},
    lambda sizes: [Cell(measured, {"n": n}) for n in sizes],
    lambda: [Statement("c<1", "text & more", "fig. <1>", bad, whose=STUDY_ADDS)],
    figures=[first_figure, broken_figure],
    tables=[counts, broken_table],
    finding=lambda found, claims: f"First sentence. {len(claims)} claim.",
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return run_study(STUDY, out=tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def text(run):
    return (run.out / "report.html").read_text(encoding="utf-8")


def test_the_page_loads_nothing_from_anywhere(text):
    page = Page(text)
    assert not page.open and page.loads
    assert all(load.startswith(("data:image/png;base64,", "#")) for load in page.loads)
    assert not re.search(r"https?://|@import|url\(|<link|<iframe", text)


def test_the_embedded_figure_is_the_saved_one(run, text):
    embedded = re.findall(r"src='data:image/png;base64,([^']+)'", text)
    assert [base64.b64decode(e) for e in embedded] == [(run.out / "figures" / "first_figure.png").read_bytes()]


def test_the_order_is_finding_figure_claims_and_the_rest(text):
    places = [text.index(x) for x in ("First sentence. 1 claim.", "<figure", ">Claims<", ">Results<", ">Settings,")]
    assert places == sorted(places)


def test_what_the_study_says_is_escaped(text):
    body = text[text.index("<body>") : text.index("<script>")]
    assert "A title with &lt;script&gt;" in body and "c&lt;1" in body and "a&lt;b" in body
    assert "&lt;b&gt;&amp;amp;&lt;/b&gt;" in body


def test_a_claim_stands_below_its_figure_and_says_whose_it_is(tmp_path):
    one, two = (
        Statement(name, name, "s", lambda f: at_most(1, 2), figure=figure, whose=CONTROL)
        for name, figure in (("shown", "second_figure"), ("bare", ""))
    )

    def second_figure(found):
        """The second."""
        return first_figure(found)

    figures = [first_figure, second_figure]
    study = dataclasses.replace(STUDY, claims=lambda: [two, one], figures=figures, tables=[])
    text = (run_study(study, out=tmp_path).out / "report.html").read_text(encoding="utf-8")
    places = (">Controls (2 supported)</h3>", "id='second_figure'", "id='claim-shown'", "id='claim-bare'")
    order = [text.index(x) for x in places]
    assert order == sorted(order) and "Controls; s" in text


@pytest.mark.parametrize(("decisive", "shown"), [(True, True), (False, False)])
def test_a_figure_whose_cells_a_small_preset_leaves_out_is_left_out_too(decisive, shown, tmp_path):
    def elsewhere(found):
        """Of cells of a larger preset."""
        return found.rows("no_such_cells")

    presets = {"small": Preset(0.1, {"sizes": [1]}, decisive=decisive)}
    study = dataclasses.replace(STUDY, presets=presets, figures=[first_figure, elsewhere], tables=[])
    text = (run_study(study, out=tmp_path).out / "report.html").read_text(encoding="utf-8")
    assert ("Figure elsewhere could not be drawn" in text) == shown


def test_verdicts_are_words_with_colours(text):
    assert "<span class='v v-contradicted'>contradicted</span>" in text and ".v-contradicted" in text


def test_a_claim_has_an_anchor_and_a_figure_the_numbers_behind_it(text):
    assert "id='claim-c&lt;1'" in text and "href='#claim-c%3C1'" in text
    assert text.count("The numbers in this figure") == 1 and text.index("<figure") < text.index("<details>")


def test_what_cannot_be_drawn_is_replaced_by_its_reason(run, text):
    text = html.unescape(text)
    assert "Figure broken_figure could not be drawn: cell measured(n=1) has no result 'absent'" in text
    assert "Table broken_table could not be made: ZeroDivisionError: division by zero" in text
    assert [p.name for p in (run.out / "figures").iterdir()] == ["first_figure.png"]


def test_long_results_are_cut_in_the_page_and_whole_in_the_table(run, text):
    assert "The first 200 of 300 rows" in text and len(pd.read_parquet(run.out / "results.parquet")) == 300


def test_settings_versions_and_times_are_shown(text):
    for word in ("torch", "annosim", "300, of which 0 kept", "Slowest cells", "sizes"):
        assert word in text


def test_figures_of_an_earlier_run_go(tmp_path):
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "old.png").write_bytes(b"")
    run_study(load_study(COIN), out=tmp_path)
    assert [p.name for p in (tmp_path / "figures").iterdir()] == ["running_share.png"]


def test_the_same_run_gives_the_same_figure(tmp_path):
    one, two = (run_study(load_study(COIN), out=tmp_path / name).out for name in ("one", "two"))
    assert (one / "figures/running_share.png").read_bytes() == (two / "figures/running_share.png").read_bytes()


def test_a_study_without_a_summary_gets_the_counts(tmp_path):
    run = run_study(load_study(COIN), "edge", out=tmp_path)
    assert (
        "Claims: The paper says: 1 supported, 2 inconclusive; This study adds: 1 inconclusive (preset edge)."
        in (run.out / "report.html").read_text()
    )
