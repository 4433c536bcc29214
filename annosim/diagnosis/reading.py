"""What was read, and who answered what."""

from __future__ import annotations

import numpy as np
from scipy.stats import chi2

from annosim.diagnosis.case import Case, listed, number, percent, plural, times
from annosim.diagnosis.finding import COUNTED, Finding, Status, not_asked, p_words
from annosim.diagnosis.implied import Floats
from annosim.feedback import Feedback
from annosim.learning.existence.ratings import rating_constraints
from annosim.learning.existence.separation import separating_direction
from annosim.learning.inference.uncertainty import default_kind
from annosim.learning.result import Fit

__all__ = ["existence", "overlap", "read"]

#: pairs that are named
SHOWN = 6
#: standard errors to either end of a 95 % interval
Z = 1.959963984540054
#: items whose grades are searched for a separation by a linear program
LARGEST_PROGRAM = 2_000


def read(case: Case) -> Finding:
    """Rows, items, annotators, prompts; skips; names that differ by case or spaces only."""
    data = case.data
    kind = data.feedback.kind
    what = (
        "comparisons of two"
        if kind == "choice" and data.menu_size == 2
        else f"{kind} answers, menus of {data.menu_size}"
    )
    skipped, total = data.share_of(np.asarray(data.skipped))
    parts = [f"{plural(data.rows, 'row')} ({what}) about {plural(data.items.n, 'item')}"]
    if data.weight is not None and total != data.rows:
        parts.append(f"which stand for {number(total)} answers by their weights")
    if case.named and data.weight is not None and total != data.rows:
        parts.append("a weight of w counts as w people in every test and error")
    people = plural(case.num_annotators, "annotator") if data.annotator is not None else "no annotator ids"
    prompts = data.items.num_prompts if data.prompt is None else len(np.unique(data.prompt))
    parts += [people, plural(prompts, "prompt") if prompts > 1 else "one prompt"]
    alike = _alike(data.items.names)
    sentence = "; ".join(parts) + "."
    if skipped:
        sentence += f" {number(skipped)} answers ({percent(skipped / total)}) are skips and say nothing."
    if alike:
        sentence += f" {len(alike)} groups of names differ only by case or spaces: {listed(alike, 2)}."
    if case.silent:
        sentence += f" {plural(case.silent, 'row')} of weight 0 {'is' if case.silent == 1 else 'are'} left out."
    if data.weight is not None and (np.asarray(data.weight) != np.round(data.weight)).any():
        sentence += " Weights are not whole numbers, so that they count no people: what is said of single people leaves them out."
    change = "See how each column is read, and change it: annosim read FILE --show."
    if case.copied > 1:
        sentence += f" Every row stands there {times(case.copied)}, the same in all that it says: the file looks joined or exported twice."
        change = (
            f"Keep one of each row: every error below is too small by the root of {case.copied} if these are copies."
        )
    if alike:
        change = "Merge spellings of one item before anything else."
    status: Status = "alarm" if case.copied > 1 else "notice" if alike else "fine"
    return Finding("read", sentence, float(data.rows), test="count", change=change, status=status, errs=COUNTED)


def _alike(names: tuple[str, ...]) -> list[str]:
    """Groups of names that are one after case and spaces are folded."""
    folded: dict[str, list[str]] = {}
    for name in names:
        folded.setdefault("".join(name.split()).casefold(), []).append(name)
    return [" = ".join(map(repr, group[:3])) for group in folded.values() if len(group) > 1]


def overlap(case: Case) -> Finding:
    """Answers per item and annotator, annotators per question, and repeats."""
    pairs = case.pairs
    if not len(pairs):
        return not_asked("overlap", "No two items are compared in any answer.", "Ask about two items at a time.")
    question = pairs.question
    per_item = np.bincount(np.r_[pairs.first, pairs.second], np.r_[pairs.weight, pairs.weight], pairs.items.n)
    rows: list[tuple[object, ...]] = [("comparisons of an item", *_spread(per_item[per_item > 0]))]
    answered = int(question.max()) + 1
    rows.append(("answers to a question", *_spread(np.bincount(question, pairs.weight))))
    sentence = (
        f"{plural(answered, 'question')}, answered {times(pairs.weight.sum() / answered)} each on average; "
        f"the items were compared {times(np.median(per_item[per_item > 0]))} (median)"
    )
    if case.named:
        cell, first = pairs.crossed
        again = float((np.bincount(cell) > 1).mean())
        per_question = np.bincount(question[first])
        shared = float((per_question > 1).mean())
        own = np.bincount(pairs.who)
        rows += [
            ("annotators of a question", *_spread(per_question)),
            ("comparisons of an annotator", *_spread(own[own > 0])),
        ]
        sentence += (
            f"; {percent(shared)} of the questions were answered by two annotators or more, and annotators answered "
            f"{percent(again)} of their questions more than once"
        )
    head = ("per", "smallest", "median", "largest")
    change = (
        "Questions asked of several people show how far they agree, and questions asked again of one show chance: an.Design says "
        "who is asked what."
    )
    return Finding(
        "overlap",
        sentence + ".",
        value=float(answered),
        test="count",
        change=change,
        errs=COUNTED,
        head=head,
        rows=tuple(rows),
    )


