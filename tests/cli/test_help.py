"""Help says what was written: rich would drop a word in square brackets as markup."""

from __future__ import annotations

import re

import pytest
import typer

from annosim import cli


def texts():
    """(command, text) of every help text of the application."""

    def walk(command, words):
        parts = [command.help, command.epilog, *(getattr(p, "help", None) for p in command.params)]
        yield from ((" ".join(words), text) for text in parts if text)
        for name, inner in getattr(command, "commands", {}).items():
            yield from walk(inner, [*words, name])

    return list(walk(typer.main.get_command(cli.build()), ["annosim"]))


def test_no_help_text_holds_words_that_markup_would_drop():
    assert len(texts()) > 40
    assert [found for found in texts() if re.search(r"\[[a-z]", found[1])] == []


@pytest.mark.parametrize(("command", "words"), [("fit", "a table named data"), ("plan", "a table named plan")])
def test_the_table_that_a_command_needs_is_named_in_its_help(command, words, capsys):
    assert cli.main([command, "--help"]) == 0
    told = " ".join(re.sub("[^a-zA-Z]", " ", capsys.readouterr().out).split())
    assert words in told
