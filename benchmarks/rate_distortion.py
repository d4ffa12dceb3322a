"""How near a picture so many bits could lead, if all were Gaussian: a reference for scores that go by pixels.

Of all sources with the same covariance the Gaussian one is the hardest to describe to a mean squared error. Its
rate–distortion function D(R) is the least error at which R bits can describe it (Shannon 1959; Cover & Thomas,
"Elements of Information Theory", 2nd edition, section 10.3.3, reverse water-filling). A search that has had n answers
of b bits has had at most R = n · b of them.

What is described are pictures, with the eigenvalues of their covariance for variances, or noise. Noise is Gaussian, and
what an error in it does to the picture is, to first order and on average, a quadratic form, M = E[JᵀJ], J the Jacobian
of the generator: components along the eigenvectors of M count by its eigenvalues, which take the variances' place. That
source knows that there is a generator; the other knows its pictures' covariance alone.

The curves are references and no bounds of what a strategy can reach, to either side:

- Pictures of a generator are no Gaussian, and are cheaper to describe: a strategy that knows the generator may lie
  above their curve. How far is unknown; it would take the entropy of the pictures. Noise is one, but to first order
  is not far: M counts what small errors do, while the first answers leave large ones.
- D(R) is the error of the best description of many pictures at once, by answers each of which halves what is left. Of
  one picture, asked pair by pair, answers tell less: a question whose answer can be guessed tells less than a bit, and
  answers of an imperfect teacher tell less than they are long.
- The description may be any picture, such as the mean of all, which makes the curves begin at 1 − 1/√2 = 0.29 and not
  at 0. A destination must be a picture of the generator's.
- The score is a mean of distances, the curves take the root of a mean of squares, in numerator and denominator alike;
  for the mean picture of the embedded generator the two differ by 0.003.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from agents.subspace import effective_directions
from pbg_env import Generator
from pbg_env.cache import cached, store

Values = NDArray[np.float64]

PICTURES = 2048
"""Enough for twice as many to move the score at 300 bits by 0.003 (embedded generator)."""

_SEED = 2048
_BATCH = 64


def spectrum(generator: Generator, pictures: int = PICTURES) -> Values:
    """Eigenvalues of the covariance of a generator's pictures, from samples of the prior.

    They are kept on disk where the generator has `weights` to name them by.

    Args:
        generator: whose pictures.
        pictures: how many, at least 2.

    Returns:
        (pictures − 1,), descending, at least 0, divided by the number of values in a picture: their sum is the mean
        squared difference between a picture and the mean picture, of values in [0, 1].

    Raises:
        ValueError: fewer than 2 pictures.
    """
    if pictures < 2:
        raise ValueError(f"the covariance of {pictures} pictures was asked for; expected at least 2")
    weights = getattr(generator, "weights", None)
    key = ("pixel spectrum", str(pictures), str(weights), str(generator.media.shape))
    found = None if weights is None else cached(*key)
    if found is None:
        found = _eigenvalues(_sample(generator, pictures))
        if weights is not None:
            store(found, *key)
    return found


def noise_spectrum(generator: Generator) -> Values:
    """Eigenvalues of M = E[JᵀJ], by which errors in noise count: the variances of noise in units of its media.

    Args:
        generator: whose noise.

    Returns:
        (noise_dim,), descending, at least 0.
    """
    return effective_directions(generator, generator.noise_dim).eigenvalues.double().numpy()


@torch.no_grad()
def _sample(generator: Generator, pictures: int) -> NDArray[np.float32]:
    """(pictures, values)."""
    noise = generator.sample_noise(pictures, np.random.default_rng(_SEED))
    return np.concatenate([generator.generate(part).flatten(1).float().cpu().numpy() for part in noise.split(_BATCH)])


def _eigenvalues(pictures: NDArray[np.float32]) -> Values:
    """(pictures, values) → (pictures − 1,), of the sample covariance over the number of values."""
    centred = pictures - pictures.mean(axis=0)
    # Products of pictures have the eigenvalues that products of values have, and are fewer.
    products = (centred @ centred.T).astype(np.float64) / ((len(pictures) - 1) * pictures.shape[1])
    # Centred pictures sum to 0, which leaves one eigenvalue less than there are pictures.
    return np.maximum(np.linalg.eigvalsh(products)[:0:-1], 0.0)


def distortion(eigenvalues: Values, bits: ArrayLike) -> Values:
    """The rate–distortion function of a Gaussian by reverse water-filling (Cover & Thomas, theorem 10.3.3).

    Component i gets min(λᵢ, θ) of the error, where the water level θ is such that Σ max(0, ½ log₂(λᵢ / θ)) = R.

    Args:
        eigenvalues: (components,), of the covariance, descending, at least 0 and not all 0.
        bits: (…), the rate R, finite and at least 0.

    Returns:
        (…), the mean squared error D(R) summed over components.

    Raises:
        ValueError: eigenvalues or bits out of range.
    """
    bits = np.asarray(bits, dtype=np.float64)
    if np.ndim(eigenvalues) != 1 or not np.isfinite(eigenvalues).all() or (np.diff(eigenvalues, append=0.0) > 0).any():
        raise ValueError("expected eigenvalues (components,), descending and at least 0")
    variances = eigenvalues[eigenvalues > 0]
    if not variances.size:
        raise ValueError("all eigenvalues are 0, expected at least one above")
    if not (np.isfinite(bits) & (bits >= 0)).all():
        raise ValueError("bits are negative or not finite, expected numbers of at least 0")
    logs, count = np.log2(variances), np.arange(1, len(variances) + 1)
    # At the rate where the water has fallen to the k-th component, the first k share what it takes to fall further.
    rates = 0.5 * (logs.cumsum() - count * logs)
    active = np.searchsorted(rates, bits, side="right")
    level = 2.0 ** ((logs.cumsum()[active - 1] - 2.0 * bits) / active)
    return np.minimum(variances, level[..., None]).sum(axis=-1)


def reference_scores(eigenvalues: Values, bits: ArrayLike) -> Values:
    """The score after so many bits: 1 − √D(R) / √(2 Σ λ).

    A score is (U − U₀) / (U₁ − U₀), where by pixels U is minus the root mean squared error, U₁ = 0 for a target that
    the generator can draw, and U₀ that of another picture of the prior, which differs by twice the variance.

    Args:
        eigenvalues: (components,), as of `spectrum` or `noise_spectrum`; their scale is free.
        bits: (…), at least 0.

    Returns:
        (…), from 0.29 at no bits towards 1.

    Raises:
        ValueError: as `distortion`.
    """
    return 1.0 - np.sqrt(distortion(eigenvalues, bits) / (2.0 * np.sum(eigenvalues)))


def entropy(counts: ArrayLike) -> float:
    """Bits an answer, of how often each was given: at most so many are told by an answer on average.

    It counts answers as if each came by itself; what earlier ones let one guess of the next makes it less.

    Args:
        counts: (answers,), at least 0, such as of first, second, both good, both bad.

    Returns:
        From 0 to the binary logarithm of the number of answers; 0 where none was given.

    Raises:
        ValueError: counts out of range.
    """
    counts = np.asarray(counts, dtype=np.float64)
    if counts.ndim != 1 or not (np.isfinite(counts) & (counts >= 0)).all():
        raise ValueError(f"counts are {counts.tolist()}, expected (answers,), finite and at least 0")
    shares = counts[counts > 0] / max(counts.sum(), 1.0)
    return float(-(shares * np.log2(shares)).sum()) + 0.0
