"""Scenarios that hold every kind of table, and what becomes of them when somebody mistypes: for the fuzz test."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, Protocol

import annosim as an
from annosim.cli.training import FitOptions
from annosim.errors import AnnosimError
from annosim.rules.registry import ENTRIES
from annosim.scenario import Scenario, read_scenario

GRID = {"kind": "grid", "low": -3.0, "high": 3.0, "n": 13}
NORMAL = {"kind": "normal", "n": 6, "dim": 2, "seed": 3, "prompts": 2}
INLINE = {
    "kind": "inline",
    "features": [[0.0, 1.0], [1.0, 0.5], [2.0, -1.0], [0.5, 0.5]],
    "names": ["a", "b", "c", "d"],
    "prompts": [0, 0, 0, 0],
    "clusters": [0, 0, 1, 2],
    "weights": [1.0, 2.0, 1.0, 1.0],
}
THREE = {"kind": "inline", "n": 3}
TABULAR = {"kind": "tabular", "values": [0.0, 1.0, 2.0]}
LINEAR = {"kind": "linear", "weights": [1.0, -0.5]}
NORMAL_DENSITY = {"kind": "truncated_normal", "mean": 0.0, "sd": 2.0, "low": -5.0, "high": 5.0}
PAIRS = {"annotators": 6, "questions": 2}
RATING = {"feedback": "rating", "menu_size": 1, "grades": 3, "annotators": 6}


def one(items: Any, utility: Any, rule: Any = None, habits: Any = None, design: Any = PAIRS, **more: Any) -> dict:
    """A scenario of one type."""
    table = (
        {"utility": utility} | ({} if rule is None else {"rule": rule}) | ({} if habits is None else {"habits": habits})
    )
    return {"items": items, "population": {"types": [table]}, "design": design, **more}


BASES: list[dict[str, Any]] = [
    {
        "seed": 3,
        "items": NORMAL,
        "population": {
            "types": [
                {"weight": 0.7, "utility": LINEAR, "rule": {"kind": "luce", "temperature": 1.0}},
                {
                    "weight": 0.3,
                    "utility": {"kind": "linear", "weights": [-1.0, 0.5]},
                    "habits": [{"kind": "lapse", "rate": 0.1}],
                },
            ],
            "spammers": {"share": 0.1, "how": "first"},
        },
        "design": {"menu_size": 3, "feedback": "choice", "annotators": 6, "questions": 2, "prompt_weights": [0.4, 0.6]},
        "plan": {
            "precision": 0.1,
            "target": "weights",
            "among": {"types": 2},
            "compare": [{"menu_size": 2}, {"questions": 4}],
            "cost": {"annotator": 1.0, "answer": 0.1},
        },
        "fit": {"solver": "em", "starts": 2, "tolerance": 1e-6, "steps": 50, "seed": 1},
    },
    {
        "items": INLINE,
        "population": {
            "types": [{"utility": LINEAR}, {"utility": {"kind": "linear", "weights": [-1.0, 0.0]}}],
            "gate": {"covariates": [[1.0], [-1.0], [0.5], [0.0], [2.0], [1.0]], "coefficients": [[0.5]]},
        },
        "design": PAIRS,
        "model": {"types": [{"utility": {"kind": "network", "widths": [4], "dim": 2, "seed": 1}}]},
        "plan": {"among": {"any_tastes": {"low": -1.0, "high": 1.0, "points": 3}}},
        "fit": {
            "objective": {"kind": "slic", "delta": 1.0},
            "regulariser": {"kind": "forward_kl", "weight": 0.1, "reference": NORMAL_DENSITY},
            "steps": 10,
            "lr": 0.01,
            "batch": 4,
        },
    },
    one(
        GRID,
        NORMAL_DENSITY,
        {"kind": "dpo", "beta": 2.0, "reference": NORMAL_DENSITY},
        design=PAIRS | {"proposal": NORMAL_DENSITY},
    ),
    one(
        GRID,
        {"kind": "density_mixture", "densities": [NORMAL_DENSITY, NORMAL_DENSITY], "weights": [0.5, 0.5]},
        {"kind": "geometric", "alpha": 0.5, "reference": NORMAL_DENSITY},
    ),
    one(
        GRID,
        {"kind": "log_density", "energy": {"kind": "network", "widths": [3], "dim": 1}},
        {"kind": "pbde", "f": 2.0, "g": 0.0},
    ),
    one(THREE, TABULAR, {"kind": "rao_kupper", "theta": 2.0}, [{"kind": "position_bias", "shift": 0.2}]),
    one(THREE, TABULAR, {"kind": "davidson", "delta": {"free": 0.5}}, [{"kind": "skip", "rate": 0.1}]),
    one(THREE, TABULAR, {"kind": "thurstone", "sd": 1.0}, [{"kind": "just_noticeable", "jnd": 0.2, "respond": "tie"}]),
    one(THREE, TABULAR, {"kind": "thurstone", "covariance": [[1.0, 0.2, 0.0], [0.2, 1.0, 0.0], [0.0, 0.0, 1.0]]}),
    one(
        THREE, TABULAR, {"kind": "mallows", "phi": 0.5}, design={"feedback": "ranking", "menu_size": 3, "annotators": 5}
    ),
    one(
        THREE,
        TABULAR,
        {"kind": "reversed_plackett_luce"},
        design={"feedback": "ranking", "menu_size": 3, "annotators": 5},
    ),
    one(
        THREE,
        TABULAR,
        {"kind": "deterministic"},
        [{"kind": "repeated_selection"}],
        design={"feedback": "top", "menu_size": 3, "depth": 2},
    ),
    one(INLINE, LINEAR, {"kind": "lexicographic", "attributes": [0, 1], "tolerance": 0.1, "signs": [1, -1]}),
    one(THREE, TABULAR, {"kind": "ordered_logit", "cuts": [-0.5, 0.5]}, design=RATING),
    one(THREE, TABULAR, {"kind": "thumbs", "threshold": 0.1}, design=RATING | {"grades": 2}),
    one(
        THREE,
        TABULAR,
        {"kind": "graded_pairs", "cuts": [1.0], "same": True},
        design={"feedback": "rating", "grades": 3, "annotators": 5},
    ),
    one(THREE, TABULAR, {"kind": "bpref", "teacher_beta": 1.0, "teacher_eps_skip": 0.1, "margin": 1.0}),
    one(
        INLINE,
        {"kind": "heads", "widths": [3], "dim": 2, "outputs": 2, "column": 0},
        {"kind": "mean_variance", "log_sd": {"column": 1}},
    ),
    one(
        INLINE,
        {"kind": "indifferent"},
        {"kind": "categorical_reward", "logits": [[0.0, 1.0], [1.0, 0.0], [0.5, 0.5], [0.0, 0.0]]},
    ),
    one(THREE, {"kind": "indifferent"}, {"kind": "spammer", "how": "alternating"}),
    one(
        INLINE,
        LINEAR,
        habits=[{"kind": "attribute_bias", "coefficient": 0.5, "attribute": 0}, {"kind": "scaled", "factor": 2.0}],
    ),
    one(THREE, TABULAR, habits=[{"kind": "cyclic", "terms": [[0.0, 1.0, -1.0], [-1.0, 0.0, 1.0], [1.0, -1.0, 0.0]]}]),
    one(INLINE, LINEAR, habits=[{"kind": "sees_clusters"}, {"kind": "noisy_clusters", "error": 0.1}]),
    one(THREE, TABULAR, habits=[{"kind": "fatigue", "rate": 0.1}, {"kind": "carryover", "shift": 0.5}]),
    one(INLINE, LINEAR, habits=[{"kind": "drift", "rate": 0.1, "attribute": 1}, {"kind": "adversary"}]),
    one(
        THREE,
        TABULAR,
        habits=[
            {"kind": "reliability", "skill": [0.5, 0.0, 1.0, 2.0, 1.0, 0.0], "bias": [0.0, 0.0, 0.0, 0.0, 0.0, 0.0]}
        ],
    ),
    one(
        INLINE,
        {"kind": "ideal_point", "point": [0.5, 0.5], "scale": 2.0},
        design=PAIRS | {"menus": "round_robin", "questions": "all"},
    ),
    one(
        INLINE,
        {"kind": "random_linear", "mean": [1.0, 0.0], "scale": [0.5, 0.5], "distribution": "lognormal"},
        design=PAIRS | {"menus": [[0, 1], [2, 3]]},
    ),
    one(
        THREE,
        {"kind": "judge_panels", "mean": [0.0, 0.5, 1.0], "spread": 0.7},
        design=PAIRS | {"menus": "round_robin", "questions": "all"},
    ),
    one(
        THREE,
        {"kind": "low_rank", "loadings": [[1.0], [0.0], [-1.0]], "mean": [0.0, 0.5, 1.0]},
        design=PAIRS | {"menus": {"kind": "sparse_graph", "pairs": 3, "seed": 1}},
    ),
    one(
        THREE,
        {"kind": "dirichlet", "prototypes": [TABULAR, TABULAR], "concentration": 0.5},
        design=PAIRS | {"menus": {"kind": "random_menus", "count": 3}},
    ),
    one(
        INLINE,
        {"kind": "hierarchy", "means": [[1.0, 0.0], [-1.0, 0.0]], "spread": 0.3, "weights": [0.6, 0.4]},
        design=PAIRS | {"menus": "star"},
    ),
    one(
        THREE,
        {"kind": "ensemble", "members": [TABULAR, TABULAR]},
        design=PAIRS | {"menus": "chain", "overlap": 2, "replacement": False},
    ),
    one(
        THREE,
        TABULAR,
        plan={"among": {"any_tastes": [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]], "tabular": True}},
        fit={"prior": {"kind": "gaussian", "sd": 1.0}},
    ),
    one(
        THREE,
        TABULAR,
        fit={
            "objective": {"kind": "ipo", "tau": 0.1},
            "prior": {"kind": "dirichlet", "counts": 2.0},
            "anneal": 0.9,
            "hard": False,
        },
    ),
    {
        "items": INLINE | {"tokens": [[1, 2], [3], [4, 5, 6], [1]], "prompt_length": [1, 1, 1, 1]},
        "population": {"types": [{"utility": LINEAR}]},
        "design": PAIRS,
    },
    {
        "model": {"types": [{"utility": {"kind": "log_policy", "model": "./absent", "adapters": 4}}]},
        "data": {"path": "x.csv", "format": "pairs", "columns": {"left": "a"}},
    },
]

VALUES: list[Any] = [
    *(0, 1, -1, 2, 3, 7, 127, 128, 1000, 10**7, 10**9, 10**12, 2**63, 2**64, 10**30, -(10**20)),
    *(0.0, 0.5, -0.5, 1.0, 1.5, 1e-300, 1e150, 1e300, -1e300, float("nan"), float("inf"), -float("inf")),
    *(
        True,
        False,
        "",
        "x",
        "luce",
        "random",
        "all",
        "choice",
        "ranking",
        "best-worst",
        "rating",
        "start",
        "\x00\n",
        "é" * 400,
    ),
    *(
        [],
        [[]],
        [0],
        [0, 0],
        [1.0, 2.0],
        [0.5, 0.5],
        [[0, 1]],
        [[0.0], [1.0, 2.0]],
        ["a", "b"],
        [None],
        [True],
        [[[1.0]]],
    ),
    *(
        {},
        {"kind": "luce"},
        {"kind": "tabular", "values": [1.0]},
        {"free": 0.5},
        {"free": "x"},
        {"free": {"free": 1}},
        {"column": 1},
    ),
    *([1e300, 1e300, -1e300], list(range(300)), [[0.0] * 40] * 40, [float("nan")] * 3, "0.5", ["0.5", 1], -0.0),
]


class Choices(Protocol):
    """What draws: ``random.Random``, or hypothesis."""

    def randrange(self, stop: int, /) -> int: ...


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of all entries of nested tables and lists."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        yield (*path, key)
        yield from places(inner, (*path, key))


def mutate(base: dict[str, Any], draw: Choices) -> dict[str, Any]:
    """The scenario with one to three mistakes, most often one."""
    raw = copy.deepcopy(base)
    for _ in range((1, 1, 1, 2, 2, 3)[draw.randrange(6)]):
        paths = list(places(raw))
        if not paths:
            break
        *above, key = paths[draw.randrange(len(paths))]
        owner: Any = raw
        for part in above:
            owner = owner[part]
        MISTAKES[draw.randrange(len(MISTAKES))](raw, owner, key, draw)
    _off_the_hub(raw)
    return raw


def _off_the_hub(value: Any) -> None:
    """Names of models are paths that are not there: nothing is asked of the network."""
    if isinstance(value, dict) and isinstance(value.get("model"), str):
        value["model"] = f"./{value['model']}"
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _off_the_hub(inner)


def _value(raw: Any, owner: Any, key: Any, draw: Choices) -> None:
    owner[key] = copy.deepcopy(VALUES[draw.randrange(len(VALUES))])


def _remove(raw: Any, owner: Any, key: Any, draw: Choices) -> None:
    del owner[key]


def _misspell(raw: Any, owner: Any, key: Any, draw: Choices) -> None:
    if isinstance(owner, dict):
        owner[f"{key}{'s_x'[draw.randrange(3)]}"] = owner.pop(key)
    else:
        owner.insert(key, copy.deepcopy(owner[key]))


def _other_kind(raw: Any, owner: Any, key: Any, draw: Choices) -> None:
    if not (isinstance(owner, dict) and isinstance(owner.get("kind"), str)):
        return _value(raw, owner, key, draw)
    kinds = [kind for group in ENTRIES.values() for kind in group]
    owner["kind"] = kinds[draw.randrange(len(kinds))]


def _move(raw: Any, owner: Any, key: Any, draw: Choices) -> None:
    """Something of elsewhere in the file."""
    paths = list(places(raw))
    found = raw
    for part in paths[draw.randrange(len(paths))]:
        found = found[part]
    owner[key] = copy.deepcopy(found)


def _elsewhere(raw: Any, owner: Any, key: Any, draw: Choices) -> None:
    """A whole table of another scenario in this one's place: rules meet other feedback, utilities other items."""
    other = BASES[draw.randrange(len(BASES))]
    name = ("items", "population", "design", "plan", "fit", "model")[draw.randrange(6)]
    if draw.randrange(2) and "population" in raw and "population" in other:
        inner = ("utility", "rule", "habits")[draw.randrange(3)]
        theirs = other["population"]["types"][0].get(inner)
        types = raw["population"].get("types") if isinstance(raw["population"], dict) else None
        if theirs is not None and isinstance(types, list) and types and isinstance(types[0], dict):
            types[0][inner] = copy.deepcopy(theirs)
    elif name in other:
        raw[name] = copy.deepcopy(other[name])


