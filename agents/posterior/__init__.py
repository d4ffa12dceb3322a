"""The search by a posterior over what somebody wants: answers → belief → question → recommendation."""

from agents.posterior.agent import PosteriorAgent

__all__ = ["PosteriorAgent"]
