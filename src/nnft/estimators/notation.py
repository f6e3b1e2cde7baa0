"""How a number with its error is written: 1.2345(67)."""

from __future__ import annotations

import math


def number_with_error(value: float, error: float, unreliable: bool = False) -> str:
    """Return ``1.2345(67)``: the value with its error in units of the last digit.

    Parameters
    ----------
    value, error : float
        Not a number where there is none.
    unreliable : bool
        Whether the error cannot be trusted; marked ``!``.
    """
    if not math.isfinite(value):
        return "-"
    mark = "!" if unreliable and error != 0 else ""
    if not math.isfinite(error):
        return f"{value:.6g}(?){mark}"
    if error == 0:
        return f"{value:.6g}(0)"
    exponent = math.floor(math.log10(max(abs(value), error)))
    scientific = not -4 <= exponent < 6
    scale = 10.0**exponent if scientific else 1.0
    decimals = max(0, 1 - math.floor(math.log10(error / scale)))
    digits = round(error / scale * 10**decimals)
    if digits >= 100:
        decimals, digits = max(0, decimals - 1), round(error / scale * 10 ** max(0, decimals - 1))
    suffix = f"e{exponent:+03d}" if scientific else ""
    return f"{value / scale:.{decimals}f}({digits}){suffix}{mark}"
