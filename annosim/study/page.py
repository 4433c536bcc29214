"""The report page: one HTML file that opens offline. Finding, key figure, claims, and then everything else."""

from __future__ import annotations

import base64
import html
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from annosim.plotting import VERDICT_COLOURS
from annosim.study.claims import Claim

if TYPE_CHECKING:
    import pandas as pd

    from annosim.study.runner import StudyRun

__all__ = ["Picture", "Sheet", "render"]

#: Rows of results printed in the page; all of them are in results.parquet.
SHOWN_ROWS = 200
_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;color:#1a1a1a;max-width:66rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem;margin-bottom:.2rem}h2{font-size:1.2rem;margin-top:2.2rem}.paper{color:#555;margin-top:0}
.finding{font-size:1.15rem;border-left:4px solid #0072B2;padding:.2rem 0 .2rem 1rem}
figure{margin:1.2rem 0}figure img{max-width:100%;height:auto}figcaption{color:#444;font-size:.95rem}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-size:.9rem}
th,td{text-align:left;vertical-align:top;padding:.3rem .6rem}
th{border-bottom:2px solid #333;cursor:pointer;white-space:nowrap}td{border-bottom:1px solid #ddd}
td.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.v{color:#fff;border-radius:.25rem;padding:.05rem .45rem;white-space:nowrap}.why{color:#555;font-size:.85rem}
.claims table{table-layout:fixed;width:100%}.claims td{overflow-wrap:break-word}
.claims th:nth-child(1){width:12%}.claims th:nth-child(2){width:36%}.claims th:nth-child(3){width:14%}
.claims th:nth-child(4){width:16%}.claims td.n{white-space:normal}
.bad{background:#fdf0ea;border-left:4px solid #D55E00;padding:.3rem .8rem}pre{overflow-x:auto;font-size:.8rem}
"""
# Sorting by a click on a column's head; the page is complete without it.
_SCRIPT = """
document.querySelectorAll('th').forEach(function(h){h.addEventListener('click',function(){
var t=h.closest('table'),i=h.cellIndex,b=t.tBodies[0],up=h.dataset.up!=='1';h.dataset.up=up?'1':'0';
Array.from(b.rows).sort(function(p,q){var x=p.cells[i].textContent,y=q.cells[i].textContent;
var m=parseFloat(x),n=parseFloat(y);
var d=(isNaN(m)||isNaN(n))?x.localeCompare(y):m-n;return up?d:-d}).forEach(function(r){b.appendChild(r)})})});
"""


@dataclass(frozen=True)
class Picture:
    """A figure as PNG bytes, or the reason why it could not be drawn."""

    name: str
    caption: str
    png: bytes
    problem: str = ""


@dataclass(frozen=True)
class Sheet:
    """A table of the study's own, or the reason why it could not be made."""

    name: str
    caption: str
    frame: pd.DataFrame | None
    problem: str = ""


def render(
    run: StudyRun, finding: str, pictures: Sequence[Picture], sheets: Sequence[Sheet], table: pd.DataFrame
) -> str:
    """The whole page as text."""
    study = run.study
    parts = [
        f"<h1>{_e(study.title)}</h1><p class=paper>{_e(study.paper)}</p><p class=finding>{_e(finding)}</p>",
        *[_picture(p) for p in pictures[:1]],
        "<h2>Claims</h2>" + _claims(run.claims),
        *[_picture(p) for p in pictures[1:]],
        *[_sheet(s) for s in sheets],
        _problems(run),
        "<h2>Results</h2>" + _results(table),
        "<h2>Settings, versions and timings</h2>" + _settings(run),
    ]
    head = f"<meta charset=utf-8><meta name=viewport content='width=device-width'><title>{_e(study.title)}</title>"
    body = "\n".join(part for part in parts if part)
    top = f"<!doctype html>\n<html lang=en><head>{head}<style>{_STYLE}</style></head>"
    return f"{top}<body>\n{body}\n<script>{_SCRIPT}</script></body></html>\n"


def number(value: Any) -> str:
    """A number for people: four significant digits, infinity and missing values by sign.

    Example:
        >>> number(0.644412), number(float("nan")), number(float("-inf")), number(5)
        ('0.6444', '–', '−∞', '5')
    """
    if not isinstance(value, float):
        return "–" if value is None else str(value)
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:.4g}"


def _e(value: Any) -> str:
    return html.escape(str(value))


def _picture(picture: Picture) -> str:
    if picture.problem:
        return f"<p class=bad>Figure {_e(picture.name)} could not be drawn: {_e(picture.problem)}</p>"
    data = base64.b64encode(picture.png).decode()
    image = f"<img alt='{_e(picture.caption)}' src='data:image/png;base64,{data}'>"
    return f"<figure id='{_e(picture.name)}'>{image}<figcaption>{_e(picture.caption)}</figcaption></figure>"


def _claims(claims: Sequence[Claim]) -> str:
    rows = []
    for c in claims:
        verdict = f"<span class=v style='background:{VERDICT_COLOURS[c.verdict]}'>{c.verdict}</span>"
        if c.low == c.high:
            found = number(c.value)
        else:
            found = f"{number(c.value)} [{number(c.low)}, {number(c.high)}]" if not math.isnan(c.value) else "–"
        said = f"{_e(c.statement)}<br><span class=why>{_e(c.source)}</span>"
        cells = [_e(c.id), said, _e(c.expected)]
        why = f"<span class=why>{_e(c.reason)}</span>" if c.reason else ""
        rows.append("".join(f"<td>{x}</td>" for x in cells) + f"<td class=n>{found}</td><td>{verdict}<br>{why}</td>")
    if not rows:
        return "<p>This study states no claims.</p>"
    table = _table(["id", "claim and source", "expected", "found [interval]", "verdict"], rows)
    return f"<div class=claims>{table}</div>"


def _sheet(sheet: Sheet) -> str:
    if sheet.problem or sheet.frame is None:
        return f"<p class=bad>Table {_e(sheet.name)} could not be made: {_e(sheet.problem)}</p>"
    return f"<h2>{_e(sheet.name.replace('_', ' ').capitalize())}</h2><p>{_e(sheet.caption)}</p>" + _frame(sheet.frame)


def _problems(run: StudyRun) -> str:
    """Failed and skipped cells with their reasons, and warnings."""
    parts = []
    for r in run.outcome.records:
        what = f"{r.cell}, replicate {r.replicate}"
        if r.status == "failed":
            trace = f"<details><summary>where</summary><pre>{_e(r.traceback)}</pre></details>" if r.traceback else ""
            parts.append(f"<div class=bad>{_e(what)} failed: {_e(r.error)}{trace}</div>")
        elif r.status == "skipped":
            parts.append(f"<p>{_e(what)} skipped: {_e(r.error)}</p>")
        parts += [f"<p class=why>{_e(what)} warned: {_e(text)}</p>" for text in r.warnings]
    return "<h2>Cells that failed, were skipped, or warned</h2>" + "".join(parts) if parts else ""


def _results(table: pd.DataFrame) -> str:
    shown = table.drop(columns=[c for c in ("key", "seed", "group") if c in table]).head(SHOWN_ROWS)
    shown = shown.loc[:, [c for c in shown if c == "cell" or not (shown[c].isna() | (shown[c] == "")).all()]]
    note = f"<p>The first {SHOWN_ROWS} of {len(table)} rows; " if len(table) > SHOWN_ROWS else f"<p>{len(table)} rows; "
    return note + "with seeds and keys in <code>results.parquet</code>.</p>" + _frame(shown)


def _frame(frame: pd.DataFrame) -> str:
    rows = []
    for values in frame.itertuples(index=False):
        cells = []
        for v in values:
            v = v.item() if hasattr(v, "item") else v
            kind = " class=n" if isinstance(v, int | float) and not isinstance(v, bool) else ""
            cells.append(f"<td{kind}>{_e(number(v))}</td>")
        rows.append("".join(cells))
    return _table([str(c) for c in frame.columns], rows)


def _table(head: Sequence[str], rows: Sequence[str]) -> str:
    top = "".join(f"<th>{_e(h)}</th>" for h in head)
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f"<div class=scroll><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"


def _settings(run: StudyRun) -> str:
    work = sum(r.seconds for r in run.outcome.records)
    cells = f"{len(run.outcome.records)}, of which {run.kept} kept from an earlier run and {len(run.failed)} failed"
    lines = {
        **run.settings,
        "cells": cells,
        "time": f"{run.seconds:.1f} s for this run; {work:.1f} s of work in all cells",
    }
    text = {k: v if isinstance(v, str) else json.dumps(v, default=str, ensure_ascii=False) for k, v in lines.items()}
    rows = [f"<td>{_e(k)}</td><td>{_e(v)}</td>" for k, v in text.items()]
    slow = sorted(run.outcome.records, key=lambda r: -r.seconds)[:10]
    times = [f"<td>{_e(r.cell)}</td><td class=n>{r.replicate}</td><td class=n>{r.seconds:.2f}</td>" for r in slow]
    return (
        _table(["setting", "value"], rows) + "<p>Slowest cells:</p>" + _table(["cell", "replicate", "seconds"], times)
    )
