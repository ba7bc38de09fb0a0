"""From the inputs of an audit to its shards: braces, globs, single objects and folders, on any store."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from causalprint.schemas.config import DEFAULT_READING, ReadOptions, Storage
from causalprint.schemas.elements import Shard, ShardDamageError, Skipped
from causalprint.schemas.urls import bare, public
from causalprint.transforms.formats import FORMATS, format_of, shard_of, why_no_shard
from causalprint.transforms.formats.folder import folder_shard
from causalprint.transforms.images.kinds import is_image_name
from causalprint.transforms.storage.lookup import Found, InputError, Store
from causalprint.transforms.storage.storage import ShardSource, StoredFile, filesystem, is_local, sidecar_paths

logger = logging.getLogger(__name__)

WILD = re.compile(r"[*?\[]")
BRACES = re.compile(r"\{(?:(\d+)\.\.(\d+)|([^{}]*,[^{}]*))\}")
NUMBERED = re.compile(r"-\d+-of-\d+$")
MAX_NAMED = 5
MANY_FILES = 1000


def match_shards(
    inputs: Iterable[str],
    storage: Storage,
    limit: int | None = None,
    options: ReadOptions = DEFAULT_READING,
    columns: tuple[str, ...] = (),
) -> Iterator[Shard]:
    """The shards of ``inputs``, ordered by URI, each once.

    An input is a URL or a local path of

    - one shard; or several by braces, ``{00000..00099}`` or ``{a,b}``, all of which must be there;
    - a glob (``*``, ``?``, ``[…]``, ``**``), of which files that are no shards are left out, and folders are as below;
    - a folder: every shard in and below it, and every folder there that holds image files, as one shard of format ``folder``.
      Left out are folders that begin with a dot, links to folders, and outputs of this program;
    - an image file, or several by braces and globs: each is a shard of its own, also of format ``folder``, unless its folder is
      given too. It has sidecars by the rules of folders (``a.json`` or ``a.jpg.json`` of ``a.jpg``, in lower case). A shard
      costs a few small files of output and, on an object store, about ten requests, so folders are the way for many images.

    A format is told by its suffix, else (``train-00000-of-00100``) by its first bytes. A Parquet file without image bytes is no
    shard, but metadata of others.

    Args:
        inputs: what to audit.
        storage: fsspec options.
        limit: at most this many images in all. They are counted by reading; the shard in which the limit is reached is the last,
            with its share as :attr:`Shard.limit`.
        options: of reading, for the retries and for the counting.
        columns: that hold the images of Parquet and TFRecord files; all that do where none is given.

    Raises:
        InputError: an input matches nothing, or a file has images and none in one of ``columns``.
        ImportError: an input needs a package that is not installed.
    """
    shards: dict[str, Shard] = {}
    for shard in (shard for each in inputs for shard in _match(each, storage, options, columns)):
        known = shards.setdefault(shard.uri, shard)
        if known.opens and shard.opens and known.opens != shard.opens:
            raise InputError(f"two inputs are the same file but for what signs them, or are told apart by a secret: {shard.uri}")
        if shard.opens:
            shards[shard.uri] = shard
    in_order = [shard for uri, shard in sorted(shards.items()) if shard.collection == uri or shard.collection not in shards]
    if (alone := sum(shard.collection != shard.uri for shard in in_order)) > MANY_FILES:
        logger.warning("%d image files are a shard each, which is slow; give their folders instead", alone)
    yield from in_order if limit is None else _up_to(limit, in_order, storage, options)


def expand_braces(text: str) -> list[str]:
    """``text`` with each ``{000..099}`` and ``{a,b}`` replaced by every one of its values; numbers keep the first one's width."""
    found = BRACES.search(text)
    if not found:
        return [text]
    first, last, names = found.groups()
    if names is None:
        low, high = sorted((int(first), int(last)))
        values = [str(number).zfill(len(first)) for number in range(low, high + 1)]
    else:
        values = names.split(",")
    before, after = text[: found.start()], text[found.end() :]
    return [each for value in values for each in expand_braces(before + value + after)]


