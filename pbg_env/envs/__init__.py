"""The environments."""

from pbg_env.envs.preference_env import PreferenceEnv, PreferencePairsEnv
from pbg_env.envs.vector_env import PreferencePairsVectorEnv, PreferenceVectorEnv

__all__ = ["PreferenceEnv", "PreferencePairsEnv", "PreferencePairsVectorEnv", "PreferenceVectorEnv"]
