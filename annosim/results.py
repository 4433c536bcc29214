"""Results: every verb returns one. It is frozen, carries its settings, prints readably, and becomes a pandas frame."""

from __future__ import annotations

import hashlib
import html
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Result", "fingerprint", "package_digest", "versions"]

#: What cannot change the result of a computation: presentation, command line, where it runs, and a wheel's studies.
_PRESENTATION = (
    "__main__.py",
    "bench",
    "cli",
    "execution",
    "explore",
    "plotting",
    "plotting.py",
    "reporting",
    "studies",
    "study",
)


def versions() -> dict[str, str]:
    """Versions of python, annosim, torch and numpy, for a result's settings.

    Example:
        >>> sorted(versions())
        ['annosim', 'numpy', 'python', 'torch']
    """
    return dict(_versions())


@cache
def _versions() -> dict[str, str]:
    """Read once: package metadata is stored in files, and reading it would dominate a small simulation."""
    from importlib.metadata import PackageNotFoundError, version

    import annosim

    out = {"python": platform.python_version(), "annosim": annosim.__version__}
    for name in ("torch", "numpy"):
        try:
            out[name] = version(name)
        except PackageNotFoundError:  # a build without metadata, as some distributions make it
            out[name] = "unknown"
    return out


@cache
def package_digest() -> str:
    """Hash of annosim's own sources, without the rooms that only present results.

    Example:
        >>> len(package_digest())
        64
    """
    top = Path(__file__).parent
    files = [f for f in sorted(top.rglob("*.py")) if f.relative_to(top).parts[0] not in _PRESENTATION]
    digest = hashlib.sha256()
    for f in files:
        digest.update(str(f.relative_to(top)).encode() + b"\0" + f.read_bytes())
    return digest.hexdigest()


def fingerprint() -> dict[str, str]:
    """What two processes must share to compute the same: versions, and annosim's own source.

    Example:
        >>> sorted(fingerprint())
        ['annosim', 'numpy', 'python', 'torch']
    """
    known = versions()
    python = ".".join(known["python"].split(".")[:2])
    return {**known, "python": python, "annosim": f"{known['annosim']}+{package_digest()[:16]}"}


@dataclass(frozen=True, eq=False)
class Result:
    """Base of every result. Subclasses implement :meth:`_lines`, pairs of a label and a value.

    Arrays in a result carry no gradient, so that ``numpy.asarray`` reads them.

    Attributes:
        settings: how it was computed (solver, tolerance, seed, versions, ...).

    Example:
        >>> import annosim as an
        >>> design = an.Design(an.Items(n=2), menus=[[0, 1]])
        >>> a, b = (an.Annotator(an.Tabular([0.0, s]), an.Luce()) for s in (1.0, 0.0))
        >>> an.analysis.law_divergence(a, b, design).to_frame().index.tolist()[:2]
        ['total variation', 'KL(truth || other)']
    """

    settings: dict[str, Any] = field(default_factory=dict, kw_only=True, repr=False)

    def _title(self) -> str:
        return type(self).__name__

    def _lines(self) -> Sequence[tuple[str, object]]:
        return []

    def to_frame(self) -> pd.DataFrame:
        """The result as a pandas frame: by default what its ``repr`` shows, one row for each label."""
        import pandas as pd

        labels, values = [label for label, _ in self._lines()], [value for _, value in self._lines()]
        return pd.DataFrame({"value": pd.Series(values, index=labels, dtype=object)})

    def to_pandas(self) -> pd.DataFrame:
        """Same as :meth:`to_frame`."""
        return self.to_frame()

    def __repr__(self) -> str:
        lines = [(label, _show(value)) for label, value in self._lines()]
        width = max((len(label) for label, _ in lines), default=0)
        indent = "\n" + " " * (width + 4)
        return "\n".join([self._title()] + [f"  {label:<{width}}  {v.replace(chr(10), indent)}" for label, v in lines])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{html.escape(label)}</th>"
            f"<td style='text-align:left'><pre style='margin:0'>{html.escape(_show(value))}</pre></td></tr>"
            for label, value in self._lines()
        )
        return f"<table><caption>{html.escape(self._title())}</caption>{rows}</table>"


def _show(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
