"""Votes of people, with what judges say elsewhere added and their error on common questions taken off.

Of a pair p with the share ``y_p`` of people's votes for its first item, and judge k's mean answers ``f_kp`` on the questions
that people answered too and ``g_kp`` on the others, the rectified share is ``y_p + sum_k lambda_k (g_kp - f_kp)``
(prediction-powered inference, Angelopoulos et al. 2023, Science 382, 669-674, within each pair). Nothing is assumed of the
judges; the questions that people answered must be a random sample of the pair's. The weights ``lambda`` minimise the
variance of the target (PPI++, Angelopoulos, Duchi and Zrnic 2023, arXiv:2311.01453, for several judges).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import expit

from annosim.errors import NotIdentifiedError
from annosim.learning.inference.judged_votes import JudgedVotes
from annosim.learning.inference.uncertainty import FEW_ANNOTATORS
from annosim.learning.solvers.functions import Function
from annosim.learning.solvers.maximise import maximise

__all__ = ["Moments", "Parts", "best_weights", "bradley_terry", "groupings", "win_rates"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
#: logits at which an estimate counts as running to infinity
FARTHEST = 30.0


@dataclass(frozen=True, eq=False)
class Parts:
    """What votes and judges say by pair, and the residuals of each answer.

    Attributes:
        votes: the answers.
        weight: ``(P,)`` votes of each pair.
        share: ``(P,)`` people's share for the first item.
        shift: ``(K, P)`` the judges' mean on the other questions minus that on the common ones; 0 where there are none.
        spread: ``(K, K, P)`` covariance of the judges' answers within the pair.
        size: ``(2, K, K, P)`` that, times this, is the covariance of ``weight * shift``: the share of the common questions,
            and of the others.
        row_pair: ``(rows,)`` pairs of the votes, and after them of the questions without votes.
        row_people: ``(rows,)`` weights of the votes, then zeros; ``row_answer``: the answers.
        row_judges: ``(K, rows)`` what each row adds to ``- weight * shift``.
    """

    votes: JudgedVotes
    weight: Floats
    share: Floats
    shift: Floats
    spread: Floats
    size: Floats
    row_pair: Ints
    row_people: Floats
    row_answer: Floats
    row_judges: Floats

    @classmethod
    def of(cls, votes: JudgedVotes) -> Parts:
        """Sums by pair."""
        pairs, k = len(votes.first), len(votes.judges)
        at = votes.vote_pair
        weight = np.bincount(at, votes.weight, pairs).astype(np.float64)
        share = np.bincount(at, votes.weight * votes.answer, pairs) / weight
        by_question = np.bincount(votes.question, votes.weight, len(votes.pair))
        pull = np.zeros((k, len(votes.pair)))  # the weight of each answer in weight * shift
        for one, (common, alone) in enumerate(zip(votes.common, votes.alone, strict=True)):
            told = np.where(common, by_question, 0.0)
            below, above = np.bincount(votes.pair, told, pairs), np.bincount(votes.pair, alone, pairs)
            use = (below > 0) & (above > 0)
            scale = np.where(use, weight, 0.0)
            minus, plus = (np.divide(scale, of, out=np.zeros(pairs), where=use) for of in (below, above))
            pull[one] = np.where(alone, plus[votes.pair], -told * minus[votes.pair])
        filled = np.nan_to_num(votes.judged)
        shift = np.stack([np.bincount(votes.pair, p * f, pairs) for p, f in zip(pull, filled, strict=True)]) / weight
        centred, spread, size = _within_pairs(votes, pull, filled)
        rows = np.concatenate([votes.question, np.flatnonzero(~votes.voted)])
        share_of_vote = votes.weight / by_question[votes.question]
        each = np.concatenate([share_of_vote, np.ones(len(rows) - len(share_of_vote))])
        none = np.zeros(len(rows) - len(votes.weight))
        return cls(
            votes,
            weight,
            share,
            shift,
            spread,
            size,
            votes.pair[rows],
            np.concatenate([votes.weight, none]),
            np.concatenate([votes.answer, none]),
            -(pull * centred)[:, rows] * each,
        )


def _within_pairs(votes: JudgedVotes, pull: Floats, filled: Floats) -> tuple[Floats, Floats, Floats]:
    """Judges' answers about their mean of the pair, ``(K, Q)``, scaled by what the mean takes out; spread and size."""
    pairs, k = len(votes.first), len(votes.judges)
    used = pull != 0
    count = np.stack([np.bincount(votes.pair, u, pairs) for u in used])
    mean = np.stack([np.bincount(votes.pair, u * f, pairs) for u, f in zip(used, filled, strict=True)])
    mean = np.divide(mean, count, out=np.zeros_like(mean), where=count > 0)
    centred = np.where(used, filled - mean[:, votes.pair], 0.0)
    spread, size = np.zeros((k, k, pairs)), np.zeros((2, k, k, pairs))
    for one in range(k):
        for other in range(k):
            both = used[one] & used[other]
            m = np.bincount(votes.pair, both, pairs)
            cross = np.bincount(votes.pair, centred[one] * centred[other] * both, pairs)
            spread[one, other] = np.divide(cross, m - 1.0, out=np.zeros(pairs), where=m > 1)
            product = pull[one] * pull[other] * both
            size[0, one, other] = np.bincount(votes.pair, product * votes.voted, pairs)
            size[1, one, other] = np.bincount(votes.pair, product * ~votes.voted, pairs)
    bessel = np.sqrt(np.divide(count, count - 1.0, out=np.zeros_like(count), where=count > 1))
    return centred * bessel[:, votes.pair], spread, size


