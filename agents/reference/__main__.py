"""`python -m agents.reference`: one run of the reference agent, begun or resumed."""

from functools import partial

from agents import command
from agents.reference.agent import ReferenceAgent

parser = partial(command.parser, ReferenceAgent)
main = partial(command.main, ReferenceAgent)

if __name__ == "__main__":
    main()