def _wrap(raw: Any, owner: Any, key: Any, draw: Choices) -> None:
    value = owner[key]
    owner[key] = ([value], {"free": value}, value[:1] if isinstance(value, list | str) else [value, value])[
        draw.randrange(3)
    ]


def _scale(raw: Any, owner: Any, key: Any, draw: Choices) -> None:
    if isinstance(owner[key], int | float) and not isinstance(owner[key], bool):
        owner[key] = owner[key] * (-1, 0, 2, 10, 1e6, 10**6)[draw.randrange(6)]
    else:
        _value(raw, owner, key, draw)


MISTAKES = (
    *(_value, _value, _value, _remove, _misspell, _other_kind, _move, _wrap),
    *(_scale, _scale, _elsewhere, _elsewhere, _elsewhere),
)


def use(raw: dict[str, Any]) -> str:
    """Read the scenario and, where it asks for little, simulate it: ``"ok"``, or the message of the one error."""
    try:
        found = read_scenario(raw, "scenario.toml")
        if found.population is not None and found.design is not None and found.design.num_rows <= 500:
            an.simulate(found.population, found.design, seed=found.seed)
    except AnnosimError as error:
        return str(error)
    return "ok"


#: verbs that are asked of a scenario, each with what it needs
VERBS = ("simulate", "law", "fit", "identify", "plan")
#: what counts as small: rows, items, steps of training, and nodes of an integral over tastes that is differentiated
ROWS, ITEMS, STEPS, NODES = 60, 8, 50, 64


