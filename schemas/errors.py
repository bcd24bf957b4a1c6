"""Errors a user or a file can cause, each message saying what was wrong, where, and what to do; and what the exceptions
of others say, as one line.

Ours are also ValueErrors and survive pickling, because they cross process boundaries. The exit status of the command is
2 where its line cannot work, whatever the files hold: an option, a combination, a path that is not there or not of the
kind that is read. It is 1 where a file does not hold what it should, or where the work itself failed.
"""


class BaltoError(ValueError):
    """Base of the errors that the command prints as one line. `exit_code` is the command's exit status."""

    exit_code = 1


class ConfigError(BaltoError):
    """An option, a file name or a combination of options that cannot work; found before any work starts."""

    exit_code = 2


class CorpusError(ConfigError):
    """A corpus file that is there and cannot be read as one: empty, damaged, or of no known format."""

    exit_code = 1


class ModelError(ConfigError):
    """A model, tokenizer or verifier that is there and does not hold what it should: damaged, or of another version."""

    exit_code = 1


class ShardError(BaltoError):
    """A label set, shard or manifest that is unfinished, damaged or of another version."""


class NoLabelSetError(ShardError):
    """A path that cannot be a label set: nothing is there, or it is no folder that can be read from here."""

    exit_code = 2


class RecordError(BaltoError):
    """One record that cannot be labelled. It is rejected with its stage and reason and the run goes on.

    stage: the name of the stage that refused it (`read`, `validate`, ...).   reason: one line, without place.
    """

    def __init__(self, stage: str, reason: str):
        super().__init__(stage, reason)
        self.stage = stage
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.stage}: {self.reason}"


def first_line(err: BaseException, most: int = 200) -> str:
    """The first line of what an exception says, for those that go on for a page: at most `most` characters; the name
    of its type where it says nothing."""
    return (str(err).strip().splitlines() or [type(err).__name__])[0][:most]


def one_line(said: object, most: int = 200) -> str:
    """A text, or all that an exception says, as one line of at most `most` characters."""
    return " ".join(str(said).split())[:most]
