"""From the inputs of an audit to its shards: braces, globs, single objects and folders, on any store."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from causalprint.schemas.config import DEFAULT_READING, ReadOptions, Sample, Storage
from causalprint.schemas.elements import Shard
from causalprint.schemas.losses import LeftOut, left_out_by_kind
from causalprint.schemas.urls import bare, public
from causalprint.transforms.formats import FORMATS, format_at, shard_of, why_no_shard
from causalprint.transforms.formats.chosen import first_shards, sampled_shards
from causalprint.transforms.formats.folder import folder_shard
from causalprint.transforms.formats.left_out import left_out_file, table_folder
from causalprint.transforms.images.kinds import is_image_name
from causalprint.transforms.storage.lookup import Found, InputError, Store
from causalprint.transforms.storage.storage import StoredFile, filesystem, is_local, list_files, sidecar_paths

logger = logging.getLogger(__name__)

WILD = re.compile(r"[*?\[]")
BRACES = re.compile(r"\{(?:(\d+)\.\.(\d+)|([^{}]*,[^{}]*))\}")
MAX_NAMED = 5
MANY_FILES = 1000


class Matched(NamedTuple):
    """What inputs come to: their shards, ordered by URI, and by kind what they match besides."""

    shards: tuple[Shard, ...]
    left_out: tuple[LeftOut, ...]


class _ByUri(NamedTuple):
    """What an input, or a folder, comes to: by URI."""

    shards: dict[str, Shard]
    left_out: dict[str, LeftOut]


def match_shards(
    inputs: Iterable[str],
    storage: Storage,
    limit: int | None = None,
    options: ReadOptions = DEFAULT_READING,
    columns: tuple[str, ...] = (),
) -> Iterator[Shard]:
    """The shards of ``inputs``, as of :func:`match_inputs`; warns of what is left out."""
    matched = match_inputs(inputs, storage, limit, options=options, columns=columns)
    for each in matched.left_out:
        logger.warning("left out %s", each)
    yield from matched.shards


def match_inputs(
    inputs: Iterable[str],
    storage: Storage,
    limit: int | None = None,
    sample: Sample | None = None,
    options: ReadOptions = DEFAULT_READING,
    columns: tuple[str, ...] = (),
) -> Matched:
    """The shards of ``inputs``, ordered by URI, each once, and what is left out.

    An input is a URL or a local path of

    - one shard; or several by braces, ``{00000..00099}`` or ``{a,b}``, all of which must be there;
    - a glob (``*``, ``?``, ``[…]``, ``**``), of which files that are no shards are left out, and folders are as below;
    - a folder: every shard in and below it, and every folder there that holds image files, as one shard of format ``folder``.
      Left out are folders that begin with a dot, links to folders, and outputs of this program;
    - an image file, or several by braces and globs: each is a shard of its own, also of format ``folder``, unless its folder is
      given too. Its sidecars are ``a.json`` and ``a.jpg.json`` of ``a.jpg``, or ``.txt``, in lower case. A shard
      costs a few small files of output and, on an object store, about ten requests, so folders are the way for many images.

    A format is told by its suffix, else (``train-00000-of-00100``, ``latest``) by its first bytes. A Parquet file without image
    bytes is no shard, but metadata of others.

    Everything that an input matches is read or counted: as a member of a shard, or here by kind. What is left out and looks like
    a shard or an image (an archive that cannot be read, a link that leads nowhere) is marked as ``missing``.

    Args:
        inputs: what to audit.
        storage: fsspec options.
        limit: at most this many images in all. They are counted by reading; the shard in which the limit is reached is the last,
            with its share as :attr:`Shard.limit`.
        sample: so many images in all, drawn at random. All shards are read to count them, or those that are drawn first.
        options: of reading, for the retries and for the counting.
        columns: that hold the images of Parquet and TFRecord files; all that do where none is given.

    Raises:
        InputError: an input is empty or matches nothing, or a file has images and none in one of ``columns``; or more shards are
            to be drawn than there are.
        ImportError: an input needs a package that is not installed.
    """
    found: dict[str, Shard] = {}
    left: dict[str, LeftOut] = {}
    for each in inputs:
        if not each.strip():
            raise InputError(f"input {each!r} is no path and no URL (a variable that is not set?); give . for the current folder")
        own = _match(each, storage, options, columns)
        for shard in own.shards.values():
            _add(found, shard)
        left |= own.left_out
    shards = [shard for uri, shard in sorted(found.items()) if shard.collection == uri or shard.collection not in found]
    if (alone := sum(shard.collection != shard.uri for shard in shards)) > MANY_FILES:
        logger.warning("%d image files are a shard each, which is slow; give their folders instead", alone)
    # A file in a folder that is a shard is counted there, as a member that is no image.
    others = [
        each for uri, each in left.items() if uri not in found and (each.missing or f"{uri.rpartition('/')[0]}/" not in found)
    ]
    chosen = shards
    if limit is not None:
        chosen = list(first_shards(limit, shards, storage, options))
    if sample is not None:
        if sample.shards is None and len(shards) > MANY_FILES:
            logger.warning("all %d shards are read to count their images; --sample-shards K reads only K", len(shards))
        chosen = sampled_shards(sample, shards, storage, options)
    if len(chosen) < len(shards):
        uris = {shard.uri for shard in chosen}
        beyond = [shard.uri for shard in shards if shard.uri not in uris]
        others.append(LeftOut(f"shard beyond {'--sample' if sample else '--limit'}", len(beyond), beyond[0], missing=False))
    return Matched(tuple(chosen), left_out_by_kind(others))


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


def _match(given: str, storage: Storage, options: ReadOptions, columns: tuple[str, ...]) -> _ByUri:
    """What one input comes to."""
    fs, path = filesystem(given, storage)
    store = Store(given, fs, options)
    literal = store.info(path) if is_local(given) else None  # first, since the name of a file may hold braces and stars
    patterns = [] if literal else expand_braces(path)
    matches: dict[str, list[Found]] = {path: [literal]} if literal else {}
    matches |= {name: [found] if found else [] for name, found in store.infos([each for each in patterns if not _is_wild(each)])}
    matches |= {pattern: store.glob(pattern) for pattern in patterns if _is_wild(pattern)}
    if missing := [public(pattern) for pattern, found in matches.items() if not found]:
        raise InputError(_gaps(public(given), missing, len(matches)))
    shards: dict[str, Shard] = {}
    others: dict[str, LeftOut] = {}
    described: set[str] = set()
    every = [found for several in matches.values() for found in several]
    made = store.each(lambda found: shard_of(store, found.file, columns) if found.file else None, every)
    for found, shard in zip(every, made, strict=True):
        if found.file is None:
            below = _below(store, found.path, columns)
            for each in below.shards.values():
                _add(shards, each)
            others |= below.left_out
            continue
        uri = store.uri(found.path)
        if shard is None:
            others[uri] = left_out_file(found.file, uri)
            if found.path in matches:
                why = why_no_shard(store, found.file, format_at(store, found.file), columns)
                raise InputError(
                    f"input {public(given)!r}: {public(found.path)} is no shard{f': {why}' if why else f' {_formats_read()}'}"
                )
            continue
        _add(shards, shard)
        if shard.format == "folder":
            described.update(map(store.uri, sidecar_paths(found.path)))
    if not shards:
        raise InputError(f"input {public(given)!r}: nothing there is a shard {_formats_read()}{_there(others.values())}")
    return _ByUri(shards, {uri: each for uri, each in others.items() if uri not in described})


def _below(store: Store, folder: str, columns: tuple[str, ...]) -> _ByUri:
    """What is in and below a folder."""
    below = store.below(folder)
    shards: dict[str, Shard] = {}
    left = {each.example: each for each in below.left_out}
    for files in below.folders:
        whole = table_folder(files[0].path, folder)
        if whole is not None:
            uri = f"{store.uri(whole)}/"
            left[uri] = LeftOut(f".{whole.rpartition('.')[2].lower()} folder", 1, uri, missing=True)
            continue
        formats = list(store.each(lambda file: format_at(store, file), files))
        able = [file for file, kind in zip(files, formats, strict=True) if kind not in (None, "folder")]
        made = dict(zip(able, store.each(lambda file: shard_of(store, file, columns), able), strict=True))
        is_shard = any(kind == "folder" or is_image_name(file.name) for file, kind in zip(files, formats, strict=True))
        for file, kind in zip(files, formats, strict=True):
            uri = store.uri(file.path)
            if file in made and (shard := made[file]):
                shards[shard.uri] = shard
            elif kind != "folder" and not (is_shard and is_image_name(file.name)):
                left[uri] = left_out_file(file, uri)
        if is_shard:
            shard = folder_shard(f"{store.url(files[0].parent)}/", _as_read(store, files))
            apart = tuple(file.name for file, own in made.items() if own)
            shards[shard.uri] = replace(shard, apart=apart)
    return _ByUri(shards, left)


def _as_read(store: Store, files: list[StoredFile]) -> list[StoredFile]:
    """The files of a folder as its reader lists them: it follows links to what lies below that folder, and no others."""
    if not any(file.link for file in files):
        return files
    return store.ask(lambda: list_files(store.fs, files[0].parent)) or files


def _add(shards: dict[str, Shard], shard: Shard) -> None:
    """Adds a shard; of one that two inputs name, what opens it is kept."""
    known = shards.get(shard.uri, shard)
    if known.opens and shard.opens and known.opens != shard.opens:
        raise InputError(f"two inputs are the same file but for what signs them, or are told apart by a secret: {shard.uri}")
    if shard.opens or known is shard:
        shards[shard.uri] = shard


def _is_wild(pattern: str) -> bool:
    """Whether it is a glob. In a URL of the web a question mark begins the query."""
    return bool(WILD.search(bare(pattern)))


def _gaps(given: str, missing: Sequence[str], asked: int) -> str:
    """What is not there, of so many that were asked for."""
    named = ", ".join(missing[:MAX_NAMED]) + (f" and {len(missing) - MAX_NAMED} more" if len(missing) > MAX_NAMED else "")
    if len(missing) == asked:
        return f"input {given!r} matches nothing: there is no {named}"
    verb = "is" if len(missing) == 1 else "are"
    return f"input {given!r}: {named} {verb} not there ({asked - len(missing)} of {asked} are); mend the range, or bring it back"


def _formats_read() -> str:
    suffixes = " ".join(suffix for each in FORMATS.values() for suffix in each.suffixes)
    return f"({suffixes}) and no image file; give images, or their folder"


def _there(others: Iterable[LeftOut]) -> str:
    kinds = left_out_by_kind(others)
    return f"; there {'is' if kinds[0].count == 1 else 'are'} {'; '.join(map(str, kinds[:MAX_NAMED]))}" if kinds else ""
