"""`python -m agents.posterior`: one run of the posterior agent, begun or resumed."""

from functools import partial

from agents import command
from agents.posterior.agent import PosteriorAgent

parser = partial(command.parser, PosteriorAgent)
main = partial(command.main, PosteriorAgent)

if __name__ == "__main__":
    main()
