"""The ``nnft`` command: its subcommands, loaded one by one, and what errors look like."""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import os
import sys
import tempfile
import traceback
import warnings
from typing import Any, NoReturn

import click

from nnft.errors import NnftError, StoppedEarly, shorten

COMMANDS = {
    "sample": ("sampling", "Sample an ensemble of networks into a result file."),
    "train": ("training", "Train an ensemble of networks into a result file."),
    "flow": ("flows", "Follow trained networks over cutoffs of their information."),
    "diagnose": ("training", "Say whether chains are in equilibrium."),
    "compare": ("training", "Set theory beside the numbers of a run."),
    "propagator": ("propagator", "Measure the propagator of networks of cosines: mass, normalisation."),
    "plot": ("pictures", "Draw a trained run: loss, predictor, chains, flows."),
    "report": ("reports", "Write a page on a run: tables, pictures, card, provenance."),
    "action": ("actions", "Print the action of a run: couplings with errors."),
    "closure": ("actions", "Compare the six-point function with what the quartic action predicts."),
    "axioms": ("actions", "Test symmetries, reflection positivity and clustering of a run."),
    "scan": ("scans", "Sample a family of cards into a folder."),
    "extrapolate": ("scans", "Fit a scan in 1/width, depth or any key."),
    "ridge": ("ridge", "Learning curve of a kernel: effective ridge and its flow."),
    "show": ("results", "Print the results of a run."),
    "status": ("results", "Say how far a run is, also while it works."),
    "verify": ("results", "Check a result file and recompute a part of it."),
    "check": ("cards", "Validate a card and print what its run will need."),
    "card": ("cards", "Print a commented example card."),
    "info": ("build", "Print build, instruction set and versions."),
}
CONTEXT = {"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "NNFT"}


class LazyGroup(click.Group):
    """Subcommands whose modules are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of use."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"nnft.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the nearest command for a misspelt one."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            ctx.fail(f"No such command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)


@click.group(cls=LazyGroup, context_settings=CONTEXT)
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.version_option(package_name="nnft", prog_name="nnft")
def nnft(debug: bool) -> None:
    """Neural-network field theory by Monte Carlo: ensembles, correlators, errors.

    Start with: nnft card --example digits16 > card.toml; nnft sample card.toml -o run.h5
    """
    del debug


def fail(message: str, exit_code: int, kind: str = "error: ") -> NoReturn:
    """Print one line for each mistake on standard error and end."""
    lines = "".join(f"nnft: {kind}{line}\n" for line in message.splitlines() or [""])
    with contextlib.suppress(OSError, AttributeError):
        sys.stderr.write(lines)
        sys.stderr.flush()
    leave(exit_code)


def show_warning(message: Warning | str, *where: object, **more: object) -> None:
    """Print a warning of any library as one line."""
    del where, more
    click.echo("nnft: warning: " + " ".join(str(message).split()), err=True)


def leave(exit_code: int) -> NoReturn:
    """End the process at once: no worker thread and no library gets a say."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(exit_code)


def run(arguments: list[str] | None = None) -> None:
    """Run the command line; every error becomes one line and its exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    gc.set_threshold(100_000, 50, 50)  # start-up makes many objects and hardly any garbage
    warnings.showwarning = show_warning
    # Where memory is short, OpenBLAS waits for ever for the buffers of its threads; nnft needs one of them.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code: Any = nnft.main(args=words, prog_name="nnft", standalone_mode=False)
        leave(code if isinstance(code, int) else 0)
    except click.exceptions.Exit as end:
        leave(end.exit_code)
    except click.ClickException as error:
        if isinstance(error, click.exceptions.NoArgsIsHelpError):
            error.show()
            leave(2)
        fail(" ".join(error.format_message().split()), error.exit_code if error.exit_code != 1 else 2)
    except NnftError as error:
        show_traceback(words)
        fail(str(error), error.exit_code, kind="" if isinstance(error, StoppedEarly) else "error: ")
    except (KeyboardInterrupt, click.Abort):
        fail("interrupted", 130)
    except BrokenPipeError:
        os._exit(0)
    except MemoryError as error:
        got = shorten(str(error) or "a refusal", 80)
        fail(f"out of memory: got {got}; see nnft check for what the run needs", 4)
    except (OSError, ImportError) as error:
        show_traceback(words)
        fail(refusal(error), 4)
    except Exception as error:
        show_traceback(words)
        if memory_is_short():  # then the interpreter itself raises whatever comes first
            got = shorten(f"{type(error).__name__}: {error}", 60)
            fail(f"out of memory: got {got}; see nnft check for what the run needs", 4)
        fail(f"a bug in nnft; please send {crash_report()} with the output of nnft info", 70)


def memory_is_short() -> bool:
    """Tell whether the system refuses 64 MiB."""
    try:
        bytearray(64 << 20)
    except MemoryError:
        return True
    return False


def show_traceback(words: list[str]) -> None:
    """Print the traceback of the error at hand if the user asked for it."""
    if "--debug" in words:
        traceback.print_exc()


def refusal(error: OSError | ImportError) -> str:
    """Return the line for a system call or a library that does not work here."""
    if isinstance(error, ImportError) or not error.strerror:
        return f"library cannot be loaded: got {shorten(str(error), 80)}; raise the memory limit or reinstall"
    return f"the system refuses: got {error.strerror} for {shorten(error.filename or 'a stream', 80)}"


def crash_report() -> str:
    """Write the traceback to a file of its own and return its name."""
    try:
        with tempfile.NamedTemporaryFile(
            "w",
            encoding="utf-8",
            errors="backslashreplace",
            prefix="nnft-crash-",
            suffix=".txt",
            delete=False,
        ) as file:
            file.write(" ".join(sys.argv) + "\n")
            traceback.print_exc(file=file)
            return file.name
    except OSError:
        return "(no place to write it)"
