"""Adapters: other people's estimators, called with what they expect, as estimators of :class:`PreferenceData`.

Each adapter is named after the package whose calling convention it speaks. No package is imported here: you hand in its
function or class.
"""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from annosim.checks.estimator import Estimator, as_estimator
from annosim.data.preferences import PreferenceData
from annosim.errors import ArgumentError, CheckError, MissingDependencyError
from annosim.learning.fitting import fit
from annosim.populations.base import Population

__all__ = [
    "ADAPTERS",
    "annosim",
    "arrays",
    "choix",
    "crowdkit",
    "evalica",
    "frame",
    "load",
    "plain",
    "sklearn",
    "tuples",
]


def choix(
    function: Callable[..., object], *, kind: str | None = None, tags: Iterable[str] = (), **settings: object
) -> Estimator:
    """An algorithm of choix: ``f(n_items, data, **settings) -> params``.

    Pairs are ``(winner, loser)`` tuples, rankings tuples of items, choices ``(winner, others)``, and ``_dense``
    functions get the matrix of wins; the kind is read from the function's name (``ilsr_rankings``) unless given.
    ``ep_pairwise`` returns ``(mean, covariance)``. Declared with their tags: ``alpha`` above zero (the default of the
    ``opt_`` functions) is a penalty, and Luce spectral ranking in one step, rank centrality, and a penalised chain do
    not maximise a likelihood.

    Example:
        >>> import choix as peer
        >>> choix(peer.ilsr_pairwise, alpha=0.0).name
        'choix.ilsr_pairwise(alpha=0.0)'
    """
    name = getattr(function, "__name__", "function")
    kind = kind or ("ranking" if "ranking" in name else "choice" if "top1" in name else "pairwise")

    def run(data: PreferenceData) -> object:
        if name.endswith("_dense"):
            return function(_win_matrix(data), **settings)
        out = function(data.items.n, _choix_data(data, kind), **settings)
        return out[0] if isinstance(out, tuple) else out

    declared = set(tags)
    if settings.get("alpha", 1.0 if name.startswith("opt_") else 0.0):
        declared.add("regularised")
    if name.startswith(("lsr_", "rank_centrality")) or (name.startswith("ilsr_") and "regularised" in declared):
        declared.add("spectral")
    return as_estimator(run, kind, declared, name=_label("choix", name, settings), version=_version("choix"))


def _win_matrix(data: PreferenceData) -> np.ndarray:
    """``(n_items, n_items)``: how often the row's item beat the column's."""
    count = np.zeros((data.items.n, data.items.n))
    np.add.at(count, _winners_and_losers(data), 1.0)
    return count


def _choix_data(data: PreferenceData, kind: str) -> list[object]:
    _plain_answers(data)
    menu = np.asarray(data.menu)
    if kind == "ranking":
        order = np.asarray(data.answer).astype(np.int64)
        return [tuple(int(m[a]) for a in row if a >= 0) for m, row in zip(menu, order, strict=True)]
    rows = np.arange(len(menu))
    won = menu[rows, np.asarray(data.answer).astype(np.int64)]
    if kind == "pairwise":
        lost = menu[rows, 1 - np.asarray(data.answer).astype(np.int64)]
        return list(zip(won.tolist(), lost.tolist(), strict=True))
    return [(int(w), [int(i) for i in m if i != w and i >= 0]) for w, m in zip(won, menu, strict=True)]


