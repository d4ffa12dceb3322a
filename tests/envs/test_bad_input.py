"""What goes wrong is named: what it was, what was expected, what to do. A table of mistakes, each with its message."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.error import ClosedEnvironmentError, ResetNeeded
from PIL import Image

from pbg_env import PreferenceEnv, PreferencePairsEnv, PreferenceVectorEnv
from pbg_env.generators.stackgan_v2.model import StackGANGenerator
from pbg_env.oracles import RandomOracle
from tests.envs.conftest import IDS, Arguments


def _png(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds one byte."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"\0")), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    (folder / "text.png").write_text("no picture")
    (folder / "empty.png").write_bytes(b"")
    (folder / "zero.png").write_bytes(_png(0, 0))
    (folder / "bomb.png").write_bytes(_png(60_000, 60_000))
    Image.new("RGB", (64, 64), "red").save(folder / "whole.jpg")
    (folder / "truncated.jpg").write_bytes((folder / "whole.jpg").read_bytes()[:400])
    (folder / "folder.png").mkdir()
    (folder / "netG_1.pth").write_bytes(b"no checkpoint")
    return folder


def of_media_alone(media: Any) -> Any:
    return media


def of_two_media(one: Any, two: Any) -> Any:
    return one


def _named(arguments: dict[str, Any]) -> str:
    """The same in every process, which the address of a function is not."""
    return str({name: getattr(value, "__name__", value) for name, value in arguments.items()})


ARGUMENTS = [
    ({"generator": "avatar"}, "unknown generator 'avatar'; expected the name of an embedded model"),
    ({"generator": "nowhere.pth"}, "no such checkpoint: nowhere.pth"),
    ({"generator": "{files}/netG_1.pth"}, "netG_1.pth: truncated, or not a file that torch.save wrote"),
    ({"generator": "nowhere:make"}, "generator 'nowhere:make' cannot be imported"),
    ({"generator": 3}, "the generator, a int, lacks noise_dim, media, device, generate, sample_noise"),
    ({"discriminator": "nowhere.pth", "similarity": "discriminator"}, "no such checkpoint: nowhere.pth"),
    ({"scale": 2}, "scale 2 asked for, but"),
    ({"similarity": "colour"}, "unknown similarity 'colour'; expected one of 'pixels'"),
    ({"similarity": "pixels", "target": None}, "target is None, so similarity is to be a utility of media alone"),
    ({"teacher": "strict"}, "unknown teacher 'strict'; expected one of 'oracle'"),
    ({"teacher": {"patience": 1}}, "teacher: unknown parameters patience"),
    ({"teacher": {"equal": "5"}}, "teacher: equal is '5', expected a number, or a share of the prior such as '5%'"),
    ({"oracle": "nobody"}, "unknown oracle 'nobody'; expected 'target', 'human', 'random' or 'module:function'"),
    ({"oracle": "nowhere:make"}, "oracle 'nowhere:make' cannot be imported"),
    (
        {"oracle": "builtins:len"},
        r"oracle 'builtins:len' takes other arguments \(.*\); expected a function, called without",
    ),
    ({"oracle": "math:pi"}, "oracle 'math:pi' is a float; expected a function, called without arguments"),
    (
        {"oracle": "builtins:list"},
        "what oracle 'builtins:list' returned, a list, lacks compare; expected an object with",
    ),
    ({"oracle": RandomOracle}, "the oracle is the class RandomOracle itself; expected an instance of it"),
    ({"oracle": len}, "the oracle, a builtin_function_or_method, lacks compare; expected an object with the members"),
    ({"oracle": "random", "target": "face.png"}, "target given, but only oracle='target' goes by them; the oracle is"),
    (
        {"oracle": "random", "similarity": "pixels", "teacher": "human"},
        "similarity and teacher given, but only oracle=",
    ),
    ({"discriminator": 3}, "the discriminator, a int, lacks score, features; expected an object with the members"),
    ({"similarity": "math:pi"}, "similarity 'math:pi' is a float; expected a function, called with media and target"),
    ({"similarity": of_media_alone}, "the similarity takes other arguments .*called with media and target"),
    (
        {"similarity": of_two_media, "target": None},
        "with target None, .* takes other arguments .*called with media",
    ),
    (
        {"target": np.zeros((3, 64, 64))},
        "target is a ndarray; expected 'prior', a file or None; arrays and noise are for",
    ),
    ({"target": "nowhere.png"}, "no such picture: nowhere.png.*'prior', or noise of shape|target: .*nowhere.png"),
    ({"target": "{files}/text.png"}, "cannot read .*text.png"),
    ({"target": "{files}/empty.png"}, "cannot read .*empty.png"),
    ({"target": "{files}/zero.png"}, "cannot read .*zero.png"),
    ({"target": "{files}/bomb.png"}, "cannot read .*bomb.png|target: .*bomb.png"),
    ({"target": "{files}/truncated.jpg"}, "cannot read .*truncated.jpg|target: .*truncated.jpg"),
    ({"target": "{files}/folder.png"}, "folder.png"),
    ({"goal": float("nan")}, "goal is nan, expected a score such as 0.7, or None"),
    ({"goal": "high"}, "goal is 'high'"),
    ({"max_queries": 0}, "max_queries is 0, expected a whole number of at least 1"),
    ({"max_queries": 2.5}, "max_queries is 2.5"),
    ({"max_queries": True}, "max_queries is True"),
    ({"action": "pixels"}, "unknown action 'pixels'; expected 'noise' or 'unit'"),
    ({"render_mode": "ansi"}, "unknown render_mode 'ansi'; expected 'rgb_array' or None"),
    ({"device": "meta"}, "device 'meta' holds no values; expected 'auto'"),
    ({"device": "mps"}, "device 'mps' asked for, but torch cannot use it here"),
    ({"device": "gpu"}, "device 'gpu' is unknown; expected 'auto', 'cpu'"),
]


# Gymnasium warns of some of them before the environment is made.
@pytest.mark.filterwarnings("ignore:.*render_mode.*:UserWarning")
@pytest.mark.parametrize("batched", [False, True], ids=["single", "batched"])
@pytest.mark.parametrize("name", IDS)
@pytest.mark.parametrize(("arguments", "message"), ARGUMENTS, ids=[_named(arguments) for arguments, _ in ARGUMENTS])
def test_arguments(
    name: str, batched: bool, arguments: dict[str, Any], message: str, of_id: Arguments, files: Path
) -> None:
    told = {key: value.format(files=files) if isinstance(value, str) else value for key, value in arguments.items()}
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        (gym.make_vec if batched else gym.make)(name, **of_id(name) | told)


@pytest.mark.parametrize("name", IDS)
def test_unknown_arguments(name: str, of_id: Arguments) -> None:
    for make in (gym.make, gym.make_vec):
        with pytest.raises(TypeError, match="colour"):
            make(name, colour="red", **of_id(name))  # type: ignore[operator]


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is here")
def test_cuda_asked_for_and_absent(of_id: Arguments) -> None:
    for device in ("cuda", "cuda:1"):
        with pytest.raises(ValueError, match=f"device '{device}' asked for, but torch sees no CUDA device here"):
            gym.make("PBG-StackGANv2-v0", device=device, **of_id("PBG-StackGANv2-v0"))


@pytest.fixture(params=["single", "batched"])
def running(request: pytest.FixtureRequest, generator: StackGANGenerator) -> Any:
    """An environment of 6-dimensional noise before its first reset."""
    return PreferenceEnv(generator) if request.param == "single" else PreferenceVectorEnv(2, generator=generator)


ACTIONS: list[tuple[Callable[[tuple[int, ...]], Any], str]] = [
    (lambda shape: np.zeros(5), r"an action of shape \(5,\), expected \("),
    (lambda shape: np.zeros((3, *shape)), r"an action of shape \(3, "),
    (lambda shape: "left", "the action, a str .*is not an array of numbers"),
    (lambda shape: np.full(shape, "left"), "is not an array of numbers"),
    (lambda shape: np.zeros(shape, dtype=complex), "is not an array of numbers"),
    (lambda shape: np.zeros(shape, dtype=object), "is not an array of numbers"),
    (lambda shape: None, "is not an array of numbers"),
    (lambda shape: np.full(shape, np.nan), "the action has values that are NaN or infinite; expected finite numbers"),
    (lambda shape: np.full(shape, -np.inf), "NaN or infinite"),
]


@pytest.mark.parametrize(("action", "message"), ACTIONS)
def test_actions_are_refused_and_cost_nothing(
    running: Any, action: Callable[[tuple[int, ...]], Any], message: str
) -> None:
    running.reset(seed=0)
    with pytest.raises(ValueError, match=message):
        running.step(action(running.action_space.shape))
    *_, info = running.step(running.action_space.sample())
    assert np.all(info["queries"] == 1)


@pytest.mark.parametrize("far", [9.0, 1e300])
def test_finite_actions_out_of_range_are_clipped(running: Any, far: float) -> None:
    running.reset(seed=0)
    observation, *_ = running.step(np.full(running.action_space.shape, far))
    assert (observation["candidate"] == 4).all()


def test_before_reset(running: Any) -> None:
    with pytest.raises(ResetNeeded, match=r"step\(\) called before reset\(\)"):
        running.step(running.action_space.sample())
    with pytest.raises(ResetNeeded, match=r"call reset\(\) first"):
        running.evaluate(np.zeros(running.action_space.shape))


def test_after_close(running: Any) -> None:
    running.reset(seed=0)
    running.close()
    running.close()
    for call in ("step", "evaluate"):
        with pytest.raises(ClosedEnvironmentError, match=rf"{call}\(\) called after close\(\); make the environment"):
            getattr(running, call)(np.zeros(running.action_space.shape))
    for call in ("reset", "render"):
        with pytest.raises(ClosedEnvironmentError, match=rf"{call}\(\) called after close\(\)"):
            getattr(running, call)()


def test_after_the_end(generator: StackGANGenerator) -> None:
    env = PreferenceEnv(generator, goal=None, max_queries=1)
    env.reset(seed=0)
    env.step(env.action_space.sample())
    with pytest.raises(ResetNeeded, match=r"after the end of the search; call reset\(\) first"):
        env.step(env.action_space.sample())


def test_more_pairs_than_the_budget_asks_what_is_left(generator: StackGANGenerator) -> None:
    env = PreferencePairsEnv(8, generator, goal=None, max_queries=5)
    env.reset(seed=0)
    *_, truncated, info = env.step(env.action_space.sample())
    assert truncated
    assert info["queries"] == 5
    assert (info["preference"] == -1).tolist() == [False] * 5 + [True] * 3


@pytest.mark.parametrize("count", [0, -1, 1.5, "many"])
def test_numbers_of_searches(count: Any, of_id: Arguments) -> None:
    with pytest.raises(ValueError, match=f"num_envs is {count!r}, expected a whole number of at least 1"):
        gym.make_vec("PBG-StackGANv2-v0", num_envs=count, **of_id("PBG-StackGANv2-v0"))


class Greedy(StackGANGenerator):
    """Has no memory for more than a number of media at once."""

    most = 8
    error: Exception = RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory")

    def generate(self, noise: torch.Tensor) -> torch.Tensor:
        if len(noise) > self.most:
            raise self.error
        return super().generate(noise)


@pytest.fixture
def greedy() -> Greedy:
    from tests.conftest import CPU, small_generator_network

    return Greedy(small_generator_network(), -1, CPU)


@pytest.mark.parametrize("error", [Greedy.error, torch.OutOfMemoryError("CUDA out of memory"), MemoryError()])
def test_out_of_memory_names_the_batch_and_keeps_the_search(greedy: Greedy, error: Exception) -> None:
    greedy.error = error
    env = PreferencePairsEnv(4, greedy, goal=None)
    env.reset(seed=0)
    env.step(env.action_space.sample())
    greedy.most = 7
    with pytest.raises(MemoryError, match="out of memory on cpu while making 8 media at once; use a smaller num_envs"):
        env.step(env.action_space.sample())
    assert env.queries == 4
    greedy.most = 8
    env.step(env.action_space.sample())
    assert env.queries == 8


def test_other_errors_of_a_generator_are_its_own(greedy: Greedy) -> None:
    greedy.error, greedy.most = RuntimeError("mat1 and mat2 shapes cannot be multiplied"), 0
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        PreferenceEnv(greedy).reset(seed=0)


def test_an_oracle_that_answers_nonsense(generator: StackGANGenerator) -> None:
    class Nonsense:
        def compare(self, first: torch.Tensor, second: torch.Tensor, rng: np.random.Generator) -> Any:
            return [7] * len(first)

    env = PreferenceEnv(generator, oracle=Nonsense())
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"the oracle Nonsense answered \[7\] to 1 pairs; expected"):
        env.step(env.action_space.sample())


def test_a_utility_without_a_gradient_has_no_score(generator: StackGANGenerator) -> None:
    def redness(media: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(media.detach().numpy()[:, 0].mean(axis=(1, 2)))

    env = PreferenceEnv(generator, similarity=redness, target=None)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"the utility has no gradient, .*or give goal=None"):
        env.step(env.action_space.sample())
    asked = PreferenceEnv(generator, similarity=redness, target=None, goal=None)
    asked.reset(seed=0)
    assert asked.step(asked.action_space.sample())[4]["queries"] == 1


def test_a_generator_that_cannot_be_told_from_others() -> None:
    class Equal(Greedy):
        __hash__ = None  # type: ignore[assignment]

    from tests.conftest import CPU, small_generator_network

    with pytest.raises(ValueError, match="the generator, a Equal, cannot be hashed; make a dataclass of it"):
        PreferenceEnv(Equal(small_generator_network(), -1, CPU))


def test_a_target_where_none_is_taken(generator: StackGANGenerator) -> None:
    env = PreferenceEnv(generator, oracle="random")
    with pytest.raises(ValueError, match="the oracle of this environment takes none"):
        env.reset(options={"target": np.zeros(6)})


def test_a_live_generator_has_its_own_scale_and_device(generator: StackGANGenerator) -> None:
    for told in ({"scale": 0}, {"device": "cpu"}):
        with pytest.raises(ValueError, match="but the generator, a StackGANGenerator, has its own; leave both out"):
            PreferenceEnv(generator, **told)  # type: ignore[arg-type]


@pytest.mark.parametrize("answers", [[0.5], [True], [1.0]])
def test_an_oracle_that_answers_no_whole_numbers(generator: StackGANGenerator, answers: list[Any]) -> None:
    class Other:
        def compare(self, first: torch.Tensor, second: torch.Tensor, rng: np.random.Generator) -> Any:
            return answers

    env = PreferenceEnv(generator, oracle=Other())
    env.reset(seed=0)
    with pytest.raises(ValueError, match="values of Preference, whole numbers from 0 to 3"):
        env.step(env.action_space.sample())


def test_a_utility_that_is_no_number(generator: StackGANGenerator) -> None:
    def nothing(media: torch.Tensor) -> torch.Tensor:
        return media.mean(dim=(1, 2, 3)) * float("nan")

    env = PreferenceEnv(generator, similarity=nothing, target=None, goal=None)
    with pytest.raises(ValueError, match="your function returned values that are NaN or infinite"):
        env.reset(seed=0)


def test_a_similarity_of_the_wrong_sign(generator: StackGANGenerator) -> None:
    def distance(media: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return (media - target).square().mean(dim=(1, 2, 3))

    env = PreferenceEnv(generator, similarity=distance)
    env.reset(seed=0)
    with pytest.raises(ValueError, match="higher has to be nearer, so a distance wants its sign changed"):
        env.step(env.action_space.sample())


def test_noise_to_evaluate(running: Any) -> None:
    running.reset(seed=0)
    shape = running.action_space.shape
    np.testing.assert_array_equal(running.evaluate(np.full(shape, 9.0)), running.evaluate(np.full(shape, 4.0)))
    for wrong, message in ((np.full(shape, np.nan), "the noise has values that are NaN"), ("left", "the noise, a str")):
        with pytest.raises(ValueError, match=message):
            running.evaluate(wrong)


def test_noise_of_no_rows_has_no_scores(generator: StackGANGenerator) -> None:
    env = PreferenceEnv(generator)
    env.reset(seed=0)
    assert env.evaluate(np.zeros((0, 6))).shape == (0,)
    assert env.generate(np.zeros((0, 6))).shape == (0, *generator.media.shape)


def test_tensors_are_actions_and_targets_whatever_hangs_on_them(running: Any) -> None:
    tensor = torch.full(running.action_space.shape, 0.5, requires_grad=True)
    running.reset(seed=0, options={"target": tensor})
    *_, info = running.step(tensor)
    assert np.all(info["queries"] == 1)
    np.testing.assert_allclose(running.evaluate(tensor), 1.0, atol=1e-6)


def test_a_space_of_noise_takes_no_mask(running: Any) -> None:
    with pytest.raises(ValueError, match="takes neither mask nor probability"):
        running.action_space.sample(mask=np.ones(6))
