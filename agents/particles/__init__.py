"""The search by particles: what is wanted, and by whom, as samples from the posterior over both."""

from agents.particles.agent import ParticleAgent

__all__ = ["ParticleAgent"]
