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
    mask: int = 0


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


def print_table(name: str, columns: Sequence[Sequence[float]], note: str, single: bool) -> None:
    """Print the columns (one for each interval) as rows: centre, f0, f1, ..."""
    kind = "float" if single else "double"
    rows = len(columns[0])
    print(f"\n/* {note} */")
    print(f"NNFT_TABLE {kind} {name}[{rows}][16] = {{")
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
    columns = [ordered[(k - spec.mask) % 16] for k in range(16)]
    note = f"{spec.name}: degree {spec.degree}, relative error of the polynomials 2^{float(mp.log(worst, 2)):.1f}"
    print_table(f"nnft_{spec.name}_table", columns, note, spec.single)


def print_exp2() -> None:
    """Print 2^(k/16) as an unevaluated sum of two doubles, and as floats."""
    values = [mp.mpf(2) ** (mp.mpf(k) / 16) for k in range(16)]
    columns = [[float(v), float((v - mp.mpf(float(v))) / v)] for v in values]
    print_table("nnft_exp2_table", columns, "2^(k/16) rounded, and the relative rest", False)


def print_expm1() -> None:
    """Print q of ``expm1(r) = r + r^2 q(r)`` on ``|r| <= ln2/32``, highest power first."""
    limit = mp.log(2) / 32

    def quadratic_part(r: mp.mpf) -> mp.mpf:
        return (mp.expm1(r) - r) / (r * r) if abs(r) > mp.mpf("1e-10") else mp.mpf("0.5") + r / 6

    coefficients = interpolate(quadratic_part, -limit, limit, 5)
    bound = abs(mp.polyval(coefficients[::-1], limit) * limit**2 + limit - mp.expm1(limit))
    print(f"\n/* expm1(r) = r + r^2 q(r), |r| <= ln2/32: error 2^{float(mp.log(bound, 2)):.1f}; highest power first */")
    print("NNFT_TABLE double nnft_expm1_table[5] = {")
    print("    " + ", ".join(float(c).hex() for c in coefficients[::-1]) + "\n};")


def print_polynomial(name: str, function: Function, limit: mp.mpf, terms: int) -> None:
    """Print a polynomial in ``x^2`` that represents an even `function` on ``|x| <= limit``, highest power first."""
    coefficients = interpolate(lambda w: function(mp.sqrt(w)), mp.mpf(0), limit**2, terms)[::-1]
    rounded = [float(c) for c in coefficients]
    points = [limit * k / 200 for k in range(1, 201)]
    bound = max(abs(mp.polyval(rounded, x * x) / function(x) - 1) for x in points)
    print(f"\n/* {name}: relative error of the polynomial 2^{float(mp.log(bound, 2)):.1f}; highest power first */")
    print(f"#define NNFT_{name.upper()}_TERMS {terms}")
    print(f"NNFT_TABLE double nnft_{name}_coefficients[{terms}] = {{")
    for i in range(0, terms, 4):
        print("    " + ", ".join(c.hex() for c in rounded[i : i + 4]) + ",")
    print("};")


def sine_rest(x: mp.mpf) -> mp.mpf:
    """``(sin x - x) / x^3``."""
    return (mp.sin(x) - x) / x**3


def cosine_rest(x: mp.mpf) -> mp.mpf:
    """``(cos x - 1 + x^2/2) / x^4``."""
    return (mp.cos(x) - 1 + x * x / 2) / x**4


def mills(a: mp.mpf) -> mp.mpf:
    """Upper tail of the normal distribution times exp(a^2/2)."""
    return mp.erfc(a / mp.sqrt(2)) * mp.exp(a * a / 2) / 2


def main() -> None:
    """Print the header."""
    print("/* Output of fit/fit_activations.py: sixteen intervals in a row, see there. */")
    print("#ifndef NNFT_ACTIVATION_TABLES_H\n#define NNFT_ACTIVATION_TABLES_H\n")
    print("#define NNFT_TABLE static const __attribute__((aligned(64)))")
    print_exp2()
    print_expm1()
    quarter = mp.pi / 4
    print_polynomial("sin", sine_rest, quarter * mp.mpf("1.0001"), 6)
    print_polynomial("cos", cosine_rest, quarter * mp.mpf("1.0001"), 6)
    print_fit(TableSpec("tanh", mp.tanh, octave_edges(1.5, 2, 20.0), 14, True, mask=octave_first(1.5, 2)))
    print_fit(TableSpec("erf", mp.erf, uniform_edges(5.9375), 13, True))
    print_fit(TableSpec("mills", mills, octave_edges(3.0, 2, 40.0), 14, False, mask=octave_first(3.0, 2)))
    print_fit(TableSpec("log1p", mp.log1p, uniform_edges(1.0), 9, True))
    print("\n#endif")


if __name__ == "__main__":
    main()
