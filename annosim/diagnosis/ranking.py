"""Who leads, and which ranks are sure."""

from __future__ import annotations

from annosim.diagnosis.case import Case, plural
from annosim.diagnosis.finding import Finding, not_asked
from annosim.learning.inference.board_text import finding

__all__ = ["ranking"]

SHOWN = 20


def ranking(case: Case) -> Finding:
    """Rank intervals and groups of ties that hold together."""
    board = case.board
    if board is None:
        why = "Not all items have a strength on one scale, or there are too many for a table of ranks."
        return not_asked("ranking", why, "See 'existence'.")
    table = board.to_frame()
    widest = int((table["rank_high"] - table["rank_low"]).max()) + 1
    sentence = f"{finding(board)} Items fall into {plural(len(board.groups), 'group')} of ties; the widest rank interval has {plural(widest, 'place')}."
    rows = tuple(
        (
            row["item"],
            float(row["estimate"]),
            f"{row['rank_low']} to {row['rank_high']}",
            row["ties"],
            round(row["elo"]),
        )
        for row in table.head(SHOWN).to_dict("records")
    )
    test = (
        f"all differences at once at {board.level:.0%}, {board.kind} errors (Mogstad et al. 2024; Romano and Wolf 2005)"
    )
    change = "More votes on the pairs under 'collect' separate more items."
    head = ("item", "strength", "rank", "ties", "Elo")
    return Finding(
        "ranking", sentence, float(len(board.groups)), test=test, change=change, status="notice", head=head, rows=rows
    )
