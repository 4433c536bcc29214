"""The gallery of studies, from finished runs: ``python docs/gallery.py RUN...`` (folders that ``annosim study run`` wrote).

Writes a page and the key figure of each run into ``docs/gallery/studies``, with the date of the run. Both are kept in the
repository, so that the site builds in a minute and without data; make them anew when a study changes. A study too long
for the machine at hand gets a page that says so: ``python docs/gallery.py --not-run NAME "WHY"``.
"""

from __future__ import annotations

import html
import inspect
import json
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

from PIL import Image

from annosim.files import atomic_text
from annosim.study import Study, load_named
from annosim.study.attribution import GROUPS

STUDIES = Path(__file__).parent / "gallery" / "studies"
#: Widest key figure in pixels; twice the width at which it is shown.
WIDTH = 1600


def finding(run: Path) -> str:
    """The sentence at the top of the run's page."""
    found = re.search(r"<p class=\"?finding\"?>(.*?)</p>", (run / "report.html").read_text(encoding="utf-8"), re.DOTALL)
    return html.unescape(re.sub(r"<[^>]+>", "", found[1])).strip() if found else ""


def key_figure(study: Study, run: Path) -> str:
    """Copies the first figure, no larger than needed; its file name, or nothing where the preset has none."""
    names = [figure.__name__ for figure in study.figures if (run / "figures" / f"{figure.__name__}.png").is_file()]
    if not names:
        return ""
    picture = Image.open(run / "figures" / f"{names[0]}.png").convert("RGB")
    picture.thumbnail((WIDTH, 4 * WIDTH))
    picture.quantize(256, method=Image.Quantize.MEDIANCUT).save(STUDIES / f"{study.name}.png", optimize=True)
    return f"{study.name}.png"


def cell(text: object) -> str:
    """A text as a cell of a Markdown table."""
    return re.sub(r"([\\`*_{}\[\]<>|$~^])", r"\\\1", " ".join(str(text).split()))


def told_by(study: Study) -> str:
    """What the study says of itself: the docstring of its module."""
    return (inspect.getdoc(inspect.getmodule(study.cells)) or "").strip()


def markdown(text: str) -> str:
    """Paragraphs of a docstring."""
    return re.sub(r"([\[\]<>|$~^])", r"\\\1", text.replace("``", "`"))


def notes(study: Study, preset: str) -> list[str]:
    """How the study reads a run of this preset: paragraphs that begin with ``Desk preset, 2026-11-30``."""
    dated = re.compile(rf"{preset} preset, \d{{4}}-\d\d-\d\d", re.IGNORECASE)
    return [paragraph for paragraph in told_by(study).split("\n\n") if dated.match(paragraph)]


def page(study: Study, run: Path) -> str:
    told = json.loads((run / "run.json").read_text(encoding="utf-8"))
    claims = json.loads((run / "claims.json").read_text(encoding="utf-8"))
    date = datetime.fromtimestamp((run / "run.json").stat().st_mtime, UTC).date()
    picture = key_figure(study, run)
    lines = [f"# {study.title}", "", f"*{cell(study.paper)}*", "", cell(finding(run)), ""]
    if picture:
        lines += [f"```{{image}} {picture}", f":alt: The key figure of {study.name}", ":class: key-figure", "```", ""]
    versions = told["versions"]
    lines += [
        f"Run on {date} with `annosim study run {study.name} --preset {told['preset']}`: {told['cells']} cells, "
        f"{told['failed']} failed, {told['seconds']:.0f} s on a machine that others used ({told['machine']}, Python "
        f"{versions['python']}, torch {versions['torch']}).",
        "",
    ]
    lines += [line for note in notes(study, told["preset"]) for line in (markdown(note), "")]
    for group, title in GROUPS.items():
        rows = [c for c in claims if c["whose"] == group]
        if not rows:
            continue
        counts = ", ".join(f"{n} {v}" for v, n in told["claims"][group].items() if n)
        lines += [f"## {title} ({counts})", "", "| | claim | expected | found | verdict |", "|---|---|---|---|---|"]
        for c in rows:
            verdict = f"{{bdg-{BADGES[c['verdict']]}}}`{c['verdict']}`"
            shown = cell(c["found"] if c["value"] is not None else c["reason"])
            lines.append(f"| {c['id']} | {cell(c['statement'])} | {cell(c['expected'])} | {shown} | {verdict} |")
        lines.append("")
    return "\n".join(lines)


def page_of_not_run(name: str, why: str) -> str:
    """A study of which this version has no run: why, and what the study says of itself and of its last runs."""
    study = load_named(name)
    return "\n".join(
        [
            f"# {study.title}",
            "",
            f"*{cell(study.paper)}*",
            "",
            f"Not run for this version: {cell(why)}. `annosim study run {name} --preset quick` runs it. What follows is what "
            "the study says of itself, with the dates of its last runs.",
            "",
            markdown(told_by(study)),
            "",
        ]
    )


BADGES = {"supported": "success", "contradicted": "danger", "inconclusive": "warning", "not judged": "secondary"}


def main(runs: list[str]) -> None:
    STUDIES.mkdir(parents=True, exist_ok=True)
    if runs[:1] == ["--not-run"]:
        _, name, why = runs
        atomic_text(STUDIES / f"{name}.md", page_of_not_run(name, why))
        print(STUDIES / f"{name}.md")
        return
    for run in map(Path, runs):
        name = json.loads((run / "run.json").read_text(encoding="utf-8"))["study"]
        atomic_text(STUDIES / f"{name}.md", page(load_named(name), run))
        print(STUDIES / f"{name}.md")


if __name__ == "__main__":
    main(sys.argv[1:])
