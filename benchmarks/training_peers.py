"""Peers that train networks: PyTorch as a plain script and batched, JAX compiled; either may be missing.

Langevin peers do the same step as ours, in the same parametrization, without biases: every point, every
layer, theta -= rate * (gradient + decay * theta) - sqrt(2 T rate) * noise. For JAX the weights of a network
are one vector, its noise is one call and values are point-major: the cheapest way that we found. Other
generators of JAX and the compiler of PyTorch were tried and were not faster than the best of these.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Work = Callable[[], object]

try:
    import jax

    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_enable_x64", True)
except ImportError:
    jax = None  # type: ignore[assignment]

try:
    import torch
except ImportError:
    torch = None  # type: ignore[assignment]


def absent() -> str:
    """Return a remark on libraries that are missing."""
    missing = [name for name, module in (("JAX", jax), ("PyTorch", torch)) if module is None]
    return f"{' and '.join(missing)} did not take part" if missing else ""


@dataclass(frozen=True)
class Readout:
    """Training of the last layer, one point a step in cyclic order.

    Attributes
    ----------
    weights : list of ndarray, shape (n, fan-in)
        All layers; relu between them.
    inputs, targets : ndarray, shape (P, d), (P, 1)
    rate : float
    """

    weights: list[Array]
    inputs: Array
    targets: Array
    rate: float

    def features(self) -> Array:
        """Return the values of the last hidden layer, shape (P, n)."""
        values = self.inputs
        for matrix in self.weights[:-1]:
            values = np.maximum(values @ matrix.T, 0.0)
        return values


def torch_model(problem: Readout) -> tuple[Any, Any]:
    """Return the network as a PyTorch module and its readout, which alone has a gradient."""
    layers: list[Any] = []
    for matrix in problem.weights:
        linear = torch.nn.Linear(matrix.shape[1], matrix.shape[0], bias=False, dtype=torch.float64)
        linear.weight.data = torch.tensor(matrix)
        linear.weight.requires_grad_(False)
        layers += [linear, torch.nn.ReLU()]
    model, readout = torch.nn.Sequential(*layers[:-1]), layers[-2]
    readout.weight.requires_grad_(True)
    return model, readout


def torch_script(problem: Readout, steps: int) -> Callable[[], Array] | None:
    """Return a plain training loop: whole network forward, backward to the readout, optimizer."""
    if torch is None:
        return None
    model, readout = torch_model(problem)
    return _torch_loop(model, readout, torch.tensor(problem.inputs), problem, steps)


def torch_features(problem: Readout, steps: int) -> Callable[[], Array] | None:
    """Return the same loop on features that were computed once: only the readout is evaluated."""
    if torch is None:
        return None
    matrix = problem.weights[-1]
    readout = torch.nn.Linear(matrix.shape[1], 1, bias=False, dtype=torch.float64)
    readout.weight.data = torch.tensor(matrix)
    return _torch_loop(readout, readout, torch.tensor(problem.features()), problem, steps)


def _torch_loop(model: Any, readout: Any, inputs: Any, problem: Readout, steps: int) -> Callable[[], Array]:
    targets, start = torch.tensor(problem.targets), torch.tensor(problem.weights[-1])
    optimizer = torch.optim.SGD(readout.parameters(), lr=problem.rate)
    points = len(targets)

    def work() -> Array:
        with torch.no_grad():
            readout.weight.copy_(start)
        for step in range(steps):
            at = step % points
            optimizer.zero_grad()
            loss = 0.5 * (model(inputs[at : at + 1]) - targets[at : at + 1]).square().sum()
            loss.backward()
            optimizer.step()
        return np.asarray(readout.weight.detach().numpy().copy())

    return work


def jax_features(problem: Readout, steps: int) -> Callable[[], Array] | None:
    """Return one compiled loop over steps (``lax.scan``) on features that were computed once."""
    if jax is None:
        return None
    numbers = jax.numpy
    features, targets = numbers.asarray(problem.features()), numbers.asarray(problem.targets[:, 0])
    start, order = numbers.asarray(problem.weights[-1][0]), numbers.arange(steps) % len(problem.targets)

    def step(readout: Any, at: Any) -> Any:
        feature = features[at]
        return readout - problem.rate * (feature @ readout - targets[at]) * feature, None

    run = jax.jit(lambda readout: jax.lax.scan(step, readout, order)[0])
    return lambda: np.asarray(run(start))[None]


@dataclass(frozen=True)
class Langevin:
    """Langevin dynamics of a tanh network with two hidden layers and one output, no biases.

    Attributes
    ----------
    inputs, targets : ndarray, shape (P, d), (P,)
    width : int
    step, temperature : float
        0 temperature of the noise is allowed: descent with weight decay.
    decay_temperature : float
        Temperature of the weight decay temperature * fan-in; weights have the prior variance 1 / fan-in.
    """

    inputs: Array
    targets: Array
    width: int
    step: float
    temperature: float
    decay_temperature: float

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Shapes of the weights of the three layers."""
        return [(self.width, self.inputs.shape[1]), (self.width, self.width), (1, self.width)]

    @property
    def edges(self) -> list[int]:
        """Places of the layers in the vector of all weights."""
        return [0, *itertools.accumulate(rows * fan_in for rows, fan_in in self.shapes)]

    def vectors(self, precision: str) -> tuple[Array, Array, Array]:
        """Return step * mobility (1 / fan-in), decay and spread of the noise of every weight."""
        fans = np.concatenate([np.full(rows * fan_in, float(fan_in)) for rows, fan_in in self.shapes])
        rates = self.step / fans
        spreads = np.sqrt(2.0 * rates * self.temperature)
        decays = self.decay_temperature * fans
        return rates.astype(precision), decays.astype(precision), spreads.astype(precision)

    def start(self, count: int, precision: str) -> Array:
        """Draw networks from the prior, shape (count, weights)."""
        random = np.random.default_rng(1)
        layers = [random.standard_normal((count, r * f)) * f**-0.5 for r, f in self.shapes]
        return np.concatenate(layers, axis=1).astype(precision)


