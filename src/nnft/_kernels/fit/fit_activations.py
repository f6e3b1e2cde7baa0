"""Fit the polynomial tables of the vectorised activations and print ``core/activation_tables.h``.

Each function is cut into sixteen intervals.  On an interval with centre ``c`` it is represented as

    f(a) = f0 + t * (f1 + t * (f2 + ...)),   t = a - c,

where ``(f(c + t) - f0) / t`` is interpolated at Chebyshev nodes with 40 digits and the coefficients are then
rounded.  The centre is moved slightly until ``f(c)`` lies within a small fraction of an ulp of a
representable number (Gal and Bachelis, "An accurate elementary mathematical library for the IEEE floating
point standard", ACM Trans. Math. Softw. 17 (1991) 26), so that ``f0`` carries no rounding error.  On an
interval that starts at zero an odd function has ``c = f0 = 0`` and keeps its relative accuracy down to the
smallest numbers.  The bound behind each table is the largest relative difference between the exact function
and the polynomial with rounded coefficients, evaluated exactly.

Run ``python fit_activations.py > ../core/activation_tables.h``.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import mpmath as mp

Function = Callable[[mp.mpf], mp.mpf]

mp.mp.dps = 40


@dataclass(frozen=True)
class TableSpec:
    """One function cut into intervals: what to fit and how."""

    name: str
    function: Function
    edges: tuple[mp.mpf, ...]
    degree: int
    odd: bool
    single: bool = False
    first: int = 0


def round_to(value: mp.mpf, single: bool) -> float:
    """Nearest float64, or nearest float32 if `single`."""
    if not single:
        return float(value)
    return float(struct.unpack("f", struct.pack("f", float(value)))[0])


def interpolate(function: Function, low: mp.mpf, high: mp.mpf, count: int) -> list[mp.mpf]:
    """Monomial coefficients of the polynomial through `count` Chebyshev nodes of ``[low, high]``."""
    middle, half = (low + high) / 2, (high - low) / 2
    nodes = [middle + half * mp.cos((2 * k + 1) * mp.pi / (2 * count)) for k in range(count)]
    newton = [function(x) for x in nodes]
    for j in range(1, count):
        for i in range(count - 1, j - 1, -1):
            newton[i] = (newton[i] - newton[i - 1]) / (nodes[i] - nodes[i - j])
    coefficients = [mp.mpf(0)]
    for i in range(count - 1, -1, -1):
        shifted = [mp.mpf(0), *coefficients]
        for k, value in enumerate(coefficients):
            shifted[k] -= nodes[i] * value
        shifted[0] += newton[i]
        coefficients = shifted
    return coefficients[:count]


def accurate_centre(spec: TableSpec, low: mp.mpf, high: mp.mpf) -> mp.mpf:
    """A representable number near the middle whose function value is almost representable."""
    middle, step = (low + high) / 2, (high - low) / 20000
    best, smallest = mp.mpf(0), mp.inf
    for k in range(400):
        centre = mp.mpf(round_to(middle + step * k, spec.single))
        value = spec.function(centre)
        defect = abs(value - round_to(value, spec.single)) / value
        if defect < smallest:
            best, smallest = centre, defect
    return best


def fit_interval(spec: TableSpec, low: mp.mpf, high: mp.mpf) -> tuple[list[float], mp.mpf]:
    """Centre and coefficients of one interval, and the relative error bound seen on a fine grid."""
    if spec.odd and low == 0:
        centre = value = mp.mpf(0)
    else:
        centre = accurate_centre(spec, low, high)
        value = mp.mpf(round_to(spec.function(centre), spec.single))
    exact = spec.function(centre)

    def slope(t: mp.mpf) -> mp.mpf:
        if abs(t) < mp.mpf("1e-12"):
            return mp.diff(spec.function, centre)
        return (spec.function(centre + t) - exact) / t

    rest = [round_to(c, spec.single) for c in interpolate(slope, low - centre, high - centre, spec.degree)]
    row = [float(centre), float(value), *rest]
    worst = mp.mpf(0)
    for k in range(1, 200):
        t = low - centre + (high - low) * k / 200
        reference = spec.function(centre + t)
        worst = max(worst, abs((value + t * mp.polyval(rest[::-1], t)) / reference - 1))
    return row, worst


def uniform_edges(limit: float) -> tuple[mp.mpf, ...]:
    """Edges between neighbouring integers of ``15 a / limit``: index = round(15 a / limit)."""
    width = mp.mpf(limit) / 15
    return (mp.mpf(0), *((k + mp.mpf("0.5")) * width for k in range(15)), mp.mpf(limit))


def octave_edges(offset: float, bits: int, limit: float) -> tuple[mp.mpf, ...]:
    """Edges where exponent and leading `bits` mantissa bits of ``a + offset`` change."""
    edges, sum_ = [mp.mpf(0)], mp.mpf(offset)
    while edges[-1] < limit:
        width = mp.mpf(2) ** (mp.floor(mp.log(sum_, 2) + mp.mpf("1e-30")) - bits)
        sum_ = (mp.floor(sum_ / width + mp.mpf("1e-30")) + 1) * width
        edges.append(min(sum_ - offset, mp.mpf(limit)))
    return tuple(edges)


def octave_first(offset: float, bits: int) -> int:
    """The table position (modulo 16) of the interval that holds ``a = 0``."""
    (word,) = struct.unpack("Q", struct.pack("d", offset))
    return int((word >> (52 - bits)) & 15)


def format_row(values: Sequence[float], single: bool) -> list[str]:
    """C lines of one table row of sixteen numbers."""
    suffix = "f" if single else ""
    cells = [f"{value.hex()}{suffix}" for value in values]
    return ["      " + ", ".join(cells[i : i + 4]) + "," for i in range(0, len(cells), 4)]


def declare(name: str, shape: str, single: bool) -> str:
    """Start of the definition of a constant in one of the two precisions."""
    return f"NNFT_TABLE {'float' if single else 'double'} nnft_{name}_{'f' if single else 'd'}{shape} = "


def print_table(name: str, columns: Sequence[Sequence[float]], note: str, single: bool) -> None:
    """Print the columns (one for each interval) as rows: centre, f0, f1, ..."""
    rows = len(columns[0])
    print(f"\n/* {note} */")
    print(declare(name, f"[{rows}][16]", single) + "{")
    for row in range(rows):
        lines = format_row([column[row] for column in columns], single)
        lines[0] = "    { " + lines[0].lstrip()
        lines[-1] = lines[-1].rstrip(",") + " },"
        print("\n".join(lines))
    print("};")


def print_fit(spec: TableSpec) -> None:
    """Fit all intervals of `spec` and print its table, rotated to the position of the first interval."""
    fits = [fit_interval(spec, low, high) for low, high in zip(spec.edges[:-1], spec.edges[1:], strict=True)]
    worst = max(bound for _, bound in fits)
    padding = [fits[-1][0]] * (16 - len(fits))
    ordered = [row for row, _ in fits] + padding
    columns = [ordered[(k - spec.first) % 16] for k in range(16)]
    bound = f"2^{float(mp.log(worst, 2)):.1f}"
    note = f"{spec.name}: degree {spec.degree}, relative error of the polynomials {bound}"
    print_table(f"{spec.name}_table", columns, note, spec.single)


def print_polynomial(
    name: str, function: Function, interval: tuple[mp.mpf, mp.mpf], terms: int, single: bool
) -> None:
    """Print a polynomial that represents `function` on the interval, highest power first."""
    low, high = interval
    coefficients = interpolate(function, low, high, terms)[::-1]
    rounded = [round_to(c, single) for c in coefficients]
    points = [low + (high - low) * (k + mp.mpf("0.317")) / 200 for k in range(200)]
    bound = max(abs(mp.polyval(rounded, x) / function(x) - 1) for x in points)
    print(f"\n/* {name}: relative error 2^{float(mp.log(bound, 2)):.1f}; highest power first */")
    print(declare(f"{name}_polynomial", f"[{terms}]", single) + "{")
    print("\n".join(line[2:] for line in format_row(rounded, single)))
    print("};")


def print_exponential(single: bool) -> None:
    """Print the constants of ``exp(x) = 2^n 2^(j/16) exp(r)``."""
    values = [mp.mpf(2) ** (mp.mpf(k) / 16) for k in range(16)]
    rounded = [round_to(v, single) for v in values]
    columns = [[w, round_to((v - w) / v, single)] for v, w in zip(values, rounded, strict=True)]
    print_table("exp2_table", columns, "2^(k/16) rounded, and the relative rest", single)
    step = mp.log(2) / 16
    mantissa, exponent = mp.frexp(step)
    bits = 12 if single else 36
    high = mp.floor(mantissa * 2**bits) * mp.mpf(2) ** (exponent - bits)
    print(f"\n/* 16/ln2, and ln2/16 in two parts, the first of {bits} bits */")
    suffix = "f" if single else ""
    for name, value in (("exp_steps", 1 / step), ("exp_high", high), ("exp_low", step - high)):
        print(declare(name, "", single) + f"{round_to(value, single).hex()}{suffix};")

    def quadratic_part(r: mp.mpf) -> mp.mpf:
        return (mp.expm1(r) - r) / (r * r) if abs(r) > mp.mpf("1e-10") else mp.mpf("0.5") + r / 6

    print_polynomial("expm1", quadratic_part, (-step / 2, step / 2), 2 if single else 5, single)


def print_piecewise(single: bool) -> None:
    """Print the tables of the functions that are polynomials on sixteen intervals."""
    first = octave_first(1.5, 2), octave_first(3.0, 2)
    tanh_edges = octave_edges(1.5, 2, 20.0)
    mills_edges = octave_edges(3.0, 2, 15.0 if single else 40.0)
    erf_edges = uniform_edges(4.0 if single else 5.9375)
    degrees = (7, 6, 7, 5) if single else (14, 13, 14, 9)
    print_fit(TableSpec("tanh", mp.tanh, tanh_edges, degrees[0], True, single, first[0]))
    print_fit(TableSpec("erf", mp.erf, erf_edges, degrees[1], True, single))
    print_fit(TableSpec("mills", mills, mills_edges, degrees[2], False, single, first[1]))
    print_fit(TableSpec("log1p", mp.log1p, uniform_edges(1.0), degrees[3], True, single))


def print_trigonometric(single: bool) -> None:
    """Print the kernels of sin and cos in ``x^2`` on ``|x| <= pi/4``; both precisions evaluate in float64."""
    limit = (mp.pi / 4 * mp.mpf("1.0001")) ** 2
    terms, suffix = (4, "_short") if single else (6, "")
    print_polynomial(f"sin{suffix}", sine_rest, (mp.mpf(0), limit), terms, False)
    print_polynomial(f"cos{suffix}", cosine_rest, (mp.mpf(0), limit), terms, False)


def sine_rest(w: mp.mpf) -> mp.mpf:
    """``(sin x - x) / x^3`` for ``x^2 = w``."""
    x = mp.sqrt(w)
    return (mp.sin(x) - x) / x**3


def cosine_rest(w: mp.mpf) -> mp.mpf:
    """``(cos x - 1 + x^2/2) / x^4`` for ``x^2 = w``."""
    x = mp.sqrt(w)
    return (mp.cos(x) - 1 + w / 2) / w**2


def mills(a: mp.mpf) -> mp.mpf:
    """Upper tail of the normal distribution times exp(a^2/2)."""
    return mp.erfc(a / mp.sqrt(2)) * mp.exp(a * a / 2) / 2


def main() -> None:
    """Print the header."""
    print("/* Output of fit/fit_activations.py: sixteen intervals in a row, see there. */")
    print("#ifndef NNFT_ACTIVATION_TABLES_H\n#define NNFT_ACTIVATION_TABLES_H\n")
    print("#define NNFT_TABLE static const __attribute__((aligned(64)))")
    for single in (False, True):
        print_exponential(single)
        print_trigonometric(single)
        print_piecewise(single)
    print("\n#endif")


if __name__ == "__main__":
    main()
