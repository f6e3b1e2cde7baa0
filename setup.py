"""Build of the C core: the one thing that pyproject.toml cannot describe without an experimental table."""

from glob import glob

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "nnft._kernels._core",
            sources=[f"src/nnft/_kernels/{name}" for name in (
                "_core.c",
                "core/dispatch.c",
                "core/isa_avx512.c",
                "core/isa_avx2.c",
                "core/isa_portable.c",
            )],
            depends=sorted(glob("src/nnft/_kernels/core/*.h")),
            define_macros=[("Py_LIMITED_API", "0x030b0000")],
            py_limited_api=True,
            extra_compile_args=[
                "-std=gnu11",
                "-O3",
                "-ffp-contract=off",
                "-fno-math-errno",
                "-fvisibility=hidden",
                "-Wno-psabi",
            ],
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
