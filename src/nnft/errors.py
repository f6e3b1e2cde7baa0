"""The errors a user of nnft can meet, each with the exit code of the command line."""

from __future__ import annotations

MESSAGE_LIMIT = 200


class NnftError(Exception):
    """Base of every error that nnft raises on purpose.

    The message is one line: what is wrong, where, what was found, what to do.

    Attributes
    ----------
    exit_code : int
        Exit code of the command line for this error.
    """

    exit_code: int = 70


class CardError(NnftError):
    """A run card or a specification is wrong.

    Parameters
    ----------
    problems : str or list of str
        One line for each mistake; all mistakes of a card are reported together.
    """

    exit_code = 2

    def __init__(self, problems: str | list[str]) -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))


class UsageError(NnftError):
    """The command line or a call asks for something that is not allowed."""

    exit_code = 2


class DataFileError(NnftError):
    """A data file or a result file cannot be used."""

    exit_code = 3


class EnvironmentRefusal(NnftError):
    """The machine refuses: disk, permissions, locks, memory, missing libraries."""

    exit_code = 4


class NumericalError(NnftError):
    """A result is not a number, or needs more samples than there are."""

    exit_code = 5


def shorten(value: object, limit: int = 60) -> str:
    """Return `value` as text of at most `limit` characters on one line."""
    text = " ".join(repr(value).split())
    return text if len(text) <= limit else text[: limit - 3] + "..."


class StoppedEarly(NnftError):
    """A run ended before it was complete, with everything done so far committed.

    Parameters
    ----------
    message : str
        What happened and the command that goes on.
    exit_code : int
        75 for the run's own time budget, 128 + n for signal n.
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code
