"""Registration of the C core, its declarations for Numba, and the choice of a compile cache."""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import tempfile
import uuid
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba
from llvmlite import binding
from numba import types

from nnft._kernels import _core
from nnft.errors import EnvironmentRefusal

LANES: int = _core.LANES
ABI: str = _core.ABI

Function = TypeVar("Function", bound=Callable[..., Any])

_integer, _word, _pointer = types.int64, types.uint64, types.uintp


def _declare(name: str, result: Any, *arguments: Any) -> Any:
    """Return a C function as Numba sees it; pointers travel as integers (0 is NULL)."""
    return types.ExternalFunction(f"nnft_{name}_{ABI}", result(*arguments))


_sampler = (_pointer, _pointer, _word, _pointer, _pointer, _pointer)
collapsed_d = _declare("collapsed_d", _integer, *_sampler)
collapsed_f = _declare("collapsed_f", _integer, *_sampler)
explicit_d = _declare("explicit_d", _integer, *_sampler)
explicit_f = _declare("explicit_f", _integer, *_sampler)
waves_d = _declare("waves_d", _integer, *_sampler)
draw_waves_d = _declare("draw_waves_d", types.void, _word, _word, *(_pointer,) * 4)
accumulate = _declare("accumulate", types.void, _pointer, _integer, _pointer, _pointer, _pointer)
activate_d = _declare("activate_d", types.void, types.int32, _pointer, _integer, _pointer, _pointer)
normals_d = _declare("normals_d", types.void, _word, _word, types.uint32, _word, _integer, _pointer)
words = _declare("words", types.void, _word, _word, types.uint32, _word, _pointer)
gradient_d = _declare("gradient_d", types.float64, *(_pointer,) * 6)
squared_slopes_d = _declare("squared_slopes_d", types.void, *(_pointer,) * 6)
slopes_d = _declare("slopes_d", types.void, *(_pointer,) * 6)
readout_moves_d = _declare("readout_moves_d", types.void, *(_pointer,) * 10)
outputs_d = _declare("outputs_d", types.void, *(_pointer,) * 6)
kernels_d = _declare("kernels_d", types.void, *(_pointer,) * 7)
features_d = _declare("features_d", types.void, *(_pointer,) * 6)
noisy_step_d = _declare("noisy_step_d", types.void, *(_pointer,) * 5)
residual_steps_d = _declare("residual_steps_d", types.void, *(_pointer,) * 7)
dot_d = _declare("dot_d", types.float64, _integer, _pointer, _pointer)
weighted_square_d = _declare("weighted_square_d", types.float64, _integer, _integer, _pointer, _pointer)
factor = _declare("factor", types.void, _integer, types.float64, _pointer)


def register() -> None:
    """Give LLVM the addresses of the C core for the instruction set in use.

    Raises
    ------
    EnvironmentRefusal
        If ``NNFT_SIMD`` names an instruction set that this machine lacks.
    """
    wish = os.environ.get("NNFT_SIMD", "")
    if wish and wish not in _core.isa_names():
        allowed = ", ".join(_core.isa_names())
        raise EnvironmentRefusal(f"instruction set in NNFT_SIMD: got {wish!r}; this machine has {allowed}")
    for name, address in _core.addresses("auto").items():
        binding.add_symbol(name, address)


def _writable(folder: Path) -> bool:
    """Say whether `folder` can be made and a file written in it; a shared one must be the user's own."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if folder.stat().st_uid != os.getuid() and not os.access(folder, os.W_OK):
            return False
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _private(folder: Path) -> bool:
    """Say whether `folder` is a real folder that only the user can write (cached code is run)."""
    try:
        status = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o022


def _choose_cache() -> str | None:
    """Return the folder for compiled kernels, or None where nothing is writable.

    Order: ``NNFT_CACHE_DIR``, ``NUMBA_CACHE_DIR``, beside the package, the user's cache, a private
    folder under the temporary one.
    """
    for variable in ("NNFT_CACHE_DIR", "NUMBA_CACHE_DIR"):
        named = os.environ.get(variable)
        if named and _writable(Path(named)):
            return named
    beside = Path(__file__).parent / "__pycache__"
    if _writable(beside):
        return str(beside)
    user = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    if os.path.isabs(user) and _writable(Path(user) / "nnft"):
        return str(Path(user) / "nnft")
    temporary = Path(tempfile.gettempdir()) / f"nnft-cache-{os.getuid()}"
    if _writable(temporary) and _private(temporary):
        return str(temporary)
    return None


def _fingerprint() -> str:
    """Return a word for the text of all kernels: a cached one holds copies of those that it calls."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + path.read_bytes())
    return f"kernels-{digest.hexdigest()[:16]}"


cache_folder: str | None = _choose_cache()
if cache_folder is None:
    warnings.warn(
        "no writable folder for compiled kernels: they are compiled anew in every process; "
        "set NNFT_CACHE_DIR to a folder of yours",
        RuntimeWarning,
        stacklevel=2,
    )
else:
    numba.config.CACHE_DIR = os.path.join(cache_folder, _fingerprint())


def compiled(parallel: bool = False) -> Callable[[Function], Function]:
    """Decorate a kernel: compiled without the interpreter lock, cached on disk where possible."""

    def decorate(function: Function) -> Function:
        kernel: Function = numba.njit(parallel=parallel, nogil=True, cache=cache_folder is not None)(function)
        _name_data_apart(kernel)
        return kernel

    return decorate


def _name_data_apart(kernel: Any) -> None:
    """Give every file of a compiled kernel a name that no other one has.

    Numba numbers them by the index that it has read. Two processes that compile one kernel for different
    types at the same time would give one name to two files, and load code for other types ever after. With
    names of their own the worst that happens is that the index forgets one of them, which is compiled anew.
    """
    file = getattr(getattr(kernel, "_cache", None), "_cache_file", None)
    pattern = getattr(file, "_data_name_pattern", None)
    if isinstance(pattern, str):
        stem = pattern.partition(".{number")[0]
        setattr(file, "_data_name", lambda number: f"{stem}.{uuid.uuid4().hex[:16]}.nbc")  # noqa: B010


def build_record() -> dict[str, str]:
    """Return what distinguishes this build: compiler, instruction sets, threading, versions."""
    return {
        "instruction_set": _core.best_isa(),
        "instruction_sets_available": " ".join(_core.isa_names()),
        "compiler": _core.COMPILER,
        "abi": ABI,
        "numba": numba.__version__,
        "python": sys.version.split()[0],
        "kernel_cache": cache_folder or "none",
        "threads_available": str(numba.config.NUMBA_NUM_THREADS),
    }


def work_size(header: Any) -> int:
    """Return the doubles of working memory that one thread needs for a network (core/api.h)."""
    return int(_core.work_size(header))


def training_work_size(header: Any) -> int:
    """Return the doubles of working memory that training.h needs for a network on a set of points."""
    return int(_core.training_work_size(header))


def set_threads(count: int) -> None:
    """Let parallel kernels use `count` threads from now on."""
    numba.set_num_threads(count)


def most_threads() -> int:
    """Return the largest number of threads that the kernels can use in this process."""
    return int(numba.config.NUMBA_NUM_THREADS)
