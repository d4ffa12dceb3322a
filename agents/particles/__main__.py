"""`python -m agents.particles`: one run of the particle agent, begun or resumed."""

from functools import partial

from agents import command
from agents.particles.agent import ParticleAgent

parser = partial(command.parser, ParticleAgent)
main = partial(command.main, ParticleAgent)

if __name__ == "__main__":
    main()
