"""Preference-based generation as Gymnasium environments: find the picture somebody has in mind by asking which of two
is nearer.

`import pbg_env` registers `PBG-StackGANv2-v0` and `PBG-StackGANv2-Pairs-v0`.
"""

from gymnasium.envs.registration import register

from pbg_env.answers import AnswerLog
from pbg_env.ascent import ascend
from pbg_env.envs import PreferenceEnv, PreferencePairsEnv
from pbg_env.generators import Discriminator, Generator, load_discriminator, load_generator
from pbg_env.media import ImageMedium, MediaError, Medium
from pbg_env.noise import NOISE_BOUND, noise_to_unit, sample_noise, unit_to_noise
from pbg_env.oracles import Oracle, TargetOracle, Teacher
from pbg_env.preference import Answer, Preference

__all__ = [
    "NOISE_BOUND",
    "Answer",
    "AnswerLog",
    "Discriminator",
    "Generator",
    "ImageMedium",
    "MediaError",
    "Medium",
    "Oracle",
    "Preference",
    "PreferenceEnv",
    "PreferencePairsEnv",
    "TargetOracle",
    "Teacher",
    "ascend",
    "load_discriminator",
    "load_generator",
    "noise_to_unit",
    "sample_noise",
    "unit_to_noise",
]

register("PBG-StackGANv2-v0", entry_point="pbg_env.envs:PreferenceEnv")
register("PBG-StackGANv2-Pairs-v0", entry_point="pbg_env.envs:PreferencePairsEnv")
