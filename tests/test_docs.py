"""The pages of the site say what the library does: their Python runs and prints what they show; nothing needs a network."""

from __future__ import annotations

import importlib.util
import json
import re
import runpy
from pathlib import Path

import pytest

import annosim as an
from annosim import cli
from annosim.identifiability.theorems import THEOREMS
from annosim.study import find_studies

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(p for p in DOCS.rglob("*.md") if "generated" not in p.parts and "```python" in p.read_text("utf-8"))
#: Pages whose Python tests/test_readme.py runs.
ELSEWHERE = {"index.md", "hidden-types.md"}
#: Pages that describe measurements, which a test does not repeat.
PROSE = {"performance.md"}

#: Extras whose Python a page shows.
NEEDS = {"how-sure-am-i.md": [pytest.mark.bayes]}


def outputs_module():
    spec = importlib.util.spec_from_file_location("outputs", DOCS / "outputs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


NUMBER = re.compile(r"-?\d[\d,]*\.?\d*(?:e[-+]?\d+)?")


def same(shown: str, printed: str) -> bool:
    """Whether two outputs have the same words, and numbers that agree to one part in a hundred."""
    if " ".join(NUMBER.sub("#", shown).split()) != " ".join(NUMBER.sub("#", printed).split()):
        return False
    old, new = ([float(n.replace(",", "")) for n in NUMBER.findall(text)] for text in (shown, printed))
    return new == pytest.approx(old, rel=1e-2, abs=1e-3)


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(
            page, id=page.stem, marks=[*NEEDS.get(page.name, ()), *[pytest.mark.slow] * (page.name in ELSEWHERE)]
        )
        for page in PAGES
        if page.name not in PROSE
    ],
)
@pytest.mark.filterwarnings("ignore:Adam's schedule ended")
def test_the_python_of_a_page_prints_what_the_page_shows(page):
    for code, shown, printed in outputs_module().outputs(page):
        assert same(shown, printed), (
            f"python docs/outputs.py {page.relative_to(ROOT)} writes it anew: {code}\n{printed}"
        )


@pytest.mark.parametrize(
    ("shown", "printed", "agree"),
    [("a 1.00", "a  1.001", True), ("a 1.00", "a 1.1", False), ("a 1", "b 1", False), ("1,000 x", "1000 x", True)],
)
def test_outputs_are_compared_by_words_and_numbers(shown, printed, agree):
    assert same(shown, printed) is agree


def test_the_study_of_the_page_runs(tmp_path, monkeypatch, capsys):
    (code,) = re.findall(r"```python\n(.*?)```", (DOCS / "howto" / "my-study.md").read_text("utf-8"), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "best_of_n.py").write_text(code, encoding="utf-8")
    assert cli.main(["study", "run", "best_of_n.py", "--jobs", "1"]) == 0
    (claim,) = json.loads((tmp_path / "runs" / "best_of_n" / "quick" / "claims.json").read_text("utf-8"))
    assert claim["verdict"] == "supported" and claim["whose"] == "paper"


def test_what_reports_cite_stands_on_the_page_of_theorems():
    page = (DOCS / "theorems.md").read_text("utf-8")
    cited = {t.source for t in THEOREMS.values() if t.source.startswith("docs/")}
    assert cited
    for source in cited:
        file, _, name = source.partition(", ")
        assert file == "docs/theorems.md" and f"(theorem-{name.lower()})=" in page


def test_names_on_the_pages_exist():
    for page in [ROOT / "README.md", *DOCS.rglob("*.md"), DOCS / "llms.txt"]:
        if "generated" in page.parts:
            continue
        for name in re.findall(r"`an\.([A-Za-z_][\w.]*)", page.read_text("utf-8")):
            if name == "RaoKupper":  # shown as a name that stands elsewhere
                continue
            thing = an
            for part in name.rstrip(".").split("."):
                assert hasattr(thing, part), f"{page.relative_to(ROOT)}: an.{name}"
                thing = getattr(thing, part)


def test_links_have_words_where_the_site_does_not_supply_them():
    pages = [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *(p for p in DOCS.rglob("*.md") if "generated" not in p.parts),
    ]
    empty = [str(p.relative_to(ROOT)) for p in pages if "[](" in p.read_text("utf-8")]
    assert empty == []


def test_the_links_of_the_readme_need_no_site():
    text = (ROOT / "README.md").read_text("utf-8")
    assert "{py:" not in text and "{doc}" not in text and "{ref}" not in text
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (ROOT / target).exists(), target


def test_pages_of_llms_txt_exist():
    for name in re.findall(r"^- ([\w/-]+)\.html:", (DOCS / "llms.txt").read_text("utf-8"), re.MULTILINE):
        assert (DOCS / f"{name}.md").is_file(), name


def test_the_sample_of_pairs_is_what_trl_writes():
    data = an.io.read_trl(DOCS / "examples" / "my-pairs.jsonl")
    assert data.rows == 12 and data.items.n == 24 and len(data.prompt_names) == 12


#: Studies too long for the machine on which the gallery was made; their pages say so, and what their last runs found.
NOT_RUN = {"density_estimation_language"}


def test_every_study_is_in_the_gallery_with_a_date_and_its_key_figure():
    pages = {page.stem: page.read_text("utf-8") for page in (DOCS / "gallery" / "studies").glob("*.md")}
    assert set(pages) == {found.name for found in find_studies(ROOT / "studies")}
    for name, text in pages.items():
        if name in NOT_RUN:
            assert re.search(r"^Not run for this version: \w", text, re.MULTILINE), name
            continue
        assert re.search(rf"^Run on \d{{4}}-\d\d-\d\d with `annosim study run {name} ", text, re.MULTILINE), name
        pictures = re.findall(r"```\{image\} (\S+)", text)
        assert pictures and all((DOCS / "gallery" / "studies" / picture).is_file() for picture in pictures), name


def test_files_that_pages_name_exist():
    pages = [*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    named = re.compile(r"\b(?:annosim|studies|tests|docs|notebooks)/[\w/]+\.(?:py|pyi|txt|md|ipynb)\b")
    found = {(str(p.relative_to(ROOT)), name) for p in pages for name in named.findall(p.read_text(encoding="utf-8"))}
    assert len(found) > 10
    examples = ("NAME", "best_of_n")  # what a reader is told to write
    missing = sorted(f"{page}: {name}" for page, name in found if not (ROOT / name).exists())
    assert [one for one in missing if not any(word in one for word in examples)] == []


def test_figures_of_the_gallery_keep_the_colours_of_their_series():
    image = pytest.importorskip("PIL.Image")
    gallery = runpy.run_path(str(DOCS / "gallery.py"))
    series = [tuple(int(name[i : i + 2], 16) for i in (1, 3, 5)) for name in gallery["COLOURS"]]
    picture = image.new("RGB", (400, 200), "white")
    for x in range(400):  # a gradient with more colours than are kept
        for y in range(150):
            picture.putpixel((x, y), (x % 256, y, (x * y) % 256))
    for at, colour in enumerate(series):
        picture.putpixel((at, 180), colour)
    kept = gallery["few_colours"](picture).convert("RGB")
    assert [kept.getpixel((at, 180)) for at in range(len(series))] == series
    assert kept.getpixel((300, 190)) == (255, 255, 255)
