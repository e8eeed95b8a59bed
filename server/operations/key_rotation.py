"""Encrypts anew what an earlier secret has encrypted, so that the earlier secret can be given up."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from server.core.encryption import Cipher, SeedCipher, Unreadable
from server.operations.store import OperationStore
from server.operations.walking import resident_of, walk
from server.records.first_dose import pack, unpack
from server.registry.store import RegistryStore
from server.store.connection import Connection

SEALED_KINDS: Final = {"opening": "draw", "night": "night"}
"""In which kinds of keys seeds are sealed, and as what."""


class Resealed(msgspec.Struct):
    """What a rotation did with the contacts it met, and how many seeds that are not revealed yet it sealed anew.

    `unreadable_ids`: key ids of the contacts that no secret of ours opens. `owed`: messages that still wait to be
    sent, and may be encrypted with an earlier secret.
    """

    resealed: int = 0
    current: int = 0
    unreadable: int = 0
    seeds: int = 0
    unreadable_ids: set[int] = msgspec.field(default_factory=set)
    owed: int = 0


async def reseal(
    connection: Connection, cipher: Cipher, seeds: SeedCipher, progress: Callable[[int], Any] = lambda _: None
) -> Resealed:
    """Walk over the registry; what an earlier secret has encrypted is encrypted anew with the current one, the seeds of
    draws and nights that are not revealed yet likewise.

    Safe beside a running service and a running import (a line that has changed since it was read is read again),
    and safe to run again after any interruption.

    Args:
        connection: where.
        cipher, seeds: of the current secret and the earlier ones.
        progress: told how many keys have been looked at.

    Raises:
        StoreUnavailable: what has been done so far is done; run it again.
    """
    done = Resealed()
    async for keys in walk(connection, progress):
        tags = [tag for kind, tag in keys if kind == "registry"]
        while tags:
            tags = await _reseal(connection, cipher, tags, done)
        await _reseal_seeds(connection, seeds, [(kind, tag) for kind, tag in keys if kind in SEALED_KINDS], done)
        done.owed += await OperationStore(connection).count_pointers([tag for kind, tag in keys if kind == "outbox"])
    return done


async def _reseal_seeds(
    connection: Connection, seeds: SeedCipher, names: Sequence[tuple[str, str]], done: Resealed
) -> None:
    if not names:
        return
    store, changes = OperationStore(connection), list[tuple[str, str, str]]()
    for (kind, tag), sealed in zip(names, await store.sealed_seeds(names), strict=True):
        if sealed is None or not seeds.is_stale(sealed):
            continue
        of = f"{SEALED_KINDS[kind]} {tag}"
        try:
            changes.append((kind, tag, seeds.seal(of, seeds.unseal(of, sealed))))
        except Unreadable:
            done.unreadable += 1
            done.unreadable_ids.add(int(sealed[:2], 16))
    await store.keep_sealed(changes)
    done.seeds += len(changes)


async def _reseal(connection: Connection, cipher: Cipher, tags: Sequence[str], done: Resealed) -> list[str]:
    """Once over these lines; those that somebody else has changed meanwhile."""
    changes: list[tuple[str, bytes, bytes]] = []
    for tag, stored in zip(tags, await OperationStore(connection).stored_lines(tags), strict=True):
        if not stored or not (record := unpack(stored)).contact:
            continue
        if not cipher.is_stale(record.contact):
            done.current += 1
            continue
        resident = resident_of(tag)
        try:
            contact = cipher.encrypt(resident, cipher.decrypt(resident, record.contact))
        except Unreadable:
            done.unreadable += 1
            done.unreadable_ids.add(record.contact[0])
            continue
        changes.append((tag, stored, pack(msgspec.structs.replace(record, contact=contact))))
    replaced = await RegistryStore(connection).replace_record(changes)
    done.resealed += sum(replaced)
    return [tag for (tag, _, _), is_new in zip(changes, replaced, strict=True) if not is_new]
