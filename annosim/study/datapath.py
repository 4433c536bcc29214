"""Where real data lie: ``--data``, then ``ANNOSIM_DATA``, then ``../shared/data``.

The library ships no data. A missing file is one line that says what is missing, where it was looked for, and whose file
it is, so that a reader can fetch it; a test skips with that same line.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from annosim.errors import FileReadError
from annosim.places import Folder, is_url

__all__ = ["MissingDataError", "data_path", "data_root"]

#: Whose files these are, so that the message of a missing file can say where to get it (first matching beginning).
SOURCES = {
    "llmfao.csv": "LLMFAO by D. Ustalov (CC-BY 4.0)",
    "ukp_convincing_arguments": "UKPConvArg1, Habernal and Gurevych, ACL 2016 (CC-BY 4.0)",
    "preflib": "PrefLib, preflib.org (Mattei and Walsh 2013)",
    "scottish_elections": "Scottish council elections, cleaned by D. McCune (public records)",
    "tinyshakespeare.txt": "the plays of Shakespeare, 1.1 MB of public domain text",
}


class MissingDataError(FileReadError):
    """A file of real data is not where it was looked for.

    Example:
        >>> try:
        ...     data_path("llmfao.csv", data="nowhere")
        ... except MissingDataError as error:
        ...     print("missing" in str(error), "--data DIR" in str(error))
        True True
    """


def data_root(data: str | os.PathLike[str] | None = None) -> Path | str:
    """The directory of real data: ``data`` if given, else ``$ANNOSIM_DATA``, else ``../shared/data``; or its URL.

    The last is looked for beside the working directory and beside the source tree, so that it is found from both.

    Example:
        >>> data_root("elsewhere").name
        'elsewhere'
    """
    given = data if data is not None else os.environ.get("ANNOSIM_DATA")
    if given:
        return str(given) if is_url(given) else Path(given)
    beside_here = Path.cwd().parent / "shared" / "data"
    beside_source = Path(__file__).resolve().parents[3] / "shared" / "data"
    return beside_source if beside_source.is_dir() and not beside_here.is_dir() else beside_here


def data_path(relative: str, data: str | os.PathLike[str] | None = None) -> Path:
    """The path of one file of real data, for example ``data_path("preflib/sushi.soc")``.

    Args:
        relative: path inside the data directory.
        data: the data directory; default ``$ANNOSIM_DATA``, else ``../shared/data``. A URL (``s3://bucket/data``) is
            read through fsspec, and what is asked for is kept in the user's cache until it changes.

    Raises:
        MissingDataError: one line with the file, the place, its source, and the remedy.
        FileReadError: the URL cannot be read.

    Example:
        >>> data_path("llmfao.csv", data="nowhere")
        Traceback (most recent call last):
        annosim.study.datapath.MissingDataError: llmfao.csv is missing in nowhere; it comes from LLMFAO by D. Ustalov \
(CC-BY 4.0); say where it lies with --data DIR or ANNOSIM_DATA
    """
    root = data_root(data)
    path = _fetched(root, relative) if isinstance(root, str) else root / relative
    if path is None or not path.exists():
        whose = next((text for start, text in SOURCES.items() if relative.startswith(start)), "its authors")
        raise MissingDataError(
            f"{relative} is missing in {root}; it comes from {whose}; say where it lies with --data DIR or ANNOSIM_DATA"
        )
    return path


def _fetched(url: str, relative: str) -> Path | None:
    """A copy in the user's cache, in a folder for each URL."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "annosim" / "data"
    try:
        return Folder(url).fetch(relative, cache / hashlib.sha256(url.encode()).hexdigest()[:16])
    except FileNotFoundError:
        return None


def missing_reason(relative: str | Sequence[str]) -> str | None:
    """Why a test that reads these files must be skipped, or None when all are there.

    Example:
        ``@pytest.mark.skipif(missing_reason("llmfao.csv") is not None, reason=missing_reason("llmfao.csv") or "")``

        >>> missing_reason("no/such/file.csv") is None
        False
    """
    for one in [relative] if isinstance(relative, str) else relative:
        try:
            data_path(one)
        except MissingDataError as error:
            return str(error)
    return None
