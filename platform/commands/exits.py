"""How every command ends: its exit code, and in one line what went wrong.

    code                 meaning                                                     errors
    0                    done: the study is complete, everything is in MLflow
    1                    results are missing from a study's table
    2                    bad input: the rule, the value, the remedy                  BadInput, and those a command names
    3                    the machine failed (disk, Ray), or MLflow is owed something MachineFailed, OSError
    4                    a mistake of ours, with its traceback                       every other Exception
    129, 130, 141, 143   ended by SIGHUP, SIGINT (Ctrl-C), SIGPIPE, SIGTERM          KeyboardInterrupt, BrokenPipeError

After all but 2 the same command goes on, or begins again where it keeps nothing.
"""

import argparse
import functools
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn, ParamSpec

from platform.commands.terminal.encoding import never_fail
from platform.records.one_line import one_line
from platform.records.plain import legible
from platform.records.storage.files import NotPlain
from platform.running.interruption import MACHINE_FAILED as MACHINE_FAILED
from platform.running.interruption import by_signal as by_signal

COMPLETE, INCOMPLETE, BAD_INPUT, OUR_MISTAKE = 0, 1, 2, 4
OWED = MACHINE_FAILED
"""MLflow, one more machine, has not taken everything."""
EPILOG = (
    "2 bad input, 3 the machine failed, 4 a mistake of ours, "
    "129, 130, 141 or 143 stopped by SIGHUP, SIGINT (Ctrl-C), SIGPIPE or SIGTERM"
)
"""The exit codes that all commands share, for their help."""
REMEDY = "mend that, and the same command goes on from here"
INTERRUPTED = "\ninterrupted; run the same command again"
LONGEST = 2000
"""Characters of a line about an error: what is longer is a library's, not a person's."""

Arguments = ParamSpec("Arguments")


class MachineFailed(Exception):
    """The disk, Ray or the connection failed; what was recorded is kept."""

    def __init__(self, what: object, remedy: str = REMEDY) -> None:
        super().__init__(f"{what}; {remedy}")


class BadInput(ValueError):
    """A user's mistake, said in one line."""


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line, without the passwords of an address behind a misspelt option."""

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_INPUT, f"error: {one_line(message, LONGEST)}; {self.prog} --help shows what it takes\n")


def ending(*mistakes: type[Exception]) -> Callable[[Callable[Arguments, int]], Callable[Arguments, int]]:
    """Have a command return its exit code whatever happens; `mistakes` are errors, beside BadInput, of the user's."""
    bad: tuple[type[Exception], ...] = (BadInput, NotPlain, *mistakes)

    def decorate(main: Callable[Arguments, int]) -> Callable[Arguments, int]:
        @functools.wraps(main)
        def answering(*arguments: Arguments.args, **named: Arguments.kwargs) -> int:
            never_fail()
            # Whatever the user's mask allows: others would write the records of a study, and the code's cache.
            os.umask((mask := os.umask(0o022)) | 0o002)
            try:
                try:
                    return main(*arguments, **named)
                finally:
                    # At its exit Python would complain of what cannot be written, and end with a code of its own.
                    sys.stdout.flush()
            except bad as mistake:
                say(f"error: {one_line(mistake, LONGEST)}")
                return BAD_INPUT
            except KeyboardInterrupt:
                say(INTERRUPTED)
                return by_signal(signal.SIGINT)
            except BrokenPipeError:
                # Whoever read the output has seen enough.
                write_off_output()
                return by_signal(signal.SIGPIPE)
            except MachineFailed as failure:
                say(f"error: {one_line(failure, LONGEST)}")
                return MACHINE_FAILED
            except OSError as failure:
                write_off_output()
                say(f"error: {one_line(failure, LONGEST)}; mend that, and run the same command again")
                return MACHINE_FAILED
            except Exception:
                # Python's own code for it, 1, says that results are missing.
                traceback.print_exc()
                return OUR_MISTAKE
            finally:
                os.umask(mask)

        return answering

    return decorate


@contextmanager
def bad_input() -> Iterator[None]:
    """Turn a ValueError into BadInput, where a function checks what the user gave."""
    try:
        yield
    except ValueError as mistake:
        raise BadInput(str(mistake)) from mistake


def say(text: str) -> None:
    """Print a line to standard error; standard output is the command's result. A terminal that is gone is no error."""
    with suppress(OSError):
        print("\n".join(map(legible, text.split("\n"))), file=sys.stderr, flush=True)


def last_words(text: str) -> None:
    """Print to a terminal that may be gone, as it is after SIGHUP."""
    try:
        print(text, end="", flush=True)
    except OSError:
        write_off_output()


def write_off_output() -> None:
    """Drop what standard output does not take, which Python would try to write again at its exit."""
    with suppress(AttributeError, ValueError):
        try:
            sys.stdout.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
