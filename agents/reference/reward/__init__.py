"""Sixth stage of a round: the reward model that explains the answers."""

from agents.reference.reward.base import RewardModel
from agents.reference.reward.ideal_point import IdealPoint
from agents.reference.reward.meta_learned import MetaLearned
from agents.reference.reward.mlp import MLPReward

__all__ = ["IdealPoint", "MLPReward", "MetaLearned", "RewardModel"]
