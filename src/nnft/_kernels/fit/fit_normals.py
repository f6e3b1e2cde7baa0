"""Fit the polynomials of ``core/normals.h`` and bound their errors.

Prints the coefficient tables of the header. Each polynomial interpolates the function at
Chebyshev nodes in 60-digit arithmetic (within a factor of two of the best possible error), is
rounded to working precision, and its largest error over 4000 points is printed beside it.
Run ``python -m nnft._kernels.fit.fit_normals``; it needs mpmath.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import mpmath as mp

mp.mp.dps = 60


def interpolate(function: Callable[[mp.mpf], mp.mpf], low: float, high: float, terms: int) -> list[mp.mpf]:
    """Coefficients (lowest first) of the polynomial through `terms` Chebyshev nodes on [low, high]."""
    centre, half = (mp.mpf(low) + high) / 2, (mp.mpf(high) - low) / 2
    nodes = [centre + half * mp.cos(mp.pi * (2 * k + 1) / (2 * terms)) for k in range(terms)]
    matrix = mp.matrix([[x**j for j in range(terms)] for x in nodes])
    return list(mp.lu_solve(matrix, mp.matrix([function(x) for x in nodes])))


def largest_error(
    coefficients: Sequence[float],
    function: Callable[[mp.mpf], mp.mpf],
    low: float,
    high: float,
) -> float:
    """Largest absolute error of the rounded polynomial on [low, high]."""
    worst = mp.mpf(0)
    for k in range(4001):
        x = mp.mpf(low) + (mp.mpf(high) - low) * k / 4000
        value = mp.polyval([mp.mpf(c) for c in reversed(coefficients)], x)
        worst = max(worst, abs(value - function(x)))
    return float(worst)


def report(
    name: str, function: Callable[[mp.mpf], mp.mpf], low: float, high: float, terms: int
) -> None:
    """Print one coefficient table with its error bound."""
    rounded = [float(c) for c in interpolate(function, low, high, terms)]
    print(f"/* {name} on [{low}, {high}]: error {largest_error(rounded, function, low, high):.1e} */")
    print("{ " + ", ".join(c.hex() for c in rounded) + " }")


def log1p_tail(r: mp.mpf) -> mp.mpf:
    """Return (-2 log(1+r) + 2 r) / r^2."""
    if abs(r) < mp.mpf(10) ** -20:
        return mp.mpf(1)
    return (-2 * mp.log1p(r) + 2 * r) / r**2


def sine_factor(s: mp.mpf) -> mp.mpf:
    """Return sin(pi/4 y)/y as a function of s = y^2."""
    y = mp.sqrt(s)
    return mp.pi / 4 if s == 0 else mp.sin(mp.pi / 4 * y) / y


def cosine(s: mp.mpf) -> mp.mpf:
    """Return cos(pi/4 y) as a function of s = y^2."""
    return mp.cos(mp.pi / 4 * mp.sqrt(s))


def log_table() -> None:
    """Print the 16 reciprocals and the values -2 log(c) of the table-driven logarithm."""
    reciprocals, logarithms = [], []
    for i in range(16):
        start = mp.mpf("0.6875") + mp.mpf(min(i, 10)) / 32 + mp.mpf(max(i - 10, 0)) / 16
        width = mp.mpf(1) / 32 if i < 10 else mp.mpf(1) / 16
        reciprocal = 1.0 if i == 9 else float(1 / (start + width / 2))
        reciprocals.append(reciprocal)
        logarithms.append(float(2 * mp.log(mp.mpf(reciprocal))))
    print("/* 1/c for the sixteen subintervals of [0.6875, 1.375) */")
    print("{ " + ", ".join(x.hex() for x in reciprocals) + " }")
    print("/* -2 log c */")
    print("{ " + ", ".join(x.hex() for x in logarithms) + " }")


def main() -> None:
    """Print all tables."""
    log_table()
    report("(-2 log(1+r) + 2r)/r^2", log1p_tail, -1 / 31.9, 1 / 31.9, 8)
    report("sin(pi/4 y)/y in y^2", sine_factor, 0.0, 1.0, 7)
    report("cos(pi/4 y) in y^2", cosine, 0.0, 1.0, 7)
    report("float: (-2 log(1+r) + 2r)/r^2", log1p_tail, -0.3334, 0.3334, 9)
    report("float: sin(pi/4 y)/y in y^2", sine_factor, 0.0, 1.0, 4)
    report("float: cos(pi/4 y) in y^2", cosine, 0.0, 1.0, 5)


if __name__ == "__main__":
    main()
