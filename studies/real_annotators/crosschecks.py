"""The same real answers given to choix, evalica and statsmodels: where they agree to 1e-6, and where they go wrong.

Each function is a cell and returns rows with the call as one would type it, how far its utilities are from the maximum
of the likelihood (``difference``; nan where no maximum exists), the range of the utilities, and every warning given.
"""

from __future__ import annotations

import importlib
import warnings

import numpy as np

import annosim as an

from .reading import WARDS, decisive, read, read_debates, utilities, win_counts

SMALL = "should-physical-education-be-mandatory-in-schools-_no-"  # the smallest debate: 25 arguments


def not_installed(package):
    """Whether a package is missing, and what to do."""
    try:
        importlib.import_module(package)
    except ImportError:
        return True, f"{package} is not installed; pip install '.[peers]' brings it"
    return False, ""


def _row(call, on, run, truth=None, problem=""):
    """Run a peer, keep what it said; ``problem`` names what should go wrong, nothing where it should be right."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        values = np.asarray(run(), dtype=float)
    off = float("nan") if truth is None else float(np.abs((values - values.mean()) - (truth - truth.mean())).max())
    return {
        "call": call,
        "on": on,
        "difference": off,
        "largest": float(values.max()),
        "smallest": float(values.min()),
        "finite": bool(np.isfinite(values).all()),
        "warned": "; ".join(str(w.message)[:90] for w in caught),
        "problem": problem,
    }


def _wins(counts):
    """A list of (winner, loser), as choix wants it; the odd half win of a tie is left out."""
    repeats = np.floor(counts).astype(int)
    return np.argwhere(np.ones_like(counts)).repeat(repeats.ravel(), 0).tolist()


def _skaters(data):
    """Every judge's pairs of skaters: one skater was never placed second, so that no maximum exists."""
    answers = read("preflib/skaters.toc", data, expand=True).ties("half")
    order = np.take_along_axis(answers.menu, np.asarray(answers.answer).astype(int), 1)
    first, second = np.triu_indices(answers.items.n, 1)
    counts = np.zeros((answers.items.n, answers.items.n))
    for row, weight in zip(order, answers.row_weight, strict=True):
        np.add.at(counts, (row[first], row[second]), weight)
    return counts


def _two_debates(data):
    """Two debates whose arguments never met, in one table of counts; and which items are of the first."""
    parts = [win_counts(one) for one in list(read_debates(data).values())[:2]]
    n = len(parts[0])
    counts = np.zeros((n + len(parts[1]), n + len(parts[1])))
    counts[:n, :n], counts[n:, n:] = parts
    return counts


def no_estimate(data):
    """annosim on the two data sets without an estimate: it must refuse both."""
    rows = []
    for on, counts in (("skaters, pairs", _skaters(data)), ("two debates", _two_debates(data))):
        winner, loser = np.nonzero(counts)
        answers = an.PreferenceData(
            an.Items(n=len(counts)),
            np.stack([winner, loser], 1),
            np.zeros(len(winner), int),
            weight=counts[winner, loser],
        )
        try:
            utilities(answers)
        except an.errors.NotIdentifiedError as error:
            rows.append({"on": on, "refused": True, "words": str(error)[:200]})
        else:
            rows.append({"on": on, "refused": False, "words": ""})
    return rows


def choix(data):
    """Bradley-Terry on half wins, Plackett-Luce on sushi and on a ward; then what it does without an estimate."""
    import choix as peer

    votes, sushi = read("llmfao.csv", data), read("preflib/sushi.soc", data, expand=True)
    ward = read(f"scottish_elections/{WARDS[-1]}.csv", data)
    order = np.take_along_axis(sushi.menu, np.asarray(sushi.answer).astype(int), 1)
    ballots, choices = _ballots(ward)
    exact = {"alpha": 0.0, "max_iter": 1000, "tol": 1e-12}
    skaters, two = _skaters(data), _two_debates(data)
    newton = {"alpha": 0.0, "method": "Newton-CG", "tol": 1e-10}
    of_ward = utilities(ward)
    return [
        _row(
            "ilsr_pairwise_dense(counts, alpha=0)",
            "llmfao, half wins",
            lambda: peer.ilsr_pairwise_dense(win_counts(votes), **exact),
            utilities(votes.ties("half")),
        ),
        _row(
            "ilsr_rankings(alpha=0)", "sushi", lambda: peer.ilsr_rankings(10, order.tolist(), **exact), utilities(sushi)
        ),
        _row(
            "ilsr_top1(alpha=0), a choice per place",
            "ward, ballots cut short",
            lambda: peer.ilsr_top1(ward.items.n, choices, **exact),
            of_ward,
        ),
        _row(
            "ilsr_rankings(alpha=0)",
            "ward, ballots cut short",
            lambda: peer.ilsr_rankings(ward.items.n, ballots, **exact),
            of_ward,
            "who is not listed counts as not shown, not as below",
        ),
        _row(
            "opt_pairwise(alpha=0, 'Newton-CG')",
            "skaters, pairs",
            lambda: peer.opt_pairwise(len(skaters), _wins(skaters), **newton),
            None,
            "finite numbers for an infinite maximum",
        ),
        _row(
            "opt_pairwise(alpha=0, 'BFGS')",
            "skaters, pairs",
            lambda: peer.opt_pairwise(len(skaters), _wins(skaters), **newton | {"method": "BFGS"}),
            None,
            "the same, other numbers",
        ),
        _row(
            "opt_pairwise(alpha=0, 'Newton-CG')",
            "two debates",
            lambda: peer.opt_pairwise(len(two), _wins(two), **newton),
            None,
            "one scale for items that never met",
        ),
    ]


