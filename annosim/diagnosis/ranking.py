"""Who leads, and which ranks are sure."""

from __future__ import annotations

from annosim.diagnosis.case import BOARD, Case, plural
from annosim.diagnosis.finding import Finding, not_asked
from annosim.learning.inference.board_text import finding

__all__ = ["ranking"]

SHOWN = 20


def _why_not(case: Case) -> tuple[str, str]:
    """Why there is no ranking, and what would make one."""
    n, found = case.data.items.n, case.strengths
    known = 0 if found is None else len(found.members)
    if case.data.items.num_prompts > 1:
        prompts = case.data.items.num_prompts
        return f"The items belong to {prompts:,} prompts: none of one is compared with one of another.", (
            "Rank what stands behind the texts: give the file's columns of models or systems as the sides."
        )
    if known < n:
        return f"{known:,} of {n:,} items have a strength.", "See 'existence': the pairs to ask are named there."
    if n > BOARD:
        return (
            f"{plural(n, 'item')}: ranks are counted for up to {BOARD}.",
            "Use an.fit(...).leaderboard() on some of them.",
        )
    return f"The {n:,} items fall into groups that no answer compares.", "Ask about pairs of items of different groups."


def ranking(case: Case) -> Finding:
    """Rank intervals and groups of ties that hold together."""
    board = case.board
    if board is None:
        return not_asked("ranking", *_why_not(case))
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
        "ranking",
        sentence,
        float(len(board.groups)),
        test=test,
        change=change,
        status="notice",
        errs=f"some rank interval or separation is wrong in {1 - board.level:.0%} of data sets (nominal)",
        head=head,
        rows=rows,
    )