def ask(raw: dict[str, Any], verb: str) -> str:
    """Read the scenario and, where it is small, ask a verb of it: ``"ok"``, or the message of the one error."""
    try:
        found = read_scenario(raw, "scenario.toml")
        if _is_small(found) and (verb in ("simulate", "law") or _nodes(found) <= NODES):
            _ask(found, verb)
    except AnnosimError as error:
        return str(error)
    return "ok"


def _is_small(found: Scenario) -> bool:
    designs = [found.design, *found.compare]
    if found.population is None or found.items is None or found.items.n > ITEMS:
        return False
    if any(one is None or one.num_rows > ROWS or one.menu_size > 4 for one in designs):
        return False
    own = {} if found.fit is None else found.fit.model_dump()
    limits = (own.get("steps"), own.get("max_iterations"), own.get("starts"), own.get("draws"), own.get("warm_steps"))
    return all(limit is None or limit <= STEPS for limit in limits)


def _nodes(found: Scenario) -> int:
    return sum(len(index) for _, index, _, _ in found.population.indexed(found.items))


def _ask(found: Scenario, verb: str) -> None:
    people, design = found.population, found.design
    if verb == "simulate":
        an.simulate(people, design, seed=found.seed)
    elif verb == "law":
        law = an.law(people, design, max_outcomes=5_000)
        if abs(float(law.probabilities.sum()) - 1) > 1e-6:
            raise AssertionError("the law does not sum to one")
    elif verb == "fit":
        data = an.simulate(people, design, seed=found.seed).for_learner()
        model = found.model if found.model is not None else people.like(seed=found.seed)
        trained = issubclass(an.learning.solvers_for(model, data)[0], an.Adam | an.EM)
        FitOptions({"steps": 10} if trained else {}, found).fit(model, data)
    elif verb == "identify":
        an.identify(people, design, starts=1, seed=found.seed)
    elif found.plan is not None:
        plan, cost = found.plan, an.Cost(found.plan.cost.annotator, found.plan.cost.answer)
        told = {"target": plan.target, "precision": plan.precision, "cost": cost, "among": found.among}
        an.plan(people, found.compare, **told, starts=1, seed=found.seed)