class JaxLangevin:
    """Compiled peers on all devices of this process (one for each core, each on one thread).

    Parameters
    ----------
    problem : Langevin
    precision : str
    """

    def __init__(self, problem: Langevin, precision: str) -> None:
        self.problem, self.precision = problem, precision
        numbers = jax.numpy
        inputs, targets = (numbers.asarray(a, precision) for a in (problem.inputs, problem.targets))
        shapes, edges = problem.shapes, problem.edges
        rates, decays, spreads = (numbers.asarray(a) for a in problem.vectors(precision))

        def misfit(theta: Any) -> Any:
            state = inputs
            for layer, shape in enumerate(shapes):
                matrix = theta[edges[layer] : edges[layer + 1]].reshape(shape)
                state = numbers.tanh(state @ matrix.T) if layer < 2 else state @ matrix[0]
            return 0.5 * numbers.sum((state - targets) ** 2)

        self.energy = lambda theta: misfit(theta) + 0.5 * numbers.sum(decays * theta**2)
        slope = jax.grad(misfit)
        self.gradient = slope
        self.step = lambda theta, noise: theta - rates * (slope(theta) + decays * theta) + spreads * noise
        self.mesh = jax.sharding.Mesh(np.array(jax.devices("cpu")), ("cores",))

    def _spread(self, program: Callable[[Any, Any], Any]) -> Any:
        """Compile a program of (networks, keys), a share of the networks and one key on every device."""
        place = jax.sharding.PartitionSpec("cores")
        own = lambda theta, keys: program(theta, keys[0])  # noqa: E731
        return jax.jit(
            jax.shard_map(own, mesh=self.mesh, in_specs=(place, place), out_specs=place, check_vma=False)
        )

    def _work(self, program: Any, count: int) -> Work:
        sharding = jax.sharding.NamedSharding(self.mesh, jax.sharding.PartitionSpec("cores"))
        keys = jax.device_put(jax.random.split(jax.random.key(3), self.mesh.size), sharding)
        state = jax.device_put(self.problem.start(count, self.precision), sharding)

        def work() -> object:
            nonlocal state, keys
            state = jax.block_until_ready(program(state, keys))
            return state

        return work

    def vmapped(self, count: int, steps: int) -> Work:
        """Return ``lax.scan`` over steps of all networks of a device at once; their noise is one call."""

        def program(theta: Any, key: Any) -> Any:
            def advance(state: Any, own: Any) -> Any:
                return jax.vmap(self.step)(state, jax.random.normal(own, state.shape, state.dtype)), None

            return jax.lax.scan(advance, theta, jax.random.split(key, steps))[0]

        return self._work(self._spread(program), count)

    def mapped(self, count: int, steps: int) -> Work:
        """Return ``lax.map`` over networks, each through all steps: its weights stay in cache."""

        def one(given: Any) -> Any:
            theta, key = given

            def advance(state: Any, own: Any) -> Any:
                return self.step(state, jax.random.normal(own, state.shape, state.dtype)), None

            return jax.lax.scan(advance, theta, jax.random.split(key, steps))[0]

        def program(theta: Any, key: Any) -> Any:
            return jax.lax.map(one, (theta, jax.random.split(key, theta.shape[0])))

        return self._work(self._spread(program), count)

    def numpy_noise(self, count: int, steps: int) -> Work:
        """Return vmapped steps, a call each, with noise drawn by NumPy on as many threads as devices."""
        theta = jax.numpy.asarray(self.problem.start(count, self.precision))
        noise = np.empty(theta.shape, self.precision)
        parts = np.array_split(noise, self.mesh.size)
        sources = [np.random.Generator(np.random.SFC64(k)) for k in range(len(parts))]
        pool = ThreadPoolExecutor(len(parts)) if len(parts) > 1 else None
        apply, kind = jax.jit(jax.vmap(self.step)), noise.dtype.type

        def draw(part: int) -> None:
            sources[part].standard_normal(out=parts[part], dtype=kind)

        def work() -> object:
            nonlocal theta
            for _ in range(steps):
                for _ in (pool.map if pool else map)(draw, range(len(parts))):
                    pass
                theta = jax.block_until_ready(apply(theta, noise))
            return theta

        return work


