"""The one layer of retries, for whatever is asked of a store: how often, how long, and which errors no further attempt would end.

Those of the libraries below are turned off (:func:`alone`), so that one failure is never multiplied by another layer's attempts.
"""

from __future__ import annotations

import errno
import logging
import random
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from fsspec.asyn import AsyncFileSystem, sync
from fsspec.exceptions import FSTimeoutError

from causalprint.schemas.config import ReadOptions
from causalprint.schemas.elements import ShardDamageError
from causalprint.schemas.urls import scrubbed

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

MISTAKES = (TypeError, AttributeError, NameError, NotImplementedError, ImportError, AssertionError)
"""Errors of a program and not of a connection: no attempt would end otherwise."""
FINAL = (FileNotFoundError, FileExistsError, PermissionError, IsADirectoryError, NotADirectoryError)
FINAL_NUMBERS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENAMETOOLONG, errno.EINVAL, errno.ENOSYS)
WORTH_ANOTHER = (408, 425, 429)
"""Answers below 500 that may be others a moment later."""
UNREACHABLE = ("ClientConnectorError", "EndpointConnectionError", "ConnectionRefusedError", "ConnectTimeoutError", "gaierror")
LONGEST_PAUSE = 30.0
LONGEST_LINE = 400
LOOK_UPS = ("info", "ls", "find", "glob")
LIST_SECONDS = 3600.0
"""For listings, which may have millions of entries."""


class StoreRefusalError(ValueError):
    """The store cannot give what is asked for, however often it is asked; the message says why and what to do."""


class Budget:
    """How many retries a process has left: each takes some, each success gives a little back.

    While a store is down, every shard of a run would else wait for all its attempts.

    Args:
        most: what there is at the beginning, and never more.
        retry: what one retry takes; a success gives back 1.
    """

    def __init__(self, most: int = 500, retry: int = 5) -> None:
        self._left = self._most = most
        self._retry = retry
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Whether there is enough left for a retry, which is then taken."""
        with self._lock:
            enough = self._left >= self._retry
            self._left -= self._retry * enough
            return enough

    def give(self) -> None:
        """A success."""
        with self._lock:
            self._left = min(self._most, self._left + 1)


_budget = Budget()


def retried(call: Callable[[], Result], what: str, options: ReadOptions, budget: Budget | None = None) -> Result:
    """The result of ``call``, which is tried again where the store or the connection fails, after longer and longer pauses.

    Backends raise errors of their own libraries, so every error counts as one of the connection that is not plainly
    a mistake of the program, or an answer that stays the same.

    Args:
        call: asks the store once, and may be repeated.
        what: what is being done, for the error; its URLs are shown without their secrets.
        options: ``attempts`` and ``backoff``.
        budget: of the run; by default, that of this process.

    Raises:
        ShardDamageError: the store did not give it; not retryable where it never will.
    """
    budget = budget or _budget
    attempt = 1
    while True:
        try:
            result = call()
        except MISTAKES:
            raise
        except StoreRefusalError as error:
            raise ShardDamageError(scrubbed(f"{what}: {error}")) from error
        except Exception as error:
            if attempt >= options.attempts or is_final(error) or not budget.take():
                times = "once" if attempt == 1 else f"{attempt} times"
                message = f"{what}: {told(error)} (tried {times}); {remedy(error)}"
                raise ShardDamageError(scrubbed(message), retryable=True) from error
            logger.info("attempt %d of %d failed, %s", attempt, options.attempts, scrubbed(f"{what}: {error!r}"))
            # Not all workers of a run ask again at the same moment.
            time.sleep(min(LONGEST_PAUSE, options.backoff * 2 ** (attempt - 1)) * random.uniform(0.5, 1.0))  # noqa: S311
            attempt += 1
        else:
            budget.give()
            return result


def timed(fs: Any, method: str, *args: Any, seconds: float, **kwargs: Any) -> Any:
    """``fs.method(…)``, ended after ``seconds`` where the filesystem can be interrupted: those of object stores and of HTTP can.

    Raises:
        TimeoutError: there was no whole answer in time.
    """
    if method in LOOK_UPS and "hf" in fs.protocol:
        fs.invalidate_cache()  # it cannot be told to keep none
    if not isinstance(fs, AsyncFileSystem) or fs.asynchronous or not hasattr(fs, f"_{method}"):
        return getattr(fs, method)(*args, **kwargs)
    try:
        return sync(fs.loop, getattr(fs, f"_{method}"), *args, timeout=seconds, **kwargs)
    except FSTimeoutError as error:
        raise TimeoutError(f"no whole answer within {seconds:.0f} s") from error


def is_final(error: BaseException) -> bool:
    """Whether the store would answer alike however often it is asked."""
    if isinstance(error, FINAL) or _is_forbidden(error):
        return True
    status = _status(error)
    if status is not None:
        return 400 <= status < 500 and status not in WORTH_ANOTHER
    return isinstance(error, OSError) and error.errno in FINAL_NUMBERS


def is_unreachable(error: BaseException | None) -> bool:
    """Whether nothing answered at all: no such host, connection refused."""
    while error is not None:
        if any(kind.__name__ in UNREACHABLE for kind in type(error).__mro__):
            return True
        error = error.__cause__ or error.__context__
    return False


def told(error: BaseException) -> str:
    """The error with its kind, in one line, whatever page the server sent with it."""
    line = " ".join(str(error).split())[:LONGEST_LINE]
    return f"{type(error).__name__}: {line}" if line else type(error).__name__


def remedy(error: BaseException, otherwise: str = "run the same command again") -> str:
    """What to do about it; ``otherwise`` where the error does not say."""
    if is_unreachable(error):
        return "check the host of the URL, the network and --storage-options, then run the same command again"
    if isinstance(error, PermissionError) or _is_forbidden(error):
        return "it needs credentials (--storage-options), or the URL a fresh signature; then run the same command again"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "make room, then run the same command again"
    return otherwise


def alone(fs: Any) -> Any:
    """``fs`` with its library's own retries turned off, as far as that can be told it."""
    for kind in type(fs).__mro__:
        if kind.__name__ == "S3FileSystem":
            fs.retries = 1  # botocore's are turned off by its options
        if kind.__name__ == "GCSFileSystem" and hasattr(kind, "_request"):
            once = getattr(kind._request, "__wrapped__", None)  # noqa: SLF001 - its decorator is what tries again
            if once is not None:
                fs._request = partial(once, fs)  # noqa: SLF001
    return fs


def _is_forbidden(error: BaseException) -> bool:
    return _status(error) in (401, 403) or (
        isinstance(error, OSError) and str(error).startswith("Forbidden: ")
    )  # gcsfs says no more


def _status(error: BaseException | None) -> int | None:
    """The HTTP status that an error of some library tells."""
    while error is not None and type(error).__module__ != "aiohttp.http_exceptions":  # whose code is a class's, and no answer's
        response = getattr(error, "response", None)
        found = response.get("ResponseMetadata", {}).get("HTTPStatusCode") if isinstance(response, dict) else None
        found = found or getattr(response, "status_code", None) or getattr(error, "status", None) or getattr(error, "code", None)
        if isinstance(found, int) and 100 <= found < 600:
            return found
        error = error.__cause__
    return None