def _ballots(ward):
    """Ballots as choix takes them: lists of those named, and one choice per place among those still to be placed."""
    lists, choices = [], []
    for menu, answer, weight in zip(ward.menu, ward.answer, np.rint(ward.row_weight).astype(int), strict=True):
        named = [int(menu[place]) for place in answer if place >= 0]
        left = set(menu.tolist())
        lists += [named] * weight
        for item in named:
            left -= {item}
            choices += [(item, sorted(left))] * (weight if left else 0)
    return lists, choices


def evalica(data):
    """Bradley-Terry and Newman's model with ties; every debate; then what it does without an estimate."""
    import evalica as peer

    votes = read("llmfao.csv", data)
    tight = {"tolerance": 1e-12, "limit": 100_000}
    davidson = utilities(votes, an.Davidson(delta=an.free(1.0)))
    skaters, two = _skaters(data), _two_debates(data)
    rows = [
        _row(
            "bradley_terry(tolerance=1e-12)",
            "llmfao, half wins",
            lambda: _scores(peer.bradley_terry, peer, _tallies(votes), tight),
            utilities(votes.ties("half")),
        ),
        _row(
            "newman(tolerance=1e-12), against Davidson",
            "llmfao, ties",
            lambda: _scores(peer.newman, peer, _tallies(votes), tight),
            davidson,
        ),
    ]
    for name, one in read_debates(data).items():
        rows.append(
            _row(
                "bradley_terry(tolerance=1e-12)",
                f"debate {name}",
                lambda one=one: _scores(peer.bradley_terry, peer, _tallies(one), tight),
                utilities(one.ties("half")),
            )
        )
    for tolerance in (1e-6, 1e-12):
        options = {"tolerance": tolerance, "limit": 100_000}
        rows.append(
            _row(
                f"bradley_terry(tolerance={tolerance:g})",
                "skaters, pairs",
                lambda options=options: _scores(peer.bradley_terry, peer, _of_counts(skaters), options),
                None,
                "every score is the tolerance",
            )
        )
    rows.append(
        _row(
            "bradley_terry(tolerance=1e-12)",
            "two debates",
            lambda: _scores(peer.bradley_terry, peer, _of_counts(two), tight),
            None,
            "one scale for items that never met",
        )
    )
    return rows


def _tallies(answers):
    """Left, right, winner (0 left, 1 right, 2 tie) and weight of each vote."""
    answer = answers.answer[:, 0] if answers.answer.ndim > 1 else answers.answer
    winner = np.where(answers.tied.any(-1), 2, answer)
    return answers.menu[:, 0], answers.menu[:, 1], winner, np.ones(answers.rows), answers.items.n


def _of_counts(counts):
    left, right = np.nonzero(counts)
    return left, right, np.zeros(len(left), int), counts[left, right], len(counts)


def _scores(estimate, peer, tallies, options):
    left, right, winner, weights, n = tallies
    words = [peer.Winner.X, peer.Winner.Y, peer.Winner.Draw]
    found = estimate(left.tolist(), right.tolist(), [words[w] for w in winner], weights=weights.tolist(), **options)
    return np.log(found.scores.loc[list(range(n))].to_numpy())


def statsmodels(data):
    """ConditionalLogit on the smallest debate, a group per vote: by Newton, as it comes, and with its ties."""
    from statsmodels.discrete.conditional_models import ConditionalLogit

    debate = read_debates(data)[SMALL]
    votes, n = decisive(debate), debate.items.n

    def logit(menu, chosen, **options):
        design = np.eye(n)[menu.ravel()][:, 1:]  # the first item is the reference
        groups = np.repeat(np.arange(len(menu)), 2)
        fitted = ConditionalLogit(chosen.ravel().astype(int), design, groups=groups).fit(disp=0, **options)
        return np.concatenate([[0.0], fitted.params])

    chosen = np.eye(2)[votes.answer]
    both = np.eye(2)[debate.answer[:, 0]]
    both[debate.tied.any(-1)] = 1
    truth = utilities(votes)
    return [
        _row(
            "ConditionalLogit.fit(method='newton')",
            "a debate, ties left out",
            lambda: logit(votes.menu, chosen, method="newton", maxiter=50),
            truth,
        ),
        _row(
            "ConditionalLogit.fit()",
            "a debate, ties left out",
            lambda: logit(votes.menu, chosen),
            truth,
            "stops short of the maximum without a word",
        ),
        _row(
            "ConditionalLogit.fit(start_params=...)",
            "a debate, ties as two winners",
            lambda: logit(debate.menu, both, start_params=truth[1:] - truth[0]),
            utilities(debate.ties("half")),
            "a tie is dropped, not counted",
        ),
    ]
