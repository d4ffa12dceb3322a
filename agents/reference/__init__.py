"""The reference agent: rounds of sampling, filtering, pairing, asking, remembering, fitting a reward and moving the
destination up its gradient."""

from agents.reference.agent import ReferenceAgent

__all__ = ["ReferenceAgent"]
