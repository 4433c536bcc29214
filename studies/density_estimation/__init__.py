"""Learning from pairwise preferences is density estimation (Dumoulin et al. 2311.14115), at three levels.

Closed form, exact projection and a network fitted to 2^15 pairs. The ``quick`` preset differs from ``paper`` in this:
its grids have 401 points for the exact levels and 201 for the networks (both spectrally exact for these densities)
instead of 2001, SLiC's linear programs 101 points instead of 201, and its networks take 1024 steps of Adam at 4e-3
instead of 8192 at 1e-4. Everything else, 2^15 pairs and 8192 fresh draws of the reference a step for SLiC included, is
that of the paper.
"""

from __future__ import annotations

from annosim.study import Cell, Preset, Study

from . import claims as judged
from . import figures, slic, toy, two, world


def cells(networks, slic_networks, exact_points, network_points, mixture_points, slic_points,
          steps, rate, pairs, width, depth,
          replicates, seeds, starts, iterations):  # fmt: skip
    """All cells of a preset."""
    shape = {"points": network_points, "pairs": pairs, "steps": steps, "rate": rate, "width": width, "depth": depth}
    begin = Cell(
        toy.pretrained,
        {"points": network_points, "steps": max(256, steps // 2), "width": width, "depth": depth},
        name="pretrained",
    )
    for experiment in world.SETTINGS:
        for value in world.SETTINGS[experiment]:
            which = {"experiment": experiment, "value": value}
            name = f"{experiment} {world.PARAMETER[experiment]} {value:g}".strip() if value else experiment
            yield Cell(toy.exact, {**which, "points": exact_points}, name=f"{name} exact")
            if experiment in networks:
                yield Cell(
                    toy.network, {**which, **shape}, name=f"{name} network", replicates=replicates,
                    needs={"pretrained": begin},
                )  # fmt: skip
    yield Cell(toy.other_rules, {"points": exact_points}, name="T2 and T3, other rules")
    yield Cell(toy.proposals, {"points": exact_points}, name="E6 two proposals")
    for delta in slic.MARGINS:
        for weight in slic.WEIGHTS:
            which = {"delta": delta, "weight": weight}
            yield Cell(
                slic.slic_exact, {**which, "points": slic_points}, name=f"E5 delta {delta:g}, KL {weight:g} exact"
            )
            if (delta, weight) in [tuple(pair) for pair in slic_networks]:
                yield Cell(
                    slic.slic_network, {**which, **shape, "points": slic_points},
                    name=f"E5 delta {delta:g}, KL {weight:g} network", replicates=replicates,
                    needs={"pretrained": begin},
                )  # fmt: skip
    yield Cell(two.one_model_exact, {"points": exact_points}, name="E7 exact")
    yield Cell(two.one_model_network, shape, name="E7 network", replicates=replicates, needs={"pretrained": begin})
    yield Cell(
        two.two_models_exact, {"points": mixture_points, "starts": starts, "iterations": iterations}, name="E8 exact"
    )
    yield Cell(two.two_models_network, shape, name="E8 two networks", replicates=seeds)
    yield Cell(two.plateaus, {"points": exact_points}, name="E9 heat maps")


def claims(networks):
    """All statements."""
    yield from judged.toy_claims(networks)
    yield from judged.slic_claims()
    yield from judged.two_claims()


_SAME = {"pairs": 2**15, "width": 64, "depth": 4, "mixture_points": 201}
STUDY = Study(
    name="density_estimation",
    title="Learning from pairwise preferences is density estimation",
    paper="Dumoulin, Johnson, Castro, Larochelle, Dauphin: A density estimation perspective on learning from pairwise "
    "human preferences (arXiv 2311.14115)",
    presets={
        "quick": Preset(
            2,
            {
                "networks": ["E1", "E2", "E6"], "slic_networks": [(1.0, 0.0), (1.0, 1.0)], "exact_points": 401,
                "network_points": 201, "steps": 1024,
                "rate": 4e-3, "replicates": 3, "seeds": 12, "starts": 4, "iterations": 200,
                "slic_points": 101, **_SAME,
            },
        ),
        "paper": Preset(
            40,
            {
                "networks": ["E1", "E2", "E3", "E4", "E6"],
                "slic_networks": [(d, w) for d in slic.MARGINS for w in slic.WEIGHTS],
                "exact_points": 2001, "network_points": 2001,
                "steps": 8192, "rate": 1e-4, "replicates": 5, "seeds": 12, "starts": 20, "iterations": 500,
                "slic_points": 201, **_SAME,
            },
        ),
    },
    cells=cells,
    claims=claims,
    finding=judged.finding,
    figures=[
        figures.dpo, figures.reward, figures.dpo_annotator, figures.geometric, figures.slic_densities, figures.ipo,
        figures.proposals, figures.one_model, figures.two_models, figures.heat_maps,
    ],
)  # fmt: skip