def _match(given: str, storage: Storage, options: ReadOptions, columns: tuple[str, ...]) -> list[Shard]:
    fs, path = filesystem(given, storage)
    store = Store(given, fs, options)
    literal = store.info(path) if is_local(given) else None  # first, since the name of a file may hold braces and stars
    patterns = [] if literal else expand_braces(path)
    matches: dict[str, list[Found]] = {path: [literal]} if literal else {}
    matches |= {name: [found] if found else [] for name, found in store.infos([each for each in patterns if not _is_wild(each)])}
    matches |= {pattern: store.glob(pattern) for pattern in patterns if _is_wild(pattern)}
    if missing := [public(pattern) for pattern, found in matches.items() if not found]:
        raise InputError(_gaps(public(given), missing, len(matches)))
    shards: list[Shard] = []
    others: list[StoredFile] = []
    described: set[str] = set()
    every = [found for several in matches.values() for found in several]
    for found, there in zip(every, store.each(lambda found: list(_shards_at(store, found, columns)), every), strict=True):
        shards += there
        if found.file and not there:
            others.append(found.file)
        elif found.file and there[0].format == "folder":
            described.update(sidecar_paths(found.path))
    asked = [file for file in others if file.path in matches]
    why = [why for file in asked if (why := why_no_shard(store, file, format_of(file.name), columns))]
    if why:
        raise InputError(f"input {public(given)!r}: {public(asked[0].path)} is no shard: {why[0]}")
    if asked or not shards:
        what = f"{public(asked[0].path)} is no shard" if asked else "nothing there is a shard"
        suffixes = " ".join(suffix for each in FORMATS.values() for suffix in each.suffixes)
        raise InputError(f"input {public(given)!r}: {what} ({suffixes}) and no image file; give images, or their folder")
    if others := [file for file in others if file.path not in described]:
        logger.warning(
            "input %r: left out %d files that are no shards, such as %s", public(given), len(others), public(others[0].path)
        )
    return shards


def _is_wild(pattern: str) -> bool:
    """Whether it is a glob. In a URL of the web a question mark begins the query."""
    return bool(WILD.search(bare(pattern)))


def _gaps(given: str, missing: list[str], asked: int) -> str:
    """What is not there, of so many that were asked for."""
    named = ", ".join(missing[:MAX_NAMED]) + (f" and {len(missing) - MAX_NAMED} more" if len(missing) > MAX_NAMED else "")
    if len(missing) == asked:
        return f"input {given!r} matches nothing: there is no {named}"
    verb = "is" if len(missing) == 1 else "are"
    return f"input {given!r}: {named} {verb} not there ({asked - len(missing)} of {asked} are); mend the range, or bring it back"


def _shards_at(store: Store, found: Found, columns: tuple[str, ...]) -> Iterator[Shard]:
    if found.file is not None:
        shard = shard_of(store, found.file, columns)
        yield from [shard] if shard else []
        return
    for files in store.below(found.path):
        able = [file for file in files if format_of(file.name) or NUMBERED.search(file.name)]
        named = store.each(lambda file: shard_of(store, file, columns), able)
        yield from (shard for shard in named if shard and shard.format != "folder")
        if any(is_image_name(file.name) for file in files):
            yield folder_shard(f"{store.fs.unstrip_protocol(files[0].parent)}/", files)


def _up_to(limit: int, shards: Iterable[Shard], storage: Storage, options: ReadOptions) -> Iterator[Shard]:
    """The first shards, up to the one in which the ``limit``-th image is, counted by reading them."""
    left = limit
    for shard in shards:
        if left <= 0:
            return
        seen = _count(shard, left, storage, options)
        yield replace(shard, limit=left) if seen == left else shard
        left -= seen


def _count(shard: Shard, most: int, storage: Storage, options: ReadOptions) -> int:
    """Images and rejects in the shard, counted up to ``most``."""
    seen = 0
    source = ShardSource(shard, storage, options)
    try:
        for item in FORMATS[shard.format].read(source, options):
            seen += not isinstance(item, Skipped)
            if seen == most:
                break
    except ShardDamageError as error:
        logger.info("counting images of %s ended early: %s", shard.uri, error)
    return seen
