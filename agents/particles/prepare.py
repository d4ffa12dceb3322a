"""`python -m agents.particles.prepare`: learns how a generator's media follow from noise, so that no search has to."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from agents.particles.agent import ParticleAgent
from agents.particles.surrogate import SAMPLES, Surrogate
from agents.posterior.prepare import command_line, tools
from agents.posterior.surroundings import Surroundings
from pbg_env import Discriminator, Generator, cache


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    line = command_line("particles", ParticleAgent().views)
    line.add_argument(
        "--samples", type=int, help=f"media to learn from, anew; without it, what is there, and else {SAMPLES}"
    )
    told = line.parse_args(arguments)
    try:
        if told.samples is not None and told.samples < 1:
            raise ValueError(f"--samples is {told.samples}, expected at least 1; {SAMPLES} is usual")
        print("\n".join(prepare(*tools(told), told.views, told.samples)))
    except (ImportError, ValueError, OSError) as error:
        sys.exit(f"error: {error}")


def prepare(
    generator: Generator, discriminator: Discriminator | None, views: Sequence[str], samples: int | None = None
) -> list[str]:
    """Prepares a generator as the agent's defaults ask for it.

    Args:
        generator: any.
        discriminator: beside it.
        views: as the agent takes them.
        samples: media to learn from anew; None for what is kept, and else for `SAMPLES`.

    Returns:
        Lines that say how well features of media are told from their noise.

    Raises:
        ValueError: an unknown view, or media that noise does not tell.
    """
    agent = ParticleAgent(views)
    dimensions = min(agent.dimensions, generator.noise_dim)
    surrogate = Surrogate(Surroundings.of(generator, discriminator, agent.views, dimensions), samples)
    lines = []
    for name, view in surrogate.views.items():
        features = surrogate.around.features[name]
        count = view.part.stop - view.part.start
        told = features[:, :count].var(axis=0).sum()
        lines.append(
            f"{name}: {count} components of {features.shape[1]} hold {told / features.var(axis=0).sum():.0%} of the "
            f"variance; noise tells {1 - view.error / told:.1%} of theirs"
        )
    missing = [name for name in agent.views if name not in surrogate.views]
    if missing:
        lines.append(f"not there for these media: {', '.join(missing)}")
    where = f"kept in {cache.cache_folder()}" if surrogate.kept else "not kept: the generator or a view has no name"
    return [*lines, where]


if __name__ == "__main__":
    main()
