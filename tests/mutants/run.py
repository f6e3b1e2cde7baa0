"""Deliberate faults, one at a time: the test named with each must turn red.

A copy of the tree gets one fault, the C core is built again where the fault lies in it (only the instruction
set in use, hardly optimised), and the named test runs there. Exit code 1 if the test stays green, if it is
not green without the fault, or if the fault prevents it from running at all.

    python tests/mutants/run.py              all faults
    python tests/mutants/run.py lock hafn    those whose names contain one of the words
    python tests/mutants/run.py --table      the table of tests/README.md
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from fault import Fault
from faults import FAULTS

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("src", "tests", "data", "docs", "setup.py", "pyproject.toml", "setup.cfg", "README.md", "LICENSE")
TESTS_FAILED = 1  # exit code of pytest; others mean that nothing was tested
FLAGS = "-std=gnu11 -O1 -fPIC -ffp-contract=off -fno-math-errno -fvisibility=hidden -Wno-psabi"
KERNELS = "src/nnft/_kernels"

# Inside the process of the tests: what is imported must be the copy.
GUARD = """
from pathlib import Path
import nnft, nnft._kernels._core
for module in (nnft, nnft._kernels._core):
    if not Path(module.__file__).is_relative_to({root!r}):
        raise SystemExit(f"not the copy: {{module.__file__}}")
"""


def table() -> str:
    """Return the table of faults as it stands in tests/README.md."""
    rows = [f"| {fault.name} | `{fault.test.replace('{isa}-', '')}` |" for fault in FAULTS]
    return "\n".join(["| fault | test that catches it |", "| --- | --- |", *rows])


class Tree:
    """A copy of the project with its own build of the C core and its own cache of compiled kernels."""

    def __init__(self, folder: Path, isa: str) -> None:
        self.root, self.isa, self.objects = folder / "tree", isa, folder / "objects"
        self.objects.mkdir()
        self.root.mkdir()
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__", "*.so", "*.egg-info")
                shutil.copytree(source, self.root / name, ignore=ignored)
            elif source.exists():
                shutil.copy2(source, self.root / name)
        (self.root / "conftest.py").write_text(GUARD.format(root=str(self.root)), encoding="utf-8")
        self.environment = os.environ | {
            "PYTHONPATH": str(self.root / "src"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "NNFT_CACHE_DIR": str(folder / "cache"),
            "NNFT_SIMD": isa,
        }
        for source in (self.root / KERNELS).rglob("*.c"):
            self.compile(source)
        self.link()

    def compile(self, source: Path) -> None:
        """Compile one file of the core."""
        compiler = shlex.split(os.environ.get("CC", "cc"))
        include = sysconfig.get_path("include")
        options = [*FLAGS.split(), "-DPy_LIMITED_API=0x030b0000", f"-I{include}", f"-I{source.parent}"]
        target = self.objects / f"{source.stem}.o"
        subprocess.run([*compiler, *options, "-c", str(source), "-o", str(target)], check=True)

    def link(self) -> None:
        """Put the extension together."""
        compiler = shlex.split(os.environ.get("CC", "cc"))
        target = self.root / KERNELS / "_core.abi3.so"
        target.unlink(missing_ok=True)
        units = sorted(str(unit) for unit in self.objects.glob("*.o"))
        subprocess.run([*compiler, "-shared", *units, "-lm", "-o", str(target)], check=True)

    def rebuild(self) -> None:
        """Build the instruction set in use anew."""
        self.compile(self.root / KERNELS / "core" / f"isa_{self.isa}.c")
        self.link()

    @contextlib.contextmanager
    def broken(self, fault: Fault) -> Iterator[None]:
        """The tree with a fault."""
        path = self.root / "src" / "nnft" / fault.file
        text, times = path.read_text(encoding="utf-8"), path.stat()
        if text.count(fault.old) != 1:
            found = text.count(fault.old)
            raise SystemExit(f"{fault.name}: text stands {found} times in {fault.file}: {fault.old!r}")
        path.write_text(text.replace(fault.old, fault.new), encoding="utf-8")
        try:
            if path.suffix == ".h":
                self.rebuild()
            yield
        finally:
            path.write_text(text, encoding="utf-8")
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
            if path.suffix == ".h":
                shutil.copy2(self.objects.parent / "sound.o", self.objects / f"isa_{self.isa}.o")
                self.link()

    def test(self, *tests: str) -> subprocess.CompletedProcess[str]:
        """Run tests up to the first that fails."""
        nodes = [f"tests/{test.format(isa=self.isa)}" for test in tests]
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *nodes]
        return subprocess.run(
            command, cwd=self.root, env=self.environment, capture_output=True, text=True, check=False
        )

    def imported(self) -> str:
        """Return the file of the package that this tree's tests import."""
        command = [sys.executable, "-c", "import nnft; print(nnft.__file__)"]
        return subprocess.run(
            command, cwd=self.root, env=self.environment, capture_output=True, text=True, check=True
        ).stdout.strip()


def best_instruction_set() -> str:
    """Return the instruction set that the tests would use."""
    command = [sys.executable, "-c", "from nnft._kernels import _core; print(_core.best_isa())"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def check(tree: Tree, fault: Fault) -> bool:
    """Tell whether the named test sees the fault, and print it."""
    begun = time.monotonic()
    with tree.broken(fault):
        done = tree.test(fault.test)
    verdict = {0: "SURVIVED", TESTS_FAILED: "killed"}.get(done.returncode, "NOT TESTED")
    print(
        f"{verdict:10}  {fault.name}  ({fault.test.format(isa=tree.isa)}, {time.monotonic() - begun:.0f} s)",
        flush=True,
    )
    if verdict == "NOT TESTED":
        print(done.stdout[-2000:], done.stderr[-2000:], sep="\n", flush=True)
    return verdict == "killed"


def main(words: list[str]) -> int:
    """Run the faults whose names contain one of the words, or all."""
    if words == ["--table"]:
        print(table())
        return 0
    if table() not in (ROOT / "tests" / "README.md").read_text(encoding="utf-8"):
        print("tests/README.md lists other faults: put there what --table prints", file=sys.stderr)
        return 1
    chosen = [fault for fault in FAULTS if not words or any(word in fault.name for word in words)]
    with tempfile.TemporaryDirectory(prefix="nnft-mutants-") as folder:
        tree = Tree(Path(folder).resolve(), best_instruction_set())
        shutil.copy2(tree.objects / f"isa_{tree.isa}.o", tree.objects.parent / "sound.o")
        print(f"testing {tree.imported()} with {tree.isa}", flush=True)
        sound = tree.test(*dict.fromkeys(fault.test for fault in chosen))
        print(f"without a fault: {sound.stdout.strip().splitlines()[-1:]}", flush=True)
        if sound.returncode != 0:
            print(sound.stdout[-4000:], sound.stderr[-2000:], sep="\n")
            return 1
        survivors = [fault for fault in chosen if not check(tree, fault)]
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} faults killed")
    return 1 if survivors or not chosen else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
