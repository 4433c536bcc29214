"""The gallery of studies, from finished runs: ``python docs/gallery.py RUN...`` (folders that ``annosim study run`` wrote).

Writes a page and the figures of each run into ``docs/gallery/studies``, with the date of the run. Both are kept in the
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
from typing import Any

from matplotlib.colors import to_rgb
from PIL import Image

from annosim.files import atomic_text
from annosim.plotting.figures import COLOURS
from annosim.study import Study, load_named
from annosim.study.attribution import GROUPS

STUDIES = Path(__file__).parent / "gallery" / "studies"
#: Widest figure in pixels, twice the width at which it is shown.
WIDTH = 1600


def finding(run: Path) -> str:
    """The sentence at the top of the run's page."""
    found = re.search(r"<p class=\"?finding\"?>(.*?)</p>", (run / "report.html").read_text(encoding="utf-8"), re.DOTALL)
    return html.unescape(re.sub(r"<[^>]+>", "", found[1])).strip() if found else ""


def figures(study: Study, run: Path) -> dict[str, list[str]]:
    """Lines that show each figure of the run with its caption, by name; the pictures are copied no larger than needed."""
    for old in (*STUDIES.glob(f"{study.name}.png"), *STUDIES.glob(f"{study.name}-*.png")):
        old.unlink()
    shown: dict[str, list[str]] = {}
    for make in study.figures:
        name, source = make.__name__, run / "figures" / f"{make.__name__}.png"
        if not source.is_file():
            continue
        caption = " ".join((inspect.getdoc(make) or name).split("\n\n")[0].split())
        file = f"{study.name}-{name}.png" if shown else f"{study.name}.png"
        picture = Image.open(source).convert("RGB")
        picture.thumbnail((WIDTH, 4 * WIDTH))
        few_colours(picture).save(STUDIES / file, optimize=True)
        shown[name] = [
            f"({anchor(study, name)})=",
            "",
            f"```{{image}} {file}",
            f":alt: {caption}",
            f":class: {'study-figure' if shown else 'key-figure'}",
            "```",
            "",
            f"*{cell(caption)}*",
            "",
        ]
    return shown


def anchor(study: Study, name: str) -> str:
    """Where a figure stands."""
    return f"figure-{study.name}-{name}".replace("_", "-")


def few_colours(picture: Image.Image) -> Image.Image:
    """The picture in 256 colours, a third of the bytes: those of the series as they are, by which a reader tells them apart."""
    series = [round(255 * part) for name in COLOURS for part in to_rgb(name)]
    others = 256 - len(series) // 3
    palette = Image.new("P", (1, 1))
    palette.putpalette(
        series + (picture.quantize(others, method=Image.Quantize.MEDIANCUT).getpalette() or [])[: 3 * others]
    )
    return picture.quantize(palette=palette, dither=Image.Dither.NONE)


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
    pictures = figures(study, run)
    lines = [f"# {study.title}", "", f"*{cell(study.paper)}*", "", cell(finding(run)), ""]
    drawn = {*pictures}
    for key in [*pictures][:1]:
        lines += pictures.pop(key)
    versions = told["versions"]
    time = f"{told['seconds']:.0f} s"
    if told["kept"]:  # claims were worded anew, or replicates added
        rest = f", {time} for the rest" if told["kept"] < told["cells"] else ""
        time = f"{told['kept']} cells kept from a run before it{rest}"
    lines += [
        f"Run on {date} with `annosim study run {study.name} --preset {told['preset']}`: {told['cells']} cells, "
        f"{told['failed']} failed, {time}, on a machine that others used ({told['machine']}, Python "
        f"{versions['python']}, torch {versions['torch']}).",
        "",
    ]
    lines += [line for note in notes(study, told["preset"]) for line in (markdown(note), "")]
    for group, title in GROUPS.items():
        rows = [c for c in claims if c["whose"] == group]
        if not rows:
            continue
        counts = ", ".join(f"{n} {v}" for v, n in told["claims"][group].items() if n)
        lines += [f"## {title} ({counts})", ""]
        for name in dict.fromkeys([*(c["figure"] for c in rows if c["figure"] in drawn), ""]):
            part = [c for c in rows if (c["figure"] if c["figure"] in drawn else "") == name]
            if part:
                above = [f"Figure: [{name.replace('_', ' ')}](#{anchor(study, name)}), above.", ""] if name else []
                lines += [*pictures.pop(name, above), *table_of_claims(part), ""]
    if pictures:
        lines += ["## More figures", "", *(line for shown in pictures.values() for line in shown)]
    return "\n".join(lines)


def table_of_claims(claims: list[dict[str, Any]]) -> list[str]:
    lines = ["| | claim | expected | found | verdict |", "|---|---|---|---|---|"]
    for c in claims:
        verdict = f"{{bdg-{BADGES[c['verdict']]}}}`{c['verdict']}`"
        shown = cell(c["found"] if c["value"] is not None else c["reason"])
        source = "" if c["source"] in ("this study", "this project") else f"<br>*{cell(c['source'])}*"
        why = (
            f"<br>*{cell(c['reason'])}*"
            if c["verdict"] in ("inconclusive", "not judged") and c["value"] is not None
            else ""
        )
        lines.append(
            f"| {c['id']} | {cell(c['statement'])}{source} | {cell(c['expected'])} | {shown} | {verdict}{why} |"
        )
    return lines


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
