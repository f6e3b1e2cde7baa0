"""The only home of Numba and of C: arrays in, arrays out.

Importing this package registers the C core's functions with LLVM, so that compiled kernels (also
those that come out of Numba's cache) find them. Every module with kernels lives in this package
for that reason: a kernel that runs before the registration would crash the interpreter.
"""

from __future__ import annotations

from nnft._kernels.library import build_record, register

register()

__all__ = ["build_record"]
