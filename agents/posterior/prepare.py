"""`python -m agents.posterior.prepare`: looks at a generator once, so that no search has to."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import numpy as np

from agents.posterior.agent import PosteriorAgent
from agents.posterior.surroundings import Surroundings
from agents.subspace import effective_directions
from pbg_env import EMBEDDED, Discriminator, Generator, cache, load_discriminator, load_generator

_SHARES = (0.85, 0.99)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    line = argparse.ArgumentParser(
        prog="python -m agents.posterior.prepare",
        description="Prepares what the posterior agent knows of a generator, and keeps it in the cache.",
    )
    line.add_argument("--generator", default="avatars", help="as the environments take it")
    line.add_argument("--discriminator", help="beside it, for views that need one; an embedded generator has its own")
    line.add_argument("--scale", type=int, default=-1, help="of the generator, as the environments take it")
    line.add_argument("--device", default="auto", help="auto, cpu, cuda, …: preparations for one are not another's")
    line.add_argument("--views", nargs="+", default=list(PosteriorAgent().views), help="as the agent takes them")
    told = line.parse_args(arguments)
    try:
        generator = load_generator(told.generator, scale=told.scale, device=told.device)
        source = told.discriminator or (told.generator if told.generator in EMBEDDED else None)
        discriminator = None
        if source is not None:
            discriminator = load_discriminator(source, scale=told.scale, device=told.device)
        print("\n".join(prepare(generator, discriminator, told.views)))
    except (ImportError, ValueError, OSError) as error:
        sys.exit(f"error: {error}")


def prepare(generator: Generator, discriminator: Discriminator | None, views: Sequence[str]) -> list[str]:
    """Prepares a generator as the agent's defaults ask for it.

    Args:
        generator: any.
        discriminator: beside it.
        views: as the agent takes them.

    Returns:
        Lines that say how its media follow from noise.

    Raises:
        ValueError: an unknown view.
    """
    agent = PosteriorAgent(views)
    found = Surroundings.of(generator, discriminator, agent.views, min(agent.dimensions, generator.noise_dim))
    eigenvalues = effective_directions(generator, generator.noise_dim).eigenvalues.double().numpy()
    held = np.cumsum(eigenvalues) / eigenvalues.sum()
    shares = " and ".join(f"{np.searchsorted(held, share) + 1} for {share:.0%}" for share in _SHARES)
    lines = [f"noise: {generator.noise_dim} numbers, of which directions account for the change of media: {shares}"]
    for view in found.views:
        line, features = found.lines[view], found.features[view]
        variances = features.var(axis=0)
        believed = variances[: len(line.offset)].sum()
        lines.append(
            f"{view}: {len(line.offset)} components of {len(variances)} hold {believed / variances.sum():.0%} of the "
            f"variance; the line over the prior tells {1 - line.residual.sum() / believed:.0%} of theirs"
        )
    missing = [view for view in agent.views if view not in found.views]
    if missing:
        lines.append(f"not there for these media: {', '.join(missing)}")
    if found.kept:
        lines.append(f"kept in {cache.cache_folder()}: {', '.join(found.kept)}")
    if len(found.kept) < len(found.views):
        nameless = ", ".join(view for view in found.views if view not in found.kept)
        lines.append(f"not kept, as the generator or the view has no name for its weights: {nameless}")
    return lines


if __name__ == "__main__":
    main()
