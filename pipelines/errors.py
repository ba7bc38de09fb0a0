"""Failures in one line a person can act on, and the codes the command leaves with."""

from __future__ import annotations

import ast
import errno
import re
from enum import IntEnum

from causalprint.schemas.urls import scrubbed

_WHILE = re.compile(r"\s*\[while running [^\]]*\]")
_LAST = re.compile(r"^(?:[\w]+\.)*(?P<kind>[A-Z]\w*): (?P<text>.+)$")
_OF_A_FILE = re.compile(r"^(?:\w+: )*\[Errno (?P<number>\d+)\] (?P<what>[^:]+): (?P<file>'[^']*'|\"[^\"]*\")$")
_ROOM = "make room there, and the same command resumes"
_RIGHTS = "give this user the right to read and write there, or another path"
_REMEDIES = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EROFS: "give another path",
}
_CREDENTIALS = ("botocore.exceptions", "google.auth.exceptions", "gcsfs.retry", "gcsfs.credentials")
_PLAIN = (ValueError, OSError, ImportError)


class ExitCode(IntEnum):
    """What a scheduler can act on."""

    COMPLETE = 0
    ERROR = 1
    USAGE = 2
    INCOMPLETE = 3
    CONDITION = 4


class Interruption(BaseException):
    """The process was asked to stop.

    Attributes:
        exit_code: as a shell reports it: 128 and the signal.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.exit_code = 128 + signum


def explain(error: BaseException) -> str:
    """One line: what is wrong, and the remedy where the error names one.

    Errors of workers arrive as the text of their traceback, and with the name of the failing Beam step at the end; both are
    taken off. Kinds that nobody expected keep their name.
    """
    text = _WHILE.sub("", str(error)).strip()
    if "Traceback (most recent call last)" in text:
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        last = next((found for line in reversed(lines) if (found := _LAST.match(line))), None)
        text = lines[-1] if last is None else last["text"] if last["kind"].endswith("Error") else last[0]
    elif not text:
        text = type(error).__name__
    elif type(error) is RuntimeError and (inner := _LAST.match(text)) and inner["kind"].endswith("Error"):
        text = inner["text"]  # Beam's, around what a thread of its own raised
    elif not isinstance(error, _PLAIN) and not type(error).__module__.startswith("causalprint"):
        text = f"{type(error).__name__}: {text}"
    line = " ".join(text.split())
    if of_a_file := _OF_A_FILE.match(line):
        remedy = _REMEDIES.get(int(of_a_file["number"]))
        line = f"{ast.literal_eval(of_a_file['file'])}: {of_a_file['what']}{f'; {remedy}' if remedy else ''}"
    line = scrubbed(line)
    if type(error).__module__.startswith(_CREDENTIALS):
        line += "; set up the credentials that s3fs or gcsfs look for, or give --storage-options"
    return line