def _spread(values: np.ndarray) -> tuple[float, float, float]:
    return float(values.min()), float(np.median(values)), float(values.max())


def existence(case: Case) -> Finding:
    """Whether every item has a finite strength, and which pairs to ask where one has not."""
    data, found = case.data, case.connectivity
    if data.feedback.kind == "rating" and data.menu_size == 1:
        return _rated(case)
    test = "strong connection of the graph 'was preferred to' (Ford 1957; Hunter 2004)"
    if case.all_tied:
        return _tied(case)
    if found.exists:
        parts = len(np.unique(found.strong[np.flatnonzero(np.bincount(found.strong)[found.strong] > 0)]))
        words = "one prompt" if parts == 1 else f"each of {parts} groups"
        sentence = f"Every item has a finite maximum-likelihood strength: wins connect all items of {words} both ways."
        return Finding(
            "existence", sentence, value=1.0, test=test, change="Nothing: more answers keep it so.", errs=COUNTED
        )
    if case.by_features and isinstance(case.coefficients, Fit):
        return _by_features(case, case.coefficients)
    groups = [*([i] for i in found.unseen), *found.separate, *found.undefeated, *found.winless]
    missing = _outside(case)
    pairs = _missing_pairs(case, groups)
    apart = found.separate and not (found.unseen or found.undefeated or found.winless)
    sentence = (
        f"No {'common scale of' if apart else 'maximum-likelihood'} strengths for {plural(len(missing), 'item')} of {data.items.n}: "
        + "; ".join(found.reasons(data.items, counted=True))
        + "."
    )
    asked = "; ".join(f"{a!r} against {b!r}" for a, b in pairs[:3])
    change = (
        f"Ask more, for example {asked}: until each has won and lost. " if asked else ""
    ) + "Or pass prior=an.priors.Dirichlet(1) or an.priors.Gaussian(sd), or drop these items."
    if isinstance(case.coefficients, Fit):
        sentence += " A conditional logit on the features has a finite estimate, which values these items by their features alone."
        change += " Or fit an.Linear on the features."
    elif case.coefficients:
        sentence += f" Nor is there a conditional logit on their features: {case.coefficients}."
    if data.items.texts is not None and np.median(np.bincount(data.menu[data.menu >= 0], minlength=data.items.n)) <= 1:
        sentence += " Most texts were compared once: such a file trains a reward model, it ranks no texts."
        change += " Or fit a utility that reads texts: an.SequenceReward, an.LogPolicy."
    return Finding(
        "existence",
        sentence,
        0.0,
        test=test,
        change=change,
        status="alarm",
        errs=COUNTED,
        head=("ask", "against"),
        rows=tuple(pairs),
    )


def _tied(case: Case) -> Finding:
    """Every answer is a tie: strengths are all equal at any rate of ties, whose own number runs to infinity."""
    sentence = (
        f"Every one of {plural(len(case.pairs), 'comparison')} is a tie: all strengths are equal, and a model of ties has no finite "
        "estimate (ties become certain)."
    )
    change = "Ask without the answer 'tie', or about items that differ more; fit an.Davidson with delta fixed."
    return Finding("existence", sentence, 0.0, test="count", change=change, status="alarm", errs=COUNTED)


def _by_features(case: Case, fitted: Fit) -> Finding:
    """Items without strengths of their own, whose features have coefficients."""
    values = fitted.population.utility.weights.detach().numpy()
    covariance = np.asarray(fitted.covariance(default_kind(fitted)), dtype=np.float64)
    errors = np.sqrt(np.maximum(np.diagonal(covariance), 0.0))
    given, constants = case.data.settings.get("features"), case.constants
    many = len(values) - max(len(constants) - 1, 0)
    named = [str(k) for k in (given if isinstance(given, list) and len(given) == many else range(many))]
    names = [*named, *(f"constant of {name}" for name in constants[1:])]
    rows = tuple(
        (k, float(v), float(v - Z * e), float(v + Z * e)) for k, v, e in zip(names, values, errors, strict=True)
    )
    missing = _outside(case)
    if constants:
        p = _equal(values[many:], covariance[many:, many:])
        which = (
            f"It has constants of {plural(len(constants), 'alternative')} beside them (that of {constants[0]} is 0; Wald test "
            f"that all are: p {p_words(p)})."
        )
    else:
        why = f": {case.no_constants}" if case.no_constants else ", as none comes again under one name"
        which = f"It has no constants of the alternatives beside the features{why}."
    sentence = (
        f"A conditional logit on the {plural(many, 'feature')} of the alternatives has a finite estimate; {len(missing)} of "
        f"{plural(case.data.items.n, 'alternative')} as they are described have no strength of their own. {which}"
    )
    return Finding(
        "existence",
        sentence,
        1.0,
        test="linear separation of the choices by their features (Albert and Anderson 1984)",
        change="Strengths of alternatives need alternatives that come again: give features only where they are meant.",
        status="notice",
        errs=COUNTED
        if not constants
        else f"{COUNTED}; the Wald test rejects equal constants in 5 % of data sets at p .05",
        head=("feature", "coefficient", "low", "high"),
        rows=rows,
    )


