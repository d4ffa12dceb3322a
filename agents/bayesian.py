"""Bayesian optimisation by pairwise answers: a Gaussian process on preferences, by BoTorch."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.base import Agent, Noise
from agents.subspace import Coordinates, Space, check_space
from pbg_env import NOISE_BOUND, Answer, Discriminator, Generator

with warnings.catch_warnings():
    # A library below uses torch.jit.script, which PyTorch wants to part with.
    warnings.simplefilter("ignore", FutureWarning)
    from botorch.acquisition.acquisition import AcquisitionFunction
    from botorch.acquisition.analytic import PosteriorMean
    from botorch.acquisition.preference import AnalyticExpectedUtilityOfBestOption
    from botorch.exceptions.errors import ModelFittingError, OptimizationGradientError
    from botorch.fit import fit_gpytorch_mll
    from botorch.generation.gen import gen_candidates_scipy
    from botorch.models.model import Model
    from botorch.models.pairwise_gp import PairwiseGP, PairwiseLaplaceMarginalLogLikelihood
    from botorch.posteriors.gpytorch import GPyTorchPosterior
    from botorch.utils.sampling import manual_seed
    from gpytorch.constraints import GreaterThan, Interval
    from gpytorch.distributions import MultivariateNormal
    from gpytorch.kernels import RBFKernel, ScaleKernel
    from gpytorch.priors import LogNormalPrior
    from linear_operator.utils.errors import NanError, NotPSDError

NUMERICAL_ERRORS = (NotPSDError, NanError, OptimizationGradientError, torch.linalg.LinAlgError)  # type: ignore[attr-defined]  # not in its __all__
"""What a Gaussian process raises where its matrices are too near singular."""

# The variance of utility, where an answer's noise is that of one unit on each side; exact answers drive it up.
_VARIANCE = 10.0
_VARIANCE_SPREAD = 1.5
_VARIANCES = (1e-2, 1e4)
_LENGTHSCALE_SPREAD = 1.0
_SHORTEST_LENGTHSCALE = 0.02
_FIT_ITERATIONS = 10
# Hyperparameters change little from 100 answers to 130, and a fit costs the cube of their number.
_FIT_AGAIN = 1.3

_LEADERS = 5
_NEAR_LEADERS = 0.8
_CLIMBS = 3
_CLIMB_ITERATIONS = 50


class Comparisons(NamedTuple):
    """Answers as a Gaussian process takes them.

    Attributes:
        noise: (options, noise_dim), all that was asked about, each once.
        points: (options, dimensions), its coordinates.
        won: (comparisons, 2), the rows of the better and of the worse.
    """

    noise: Noise
    points: NDArray[np.float64]
    won: NDArray[np.int64]

    @classmethod
    def of(cls, answers: list[Answer], coordinates: Coordinates) -> Comparisons:
        """Of one answer or more: a tie counts once for each side, a both-bad answer compares nothing."""
        asked = np.concatenate([(answer.first, answer.second) for answer in answers])
        points, where, rows = np.unique(coordinates.of_noise(asked), axis=0, return_index=True, return_inverse=True)
        won: list[tuple[int, int]] = []
        for answer, (first, second) in zip(answers, rows.reshape(-1, 2).tolist(), strict=True):
            for_first, for_second = answer.preference.label
            won += [(first, second)] * (for_first > 0 and first != second)
            won += [(second, first)] * (for_second > 0 and first != second)
        return cls(asked[where], points, np.array(won, dtype=np.int64).reshape(-1, 2))


class Posterior(Model):
    """What a `PairwiseGP` believes of utility, its matrices solved once, so that points cost products alone.

    The squared exponential kernel is written out: by way of GPyTorch's lazy tensors most of a question's time is spent
    on a handful of points.

    Args:
        model: conditioned on its comparisons.

    Raises:
        NanError: the model found no mode.
    """

    num_outputs = 1
    batch_shape = torch.Size()

    @torch.no_grad()
    def __init__(self, model: PairwiseGP) -> None:
        super().__init__()
        self.kernel = model.covar_module.requires_grad_(False)
        self._variance = self.kernel.outputscale
        self._lengths = self.kernel.base_kernel.lengthscale[0]
        self.datapoints = model.datapoints  # (options, dimensions)
        self._scaled = self.datapoints / self._lengths
        mode, hessian = model.unconsolidated_utility, model.likelihood_hess
        self._weights = torch.cholesky_solve(mode[:, None], model.covar_chol)[:, 0]
        # (K + H⁻¹)⁻¹, H the Hessian of the likelihood, which may have no inverse.
        identity = torch.eye(len(mode), dtype=mode.dtype)
        self._shrinkage = torch.linalg.solve(hessian @ model.covar + identity, hessian)
        if not (self._weights.isfinite().all() and self._shrinkage.isfinite().all()):
            raise NanError("the mode of the utilities is not finite")

    def posterior(
        self,
        X: Tensor,
        output_indices: Any = None,
        observation_noise: Any = False,
        posterior_transform: Any = None,
    ) -> GPyTorchPosterior:
        """Of points (..., count, dimensions), jointly."""
        points = X / self._lengths
        across = self._covariance(points, self._scaled)  # (..., count, options)
        covariance = self._covariance(points, points) - across @ self._shrinkage @ across.mT
        return GPyTorchPosterior(MultivariateNormal(across @ self._weights, covariance))

    @torch.no_grad()
    def means(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of points (count, dimensions), (count,)."""
        across = self._covariance(torch.from_numpy(points) / self._lengths, self._scaled)
        return (across @ self._weights).numpy()

    def _covariance(self, points: Tensor, others: Tensor) -> Tensor:
        """A priori, between (..., count, dimensions) and (..., others, dimensions), all in lengthscales."""
        squares = (points**2).sum(-1)[..., :, None] + (others**2).sum(-1)[..., None, :]
        return self._variance * (points @ others.mT - squares / 2).clamp(max=0.0).exp()