def evalica(
    function: Callable[..., object], *, kind: str = "pairwise", tags: Iterable[str] = (), **settings: object
) -> Estimator:
    """A method of evalica: ``f(xs, ys, winners, weights=, **settings) -> result.scores``.

    ``bradley_terry`` and ``newman`` return worths: their logarithm is the utility. All others are scores.
    """
    name = getattr(function, "__name__", "function")
    worths = name.startswith(("bradley_terry", "newman"))

    def run(data: PreferenceData) -> np.ndarray:
        from evalica import Winner

        answer = np.asarray(data.answer)
        first = answer[:, 0] if answer.ndim == 2 else answer
        tied = np.zeros(len(first), bool) if data.tied is None else np.asarray(data.tied)[:, 0]
        words = [Winner.Draw if t else (Winner.X if a == 0 else Winner.Y) for a, t in zip(first, tied, strict=True)]
        weights = None if data.weight is None else np.asarray(data.weight).tolist()
        xs, ys = (np.asarray(data.menu)[:, side].tolist() for side in (0, 1))
        found: Any = function(xs, ys, words, weights=weights, **settings)
        out = found.scores.reindex(range(data.items.n)).to_numpy(dtype=float)
        with np.errstate(divide="ignore"):
            return np.log(out) if worths else out

    declared = (
        {"weights", *tags} | (set() if worths else {"score"}) | ({"sequential"} if name.startswith("elo") else set())
    )
    return as_estimator(run, kind, declared, name=_label("evalica", name, settings), version=_version("evalica"))


def crowdkit(
    cls: Callable[..., object], *, kind: str = "pairwise", tags: Iterable[str] = (), **settings: object
) -> Estimator:
    """An aggregation class of crowd-kit: ``cls(**settings).fit_predict(frame with worker, left, right, label)``.

    Scores of BradleyTerry are worths: their logarithm is the utility. NoisyBradleyTerry returns the logistic function
    of its utilities.
    """
    name = getattr(cls, "__name__", "class")

    def run(data: PreferenceData) -> np.ndarray:
        import pandas as pd

        _plain_answers(data)
        menu = np.asarray(data.menu)
        label = menu[np.arange(len(menu)), np.asarray(data.answer).astype(np.int64)]
        frame = pd.DataFrame(
            {"worker": np.asarray(data.annotator_ids), "left": menu[:, 0], "right": menu[:, 1], "label": label}
        )
        model: Any = cls(**settings)
        scores = model.fit_predict(frame).reindex(range(data.items.n)).to_numpy(dtype=float)
        with np.errstate(divide="ignore"):
            return np.log(scores) - np.log1p(-scores) if name.startswith("Noisy") else np.log(scores)

    return as_estimator(run, kind, tags, name=_label("crowdkit", name, settings), version=_version("crowd-kit"))


def sklearn(
    cls: Callable[..., object], *, kind: str = "pairwise", tags: Iterable[str] = (), **settings: object
) -> Estimator:
    """A linear classifier of scikit-learn on differences: ``cls(fit_intercept=False, **settings).fit(X, y, weights)``.

    Pairs become rows of ``e_left - e_right`` (or of feature differences for kind ``reward``); ``coef_`` are the
    utilities (or the reward's weights).
    """
    name = getattr(cls, "__name__", "class")

    def run(data: PreferenceData) -> np.ndarray:
        _plain_answers(data)
        menu = np.asarray(data.menu)
        x = np.eye(data.items.n) if kind == "pairwise" else data.items.feature_matrix.numpy()
        y = (np.asarray(data.answer) == 0).astype(int)
        difference = x[menu[:, 0]] - x[menu[:, 1]]
        weight = None if data.weight is None else np.asarray(data.weight)
        if len(set(y.tolist())) < 2:  # the left side always wins: show every pair both ways round
            difference, y = np.concatenate([difference, -difference]), np.concatenate([y, 1 - y])
            weight = None if weight is None else np.concatenate([weight, weight])
        model: Any = cls(fit_intercept=False, **settings)
        model.fit(difference, y, sample_weight=weight)
        coef = np.asarray(model.coef_, dtype=float).reshape(-1)
        return coef if kind == "pairwise" else x @ coef

    declared = {"weights", *tags}
    return as_estimator(run, kind, declared, name=_label("sklearn", name, settings), version=_version("scikit-learn"))


