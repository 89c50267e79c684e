"""The master key and what derives from it; the data keys of persons, which seal what would identify them.

Erasing a person is destroying the person's keys, so nothing here is kept longer than five minutes in memory.
"""

from __future__ import annotations

import base64
import hmac
import os
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32
CACHE_SECONDS = 300.0
"""A destroyed key stays usable in a process for at most so long (protocol.md §5)."""

_NONCE_BYTES = 12
_VERSION_BYTES = 2


class MasterKeyError(RuntimeError):
    """The master key file cannot be used; the text says what to do."""


class KeyLost(Exception):
    """There is no key row of this person, or it was destroyed: what was sealed with it is gone."""


class KeyServiceDown(Exception):
    """The person's key is not at hand and cannot be unwrapped now: wait and try again."""


class Tampered(Exception):
    """A sealed value is not what this key sealed for this place: altered, moved, or from another database."""


def master_key(path: Path) -> MasterKey:
    """Read the master key, making it first where there is none. Several processes may do so at once.

    Raises MasterKeyError when the file does not have exactly 32 bytes or others may read it."""
    with suppress(FileExistsError):
        if not path.exists():
            _make(path)
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            secret = file.read(KEY_BYTES + 1)
    except OSError as error:
        raise MasterKeyError(
            f"the master key {path} cannot be read ({error.strerror}): check its owner"
        ) from error
    if mode & 0o077:
        raise MasterKeyError(
            f"the master key {path} has mode {mode:04o}, so others may read it: run `chmod 600 {path}`, and if it was "
            "readable for others for a while, treat it as known and rotate it"
        )
    if len(secret) != KEY_BYTES:
        raise MasterKeyError(
            f"the master key {path} has {'more than ' if len(secret) > KEY_BYTES else ''}"
            f"{min(len(secret), KEY_BYTES)} bytes instead of {KEY_BYTES}: restore it from its backup; a new key cannot "
            "open what the old one sealed"
        )
    return MasterKey(secret)


def _make(path: Path) -> None:
    """A new key, complete or not there: written beside, made durable, then linked to its name."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, os.urandom(KEY_BYTES))
        os.fsync(descriptor)
        os.link(draft, path)
    finally:
        os.close(descriptor)
        draft.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class MasterKey:
    """32 secret bytes and the keys derived from them (HKDF-SHA256, one label per use; labels never change meaning)."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) != KEY_BYTES:
            raise MasterKeyError(f"a master key has {KEY_BYTES} bytes, not {len(secret)}")
        self._secret = secret
        self._derived: dict[str, bytes] = {}

    def __repr__(self) -> str:
        return "MasterKey(…)"

    def derive(self, label: str) -> bytes:
        """The 32-byte key of one use, e.g. ``blind/76``. Deterministic."""
        key = self._derived.get(label)
        if key is None:
            key = HKDF(SHA256(), KEY_BYTES, salt=b"spie-hub/1", info=label.encode()).derive(self._secret)
            self._derived[label] = key
        return key

    def _mac(self, label: str, message: bytes) -> bytes:
        return hmac.digest(self._derived.get(label) or self.derive(label), message, "sha256")

    def blind(self, territory: str, rule: str, *parts: str) -> bytes:
        """Keyed hash of *all* parts of an identity rule: equal only inside one territory and rule (table identity)."""
        return self._mac(f"blind/{territory}", _joined(rule, *parts))

    def source_id(self, territory: str, *parts: str) -> str:
        """A source event id (hex, 64) from the fact's own content, so that the same fact always has the same id."""
        return self._mac(f"source-id/{territory}", _joined(*parts)).hex()

    def digest(self, territory: str, *parts: str) -> str:
        """Keyed hash (hex, 64) under which a source's memory keeps a personal value (``Context.digest``)."""
        return self._mac(f"digest/{territory}", _joined(*parts)).hex()

    def outward_id(self, partner: str, person: UUID) -> str:
        """The person's id at one partner: ``p1:`` and 26 base32 characters (128 bits); two partners cannot join theirs."""
        mac = self._mac(f"outward/{partner}", person.bytes)
        return "p1:" + base64.b32encode(mac[:16]).decode().rstrip("=")

    def header_mac(self, event: UUID, body_hash: bytes) -> bytes:
        """The MAC header that marks a record of the log as the hub's own (events.md, *Headers*)."""
        return self._mac("header", event.bytes + body_hash)

    def canonical(self, body: bytes) -> bytes:
        """Keyed hash of an item's canonical form: the same again is a repetition, another one a conflict (§1)."""
        return self._mac("canonical", body)

    def message_hash(self, message: bytes) -> bytes:
        """Keyed hash of a message as sent; the ledger holds no guessable digest."""
        return self._mac("message", message)

    def told(self, partner: str, *parts: str) -> bytes:
        """Keyed hash of the echo fields last told to a partner (table told)."""
        return self._mac(f"told/{partner}", _joined(*parts))


def _joined(*parts: str) -> bytes:
    """Parts with their lengths: ("ab", "c") and ("a", "bc") never give the same bytes."""
    encoded = [part.encode() for part in parts]
    return b"".join(len(part).to_bytes(4, "big") + part for part in encoded)


