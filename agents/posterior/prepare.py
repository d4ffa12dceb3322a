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
    told = command_line("posterior", PosteriorAgent().views).parse_args(arguments)
    try:
        print("\n".join(prepare(*tools(told), told.views)))
    except (ImportError, ValueError, OSError) as error:
        sys.exit(f"error: {error}")


def command_line(agent: str, views: Sequence[str]) -> argparse.ArgumentParser:
    """What names a generator and the tools beside it.

    Args:
        agent: the name of the agent's package.
        views: that it takes unless told otherwise.
    """
    line = argparse.ArgumentParser(
        prog=f"python -m agents.{agent}.prepare",
        description=f"Prepares what the agent {agent!r} knows of a generator, and keeps it in the cache.",
    )
    line.add_argument("--generator", default="avatars", help="as the environments take it")
    line.add_argument("--discriminator", help="beside it, for views that need one; an embedded generator has its own")
    line.add_argument("--scale", type=int, default=-1, help="of the generator, as the environments take it")
    line.add_argument("--device", default="auto", help="auto, cpu, cuda, …: preparations for one are not another's")
    line.add_argument("--views", nargs="+", default=list(views), help="as the agent takes them")
    return line


def tools(told: argparse.Namespace) -> tuple[Generator, Discriminator | None]:
    """The generator and the discriminator that a command line names.

    Raises:
        ImportError, ValueError, OSError: as `load_generator` and `load_discriminator`.
    """
    generator = load_generator(told.generator, scale=told.scale, device=told.device)
    source = told.discriminator or (told.generator if told.generator in EMBEDDED else None)
    if source is None:
        return generator, None
    return generator, load_discriminator(source, scale=told.scale, device=told.device)


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
