"""The environments."""

from pbg_env.envs.preference_env import PreferenceEnv, PreferencePairsEnv

__all__ = ["PreferenceEnv", "PreferencePairsEnv"]
