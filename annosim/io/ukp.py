"""UKPConvArg1 (Habernal and Gurevych, ACL 2016): which of two arguments in a debate convinces more."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd

from annosim.data.preferences import PreferenceData
from annosim.errors import FileReadError
from annosim.io.pairs import name_items, pair_data, read_winner
from annosim.io.sources import read_table
from annosim.io.tables import Coded
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
    items, topics = _arguments(_beside(votes_path.parent, "arguments") if arguments is None else arguments)
    votes = read_table(votes_path, ",")
    menu, items = name_items(votes, [votes.coded("left", "left"), votes.coded("right", "right")], items, None)
    topic = votes.coded("topic", "topic")
    number = {name: i for i, name in enumerate(topics)}
    prompt = np.array([number.get(name, -1) for name in topic.names], dtype=np.int64)[topic.codes]
    debate = items.prompts.numpy()[menu]
    votes.errors.add_where(
        (debate != prompt[:, None]).any(1),
        lambda r: f"an argument of another debate than {topic.names[topic.codes[r]][:40]!r}",
    )
    outcome = read_winner(
        votes, votes.coded("winner", "winner", blank=True), menu, items, "side", None, ("left", "right")
    )
    people = votes.coded("worker", "worker")
    votes.errors.raise_if_any("fix these votes, or fetch both files again")
    columns = votes.others(["topic", "left", "right", "worker", "winner"])
    settings = {"source": str(path), "format": "ukp"}
    return pair_data(menu, outcome, items, people, Coded(prompt, topics), columns=columns, settings=settings)


def _arguments(path: str | os.PathLike[str]) -> tuple[Items, np.ndarray]:
    """The arguments, and the names of the debates."""
    table = read_table(path, ",")
    topics, argument = table.coded("topic", "topic"), table.coded("argument", "argument")
    names = argument.text()
    twice = pd.Series(argument.codes).duplicated().to_numpy()
    table.errors.add_where(twice, lambda r: f"argument {names[r][:40]!r} appears twice")
    text = table.coded("text", "text", blank=True).text()
    table.errors.raise_if_any("give every argument one row and a name of its own")
    columns = {"topic": topics.text(), **table.others(["topic", "argument", "text"])}
    return Items(names=names, texts=text, prompts=topics.codes, columns=columns), topics.names


def _beside(path: Path, stem: str) -> Path:
    if path.is_file():
        return path
    for name in (f"{stem}.csv.gz", f"{stem}.csv"):
        if (path / name).is_file():
            return path / name
    raise FileReadError(f"{path}: no {stem}.csv.gz or {stem}.csv; name the directory that holds both files")