def annosim(
    model: Callable[[PreferenceData], Population],
    *,
    kind: str = "pairwise",
    tags: Iterable[str] = (),
    name: str = "",
    **settings: object,
) -> Estimator:
    """annosim's own ``fit`` of ``model(data)``, a function that makes the model for the data's items.

    Example:
        >>> import annosim as an
        >>> ours = annosim(lambda data: an.Annotator(an.Tabular(data.items.n), an.Luce()), name="Bradley-Terry")
        >>> ours(an.PreferenceData(an.Items(n=2), [[0, 1]] * 4, [0, 0, 0, 1])).round(4).tolist()
        [0.5493, -0.5493]
    """

    def run(data: PreferenceData, **keywords: object) -> object:
        options: Any = {**settings, **keywords}  # checked by fit
        return fit(model(data), data, **options)

    label = name or _label("annosim", "fit", settings)
    return as_estimator(run, kind, {"weights", *tags}, returns="population", name=label, version=_version("annosim"))


def plain(
    function: Callable[..., object], *, kind: str = "pairwise", tags: Iterable[str] = (), **settings: object
) -> Estimator:
    """A function of :class:`PreferenceData` itself, with settings bound."""
    name = getattr(function, "__name__", "function")
    bound = (lambda data: function(data, **settings)) if settings else function
    return as_estimator(bound, kind, tags, name=_label("", name, settings))


def tuples(
    function: Callable[..., object], *, kind: str = "pairwise", tags: Iterable[str] = (), **settings: object
) -> Estimator:
    """Your own function of tuples: ``f(n_items, data, **settings) -> utilities (n_items,)``.

    ``data`` is a list of ``(winner, loser)`` pairs, of rankings (tuples, best first), or of ``(winner, others)``
    choices.

    Example:
        >>> def wins(n_items, data):
        ...     return [sum(w == i for w, _ in data) for i in range(n_items)]
        >>> from annosim import Items, PreferenceData
        >>> tuples(wins, tags={"score"})(PreferenceData(Items(n=2), [[0, 1]], [1])).tolist()
        [-0.5, 0.5]
    """
    name = getattr(function, "__name__", "function")

    def run(data: PreferenceData) -> object:
        return function(data.items.n, _choix_data(data, kind), **settings)

    return as_estimator(run, kind, tags, name=_label("", name, settings))


def arrays(
    function: Callable[..., object], *, kind: str = "pairwise", tags: Iterable[str] = (), **settings: object
) -> Estimator:
    """Your own function of arrays: ``f(winners, losers, n_items, **settings) -> utilities``, pairs only.

    With the tag ``weights`` it also gets ``weights=``, one number per pair.

    Example:
        >>> def wins(winners, losers, n_items):
        ...     return np.bincount(winners, minlength=n_items)
        >>> from annosim import Items, PreferenceData
        >>> arrays(wins, tags={"score"})(PreferenceData(Items(n=2), [[0, 1]], [1])).tolist()
        [-0.5, 0.5]
    """
    name, declared = getattr(function, "__name__", "function"), set(tags)
    _pairs_only("arrays", kind)

    def run(data: PreferenceData) -> object:
        won, lost = _winners_and_losers(data)
        extra = {"weights": np.asarray(data.row_weight)} if "weights" in declared else {}
        return function(won, lost, data.items.n, **extra, **settings)

    return as_estimator(run, kind, declared, name=_label("", name, settings))


def frame(
    function: Callable[..., object], *, kind: str = "pairwise", tags: Iterable[str] = (), **settings: object
) -> Estimator:
    """Your own function of a data frame: ``f(frame, **settings) -> utilities``, pairs only.

    Columns: ``annotator``, ``left``, ``right``, ``winner`` (item ids) and ``weight``. It returns one utility per item,
    in order of the ids, or a Series indexed by them.

    Example:
        >>> from annosim import Items, PreferenceData
        >>> counts = frame(lambda table: table["winner"].value_counts().reindex([0, 1], fill_value=0), tags={"score"})
        >>> counts(PreferenceData(Items(n=2), [[0, 1]], [1])).tolist()
        [-0.5, 0.5]
    """
    name = getattr(function, "__name__", "function")
    _pairs_only("frame", kind)

    def run(data: PreferenceData) -> object:
        import pandas as pd

        won, _ = _winners_and_losers(data)
        menu = np.asarray(data.menu)
        out = function(
            pd.DataFrame(
                {
                    "annotator": np.asarray(data.annotator_ids),
                    "left": menu[:, 0],
                    "right": menu[:, 1],
                    "winner": won,
                    "weight": np.asarray(data.row_weight),
                }
            ),
            **settings,
        )
        return out.reindex(range(data.items.n)).to_numpy(dtype=float) if isinstance(out, pd.Series) else out

    return as_estimator(run, kind, tags, name=_label("", name, settings))