@dataclass(frozen=True, eq=False)
class Moments:
    """A target that is linear in the pairs' shares, to first order: ``m`` components.

    Attributes:
        slope: ``(P, m)`` its derivative by ``weight * share``.
        centre: ``(P, m)`` what the row of each pair expects, times the slope: its residual is ``slope * answer - centre``.
    """

    slope: Floats
    centre: Floats

    def covariance(self, parts: Parts, weights: Floats, groups: list[tuple[Ints, int]]) -> Floats:
        """``(m, m)`` with rows of one group dependent; groups come with a sign (Cameron, Gelbach and Miller 2011).

        Args:
            parts: the answers.
            weights: ``(K, m)`` the judges' weights for each component.
            groups: codes of the rows, and 1 or -1.
        """
        out = np.zeros((self.slope.shape[1],) * 2)
        for code, sign in groups:
            # most questions that nobody voted on are groups by themselves: their squares are summed by pair
            single = (parts.row_people == 0) & (np.bincount(code)[code] == 1)
            score = self._scores(parts, weights, code, ~single)
            out += sign * (score.T @ score + self._singles(parts, weights, single))
        values, vectors = np.linalg.eigh(0.5 * (out + out.T))
        return (vectors * np.maximum(values, 0.0)) @ vectors.T if len(groups) > 1 else out

    def _scores(self, parts: Parts, weights: Floats, code: Ints, rows: NDArray[np.bool_]) -> Floats:
        """``(groups, m)`` sums of the scores of some rows."""
        group, pair = np.unique(code[rows], return_inverse=True)[1], parts.row_pair[rows]
        shape = (int(group.max(initial=-1)) + 1, len(parts.weight))

        def summed(value: Floats) -> sparse.csr_matrix:
            return sparse.csr_matrix((value[rows], (group, pair)), shape=shape)

        score = summed(parts.row_people * parts.row_answer) @ self.slope
        score -= summed(parts.row_people) @ self.centre
        for judge, own in zip(parts.row_judges, weights, strict=True):
            score -= (summed(judge) @ self.slope) * own
        return score

    def _singles(self, parts: Parts, weights: Floats, rows: NDArray[np.bool_]) -> Floats:
        """``(m, m)`` sum of products of the scores of rows without votes, each on its own."""
        out = np.zeros((self.slope.shape[1],) * 2)
        for one, own in zip(parts.row_judges, weights, strict=True):
            for other, others in zip(parts.row_judges, weights, strict=True):
                product = np.bincount(parts.row_pair[rows], (one * other)[rows], len(parts.weight))
                out += (self.slope * own).T @ (product[:, None] * (self.slope * others))
        return out

    def judge_terms(self, parts: Parts) -> tuple[Floats, Floats]:
        """``(K, m)`` covariance of the people's part with each judge's, and ``(2, K, K, m)`` of the judges' with each other.

        The latter is in two parts, from the common questions and from the others.
        """
        votes = parts.votes
        count = len(votes.pair)
        live = parts.row_people > 0
        question, pair = votes.question, votes.pair
        told = np.bincount(question, (parts.row_people * parts.row_answer)[live], count)
        weight = np.bincount(question, parts.row_people[live], count)
        each = np.stack([np.bincount(question, judge[live], count) for judge in parts.row_judges])
        m = np.stack([np.bincount(pair, ~np.isnan(f), len(parts.weight)) for f in votes.judged])[:, pair]
        # the pair's mean holds the answer itself, which takes 1 / m off both factors; one half is in the rows already
        each *= np.sqrt(np.divide(m, m - 1.0, out=np.zeros_like(m, dtype=float), where=m > 1))
        by_pair = [[np.bincount(pair, e * value, len(parts.weight)) for value in (told, weight)] for e in each]
        cross = np.stack([self.slope.T**2 @ a - (self.slope * self.centre).T @ b for a, b in by_pair])
        own = np.einsum("aklp,pm->aklm", parts.spread * parts.size, self.slope**2)
        return cross, own


