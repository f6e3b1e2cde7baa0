"""One step of an algorithm on one network: descent, Langevin, Hamiltonian, and the adaptive gradient flow.

The energy is E = (factor / 2) * sum (f - y)^2 + 1/2 sum decay * theta^2. Momenta are kept as u = p
sqrt(mobility), which has the variance T in equilibrium: dq = sqrt(mobility) u dt, du = -sqrt(mobility) dE/dq
dt. Every random number is addressed by (key, member, purpose, step): a member can be run again alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nnft._kernels.library import compiled, dot_d, noisy_step_d
from nnft._kernels.training_problem import (
    ACCEPT,
    GROUP,
    LAYER,
    LIVE,
    MOBILITY,
    MOMENTUM,
    NOISE,
    NUMBERS,
    ROOT,
    decay_energy,
    drift,
    fill_noise,
    gradient,
    kick,
    uniform_words,
)

STEP, FACTOR, TEMPERATURE, FRICTION, JITTER, TARGET, DIVERGENCE, TOLERANCE, MEAN = range(9)
"""Places in ``numbers``: step size; factor of the gradient (2c); temperature; friction; relative jitter of
the step; target acceptance; growth of the loss that counts as divergence; tolerance of the flow; 1
where the loss of a batch is the mean over its points."""

(
    LOSS, FIRST_LOSS, SIZE, ADAPT_MEAN, ADAPT_LOG, ACCEPTED, PROPOSED, EXPONENTIAL, EXPONENTIAL_SQUARED,
    FLOW_TIME,
) = range(10)  # fmt: skip
"""Places in a member's ``control``: last and first sum of squares; step size; state of the adaptation; after
burn-in, sums of acceptance, proposals, exp(-dH/T) and its square; time of the flow."""
CONTROLS = 10

GAMMA, OFFSET, POWER = 0.05, 10.0, 0.75


@compiled()
def move(problem: Any, scales: Any, address: Any, step: int, theta: Any, grad: Any, where: Any) -> None:
    """One step in place; `where` is scratch, int64[7].

    scales: step size, factor of the gradient, share of the decay, amplitude of the noise.
    """
    header, columns = problem[0], problem[3]
    start = 0
    for level in range(header[0]):
        k = LAYER + NUMBERS * level
        count, stride, offset = header[k] * header[k + 3], header[k + 3], header[k + 4]
        if header[k + 5]:
            groups = (count + GROUP - 1) // GROUP
            where[0], where[1] = address[0], address[1]
            where[2] = NOISE << 12 | (level + 1 + header[LAYER + NUMBERS * header[0]])
            where[3], where[4], where[5], where[6] = step * groups, count, stride, columns.shape[1]
            noisy_step_d(
                where.ctypes.data,
                scales.ctypes.data,
                columns[MOBILITY, start:].ctypes.data,
                grad[offset:].ctypes.data,
                theta[offset:].ctypes.data,
            )
        start += stride


@compiled()
def scales_of(numbers: Any, noisy: bool, out: Any) -> None:
    """Fill the scales of `move` for a step on all points, with the noise of the temperature or without."""
    out[0], out[1], out[2] = numbers[STEP], numbers[FACTOR], 1.0
    out[3] = np.sqrt(2.0 * numbers[STEP] * numbers[TEMPERATURE]) if noisy else 0.0


@compiled()
def diverged(numbers: Any, control: Any, loss: float) -> Any:
    """Note the loss; tell whether it is not finite or has grown beyond what counts as divergence."""
    if control[FIRST_LOSS] < 0.0:
        control[FIRST_LOSS] = loss
    control[LOSS] = loss
    return not np.isfinite(loss) or loss > numbers[DIVERGENCE] * max(1.0, control[FIRST_LOSS])


@compiled()
def refresh(problem: Any, numbers: Any, address: Any, step: int, velocity: Any, noise: Any) -> None:
    """Draw momenta anew, variance T, zero where nothing moves."""
    key, member = address
    fill_noise(problem, key, member, MOMENTUM, step, noise)
    velocity[:] = 0.0
    drift(problem, np.sqrt(numbers[TEMPERATURE]), LIVE, noise, velocity)


@compiled()
def underdamped(
    problem: Any, numbers: Any, address: Any, step: int, theta: Any, velocity: Any, buffers: Any
) -> Any:
    """One BAOAB step (Leimkuhler, Matthews 2013); returns the sum of squares at the new place.

    buffers: gradient at `theta` (kept up to date), noise, work.
    """
    key, member = address
    grad, noise, work = buffers
    h, factor = numbers[STEP], numbers[FACTOR]
    kick(problem, factor, 1.0, 0.5 * h, ROOT, theta, grad, velocity)
    drift(problem, 0.5 * h, ROOT, velocity, theta)
    memory = np.exp(-numbers[FRICTION] * h)
    spread = np.sqrt(numbers[TEMPERATURE] * (1.0 - memory * memory))
    fill_noise(problem, key, member, NOISE, step, noise)
    for k in range(velocity.shape[0]):
        velocity[k] *= memory
    drift(problem, spread, LIVE, noise, velocity)
    drift(problem, 0.5 * h, ROOT, velocity, theta)
    loss = gradient(problem, theta, work, grad)
    kick(problem, factor, 1.0, 0.5 * h, ROOT, theta, grad, velocity)
    return loss


@compiled()
def energy(problem: Any, numbers: Any, theta: Any, loss: float) -> Any:
    """Return E from the sum of squares and the weights."""
    return 0.5 * numbers[FACTOR] * loss + decay_energy(problem, theta)


@compiled()
def trajectory(
    problem: Any, numbers: Any, address: Any, step: int, leaps: int, control: Any, theta: Any, buffers: Any
) -> Any:
    """One Hamiltonian proposal of `leaps` leapfrog steps with its acceptance; returns dH / T.

    `theta`, the gradient in buffers and the loss in control stay those of the accepted place. A proposal
    whose energy is not finite is rejected.
    """
    grad, noise, scratch, work = buffers
    velocity, place, slope = scratch
    uniforms = np.empty(32, dtype=np.uint32)
    uniform_words(address[0], address[1], ACCEPT, step, uniforms)
    h = control[SIZE] * (1.0 + numbers[JITTER] * (2.0 * (uniforms[2] + 0.5) / 4294967296.0 - 1.0))
    factor, size = numbers[FACTOR], theta.shape[0]
    refresh(problem, numbers, address, step, velocity, noise)
    before = energy(problem, numbers, theta, control[LOSS])
    before += 0.5 * dot_d(size, velocity.ctypes.data, velocity.ctypes.data)
    place[:], slope[:] = theta, grad
    loss = control[LOSS]
    kick(problem, factor, 1.0, 0.5 * h, ROOT, place, slope, velocity)
    for leap in range(leaps):
        drift(problem, h, ROOT, velocity, place)
        loss = gradient(problem, place, work, slope)
        last = leap + 1 == leaps
        kick(problem, factor, 1.0, 0.5 * h if last else h, ROOT, place, slope, velocity)
    after = energy(problem, numbers, place, loss)
    after += 0.5 * dot_d(size, velocity.ctypes.data, velocity.ctypes.data)
    change = (after - before) / numbers[TEMPERATURE]
    if not np.isfinite(change):
        return np.inf
    uniform = (uniforms[0] * 4294967296.0 + uniforms[1] + 0.5) / 18446744073709551616.0
    if np.log(uniform) < -change:
        theta[:], grad[:] = place, slope
        control[LOSS] = loss
    return change


@compiled()
def adapt(numbers: Any, control: Any, first: float, step: int, acceptance: float) -> None:
    """Dual averaging of the step size during burn-in (Hoffman, Gelman 2014, section 3.2); step counts from 1.

    It is drawn towards the first step, which comes from the curvature.
    """
    weight = 1.0 / (step + OFFSET)
    control[ADAPT_MEAN] += weight * (numbers[TARGET] - acceptance - control[ADAPT_MEAN])
    trial = np.log(first) - np.sqrt(step) / GAMMA * control[ADAPT_MEAN]
    share = step**-POWER
    control[ADAPT_LOG] = share * trial + (1.0 - share) * control[ADAPT_LOG]
    control[SIZE] = np.exp(trial)


@compiled()
def count_proposal(control: Any, change: float) -> None:
    """Add an acceptance and the weight exp(-dH/T) to the sums after burn-in."""
    weight = np.exp(-change)
    control[ACCEPTED] += min(1.0, weight)
    control[PROPOSED] += 1.0
    control[EXPONENTIAL] += weight
    control[EXPONENTIAL_SQUARED] += weight * weight
