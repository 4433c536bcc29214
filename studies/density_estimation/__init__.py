"""Learning from pairwise preferences is density estimation (Dumoulin et al. 2311.14115), at three levels.

Closed form, exact projection and a network fitted to 2^15 pairs. The ``quick`` preset differs from ``paper`` in this:
its grids have 401 points for the exact levels and 201 for the networks (both spectrally exact for these densities)
instead of 2001, SLiC's linear programs 101 points instead of 201, and its networks take 1024 steps of Adam at 4e-3
instead of 8192 at 1e-4. Everything else, 2^15 pairs and 8192 fresh draws of the reference a step for SLiC included, is
that of the paper. The replicates of a network are trained as one batch; on a GPU their rows in
results.parquet also say how busy it was (``gpu_utilisation``, ``gpu_steps_per_second``, ``gpu_peak_memory``).

The paper preset on 2026-11-21 (122 trainings, 149 cells, two cores of an AMD EPYC beside other work: 4,398 s),
and on 2026-12-01 with the same numbers to the digits shown (176 cells, one core shared with other work: 7,200 s): Total variation of the networks to the exact level, mean of five replicates: E1
.034; E2 .027 (beta 1), .0075 (4), .0087 (16); E3 .027; E4 .029 (alpha 1), .0064 (1/4), .0086 (1/16); E6 .018 (tau
.1), .0055 (.5), .0034 (1); E7 .011. E5 without the forward KL .018, .027, .051, .087, .140 for margins 0 to 2, which
a smooth network cannot reach (a staircase), and with it .016, .008, .019, .018, .019. E8 over twelve seeds: shares
.397 to .410; the wide component within .05 for eleven of them, the narrow one for none (.15 to .26), nor their sum
(.08 to .13). That is what the paper's own figure shows, read off (.23 and at least .09): the study replicates it, and
says beside it that a smooth network falls short of what infinite answers determine.
"""

from __future__ import annotations

from annosim.study import Cell, Preset, Study

from . import claims as judged
from . import figures, online, slic, toy, two, world


def cells(
    networks,
    slic_networks,
    exact_points,
    network_points,
    mixture_points,
    slic_points,
    steps,
    rate,
    pairs,
    width,
    depth,
    replicates,
    seeds,
    starts,
    iterations,
    online_pairs,
    online_seeds,
):
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
                    toy.network,
                    {**which, **shape},
                    name=f"{name} network",
                    replicates=replicates,
                    needs={"pretrained": begin},
                )
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
                    slic.slic_network,
                    {**which, **shape, "points": slic_points},
                    name=f"E5 delta {delta:g}, KL {weight:g} network",
                    replicates=replicates,
                    needs={"pretrained": begin},
                )
    yield Cell(two.one_model_exact, {"points": exact_points}, name="E7 exact")
    yield Cell(two.one_model_network, shape, name="E7 network", replicates=replicates, needs={"pretrained": begin})
    both = Cell(
        two.two_models_exact, {"points": mixture_points, "starts": starts, "iterations": iterations}, name="E8 exact"
    )
    yield both
    yield Cell(two.two_models_network, shape, name="E8 two networks", replicates=seeds)
    for reference in ("moving", "fixed"):
        which = {"rounds": 12, "beta": 1.0, "reference": reference}
        yield Cell(online.online, {"points": 101, **which, "mixing": 0.0}, name=f"E14 {reference} reference")
        finite = {"points": 41, **which, "pairs": online_pairs}
        yield Cell(online.online_finite, finite, name=f"E14 {reference} reference, pairs", replicates=online_seeds)
    yield Cell(
        online.online,
        {"points": 101, "rounds": 12, "beta": 1.0, "reference": "moving", "mixing": 0.5},
        name="E14 moving reference, half of the pairs from pi0",
    )
    yield Cell(two.plateaus, {"points": exact_points}, name="E9 heat maps", needs={"two": both})


def claims(networks):
    """All statements."""
    yield from judged.toy_claims(networks)
    yield from judged.slic_claims()
    yield from judged.two_claims()
    yield from judged.online_claims()


_SAME = {"pairs": 2**15, "online_pairs": 2**13, "width": 64, "depth": 4, "mixture_points": 201}
STUDY = Study(
    name="density_estimation",
    title="Learning from pairwise preferences is density estimation",
    paper="Dumoulin, Johnson, Castro, Larochelle, Dauphin: A density estimation perspective on learning from pairwise "
    "human preferences (arXiv 2311.14115)",
    presets={
        "quick": Preset(
            2,
            {
                "networks": ["E1", "E2", "E6"],
                "slic_networks": [(1.0, 0.0), (1.0, 1.0)],
                "exact_points": 401,
                "network_points": 201,
                "steps": 1024,
                "rate": 4e-3,
                "replicates": 3,
                "seeds": 12,
                "starts": 4,
                "iterations": 200,
                "slic_points": 101,
                "online_seeds": 3,
                **_SAME,
            },
            decisive=False,
        ),
        "paper": Preset(
            40,
            {
                "networks": ["E1", "E2", "E3", "E4", "E6"],
                "slic_networks": [(d, w) for d in slic.MARGINS for w in slic.WEIGHTS],
                "exact_points": 2001,
                "network_points": 2001,
                "steps": 8192,
                "rate": 1e-4,
                "replicates": 5,
                "seeds": 12,
                "starts": 20,
                "iterations": 500,
                "slic_points": 201,
                "online_seeds": 12,
                **_SAME,
            },
        ),
    },
    cells=cells,
    claims=claims,
    finding=judged.finding,
    figures=[
        figures.one_model,
        figures.two_models,
        figures.heat_maps,
        figures.online_rounds,
        figures.dpo,
        figures.reward,
        figures.dpo_annotator,
        figures.geometric,
        figures.slic_densities,
        figures.ipo,
        figures.proposals,
    ],
)