def best_weights(cross: Floats, own: Floats) -> Floats:
    """``(K,)`` the weights that minimise the sum of the variances of ``m`` components; equal judges share theirs.

    Args:
        cross: ``(K, m)`` and
        own: ``(2, K, K, m)``, as :meth:`Moments.judge_terms` gives them.

    Example:
        >>> best_weights(np.array([[0.5]]), np.array([[[[0.75]]], [[[0.25]]]])).tolist()
        [0.5]
    """
    return np.linalg.lstsq(own.sum((0, -1)), cross.sum(-1), rcond=1e-10)[0]


def groupings(votes: JudgedVotes) -> tuple[list[tuple[Ints, int]], str, float]:
    """Which answers are dependent: those of an annotator and those on a prompt, where there are several; and how many units.

    Annotators count as units under the same conditions as for any other fit: eight or more, and some with several answers.
    Where prompts are too few for that, the votes on one question are dependent: they share the text and the judges' answer.
    """
    alone = np.flatnonzero(~votes.voted)
    rows = len(votes.question) + len(alone)
    prompt = np.concatenate([votes.prompt[votes.question], votes.prompt[alone]])
    annotator = np.unique(votes.annotator, return_inverse=True)[1]
    people = int(annotator.max()) + 1
    annotator = np.concatenate([annotator, people + np.arange(len(alone))])
    asked = len(np.unique(prompt[: len(votes.question)]))
    by_annotator = people >= FEW_ANNOTATORS and people < len(votes.question)
    subject = "prompt"
    if asked < FEW_ANNOTATORS:
        subject, prompt = "question", np.concatenate([votes.question, alone])
        asked = int(votes.voted.sum())
    by_subject = asked >= FEW_ANNOTATORS and len(np.unique(prompt)) < rows
    if by_annotator and by_subject:
        both = np.unique(np.stack([annotator, prompt]), axis=1, return_inverse=True)[1].reshape(-1)
        return [(annotator, 1), (prompt, 1), (both, -1)], f"annotator and {subject}", float(min(people, asked))
    if by_annotator:
        return [(annotator, 1)], "annotator", float(people)
    if by_subject:
        return [(prompt, 1)], subject, float(asked)
    return [(np.arange(rows), 1)], "vote", float("inf")


def bradley_terry(parts: Parts, weights: Floats) -> tuple[Floats, Moments]:
    """``(n,)`` strengths of the rectified shares, their mean zero, and how they depend on the shares.

    Raises:
        NotIdentifiedError: the rectified shares have no finite estimate.
    """
    votes = parts.votes
    n, total = votes.items.n, parts.weight.sum()
    wins = parts.weight * (parts.share + weights @ parts.shift) / total
    weight = parts.weight / total
    edges = np.arange(len(weight))
    ends = (np.r_[edges, edges], np.r_[votes.first, votes.second])
    contrast = sparse.csr_matrix((np.r_[np.ones(len(edges)), -np.ones(len(edges))], ends), shape=(len(edges), n))

    def derivatives(x: Floats) -> tuple[float, Floats, Floats]:
        gap = contrast @ x
        p = expit(gap)
        information = (contrast.T @ sparse.diags(weight * p * (1.0 - p)) @ contrast).toarray()
        return float(wins @ gap - weight @ np.logaddexp(0.0, gap)), contrast.T @ (wins - weight * p), information

    scale = np.asarray(abs(contrast).T @ weight).ravel()
    null = np.full((n, 1), n**-0.5)
    found = maximise(Function(derivatives, scale, null=null), np.zeros(n))
    if not found.converged or np.abs(found.point).max() > FARTHEST:
        worst = int(np.abs(found.point).argmax())
        raise NotIdentifiedError(
            f"the judges' answers push {votes.items.names[worst]!r} beyond every finite strength; ask people more about it, "
            "or leave a judge out",
            items=[votes.items.names[worst]],
        )
    estimate = found.point - found.point.mean()
    bread = np.linalg.pinv(derivatives(estimate)[2] * total, hermitian=True)
    slope = contrast @ bread
    return estimate, Moments(slope, expit(contrast @ estimate)[:, None] * slope)


def win_rates(parts: Parts, rows: Floats) -> tuple[Floats, Moments]:
    """``(m,)`` people's mean shares over pairs, and how they depend on the shares.

    Args:
        parts: the answers.
        rows: ``(P, m)`` 1 where the component counts wins of the pair's first item, -1 of its second, 0 for neither.
    """
    counted = np.abs(rows) * parts.weight[:, None]
    win = np.where(rows > 0, parts.share[:, None], 1.0 - parts.share[:, None])
    total = counted.sum(0)
    rate = (counted * win).sum(0) / total
    slope = rows / total
    expected = np.where(rows > 0, rate, 1.0 - rate)
    return rate, Moments(slope, slope * expected)