def seal(cipher: AESGCM, plaintext: bytes, aad: bytes) -> bytes:
    """AES-256-GCM: a random 96-bit nonce, then ciphertext and tag."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + cipher.encrypt(nonce, plaintext, aad)


def open_(cipher: AESGCM, sealed: bytes, aad: bytes) -> bytes:
    """What `seal` sealed under the same key and aad. Raises Tampered."""
    try:
        return cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], aad)
    except (InvalidTag, ValueError) as error:
        raise Tampered(
            "a sealed value does not open at this place: altered, moved, or sealed by another key"
        ) from error


@dataclass(slots=True)
class _Held:
    until: float
    newest: int
    ciphers: dict[int, AESGCM]


class DataKeys:
    """The data keys of persons, unwrapped and held for at most five minutes; `clock` is monotonic seconds.

    The shell loads before a transaction begins: ``missing(persons)`` → rows of person_key → ``load(person, rows)``.
    `seal` and `open` never wait: a key that is not held is KeyServiceDown, a person without a living key KeyLost. A sealed
    value is key version (2 bytes), nonce (12), ciphertext, tag; the AAD is the caller's place (event id and block) and the
    key version, so a value opens for one person at one place only.
    """

    def __init__(self, master: MasterKey, clock: Callable[[], float], limit: int = 50_000) -> None:
        self._wrapping = AESGCM(master.derive("wrap"))
        self._clock, self._limit = clock, limit
        self._held: dict[UUID, _Held] = {}

    def new_key(self, person: UUID, version: int = 1) -> bytes:
        """A fresh data key, held from now on; returns it wrapped, for the person_key row."""
        key = os.urandom(KEY_BYTES)
        self._hold(person, {version: AESGCM(key)} | self._living(person))
        return self.wrap(key, person, version)

    def wrap(self, key: bytes, person: UUID, version: int) -> bytes:
        """The key sealed by the master's wrapping key, bound to person and version."""
        return seal(self._wrapping, key, _wrap_place(person, version))

    def unwrap(self, wrapped: bytes, person: UUID, version: int) -> bytes:
        """Raises KeyServiceDown when this master key did not wrap it."""
        try:
            return open_(self._wrapping, wrapped, _wrap_place(person, version))
        except Tampered as error:
            raise KeyServiceDown(
                "a data key does not unwrap: this is not the master key of this database; put the right one back"
            ) from error

    def missing(self, persons: Iterable[UUID]) -> list[UUID]:
        """Which of these have no key held now, each once."""
        now = self._clock()
        return [
            person
            for person in dict.fromkeys(persons)
            if (held := self._held.get(person)) is None or held.until <= now
        ]

    def load(self, person: UUID, rows: Iterable[tuple[int, bytes | None]]) -> None:
        """Hold a person's keys from all its person_key rows (version, wrapped; None = destroyed). Without a living row the
        person's key is lost from now on. Raises KeyServiceDown."""
        living = {version: wrapped for version, wrapped in rows if wrapped is not None}
        self._hold(person, {v: AESGCM(self.unwrap(w, person, v)) for v, w in living.items()})

    def forget(self, person: UUID) -> None:
        """Drop a person's keys at once (erased, or told so by another process)."""
        self._held.pop(person, None)

    def seal(self, person: UUID, plaintext: bytes, place: str) -> bytes:
        """Seal with the person's newest key. Raises KeyLost, KeyServiceDown."""
        held = self._get(person)
        version = held.newest.to_bytes(_VERSION_BYTES, "big")
        return version + seal(held.ciphers[held.newest], plaintext, place.encode() + version)

    def open(self, person: UUID, sealed: bytes, place: str) -> bytes:
        """Open what was sealed for this person at this place. Raises KeyLost, KeyServiceDown, Tampered."""
        held = self._get(person)
        version = sealed[:_VERSION_BYTES]
        cipher = held.ciphers.get(int.from_bytes(version, "big"))
        if cipher is None:
            raise KeyLost("the key version that sealed this is gone")
        return open_(cipher, sealed[_VERSION_BYTES:], place.encode() + version)

    def _get(self, person: UUID) -> _Held:
        held = self._held.get(person)
        if held is None or held.until <= self._clock():
            raise KeyServiceDown("the person's key is not at hand")
        if not held.ciphers:
            raise KeyLost("there is no living key of this person")
        return held

    def _living(self, person: UUID) -> dict[int, AESGCM]:
        held = self._held.get(person)
        return held.ciphers if held and held.until > self._clock() else {}

    def _hold(self, person: UUID, ciphers: dict[int, AESGCM]) -> None:
        self._held.pop(person, None)
        while len(self._held) >= self._limit:
            del self._held[next(iter(self._held))]
        self._held[person] = _Held(self._clock() + CACHE_SECONDS, max(ciphers, default=0), ciphers)


def _wrap_place(person: UUID, version: int) -> bytes:
    return b"wrap" + person.bytes + version.to_bytes(_VERSION_BYTES, "big")