class PreferenceGP(Agent):
    """Bayesian optimisation by preferences: a Gaussian process on pairwise answers, by BoTorch's `PairwiseGP`.

    The utility of noise is a Gaussian process with a squared exponential kernel, answers are its differences in probit
    noise, and Laplace's approximation gives the posterior (Chu and Ghahramani 2005). The pair asked next has the
    greatest expected utility of its better option (EUBO, Lin et al. 2022, whose maximum is found from the best of many
    random pairs). A tie counts once for each side and a both-bad answer not at all, as the likelihood has neither.

    The process lives on coordinates that are scaled by the square roots of their shares in the change of media: the
    squared distance between two prior samples is 1 on average, however many dimensions there are, and about
    proportional to that of their media. The prior's distribution function would bend these distances.

    What is believed is computed when asked for, from the answers alone, so that answers are taken back cheaply. Where
    numbers fail, the posterior of fewer answers serves.

    Args:
        space: what the process lives on: the "noise", or its directions that change media most, the "principal" ones.
        dimensions: how many of those, at least 1; all where noise has fewer.
        begin: random pairs of the prior that are asked first, at least 1.
        eager: first answers that have a posterior each, at least 0.
        refit: later answers from one posterior to the next, at least 1; more is cheaper, but asks of much the same
            again.
        candidates: random pairs that the next is chosen from, at least 1.
        spread: of four fifths of their options, how far they lead from one of the best to the prior, in (0, 1].
        polish: steps of L-BFGS that better the chosen pair, 0 for none.
        lengthscale: the median of its log-normal prior, in distances between prior samples, above 0.
        relevance: whether each coordinate has a lengthscale of its own.
        recommends: the "asked" option with the best mean, or what is "climbed" to from there.
    """

    def __init__(
        self,
        space: Space = "principal",
        dimensions: int = 16,
        begin: int = 8,
        eager: int = 50,
        refit: int = 5,
        candidates: int = 512,
        spread: float = 0.3,
        polish: int = 15,
        lengthscale: float = 1.0,
        relevance: bool = True,
        recommends: Literal["asked", "climbed"] = "climbed",
    ) -> None:
        super().__init__()
        check_space(space, dimensions)
        if min(begin, refit, candidates) < 1 or min(eager, polish) < 0:
            raise ValueError(
                f"begin is {begin}, refit {refit}, candidates {candidates}, eager {eager} and polish {polish}; "
                f"expected at least 1, 1, 1, 0 and 0"
            )
        if not 0 < spread <= 1 or lengthscale <= 0:
            raise ValueError(f"spread is {spread} and lengthscale {lengthscale}, expected in (0, 1] and above 0")
        if recommends not in ("asked", "climbed"):
            raise ValueError(f"recommends is {recommends!r}, expected 'asked' or 'climbed'")
        self.space: Space = space
        self.dimensions = dimensions
        self.begin = begin
        self.eager = eager
        self.refit = refit
        self.candidates = candidates
        self.spread = spread
        self.polish = polish
        self.lengthscale = lengthscale
        self.relevance = relevance
        self.recommends = recommends

    def _start(self, generator: Generator, discriminator: Discriminator | None, rng: np.random.Generator) -> None:
        self._coordinates = Coordinates.of(generator, self.space, self.dimensions)
        # Unscaled, two prior samples are at a squared distance of 2 along each coordinate.
        self._scales = np.sqrt(self._coordinates.shares / 2.0)
        self._seed = int(rng.integers(2**63))
        self._answers: list[Answer] = []
        self._fitted: tuple[int, dict[str, Tensor]] | None = None
        self._belief: tuple[Posterior, Comparisons] | None = None
        self._next: tuple[Noise, Noise] | None = None
        self._best: Noise | None = None

    def _learn(self, answer: Answer) -> None:
        self._answers.append(answer)
        self._next = None
        if self._told == len(self._answers):
            self._belief = self._best = None
            self.rounds += 1

    @property
    def _told(self) -> int:
        """Answers that the present posterior is of."""
        count = len(self._answers)
        return count if count <= self.eager else max(self.eager, count - count % self.refit)

    def _believed(self) -> tuple[Posterior, Comparisons] | None:
        """The present posterior, and what it is of; None where there are too few answers."""
        if self._belief is None:
            self._belief = self._conditioned(self._told)
        return self._belief

    def _conditioned(self, count: int) -> tuple[Posterior, Comparisons] | None:
        """On the first answers, or fewer where numbers fail."""
        for fewer in range(count, self.begin - 1, -1):
            comparisons = Comparisons.of(self._answers[:fewer], self._coordinates)
            if len(comparisons.won) == 0:
                break
            kernel = self._kernel()
            with suppress(*NUMERICAL_ERRORS), _reproducible(self._seed, fewer):
                kernel.load_state_dict(self._hyperparameters(fewer))
                return Posterior(self._process(comparisons, kernel)), comparisons
        return None

    def _hyperparameters(self, count: int) -> dict[str, Tensor]:
        """Of the kernel, fitted at the last of a few numbers of answers that grow geometrically."""
        fitted_at = self.begin
        while (later := math.ceil(fitted_at * _FIT_AGAIN)) <= count:
            fitted_at = later
        if self._fitted is None or self._fitted[0] != fitted_at:
            comparisons = Comparisons.of(self._answers[:fitted_at], self._coordinates)
            kernel = self._kernel()
            if len(comparisons.won):
                # A fit that fails leaves them as they were.
                with suppress(ModelFittingError, *NUMERICAL_ERRORS), _reproducible(self._seed, fitted_at):
                    model = self._process(comparisons, kernel)
                    evidence = PairwiseLaplaceMarginalLogLikelihood(model.likelihood, model)
                    fit_gpytorch_mll(
                        evidence, optimizer_kwargs={"options": {"maxiter": _FIT_ITERATIONS}}, max_attempts=1
                    )
            self._fitted = fitted_at, kernel.state_dict()
        return self._fitted[1]

    def _kernel(self) -> ScaleKernel:
        lengths = RBFKernel(
            ard_num_dims=len(self._scales) if self.relevance else None,
            lengthscale_prior=LogNormalPrior(math.log(self.lengthscale), _LENGTHSCALE_SPREAD),
            lengthscale_constraint=GreaterThan(_SHORTEST_LENGTHSCALE, transform=None, initial_value=self.lengthscale),
        )
        return ScaleKernel(
            lengths,
            outputscale_prior=LogNormalPrior(math.log(_VARIANCE), _VARIANCE_SPREAD),
            outputscale_constraint=Interval(*_VARIANCES, initial_value=_VARIANCE),
        ).double()

    def _process(self, comparisons: Comparisons, kernel: ScaleKernel) -> PairwiseGP:
        points, won = torch.from_numpy(comparisons.points * self._scales), torch.from_numpy(comparisons.won)
        # Each point is there once already.
        return PairwiseGP(points, won, covar_module=kernel, consolidate_atol=0.0)

    def _question(self) -> tuple[Noise, Noise]:
        if self._next is None:
            first, second = self._ask(np.random.default_rng((self._seed, len(self._answers))))
            self._next = first, second
        return self._next

    def _ask(self, rng: np.random.Generator) -> Noise:
        """The pair to ask, (2, noise_dim)."""
        belief = self._believed()
        if belief is None:
            return self._coordinates.to_noise(self._coordinates.sample(2, rng))
        posterior, comparisons = belief
        promise = AnalyticExpectedUtilityOfBestOption(posterior)
        pairs = torch.from_numpy(self._options(self._leaders(posterior, comparisons), rng) * self._scales)
        with torch.no_grad():
            best = pairs[promise(pairs).argmax()]
        return self._noise(self._climbed(promise, best[None], self.polish) if self.polish else best)

    def _options(self, leaders: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
        """Coordinates (candidates, 2, dimensions) from the prior and around leaders (count, dimensions)."""
        options = self._coordinates.sample(2 * self.candidates, rng)
        near = rng.random(len(options)) < _NEAR_LEADERS
        # As far from the middle as draws from the prior are, however far they lead.
        step = rng.uniform(0.0, self.spread, (near.sum(), 1))
        options[near] = np.sqrt(1 - step**2) * rng.choice(leaders, near.sum()) + step * options[near]
        return np.clip(options, -NOISE_BOUND, NOISE_BOUND).reshape(-1, 2, options.shape[1])

    def _leaders(self, posterior: Posterior, comparisons: Comparisons) -> NDArray[np.float64]:
        order = posterior.means(comparisons.points * self._scales).argsort()[::-1]
        return comparisons.points[order[:_LEADERS]]

    def _climbed(self, promise: AcquisitionFunction, begins: Tensor, iterations: int) -> Tensor:
        """The best of what is found from (begins, options, dimensions), (options, dimensions); where numbers fail, the
        first of these."""
        limits = torch.from_numpy(NOISE_BOUND * self._scales)
        with suppress(*NUMERICAL_ERRORS), _reproducible(self._seed):
            # What `optimize_acqf` calls, without its fixed features: it has gradients pass each dimension by itself.
            found, values = gen_candidates_scipy(begins, promise, -limits, limits, options={"maxiter": iterations})
            return found[values.argmax()]
        return begins[0]

    def _noise(self, points: Tensor) -> Noise:
        """What lies at points (count, dimensions) of the process, (count, noise_dim)."""
        return self._coordinates.to_noise(points.numpy() / self._scales)

    @property
    def destination(self) -> Noise:
        if self._best is None:
            self._best = self._recommended()
        return self._best

    def _recommended(self) -> Noise:
        belief = self._believed()
        if belief is None:
            return np.zeros(self._coordinates.directions.shape[1], dtype=np.float32)
        posterior, comparisons = belief
        if self.recommends == "asked":
            return comparisons.noise[posterior.means(comparisons.points * self._scales).argmax()]
        begins = torch.from_numpy(self._leaders(posterior, comparisons)[:_CLIMBS] * self._scales)
        return self._noise(self._climbed(PosteriorMean(posterior), begins[:, None], _CLIMB_ITERATIONS))[0]

    def rate(self, noise: Tensor) -> Tensor | None:
        belief = self._believed()
        if belief is None:
            return None
        means = belief[0].means(self._coordinates.of_noise(noise.cpu().numpy()) * self._scales)
        return torch.from_numpy(means).to(noise)


@contextmanager
def _reproducible(*seeds: int) -> Iterator[None]:
    """Lets libraries draw from the global generators, seeded, and leaves those as they were."""
    (seed,) = np.random.SeedSequence(seeds).generate_state(1)
    # PairwiseGP begins its search for the mode with it.
    before = np.random.get_state()  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002
    try:
        with manual_seed(int(seed)), torch.enable_grad():
            yield
    finally:
        np.random.set_state(before)  # noqa: NPY002
