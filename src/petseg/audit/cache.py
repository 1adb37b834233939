"""Remembers what was measured, by the content of the files, so that a second audit only measures what is new."""

import contextlib
import dataclasses
import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from petseg.audit.facts import THUMB, Facts
from petseg.audit.samples import Sample

# What other versions remembered is not used; raise it when the measurements or the search for duplicates change.
VERSION = 1
BATCH = 500  # keys in one query; SQLite allows about 32,000


def folder() -> Path:
    """Where the cache is: PETSEG_CACHE, else XDG_CACHE_HOME/petseg, else ~/.cache/petseg, as for downloads."""
    if named := os.environ.get("PETSEG_CACHE"):
        return Path(named).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "petseg"


def key(sample: Sample) -> str:
    """A hash of everything that the facts of a sample depend on: both files, the suffix, and how the mask is read."""
    digest = hashlib.blake2b(f"{VERSION} {sample.image.suffix} {sample.trimap}".encode(), digest_size=20)
    for path in (sample.image, sample.mask):
        try:
            with open(path, "rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:  # becomes a finding when it is measured
            digest.update(f"unreadable {error.errno}".encode())
    return digest.hexdigest()


class Cache:
    """Facts by key, and lists of duplicates by a hash of all keys, in one SQLite file.

    A cache that cannot be opened, read or written is not used; it only saves time.
    """

    def __init__(self, database: sqlite3.Connection | None) -> None:
        self._database = database

    def read(self, keys: Sequence[str]) -> dict[str, Facts]:
        """The facts that are known, by key."""
        found: dict[str, Facts] = {}
        for start in range(0, len(keys), BATCH):
            batch = keys[start : start + BATCH]
            marks = ", ".join("?" * len(batch))
            rows = self._select(f"SELECT key, facts, thumb FROM facts WHERE key IN ({marks})", batch)
            found |= {name: _from_row(text, thumb) for name, text, thumb in rows}
        return found

    def write(self, facts: Iterable[tuple[str, Facts]]) -> None:
        """Remembers facts by key."""
        rows = [(name, *_to_row(each)) for name, each in facts]
        self._insert("INSERT OR REPLACE INTO facts VALUES (?, ?, ?)", rows)

    def read_list(self, name: str) -> list | None:
        """A remembered list of JSON values, or None."""
        rows = self._select("SELECT content FROM lists WHERE key = ?", [name])
        return json.loads(rows[0][0]) if rows else None

    def write_list(self, name: str, values: list) -> None:
        """Remembers a list of JSON values."""
        self._insert("INSERT OR REPLACE INTO lists VALUES (?, ?)", [(name, json.dumps(values))])

    def _select(self, query: str, values: Sequence[str]) -> list[tuple]:
        if self._database is None:
            return []
        try:
            return self._database.execute(query, values).fetchall()
        except sqlite3.Error:
            return []

    def _insert(self, statement: str, rows: list[tuple]) -> None:
        if self._database is not None:
            with contextlib.suppress(sqlite3.Error), self._database:
                self._database.executemany(statement, rows)


@contextmanager
def opened() -> Iterator[Cache]:
    """Yields the cache in `folder()`; one that does nothing if it cannot be opened."""
    path = folder() / "audit.sqlite"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(path)
        with database:
            database.execute("CREATE TABLE IF NOT EXISTS facts (key TEXT PRIMARY KEY, facts TEXT, thumb BLOB)")
            database.execute("CREATE TABLE IF NOT EXISTS lists (key TEXT PRIMARY KEY, content TEXT)")
    except (OSError, sqlite3.Error):
        yield Cache(None)
        return
    with contextlib.closing(database):
        yield Cache(database)


def _to_row(facts: Facts) -> tuple[str, bytes]:
    values = {each.name: getattr(facts, each.name) for each in dataclasses.fields(facts) if each.name != "thumb"}
    return json.dumps(values), facts.thumb.tobytes()


def _from_row(text: str, thumb: bytes) -> Facts:
    return Facts(**json.loads(text), thumb=np.frombuffer(thumb, np.uint8).reshape(THUMB, THUMB))
