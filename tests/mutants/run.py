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
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("src", "tests", "data", "setup.py", "pyproject.toml", "setup.cfg", "README.md", "LICENSE")
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


class Fault(NamedTuple):
    """A fault: its name, file below src/nnft, text there and its replacement, test below tests."""

    name: str
    file: str
    old: str
    new: str
    test: str


FAULTS = [
    # ---- random numbers ----
    Fault(
        "nine rounds of Philox",
        "_kernels/core/philox.h",
        "#define NNFT_PHILOX_ROUNDS 10",
        "#define NNFT_PHILOX_ROUNDS 9",
        "kernels/test_random.py::test_published_vectors",
    ),
    Fault(
        "streams do not depend on the network",
        "_kernels/core/philox.h",
        "low = vu_set64((uint32_t)s->network), top = vu_set64(s->network >> 32)",
        "low = vu_set64(0), top = vu_set64(0)",
        "kernels/test_random.py::test_streams_share_no_block",
    ),
    Fault(
        "network index cut to 32 bits",
        "_kernels/core/philox.h",
        "top = vu_set64(s->network >> 32)",
        "top = vu_set64(0)",
        "kernels/test_networks.py::test_networks_and_seeds_differ",
    ),
    Fault(
        "radius from uniforms of 24 bits",
        "_kernels/core/normals.h",
        "vu radius_bits = vu_interleave_low32(words.w0, words.w1), angle",
        "vu radius_bits = vu_and(vu_interleave_low32(words.w0, words.w1), vu_set64(~0xFFFFFFFull)), angle",
        "kernels/test_random.py::test_the_lowest_bits_of_the_uniforms_are_used",
    ),
    Fault(
        "second uniform of Box-Muller is the first",
        "_kernels/core/normals.h",
        "angle_bits = vu_interleave_low32(words.w2, words.w3)",
        "angle_bits = vu_interleave_low32(words.w0, words.w1)",
        "kernels/test_random_law.py::test_kolmogorov_smirnov",
    ),
    Fault(
        "upper half of the seed unused",
        "streams.py",
        "(words[0], words[1], words[2], words[3])",
        "(words[0], words[1], 0, 0)",
        "test_streams.py::test_every_bit_of_the_seed_matters",
    ),
    # ---- networks ----
    Fault(
        "factor of the metric transposed in a mix",
        "_kernels/core/collapsed.h",
        "R_(set)(factor[(a0 + k) * P + a0 + i])",
        "R_(set)(factor[(a0 + i) * P + a0 + k])",
        "stat/test_one_hidden_layer.py::test_two_and_four_points",
    ),
    Fault(
        "every tile draws the same normals",
        "_kernels/core/collapsed.h",
        "nnft_tag(NNFT_COLLAPSED, layer), first * P, vectors",
        "nnft_tag(NNFT_COLLAPSED, layer), 0, vectors",
        "kernels/test_networks.py::test_many_points_and_tiles",
    ),
    Fault(
        "lanes beyond the width count as neurons",
        "_kernels/core/collapsed.h",
        "if (first + strips == total && width % VR_LANES)",
        "if (0)",
        "stat/test_deep_networks.py::test_deep_relu",
    ),
    Fault(
        "biases drawn from the stream of the weights",
        "_kernels/core/explicit.h",
        "nnft_tag(NNFT_BIASES, layer)",
        "nnft_tag(NNFT_WEIGHTS, layer)",
        "stat/test_agreement.py::test_every_way_draws_from_one_law",
    ),
    Fault(
        "bias variance left out of a metric",
        "_kernels/core/network.h",
        "shift = n->bias_variance[layer - 1]",
        "shift = 0.0",
        "stat/test_deep_networks.py::test_deep_linear_with_unequal_widths",
    ),
    Fault(
        "1/n instead of C_W/n",
        "_kernels/core/network.h",
        "scale = n->weight_variance[layer - 1] / ",
        "scale = 1.0 / ",
        "stat/test_deep_networks.py::test_deep_linear_with_unequal_widths",
    ),
    Fault(
        "overflow of a metric not noticed",
        "_kernels/core/network.h",
        "check += kernel[q] - kernel[q];",
        "check += 0.0;",
        "kernels/test_singular_kernels.py::test_overflow_names_network_and_layer",
    ),
    Fault(
        "repeated inputs do not share their column",
        "_kernels/core/cholesky.h",
        "first[b] < b && !nnft_same_point(points, matrix, first[b], b)",
        "first[b] < b",
        "kernels/test_singular_kernels.py::test_repeated_inputs_give_equal_bits",
    ),
    Fault(
        "sign in the derivative of gelu",
        "_kernels/core/activation_bodies.h",
        "VR difference = R_(fnma)(a,",
        "VR difference = R_(fma)(a,",
        "kernels/test_activations.py::test_error_is_a_few_units_in_the_last_place[{isa}-gelu-True-float64]",
    ),
    Fault(
        "last sums of a stage not added",
        "_kernels/core/accumulate.h",
        "if (sums) nnft_flush_rest(&pending);",
        "(void)sums;",
        "kernels/test_accumulate.py::test_sums_are_those_of_the_twin",
    ),
    Fault(
        "no 1/d in the metric of the inputs",
        "samplers/initial.py",
        "kernel *= weight_variance / points.shape[1]",
        "kernel *= weight_variance",
        "samplers/test_initial.py::test_first_metric_is_the_kernel_of_the_inputs",
    ),
    # ---- theory ----
    Fault(
        "C_W instead of its square in the four-point vertex",
        "theory/vertex.py",
        "return weight_variance**2 * (products",
        "return weight_variance * (products",
        "theory/test_vertex.py::test_linear_network_is_the_limit_of_the_exact_covariance",
    ),
    Fault(
        "ratio of widths dropped in the flow of the vertex",
        "theory/vertex.py",
        "vertex = vertex + ratio * jacobian @",
        "vertex = vertex + jacobian @",
        "theory/test_vertex.py::test_one_input_of_many_equals_the_single_input_flow",
    ),
    # ---- estimators ----
    Fault(
        "a partner dropped in the hafnian recursion",
        "estimators/program.py",
        "range(table.order - table.multiplicities[-1], last)",
        "range(max(table.order - table.multiplicities[-1], last - 2), last)",
        "estimators/test_program.py::test_program_sums_the_right_moments",
    ),
    Fault(
        "factorial dropped in the coefficients of k-statistics",
        "estimators/kstatistics.py",
        "(-1) ** (size - 1) * factorial(size - 1)",
        "(-1) ** (size - 1)",
        "estimators/test_kstatistics.py::test_reference_rationals",
    ),
    Fault(
        "powers of M instead of falling factorials",
        "estimators/kstatistics.py",
        "falling *= count - step",
        "falling *= count",
        "estimators/test_kstatistics.py::test_estimators_are_unbiased",
    ),
    Fault(
        "1/M instead of 1/(M - 1) in the covariance of a metric",
        "estimators/layer_kernels.py",
        "means.sample_counts / (means.sample_counts - 1.0)",
        "means.sample_counts / (means.sample_counts - 0.0)",
        "estimators/test_layer_kernels.py::test_mean_and_covariance_of_every_layer",
    ),
    Fault(
        "factor of the jackknife missing",
        "estimators/jackknife.py",
        "values: FloatArray = ratios * self.estimate[:, None] - (ratios - 1.0) * self.replicates",
        "values: FloatArray = 2.0 * self.estimate[:, None] - self.replicates + 0.0 * ratios",
        "stat/test_coverage.py::test_intervals_cover",
    ),
    Fault(
        "one bin too few in the variance of the jackknife",
        "estimators/jackknife.py",
        "share / (1.0 - share) / len(counts)",
        "share / len(counts)",
        "estimators/test_jackknife.py::test_bins_of_one_network_give_the_textbook_error_of_the_mean",
    ),
    Fault(
        "heavy tails never flagged",
        "estimators/jackknife.py",
        "suspect = dominated | (excess > KURTOSIS_SIGMAS * sigma)",
        "suspect = dominated & False",
        "stat/test_heavy_tails.py::test_exponential_networks_are_flagged",
    ),
    # ---- runs ----
    Fault(
        "networks counted in the wrong bin",
        "pipeline/engine.py",
        "self.estimator.counts[block % self.plan.bins] +=",
        "self.estimator.counts[(block + 1) % self.plan.bins] +=",
        "pipeline/test_python_interface.py::test_extended_run_is_the_long_run",
    ),
    Fault(
        "a call repeats the last block",
        "pipeline/engine.py",
        "return -(-self.networks_done // self.plan.block_size)",
        "return max(0, self.networks_done // self.plan.block_size - 1)",
        "pipeline/test_python_interface.py::test_stopped_anywhere_and_resumed",
    ),
    Fault(
        "resume forgets the sums of before",
        "pipeline/engine.py",
        "            block[:] = estimator.sums[name]\n",
        "",
        "pipeline/test_python_interface.py::test_stopped_anywhere_and_resumed",
    ),
    Fault(
        "shifts drawn anew on resume",
        "pipeline/engine.py",
        "mean: FloatArray = self.ensemble.metrics(0, count).mean(axis=0)",
        "mean: FloatArray = self.ensemble.metrics(self.plan.networks, count).mean(axis=0)",
        "pipeline/test_python_interface.py::test_extended_run_is_the_long_run",
    ),
    # ---- files ----
    Fault(
        "snapshot published before the outputs it names",
        "pipeline/checkpoint.py",
        "            self.fields.flush()\n",
        "            self.fields.manifest()\n",
        "pipeline/test_python_interface.py::test_stopped_anywhere_and_resumed",
    ),
    Fault(
        "segments not synced at a checkpoint",
        "store/segments.py",
        "            self._unsynced.append(path)\n",
        "            pass\n",
        "store/test_segments.py::test_flush_leaves_nothing_unsynced",
    ),
    Fault(
        "checksum not compared on reading",
        "store/reader.py",
        "if array_digest([array]) != self.forms[path][1]:",
        "if False:",
        "store/test_damaged_files.py::test_numbers_are_checked_beyond_fletcher32",
    ),
    Fault(
        "checksum of a segment not compared",
        "store/segment_files.py",
        "if zlib.crc32(rows.data) != record.crc32 or first",
        "if first",
        "store/test_segments.py::test_every_damage_of_a_segment_is_noticed",
    ),
    Fault(
        "lock replaces the lock of another process",
        "store/lock.py",
        "            os.link(draft, lock_path)\n",
        "            os.rename(draft, lock_path)\n",
        "store/test_lock.py::test_second_writer_is_refused",
    ),
    Fault(
        "lock taken without O_EXCL",
        "store/lock.py",
        "os.O_CREAT | os.O_EXCL |",
        "os.O_CREAT |",
        "store/test_lock.py::test_lock_works_without_hard_links",
    ),
    # ---- loops over networks: last, because a change compiles them anew ----
    Fault(
        "block added to the wrong bin",
        "_kernels/ensemble.py",
        "block % bins * stages[s, 0]",
        "(block + 1) % bins * stages[s, 0]",
        "samplers/test_initial.py::test_blocks_go_to_their_bins",
    ),
    Fault(
        "lanes of no network not cleared",
        "_kernels/ensemble.py",
        "            _clear_lanes(live, bases, lanes)\n",
        "            pass\n",
        "samplers/test_initial.py::test_blocks_go_to_their_bins",
    ),
]


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
    print(f"{verdict:10}  {fault.name}  ({fault.test}, {time.monotonic() - begun:.0f} s)", flush=True)
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
