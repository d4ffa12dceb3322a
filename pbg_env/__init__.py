"""Preference-based generation as Gymnasium environments: find the picture somebody has in mind by asking which of two
is nearer.

`import pbg_env` registers `PBG-StackGANv2-v0` and `PBG-StackGANv2-Pairs-v0` for pictures, and `PBG-Tones-v0` and
`PBG-Tones-Pairs-v0` for sounds.
"""

from gymnasium.envs.registration import register

from pbg_env import cache
from pbg_env.answers import AnswerLog, LogInUse
from pbg_env.ascent import ascend
from pbg_env.envs import PreferenceEnv, PreferencePairsEnv, PreferencePairsVectorEnv, PreferenceVectorEnv
from pbg_env.generators import EMBEDDED, Discriminator, Generator, load_discriminator, load_generator
from pbg_env.generators.module import ModuleGenerator
from pbg_env.media import ImageMedium, MediaError, Medium, SoundMedium, as_perceived
from pbg_env.noise import NOISE_BOUND, clip_noise, noise_to_unit, sample_noise, unit_to_noise
from pbg_env.oracles import (
    TEACHERS,
    HumanOracle,
    NoAnswer,
    Oracle,
    Person,
    Reply,
    TargetOracle,
    Teacher,
    UtilityOracle,
)
from pbg_env.preference import Answer, Preference
from pbg_env.prior_bank import PriorBank
from pbg_env.similarity import CosineSimilarity, Similarity, similarity_from

__all__ = [
    "EMBEDDED",
    "NOISE_BOUND",
    "TEACHERS",
    "Answer",
    "AnswerLog",
    "CosineSimilarity",
    "Discriminator",
    "Generator",
    "HumanOracle",
    "ImageMedium",
    "LogInUse",
    "MediaError",
    "Medium",
    "ModuleGenerator",
    "NoAnswer",
    "Oracle",
    "Person",
    "Preference",
    "PreferenceEnv",
    "PreferencePairsEnv",
    "PreferencePairsVectorEnv",
    "PreferenceVectorEnv",
    "PriorBank",
    "Reply",
    "Similarity",
    "SoundMedium",
    "TargetOracle",
    "Teacher",
    "UtilityOracle",
    "as_perceived",
    "ascend",
    "cache",
    "clip_noise",
    "load_discriminator",
    "load_generator",
    "noise_to_unit",
    "sample_noise",
    "similarity_from",
    "unit_to_noise",
]

for _family, _arguments in (("StackGANv2", {}), ("Tones", {"generator": "tones"})):
    register(
        f"PBG-{_family}-v0",
        entry_point="pbg_env.envs:PreferenceEnv",
        vector_entry_point="pbg_env.envs:PreferenceVectorEnv",
        kwargs=_arguments,
    )
    register(
        f"PBG-{_family}-Pairs-v0",
        entry_point="pbg_env.envs:PreferencePairsEnv",
        vector_entry_point="pbg_env.envs:PreferencePairsVectorEnv",
        kwargs=_arguments,
    )
