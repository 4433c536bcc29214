"""A leaderboard in words: a finding, cells of a table, Markdown and LaTeX."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from annosim.learning.inference.leaderboard import Leaderboard

__all__ = ["cells", "finding", "latex", "markdown", "said"]

HEAD = ("item", "rank", "rank interval", "ties", "strength", "interval", "Elo", "beats average")


def cells(board: Leaderboard) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
    """Heads and rows."""
    rows: list[tuple[object, ...]] = []
    for row in board.to_frame().to_dict("records"):
        ranks = (
            f"{row['rank_low']} to {row['rank_high']}" if row["rank_low"] != row["rank_high"] else str(row["rank_low"])
        )
        span = f"{row['low']:.3g} to {row['high']:.3g}"
        rows.append(
            (
                row["item"],
                int(row["rank"]),
                ranks,
                row["ties"],
                _short(row["estimate"]),
                span,
                round(row["elo"]),
                _short(row["win_probability"]),
            )
        )
    return HEAD, rows


def _short(value: float) -> float:
    return float(f"{value:.3g}")


def finding(board: Leaderboard) -> str:
    """Who is first, and whether that is sure."""
    top = board.groups[0]
    if len(top) == 1:
        return f"{top[0]} is first, and surely so: it is separated from every other item."
    best = max(board.estimate)
    equal = [name for name, value in zip(board.names, board.estimate, strict=True) if best - value < 1e-6]
    if len(equal) > 1:
        more = f" and {len(equal) - 6} more" if len(equal) > 6 else ""
        said = "All items are" if len(equal) == len(board.names) else f"{', '.join(equal[:6])}{more} are"
        return f"{said} estimated equal{'' if len(equal) == len(board.names) else ', and lead'}: nobody is first."
    names = ", ".join(top[1:6]) + (f" and {len(top) - 6} more" if len(top) > 6 else "")
    return f"{top[0]} leads, but is not separated from {names}."


def said(board: Leaderboard) -> str:
    """What the numbers are."""
    return (
        f"Strengths in logits, {board.level:.0%} intervals, {board.kind} standard errors"
        f"{' (annotators are the units)' if board.kind == 'cluster' else ''}. Rank intervals, ties and contrasts hold "
        f"together with probability {board.level:.0%} (largest standardised difference of all pairs, stepping down). Items "
        f"that share a letter are not separated. Elo: {board.anchor:g} is the average, 400 points a factor of ten in the odds."
    )


def markdown(board: Leaderboard, title: str) -> str:
    """A Markdown table with what the numbers are below it."""
    head, rows = cells(board)
    escape = lambda cell: str(cell).replace("|", "\\|")  # noqa: E731
    lines = [f"**{title}.** {finding(board)}", "", f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [f"| {' | '.join(map(escape, row))} |" for row in rows]
    return "\n".join([*lines, "", said(board)])


def latex(board: Leaderboard, title: str) -> str:
    """A LaTeX table (booktabs)."""
    head, rows = cells(board)
    lines = [
        r"\begin{table}",
        rf"\caption{{{_escaped(title)}. {_escaped(finding(board))} {_escaped(said(board))}}}",
        rf"\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}",
        r"\toprule",
        " & ".join(map(_escaped, head)) + r" \\",
        r"\midrule",
    ]
    lines += [" & ".join(_escaped(str(cell)) for cell in row) + r" \\" for row in rows]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}"])


def _escaped(text: str) -> str:
    for sign in "\\&%$#_{}":
        text = text.replace(sign, r"\textbackslash " if sign == "\\" else "\\" + sign)
    return text.replace("~", r"\textasciitilde ").replace("^", r"\textasciicircum ")
