"""The command line: one file per group of commands, each with ``register(app)``.

To add a command, write ``annosim/cli/NAME.py`` with a function ``register(app: typer.Typer) -> None`` that adds it,
and put its name into :data:`GROUPS`. These files import typer and nothing else of weight at their top; everything that
loads torch, pandas or matplotlib is imported inside the command, so that ``annosim --help`` answers at once.

Bad input is one line on standard error and exit code 2: every :class:`annosim.errors.AnnosimError`, a file that cannot
be read or written, a wrong option. Nothing else is caught: a traceback is a bug of annosim. Commands write their files
first and print after; printing never stops one (:mod:`annosim.cli.output`).
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from importlib import import_module

import typer

from annosim.cli.launched import rank
from annosim.cli.output import READER_LEFT, patient_output
from annosim.errors import AnnosimError

__all__ = ["GROUPS", "build", "main"]

#: Modules of this package that register commands, in the order in which ``--help`` lists them.
GROUPS = ("simulate", "study", "read", "diagnose", "fit", "identify", "check", "plan", "iterate", "explore", "bench")

#: Exit codes that every command shares; a command's own are in its ``--help``.
BAD_INPUT, INTERRUPTED = 2, 130

#: How many more objects than before start a collection (Python's own is 700, 10, 10). Imports make a million objects that
#: stay: collecting among them is a tenth of a short command.
COLLECT = (200_000, 30, 30)


def build() -> typer.Typer:
    """The application with all commands registered."""
    app = typer.Typer(
        name="annosim",
        help="A laboratory for preference learning: simulate annotators, train what you would train, find out what was "
        "really learned, and whether it could have been learned at all.",
        epilog="Example: annosim study run density_estimation --preset quick",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    for group in GROUPS:
        import_module(f"annosim.cli.{group}").register(app)
    return app


def _show_version(wanted: bool) -> None:
    if wanted:
        from annosim.results import versions

        typer.echo(f"annosim {versions()['annosim']}")
        raise typer.Exit()


def _options(
    version: bool = typer.Option(False, "--version", callback=_show_version, is_eager=True, help="Print the version."),
) -> None:
    """Options of the command itself; the help text is the application's."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code (the console script hands it to the shell).

    Example:
        >>> main(["--version"])  # doctest: +ELLIPSIS
        annosim ...
        0
    """
    if arguments is None:  # this process is the command's own
        gc.set_threshold(*COLLECT)
    with patient_output() as out:
        code = _run(arguments)
    if out.error is None:
        return code
    if out.reader_left:  # annosim ... | head
        return code or READER_LEFT
    return _complain(f"standard output cannot be written ({out.error.strerror or out.error})")


def _run(arguments: Sequence[str] | None) -> int:
    try:
        words = list(sys.argv[1:] if arguments is None else arguments)
        code = build()(args=words, prog_name="annosim", standalone_mode=False)
    except AnnosimError as error:
        return _complain(str(error))
    except _usage_error() as error:
        line = _usage_line(error)
        return _complain(line) if line else BAD_INPUT
    except OSError as error:
        return _complain(f"{error.filename or 'a file'}: {error.strerror or error}")
    except (KeyboardInterrupt, typer.Abort):
        sys.stderr.write("annosim: interrupted\n")
        return INTERRUPTED
    if code == INTERRUPTED:
        sys.stderr.write("annosim: interrupted\n")
    return code if isinstance(code, int) else 0


def _complain(message: str) -> int:
    """One line on standard error, whatever the message holds."""
    where = f"process {rank()}: " if rank() else ""  # of several that a launcher started
    sys.stderr.write(f"annosim: {where}{' '.join(message.split())}\n")
    return BAD_INPUT


def _usage_error() -> type[Exception]:
    """The parent of typer's complaints about options (its module differs between versions of typer)."""
    return next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


def _usage_line(error: Exception) -> str:
    text = str(error.format_message())  # type: ignore[attr-defined]
    if not text:  # a group without a command: its help was printed
        return ""
    context = getattr(error, "ctx", None)
    command = getattr(context, "command_path", "annosim") if context is not None else "annosim"
    return f"{text.rstrip('.')}; see {command} --help"
