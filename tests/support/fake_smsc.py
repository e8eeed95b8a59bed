"""An SMSC that writes its PDUs octet by octet, by SMPP 3.4 alone, and takes freedoms as providers do.

Where npm's `smpp` can do a thing, `smsc.py` is the better witness.
"""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

SUBMIT_SM, DELIVER_SM, UNBIND, ENQUIRE_LINK, DATA_SM = 0x04, 0x05, 0x06, 0x15, 0x103
BINDS: Final = {0x01: "receiver", 0x02: "transmitter", 0x09: "transceiver"}
RESPONSE, NACK = 0x80000000, 0x80000000
OUR_NUMBER = "10690000"


class Submitted(NamedTuple):
    """A short message that it took: to which phone, its octets, and the id it was given."""

    phone: str
    octets: bytes
    answer: str


class Peer:
    """One connection of ours."""

    def __init__(self, role: str, writer: asyncio.StreamWriter) -> None:
        self.role = role
        self.writer = writer

    def send(self, command: int, sequence: int, body: bytes = b"", status: int = 0) -> None:
        self.writer.write(struct.pack("!IIII", 16 + len(body), command, status, sequence) + body)


class FakeSmsc:
    """A running one.

    Args:
        answer: the id of the n-th message it takes, from 0.
        refuse: which binds it does not let in, and how: a status, -1 for a generic_nack, -2 to hang up.
    """

    def __init__(self, answer: Callable[[int], str], refuse: dict[str, int]) -> None:
        self._answer = answer
        self._refuse = refuse
        self._sequence = 0
        self._answers: dict[int, asyncio.Future[tuple[int, int]]] = {}
        self.port = 0
        self.peers: list[Peer] = []
        self.binds: list[str] = []
        self.submitted: list[Submitted] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until we leave."""
        peer = Peer("", writer)
        try:
            while True:
                head = await reader.readexactly(16)
                length, command, status, sequence = struct.unpack("!IIII", head)
                body = await reader.readexactly(length - 16)
                if not self._handle(peer, command, status, sequence, body):
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            if peer in self.peers:
                self.peers.remove(peer)
            writer.close()

    def _handle(self, peer: Peer, command: int, status: int, sequence: int, body: bytes) -> bool:
        if command in BINDS:
            peer.role = BINDS[command]
            self.binds.append(peer.role)
            refusal = self._refuse.get(peer.role, 0)
            if refusal == -2:
                return False
            if refusal == -1:
                peer.send(NACK, sequence, status=3)
            else:
                peer.send(command | RESPONSE, sequence, b"" if refusal else b"smsc\0", refusal)
                if not refusal:
                    self.peers.append(peer)
        elif command == SUBMIT_SM:
            assert peer.role != "receiver", "what goes out goes out by the transmitter"
            phone, octets = _read_submit(body)
            taken = Submitted(phone, octets, self._answer(len(self.submitted)))
            self.submitted.append(taken)
            peer.send(command | RESPONSE, sequence, taken.answer.encode() + b"\0")
        elif command & RESPONSE and (waiting := self._answers.pop(sequence, None)) is not None:
            waiting.set_result((command, status))
        elif command in (ENQUIRE_LINK, UNBIND):
            peer.send(command | RESPONSE, sequence)
        return command != UNBIND

    async def say(
        self,
        octets: bytes,
        *,
        phone: str = "",
        esm_class: int = 4,
        coding: int = 0,
        command: int = DELIVER_SM,
        fields: bytes = b"",
    ) -> tuple[int, int]:
        """Send a deliver_sm or a data_sm to whoever receives; what was answered: (command, status).

        Args:
            octets: of the text.
            phone: where it comes from, as it is written; empty: it does not say.
            esm_class: 4 a receipt, 0 a message, 0x20 a receipt of what is not the end.
            coding: data_coding.
            command: which.
            fields: optional parameters.
        """
        peer = next(it for it in self.peers if it.role in ("receiver", "transceiver"))
        self._sequence += 1
        waiting: asyncio.Future[tuple[int, int]] = asyncio.get_running_loop().create_future()
        self._answers[self._sequence] = waiting
        to = OUR_NUMBER.encode() if phone else b""
        addresses = b"\0" + b"\1\1" + phone.encode() + b"\0" + b"\0\0" + to + b"\0"
        if command == DATA_SM:
            payload = struct.pack("!HH", 0x0424, len(octets)) + octets if octets else b""
            body = addresses + bytes((esm_class, 0, coding)) + payload
        else:
            body = addresses + bytes((esm_class, 0, 0, 0, 0, 0, 0, coding, 0, len(octets))) + octets
        peer.send(command, self._sequence, body + fields)
        async with asyncio.timeout(20):
            return await waiting


def field(tag: int, value: bytes) -> bytes:
    """An optional parameter."""
    return struct.pack("!HH", tag, len(value)) + value


def _read_submit(body: bytes) -> tuple[str, bytes]:
    at = body.index(b"\0") + 1  # service_type
    at = body.index(b"\0", at + 2) + 1  # from
    end = body.index(b"\0", at + 2)
    phone = body[at + 2 : end].decode()
    at = end + 1 + 3
    for _ in range(2):  # times
        at = body.index(b"\0", at) + 1
    length = body[at + 4]
    return phone, body[at + 5 : at + 5 + length]


@asynccontextmanager
async def fake_smsc(
    answer: Callable[[int], str] = "{:010d}".format, refuse: dict[str, int] | None = None
) -> AsyncIterator[FakeSmsc]:
    """A fake SMSC on a port of its own, ended with the block."""
    smsc = FakeSmsc(answer, refuse or {})
    server = await asyncio.start_server(smsc.serve, "127.0.0.1", 0)
    smsc.port = server.sockets[0].getsockname()[1]
    try:
        yield smsc
    finally:
        server.close()
        for peer in list(smsc.peers):
            peer.writer.transport.abort()
        await server.wait_closed()
