"""UKPConvArg1 (Habernal and Gurevych, ACL 2016): which of two arguments in a debate convinces more."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd

from annosim.data.preferences import PreferenceData
from annosim.errors import FileReadError
from annosim.io.files import factorize, read_table
from annosim.io.pairs import pair_data, read_winner
from annosim.items import Items

__all__ = ["read_ukp"]


def read_ukp(path: str | os.PathLike[str], arguments: str | os.PathLike[str] | None = None) -> PreferenceData:
    """Read votes and the arguments that they are about.

    Args:
        path: the directory with ``votes.csv.gz`` and ``arguments.csv.gz`` (or ``.csv``), or the file of votes
            (columns ``topic, left, right, worker, winner``).
        arguments: the file of arguments (``topic, argument, text``); by default the one beside the votes.

    Returns:
        Pairs with ties. Items are the arguments: ``texts``, and ``prompts`` the debates (``items.columns["topic"]``
        names them); ``data.prompt`` is the debate as well. Other columns of the votes are named columns.

    Raises:
        FileReadError: a file is missing, unreadable or empty, or lacks a column.
        RowsError: an unknown winner, an argument without a text, or a vote across debates, with line numbers.

    Example:
        >>> import tempfile, pathlib
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> texts = "topic,argument,text\\nsnow,a1,It is cold.\\nsnow,a2,It is fun!\\n"
        >>> _ = (folder / "arguments.csv").write_text(texts)
        >>> _ = (folder / "votes.csv").write_text("topic,left,right,worker,winner\\nsnow,a1,a2,w0,right\\n")
        >>> read_ukp(folder).items.texts
        ('It is cold.', 'It is fun!')
    """
    votes_path = _beside(Path(path), "votes")
    texts = read_table(_beside(votes_path.parent, "arguments") if arguments is None else arguments)
    topics, topic_names = factorize(texts.filled("topic", "topic"))
    names = texts.filled("argument", "argument")
    twice = pd.Series(names).duplicated().to_numpy()
    texts.problems.where(twice, lambda r: f"argument {names[r]!r} stands twice")
    texts.problems.report("give every argument one row and a name of its own")
    items = Items(
        names=names,
        texts=texts.column("text", "text"),
        prompts=topics,
        columns={"topic": topic_names[topics], **texts.others(["topic", "argument", "text"])},
    )
    votes = read_table(votes_path)
    sides = np.stack([votes.filled("left", "left"), votes.filled("right", "right")], 1)
    ids = pd.Series(np.arange(items.n), index=names)
    code = ids.reindex(sides.ravel()).to_numpy().reshape(sides.shape)
    unknown = np.isnan(code)
    votes.problems.where(unknown.any(1), lambda r: f"argument {sides[r][unknown[r]][0]!r} has no text")
    menu = np.nan_to_num(code, nan=0.0).astype(np.int64)
    topic = votes.filled("topic", "topic")
    other = ~unknown.any(1) & (topic_names[topics][menu] != topic[:, None]).any(1)
    votes.problems.where(other, lambda r: f"an argument of another debate than {topic[r]!r}")
    said = votes.column("winner", "winner").to_numpy(dtype=object)
    meaning = read_winner(votes, said, sides, "side", None, ("left", "right"), "winner")
    who = votes.filled("worker", "worker")
    votes.problems.report("mend these votes, or fetch both files again")
    columns = votes.others(["topic", "left", "right", "worker", "winner"])
    settings = {"source": str(path), "format": "ukp"}
    data = pair_data(menu, meaning, items, who, None, columns=columns, settings=settings)
    numbers = pd.Series(np.arange(len(topic_names)), index=topic_names)
    return data.with_(prompt=numbers.reindex(topic).to_numpy(), prompt_names=topic_names)


def _beside(path: Path, stem: str) -> Path:
    if path.is_file():
        return path
    for name in (f"{stem}.csv.gz", f"{stem}.csv"):
        if (path / name).is_file():
            return path / name
    raise FileReadError(f"{path}: no {stem}.csv.gz or {stem}.csv; name the directory that holds both files")
