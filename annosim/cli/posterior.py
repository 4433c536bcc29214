"""What ``annosim fit --posterior`` prints: draws from the posterior instead of an estimate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from annosim.errors import ArgumentError

if TYPE_CHECKING:
    from annosim.cli.training import FitOptions
    from annosim.data.preferences import PreferenceData
    from annosim.io.shards import Shards
    from annosim.populations.base import Population

__all__ = ["print_posterior"]

#: standard deviation of the prior on utilities where none is given
DEFAULT_SD = 2.0


def print_posterior(
    family: Population, answers: PreferenceData | Shards, chosen: FitOptions, nuts: bool, out: Path | None
) -> bool:
    """Draw, print the table, and say whether the draws may be trusted.

    Raises:
        ArgumentError: another objective, or a solver's option.
    """
    import annosim as an
    from annosim.files import atomic_text
    from annosim.scenario.training import built

    if not isinstance(answers, an.PreferenceData):
        raise ArgumentError("--posterior: data in shards are not sampled; take a part that fits in memory")
    known = {"prior", "seed"}
    other = next((name for name in chosen.values if name not in known), None)
    if other is not None:
        raise ArgumentError(f"{chosen.where[other]}: means nothing with --posterior, which takes --prior and --seed")
    prior = an.priors.Gaussian(DEFAULT_SD)
    if "prior" in chosen.values:
        prior = built("prior", chosen.values["prior"], chosen.where["prior"], family, chosen.folder)
    else:
        typer.echo(f"prior: gaussian={DEFAULT_SD:g} on utilities (--prior says another)")
    found = an.sample_posterior(
        family, answers, prior, method="nuts" if nuts else "laplace", seed=int(chosen.values.get("seed", 0))
    )
    typer.echo(repr(found))
    table = found.to_frame()
    table.insert(1, "item", [_item(name, answers) for name in found.names])
    typer.echo(
        table[["parameter", "item", "mean", "sd", "2.5 %", "97.5 %", "says"]].to_string(
            index=False, float_format="%.4g"
        )
    )
    if out is not None:
        atomic_text(out, table.to_csv(index=False))
    return found.trusted


def _item(name: str, answers: PreferenceData) -> str:
    if "values[" not in name:
        return ""
    number = int(name.rsplit("[", 1)[1].rstrip("]"))
    return answers.items.names[number] if number < answers.items.n else ""
