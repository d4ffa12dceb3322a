"""Generators and discriminators: noise → media, media → how real they look."""

from pbg_env.generators.base import Discriminator, Generator
from pbg_env.generators.loading import EMBEDDED, load_discriminator, load_generator

__all__ = ["EMBEDDED", "Discriminator", "Generator", "load_discriminator", "load_generator"]