def _pairs_only(adapter: str, kind: str) -> None:
    if kind != "pairwise":
        raise ArgumentError(f"the adapter {adapter!r} is for kind 'pairwise', not {kind!r}; use 'tuples' or 'plain'")


def _winners_and_losers(data: PreferenceData) -> tuple[np.ndarray, np.ndarray]:
    _plain_answers(data)
    menu, rows = np.asarray(data.menu).astype(np.int64), np.arange(data.rows)
    answer = np.asarray(data.answer).astype(np.int64)
    return menu[rows, answer], menu[rows, 1 - answer]


#: name on the command line -> adapter
ADAPTERS: dict[str, Callable[..., Estimator]] = {
    "plain": plain,
    "tuples": tuples,
    "arrays": arrays,
    "frame": frame,
    "choix": choix,
    "evalica": evalica,
    "crowdkit": crowdkit,
    "sklearn": sklearn,
    "annosim": annosim,
}


def load(path: str) -> object:
    """The object at ``module:name`` (dots allowed in both).

    Raises:
        CheckError: no colon, no such module, a module that fails when it is read, or no such name in it.
    """
    module, _, name = path.partition(":")
    if not module or not name:
        raise CheckError(f"estimator {path!r}: write module:callable, for example choix:ilsr_pairwise")
    try:
        value: Any = importlib.import_module(module)
    except ImportError as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) and error.name else module
        if missing == module.partition(".")[0] or missing == module:
            raise CheckError(f"estimator {path!r}: cannot import {module!r} ({error}); is it installed?") from error
        if not isinstance(error, ModuleNotFoundError):
            raise CheckError(f"estimator {path!r}: {module!r} fails on import: {_first_line(error)}") from error
        raise CheckError(
            f"estimator {path!r}: {module!r} imports {missing!r}, which is not found; is {missing!r} installed?"
        ) from error
    except Exception as error:  # foreign code: whatever its own lines raise while they are read
        where = f"line {error.lineno}: " if isinstance(error, SyntaxError) else line_of(error)
        raise CheckError(f"estimator {path!r}: {module!r} fails on import: {where}{_first_line(error)}") from error
    for part in name.split("."):
        if not hasattr(value, part):
            raise CheckError(f"estimator {path!r}: {module!r} has no {part!r}")
        value = getattr(value, part)
    return value


def line_of(error: BaseException) -> str:
    """``zero.py, line 2: ``, the last line of a traceback that is not of annosim or of an installed package."""
    own = Path(__file__).parents[1]
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith("<")]
    mine = [f for f in frames if own not in Path(f.filename).parents and "site-packages" not in f.filename]
    return f"{Path(mine[-1].filename).name}, line {mine[-1].lineno}: " if mine else ""


def _first_line(error: Exception) -> str:
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {(text.splitlines() or [''])[0][:160]}"


def _plain_answers(data: PreferenceData) -> None:
    if data.has_ties:
        raise CheckError("this estimator has no ties; check it with kind='pairwise', or split ties first")


def _label(package: str, name: str, settings: dict[str, object]) -> str:
    inside = ", ".join(f"{k}={v!r}" for k, v in settings.items())
    return f"{package}.{name}({inside})" if package and settings else ".".join(filter(None, [package, name]))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError as error:
        raise MissingDependencyError(f"{package} is not installed; pip install {package}") from error
