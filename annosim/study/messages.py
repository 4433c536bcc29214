"""What a study's own code may raise, and its message in one line, whatever it is."""

from __future__ import annotations

from annosim.errors import StudyError

__all__ = ["FAILURES", "one_line", "text_of"]

#: What becomes a row or a reason where the study's code raises it: anything but the user's Ctrl-C.
FAILURES = (Exception, SystemExit)


def text_of(thing: object) -> str:
    """An object's text in one line.

    Example:
        >>> text_of(ValueError("the coin stands\\non its edge"))
        'the coin stands on its edge'
    """
    try:
        return " ".join(str(thing).split())
    except Exception:  # __str__ is the study's code as well
        return "its message cannot be shown"


def one_line(error: BaseException) -> str:
    """An exception as a line: its class and text; the text alone where it is the library's own.

    Example:
        >>> one_line(SystemExit(7)), one_line(ValueError()), one_line(StudyError("no such cell"))
        ('SystemExit: 7', 'ValueError: no message', 'no such cell')
    """
    text = text_of(error) or "no message"
    return text if isinstance(error, StudyError) else f"{type(error).__name__}: {text}"