class TorchLangevin:
    """PyTorch's peers, eager, on as many threads as PyTorch has.

    Parameters
    ----------
    problem : Langevin
    precision : str
    """

    def __init__(self, problem: Langevin, precision: str) -> None:
        self.problem, self.precision = problem, precision
        self.inputs, self.targets = (
            torch.tensor(np.asarray(a, precision)) for a in (problem.inputs, problem.targets)
        )

    def _start(self, count: int) -> tuple[list[Any], list[Any]]:
        theta, edges = self.problem.start(count, self.precision), self.problem.edges
        state = [
            torch.tensor(theta[:, a:b].reshape(count, *shape))
            for (a, b), shape in zip(itertools.pairwise(edges), self.problem.shapes, strict=True)
        ]
        return state, [torch.empty_like(a) for a in state]

    def _move(self, state: list[Any], slopes: Any, noise: list[Any]) -> None:
        p = self.problem
        with torch.no_grad():
            for (_, fan_in), a, slope, xi in zip(p.shapes, state, slopes, noise, strict=True):
                rate = p.step / fan_in
                a.mul_(1.0 - rate * p.decay_temperature * fan_in).add_(slope, alpha=-rate)
                a.add_(xi.normal_(), alpha=(2.0 * rate * p.temperature) ** 0.5)

    def vmapped(self, count: int, steps: int) -> Work:
        """Return steps with ``torch.func.vmap`` of ``grad``."""

        def misfit(first: Any, second: Any, readout: Any) -> Any:
            hidden = torch.tanh(torch.tanh(self.inputs @ first.T) @ second.T)
            return 0.5 * (hidden @ readout[0] - self.targets).square().sum()

        slopes = torch.func.vmap(torch.func.grad(misfit, argnums=(0, 1, 2)))
        state, noise = self._start(count)

        def work() -> None:
            for _ in range(steps):
                self._move(state, slopes(*state), noise)

        return work

    def batched(self, count: int, steps: int) -> Work:
        """Return steps with stacks of matrices (``torch.bmm``) and autograd through the sum over networks."""
        state, noise = self._start(count)
        for a in state:
            a.requires_grad_(True)
        columns = self.inputs.T.contiguous()

        def work() -> None:
            for _ in range(steps):
                hidden = torch.tanh(torch.bmm(state[1], torch.tanh(state[0] @ columns)))
                total = 0.5 * (torch.bmm(state[2], hidden)[:, 0] - self.targets).square().sum()
                self._move(state, torch.autograd.grad(total, state), noise)

        return work


Maker = Callable[[int, int], Work]


def langevin_peers(problem: Langevin, precision: str, compiled: bool = True) -> Iterator[tuple[str, Maker]]:
    """Yield every peer there is here: its name, and what makes it of (networks, steps of a call).

    Parameters
    ----------
    problem : Langevin
    precision : str
    compiled : bool
        Whether JAX takes part, which compiles for seconds.
    """
    if jax is not None and compiled:
        peer = JaxLangevin(problem, precision)
        yield "JAX vmap", peer.vmapped
        yield "JAX lax.map", peer.mapped
        yield "JAX vmap, noise of NumPy", peer.numpy_noise
    if torch is not None:
        eager = TorchLangevin(problem, precision)
        yield "PyTorch vmap(grad)", eager.vmapped
        yield "PyTorch bmm", eager.batched
