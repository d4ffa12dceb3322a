"""Who wants what in a search, as an environment's arguments and its resets say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pbg_env.envs.score import Score
from pbg_env.envs.spaces import finite_numbers
from pbg_env.generators.base import Discriminator, Generator
from pbg_env.importing import demand_function, demand_members, imported
from pbg_env.media import MediaError, as_perceived
from pbg_env.noise import clip_noise, sample_noise
from pbg_env.oracles import Oracle, Person, TargetOracle, UtilityOracle
from pbg_env.oracles.base import OracleWithUtility
from pbg_env.oracles.choice import HUMAN, TARGET, oracle_named
from pbg_env.oracles.teacher import Teacher, teacher_from
from pbg_env.prior_bank import PriorBank
from pbg_env.similarity import Similarity, SimilarityFunction, checked_values, similarity_from

PRIOR = "prior"


Target = NDArray[np.float32] | Tensor | None
"""Noise (noise_dim,) of a medium to make, a medium (*shape), or None where resets change nothing."""


class Wish(NamedTuple):
    """Who answers in a search, its score where there is a utility, and the target (*shape) where there is one."""

    oracle: Oracle
    score: Score | None
    target: Tensor | None


class Wishes:
    """Makes the wishes of searches with one generator.

    Args:
        count: how many searches there are; each has an oracle of its own, as single environments would.
        discriminator: gives the one beside the generator, when it is asked for.
        oracle: this and all others as `PreferenceEnv` describes them.
    """

    def __init__(
        self,
        count: int,
        generator: Generator,
        discriminator: Callable[[], Discriminator | None],
        *,
        oracle: str | Oracle,
        target: str | Path | None,
        similarity: str | Similarity | SimilarityFunction | None,
        teacher: str | Mapping[str, float | str | None] | Teacher,
    ) -> None:
        self._generator = generator
        self._teacher = teacher_from(teacher)
        if not (target is None or isinstance(target, (str, Path))):
            raise ValueError(
                f"target is a {type(target).__name__}; expected {PRIOR!r}, a file or None; arrays and noise are for "
                f'one search, reset(options={{"target": …}})'
            )
        is_simulated = isinstance(oracle, str) and oracle == TARGET
        self.person: Person | None = None
        """The person who answers, or None where simulated users do."""
        self._takes_targets = is_simulated and target is not None
        # Those that no reset changes, and with them all that is ever computed for them.
        self._fixed: list[Wish] | None = None
        if not is_simulated:
            told = {
                "target": target != PRIOR,
                "similarity": similarity is not None,
                "teacher": self._teacher != Teacher(),
            }
            if any(told.values()):
                names = " and ".join(name for name, is_told in told.items() if is_told)
                raise ValueError(f"{names} given, but only oracle={TARGET!r} goes by them; the oracle is {oracle!r}")
            if count > 1 and (oracle == HUMAN or isinstance(oracle, Person)):
                raise ValueError(
                    f"a person answers one search at a time, and num_envs is {count}; make one environment"
                )
            self._fixed = self._of_own_oracle(count, oracle)
            if isinstance(self._fixed[0].oracle, Person):
                self.person = self._fixed[0].oracle
        elif target is None:
            self._fixed = [self._without_target(similarity)] * count
        else:
            self._similarity = similarity_from(similarity, generator, discriminator)
            if target != PRIOR:
                self._fixed = [self._towards(self._read(target), made=False)] * count

    def targets(self, given: Sequence[Any], streams: Sequence[np.random.Generator]) -> list[Target]:
        """What searches that begin are to strive for; those given the same get the same object.

        Args:
            given: at the reset: a file, an array, noise (noise_dim,), "prior"; None for what the arguments say.
            streams: that targets are drawn from.

        Returns:
            One for each; no medium is read twice.

        Raises:
            MediaError: it cannot be read.
            ValueError: its noise is not finite, or the oracle takes no target.
        """
        known: dict[Any, Target] = {}
        found = []
        for one, rng in zip(given, streams, strict=True):
            if one is None or (isinstance(one, str) and one == PRIOR):
                found.append(self._target(one, rng))
                continue
            key = one if isinstance(one, (str, Path)) else id(one)
            if key not in known:
                known[key] = self._target(one, rng)
            found.append(known[key])
        return found

    def _target(self, given: Any, rng: np.random.Generator) -> Target:
        if given is None and self._fixed is not None:
            return None
        if not self._takes_targets:
            raise ValueError("a target was given at reset, but the oracle of this environment takes none")
        if given is None or (isinstance(given, str) and given == PRIOR):
            return sample_noise((self._generator.noise_dim,), rng)
        if not isinstance(given, (str, Path)) and np.shape(given) == (self._generator.noise_dim,):
            return clip_noise(finite_numbers(given, "target's noise"))
        return self._read(given)

    def wish(self, index: int, target: Tensor | None, *, made: bool) -> Wish:
        """The wish of a search.

        Args:
            index: of the search.
            target: (*shape) as perceived, None where resets change nothing.
            made: whether the generator made it, so that nothing can come nearer to it than itself.
        """
        if target is not None:
            return self._towards(target, made=made)
        assert self._fixed is not None
        return self._fixed[index]

    def _towards(self, target: Tensor, *, made: bool) -> Wish:
        oracle = TargetOracle(target, self._similarity, self._teacher, PriorBank.of(self._generator))
        return Wish(oracle, Score(self._generator, oracle, target_is_best=made), target)

    def _of_own_oracle(self, count: int, oracle: str | Oracle) -> list[Wish]:
        if isinstance(oracle, str):
            oracles = [oracle_named(oracle) for _ in range(count)]
        else:
            oracles = [demand_members(oracle, "the oracle", Oracle)]
        wishes = [
            Wish(own, Score(self._generator, own) if isinstance(own, OracleWithUtility) else None, None)
            for own in oracles
        ]
        return wishes if len(wishes) == count else wishes * count

    def _without_target(self, utility: str | Similarity | SimilarityFunction | None) -> Wish:
        function: Any = utility
        if isinstance(utility, str) and ":" in utility:
            function = imported(utility, "similarity")
        if function is None or isinstance(function, (str, Similarity)):
            raise ValueError(
                f"target is None, so similarity is to be a utility of media alone: a function of media "
                f"(batch, *shape), or 'module:function'; it is {utility!r}"
            )
        demand_function(function, f"with target None, similarity {utility!r}", "media")
        oracle = UtilityOracle(
            lambda media: checked_values(function(media), media),
            self._teacher,
            PriorBank.of(self._generator),
            getattr(function, "name", None),
        )
        return Wish(oracle, Score(self._generator, oracle), None)

    def _read(self, source: Any) -> Tensor:
        medium = self._generator.media
        try:
            read = medium.read(source)
        except MediaError as error:
            hint = f", {PRIOR!r}, or noise of shape ({self._generator.noise_dim},)"
            raise MediaError(f"target: {error}{hint}") from error
        return as_perceived(medium, read.to(self._generator.device))


@torch.no_grad()
def utilities(wishes: Sequence[Wish], media: Tensor) -> NDArray[np.float64]:
    """Utilities (batch,) of media (batch, *shape), each to the wish (batch,) that it is shown to."""
    oracles = [wish.oracle for wish in wishes]
    if all(isinstance(oracle, TargetOracle) for oracle in oracles):
        return TargetOracle.utilities(oracles, media).double().cpu().numpy()  # type: ignore[arg-type]
    found = np.empty(len(oracles))
    for oracle in {id(oracle): oracle for oracle in oracles}.values():
        assert isinstance(oracle, OracleWithUtility)
        places = [place for place, other in enumerate(oracles) if other is oracle]
        found[places] = checked_values(oracle.utility(media[places]), media[places]).double().cpu().numpy()
    return found
