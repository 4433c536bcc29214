"""Every kind of page in a real browser: it loads nothing, sorts, filters, fits a phone, and passes axe-core's rules.

``axe.min.js`` is axe-core 4.14.1 of Deque Systems (Mozilla Public License 2.0, ``axe.LICENSE`` beside it), for tests only.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import annosim as an
from annosim import plotting
from annosim.cli import main
from annosim.study import CONTROL, STUDY_ADDS, Cell, Preset, Statement, Study, at_most, paper_says, run_study

pytestmark = pytest.mark.browser

AXE = Path(__file__).with_name("axe.min.js")
#: What a careless page would run, break on, or turn around.
NAMES = [
    "<script>document.title='ran'</script>",
    'it\'s "quoted" & <b>bold</b>',
    "שלום עולם",
    "\u202eevil\u202c",
    "plain",
]
LAWS = ("row_order", "relabelling", "swapping_sides", "normalisation", "duplicates", "reversal", "refuses_nan")
PAGES = ("study", "identify", "plan", "check", "diagnose", "board")
SCENARIO = """
[items]
kind = "inline"
n = 3
[[population.types]]
weight = 0.6
utility = { kind = "tabular", values = [0.0, 1.0, 2.0] }
rule = { kind = "luce" }
[[population.types]]
weight = 0.4
utility = { kind = "tabular", values = [1.0, 0.0, -1.0] }
rule = { kind = "luce" }
[design]
menu_size = 2
[plan]
precision = 0.1
target = "weights"
compare = [{ menu_size = 2 }, { menu_size = 2, questions = 3 }, { menu_size = 3, questions = 2 }]
"""


def measured(name, number):
    """A cell with a name and numbers that text would sort wrongly."""
    if number == 3:
        raise ValueError(f"failed on {name}")
    return {"name": name, "value": float(number), "curve": 0.5}


def key_figure(found):
    """The key figure of <b>names</b>"""
    figure, axes = plotting.figure()
    axes[0, 0].plot([0.0, 1.0], [0.0, 1.0], label="a line")
    return figure


def second_figure(found):
    """A second figure"""
    return key_figure(found)


def never_drawn(found):
    """Never drawn"""
    raise ValueError("no reason <i>given</i>")


def study(folder):
    says = [
        Statement("T1", f"text of {NAMES[0]}", "section 1", lambda f: at_most(1, 2), whose=paper_says("abstract")),
        Statement("c <2>", NAMES[2], "fig. 2", lambda f: at_most(3, 2), figure="second_figure", whose=STUDY_ADDS),
        Statement("c3", "control", "fig. 1", lambda f: at_most(0, 2), figure="key_figure", whose=CONTROL),
    ]
    made = Study(
        "page",
        f"A study of {NAMES[0]}",
        NAMES[1],
        {"quick": Preset(0.1, {"names": [*NAMES, *NAMES]})},
        lambda names: [Cell(measured, {"name": name, "number": i * 30 % 17}) for i, name in enumerate(names)],
        lambda: says,
        figures=[key_figure, second_figure, never_drawn],
        finding=lambda found, claims: f"One sentence about {NAMES[3]}.",
    )
    return run_study(made, out=folder).out / "report.html"


def command(folder, name):
    scenario, page = folder / "scenario.toml", folder / f"{name}.html"
    scenario.write_text(SCENARIO)
    more = ["--check", "3"] if name == "plan" else []
    assert main([name, str(scenario), "--starts", "0", *more, "--html", str(page)]) in (0, 3, 4)
    return page


def check(folder):
    (folder / "raising.py").write_text(
        "import numpy as np\n\ndef first(data):\n    raise ValueError('<script>x</script> ' + 'long ' * 40)\n"
    )
    page, only = folder / "check.html", [f"--only=check_{law}" for law in LAWS]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(str(folder))
        assert main(["check", "raising:first", *only, "--html", str(page)]) == 1
    return page


def votes():
    people = an.Annotator(an.Tabular([1.0, 0.5, 0.0, -0.5, -1.0]), an.Luce())
    return an.simulate(people, an.Design(an.Items(names=NAMES), annotators=20, questions=8), seed=0)


def diagnose(folder):
    votes().to_csv(folder / "votes.csv")
    page = folder / "diagnose.html"
    assert main(["diagnose", str(folder / "votes.csv"), "--format", "pairs", "--html", str(page)]) in (0, 3, 4)
    return page


def board(folder):
    page = folder / "board.html"
    an.fit(an.Annotator(an.Tabular(5), an.Luce()), votes()).report("html", page)
    return page


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """One page of each kind."""
    folder = tmp_path_factory.mktemp("pages")
    made = {
        "study": study(folder / "study"),
        "check": check(folder),
        "diagnose": diagnose(folder),
        "board": board(folder),
    }
    return made | {name: command(folder, name) for name in ("identify", "plan")}


@pytest.fixture
def opened(browser, pages):
    """``opened(name)``: the page, and what it asked for or complained about since."""
    contexts = []

    def open_page(name):
        context = browser.new_context(viewport={"width": 1200, "height": 900}, color_scheme="light")
        contexts.append(context)
        page, faults = context.new_page(), []
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: faults.append(str(error)))

        def route(request):
            if request.request.url == pages[name].as_uri() or request.request.url.startswith("data:"):
                request.continue_()
            else:
                faults.append(request.request.url)
                request.abort()

        page.route("**/*", route)
        page.goto(pages[name].as_uri())
        return page, faults

    yield open_page
    for context in contexts:
        context.close()


def violations(page, rules=None):
    """What axe-core finds: the rule, the first element that breaks it, and why."""
    only = {"runOnly": rules} if rules else {}
    found = page.evaluate("options => axe.run(document, options)", {"resultTypes": ["violations"], **only})
    assert len(found["passes"]) > (0 if rules else 10)  # the rules did run
    return [(v["id"], v["nodes"][0]["html"][:200], v["nodes"][0]["failureSummary"]) for v in found["violations"]]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_loads_nothing_passes_axe_in_light_and_dark_and_fits_a_phone(opened, name):
    page, faults = opened(name)
    page.eval_on_selector_all("details", "all => all.forEach(one => one.open = true)")
    page.evaluate(AXE.read_text(encoding="utf-8"))
    assert violations(page) == []
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.emulate_media(color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
    assert violations(page, ["color-contrast"]) == []
    page.set_viewport_size({"width": 360, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert not faults


@pytest.mark.parametrize("name", PAGES)
def test_a_figure_has_words_and_a_table_and_a_link_has_a_target(opened, name):
    page, _ = opened(name)
    for figure in page.query_selector_all("figure"):
        assert figure.query_selector("img").get_attribute("alt")
        assert len(figure.query_selector_all("details td")) >= 4
    lost = "all => all.map(a => decodeURIComponent(a.hash.slice(1))).filter(id => !document.getElementById(id))"
    assert page.eval_on_selector_all("a", lost) == []
    assert page.query_selector("main > .finding, main > p.paper + .finding").inner_text().strip()


def columns(page, table, column):
    rows = page.query_selector_all(f"{table} tbody tr")
    return [row.query_selector_all("td")[column].inner_text() for row in rows if row.is_visible()]


def test_a_head_sorts_numbers_as_numbers_and_a_word_filters(opened):
    page, faults = opened("study")
    results = "[aria-label=results] table"
    head = page.locator(f"{results} th button", has_text="value")
    names = [button.inner_text() for button in page.query_selector_all(f"{results} th button")]
    column = names.index("value")
    before = columns(page, results, column)
    head.click()
    up = columns(page, results, column)
    head.click()
    down = columns(page, results, column)
    numbers = [float(text) for text in up if text not in ("", "–")]
    assert numbers == sorted(numbers) and up != before and max(numbers) > 9 > min(numbers)
    assert [float(text) for text in down if text not in ("", "–")] == numbers[::-1]
    assert page.locator(f"{results} th", has_text="value").get_attribute("aria-sort") == "descending"
    page.locator(".filter:has(+ .scroll[aria-label=results]) input").fill("quoted")
    shown = columns(page, results, names.index("name"))
    assert shown and set(shown) == {NAMES[1]} and len(shown) < len(before)
    assert (
        f"{len(shown)} of {len(before)} rows" in page.locator(".filter:has(+ .scroll[aria-label=results])").inner_text()
    )
    assert not faults


@pytest.mark.parametrize("name", ["study", "diagnose", "board"])
def test_names_are_text_whatever_they_hold(opened, name):
    page, faults = opened(name)
    text = page.locator("main").text_content()
    shown = NAMES[:4] if name == "study" else NAMES
    assert all(one in text for one in shown) and not faults
    assert page.title() != "ran" and page.query_selector("main script, main b") is None


def test_claims_have_anchors_and_stand_by_whose_they_are(opened):
    page, _ = opened("study")
    heads = [head.inner_text() for head in page.query_selector_all("h3")]
    assert heads == ["The paper says (1 supported)", "This study adds (1 contradicted)", "Controls (1 supported)"]
    assert [row.get_attribute("id") for row in page.query_selector_all(".claims tbody tr")] == [
        "claim-T1",
        "claim-c-<2>",
        "claim-c3",
    ]
    page.locator("a", has_text="c <2>").click()
    assert page.locator("tr:target").get_attribute("id") == "claim-c-<2>"