def _equal(values: Floats, covariance: Floats) -> float:
    """P-value of the hypothesis that all values are 0 (Wald), on the directions that the covariance knows."""
    inverse = np.linalg.pinv(covariance, rcond=1e-10, hermitian=True)
    return float(chi2.sf(float(values @ inverse @ values), np.linalg.matrix_rank(covariance, hermitian=True)))


def _outside(case: Case) -> list[int]:
    """Items that are not in the largest strong component of their prompt."""
    strong, prompts = case.connectivity.strong, case.data.items.prompts.numpy()
    size = np.bincount(strong)[strong]
    order = np.lexsort((strong, -size, prompts))
    first = order[np.unique(prompts[order], return_index=True)[1]]
    largest = np.full(int(prompts.max()) + 1, -1)
    largest[prompts[first]] = strong[first]
    alone = (strong == largest[prompts]) & (size == 1) & (np.bincount(prompts)[prompts] > 1)
    return np.flatnonzero((strong != largest[prompts]) | alone).tolist()


def _missing_pairs(case: Case, groups: list[list[int]]) -> list[tuple[str, str]]:
    """For each group, its most compared item against the most compared item outside, of the same prompt."""
    pairs, items = case.pairs, case.data.items
    seen = np.bincount(np.r_[pairs.first, pairs.second], minlength=items.n) if len(pairs) else np.zeros(items.n)
    prompts = items.prompts.numpy()
    order = np.argsort(-seen, kind="stable")
    out: list[tuple[str, str]] = []
    for group in groups[: 4 * SHOWN]:
        inside = set(group)
        one = max(group, key=lambda i: seen[i])
        other = next((int(j) for j in order[:2000] if prompts[j] == prompts[one] and int(j) not in inside), None)
        pair = None if other is None else (case.item(one), case.item(other))
        if pair is not None and pair not in out and pair[::-1] not in out:
            out.append(pair)
    return out[:SHOWN]


def _rated(case: Case) -> Finding:
    """Positions of items on a scale of the grades that were given, whose cuts are free."""
    test = "linear separation of the grades (Albert and Anderson 1984)"

    def alarm(sentence: str, change: str) -> Finding:
        return Finding("existence", sentence, 0.0, test=test, change=change, status="alarm", errs=COUNTED)

    if case.data.items.n == 1:
        return alarm(
            f"There is one item only, {case.item(0)!r}: nothing can be compared with it.",
            "Say which column holds the items: annosim read FILE --show.",
        )
    grade, item = np.asarray(case.data.answer).reshape(-1), np.asarray(case.data.menu)[:, 0]
    live = grade >= 0
    used, code = np.unique(grade[live], return_inverse=True)
    more = "Ask more about them, or pass prior=an.priors.Gaussian(sd)."
    if len(used) < 2:
        what = "No item was graded" if not len(used) else f"All {plural(len(code), 'grade')} are one"
        return alarm(f"{what}: no item has a position on the scale.", "Ask about items that differ, on a finer scale.")
    n, top = case.data.items.n, len(used) - 1
    given = np.bincount(item[live].astype(np.int64) * (top + 1) + code.reshape(-1), minlength=n * (top + 1))
    given = given.reshape(n, top + 1)
    total = given.sum(1)
    none = np.flatnonzero(total == 0)
    edge = np.flatnonzero((total > 0) & ((given[:, 0] == total) | (given[:, -1] == total)))
    if len(none) or len(edge):
        reasons = [
            len(none) and f"{plural(len(none), 'item')} never graded",
            len(edge) and f"{plural(len(edge), 'item')} always given the lowest or the highest grade that occurs",
        ]
        names = listed((repr(case.item(i)) for i in [*none, *edge]), 3)
        said = ", ".join(str(reason) for reason in reasons if reason)
        return alarm(f"{said}: no finite position on the scale ({names}).", more)
    if n <= LARGEST_PROGRAM:
        data = case.data.take(live)
        data = data.with_(answer=code.reshape(-1, 1), feedback=Feedback("rating", grades=top + 1))
        if separating_direction(rating_constraints(data, top, True)[0]) is not None:
            return alarm("The grades separate the items: some positions have no finite estimate.", more)
    sentence = f"Every item has a finite position on the scale of the {top + 1} grades that occur."
    return Finding("existence", sentence, 1.0, test=test, change="Nothing: more answers keep it so.", errs=COUNTED)
