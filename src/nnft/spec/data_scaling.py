"""Centring and scaling of training data; means and deviations are those of the training points."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from nnft.errors import CardError
from nnft.spec.data import DataSpec
from nnft.spec.generators import unit_norm
from nnft.spec.problems import line

FloatArray = NDArray[np.float64]


def scaled_inputs(
    spec: DataSpec, train: FloatArray, test: FloatArray, source: str
) -> tuple[FloatArray, FloatArray]:
    """Centre and scale inputs.

    Parameters
    ----------
    spec : DataSpec
        Says how.
    train, test : ndarray, shapes (P, d) and (P', d)
    source : str
        Where they come from, for messages.

    Raises
    ------
    CardError
        A point has norm 0, or a component is the same in all training points, where one divides by it.
    """
    constant = np.ptp(train, axis=0) == 0.0
    if spec.center or spec.scale == "standardize":
        mean = column_means(train)
        train, test = train - mean, test - mean
    if spec.scale == "unit-norm":
        for name, points in (("training", train), ("test", test)):
            zero = ~points.any(axis=1)
            if zero.any():
                got = f"{name} point {int(zero.argmax())} of {source} with norm 0"
                raise CardError(line("impossible scale", "training.data.scale", got, "use none"))
        return unit_norm(train), unit_norm(test)
    if spec.scale == "standardize":
        if constant.any():
            got = f"component {int(constant.argmax()) + 1} of {source} equal in all training points"
            raise CardError(line("impossible scale", "training.data.scale", got, "use none or unit-norm"))
        deviation = column_deviations(train)
        return train / deviation, test / deviation
    return train, test


def scaled_targets(
    spec: DataSpec, train: FloatArray, test: FloatArray, source: str
) -> tuple[FloatArray, FloatArray]:
    """Centre and scale targets; see `scaled_inputs`.

    Raises
    ------
    CardError
        A target is the same in all training points and was to be divided by its deviation.
    """
    deviation = np.ones(train.shape[1])
    if spec.target_scale == "unit-variance":
        constant = np.ptp(train, axis=0) == 0.0
        if constant.any():
            got = f"target {int(constant.argmax()) + 1} of {source} equal in all training points"
            raise CardError(line("impossible scale", "training.data.target_scale", got, "use none"))
        deviation = column_deviations(train - column_means(train))
    if spec.target_center:
        mean = column_means(train)
        train, test = train - mean, test - mean
    return train / deviation, test / deviation


def column_means(points: FloatArray) -> FloatArray:
    """Return the mean of every column, exactly summed."""
    count = len(points)
    return np.array([math.fsum(column / count) for column in points.T])


def column_deviations(centred: FloatArray) -> FloatArray:
    """Return the root of the mean square of every column; it neither overflows nor underflows on the way."""
    result = np.zeros(centred.shape[1])
    for position, column in enumerate(centred.T):
        _, exponent = math.frexp(float(np.abs(column).max()))
        scaled = np.ldexp(column, -exponent)
        result[position] = math.ldexp(math.sqrt(math.fsum(scaled * scaled) / len(column)), exponent)
    return result
