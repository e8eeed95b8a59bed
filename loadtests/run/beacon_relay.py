"""A relay of a network that a rehearsal has for itself: `python -m loadtests.run.beacon_relay GENESIS [--silent]`.

It makes a key and signs whatever round it is asked for, as the city's clock is not its own: it shows how a set-up goes
with a beacon, and nothing of what makes one trustworthy. It prints the chain's name and where it listens, one JSON
line, and ends with its standard input.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from py_arkworks_bls12381 import G1Point, G2Point, Scalar

_DST = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_"
_SECRET_BYTES = 31  # less than the curve's order, whatever they are
_PERIOD_S = 3
_SILENCE_SECONDS = 600


class Key:
    """A key of the scheme bls-unchained-g1-rfc9380."""

    def __init__(self) -> None:
        self._secret = Scalar.from_le_bytes(secrets.token_bytes(_SECRET_BYTES).ljust(32, b"\0"))
        self.public = bytes((G2Point() * self._secret).to_compressed_bytes())

    def sign(self, number: int) -> str:
        """Return the signature of a round, hex."""
        message = hashlib.sha256(number.to_bytes(8, "big")).digest()
        return bytes((G1Point.hash_to_curve(message, _DST) * self._secret).to_compressed_bytes()).hex()


def main(genesis_s: int, *, silent: bool = False) -> None:
    """Serve until standard input ends."""
    key = Key()
    chain_hash = hashlib.sha256(key.public).hexdigest()
    info = {"public_key": key.public.hex(), "period": _PERIOD_S, "genesis_time": genesis_s, "hash": chain_hash}
    info |= {"schemeID": "bls-unchained-g1-rfc9380"}

    class Relay(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if silent:
                time.sleep(_SILENCE_SECONDS)
                return
            of, _, asked = self.path.removeprefix(f"/{chain_hash}/").partition("/")
            if of == "info":
                return self._say(200, info)
            if of != "public" or not asked.isdecimal() or not 0 < int(asked) < 2**63:
                return self._say(404, {})
            signature = key.sign(int(asked))
            randomness = hashlib.sha256(bytes.fromhex(signature)).hexdigest()
            return self._say(200, {"round": int(asked), "randomness": randomness, "signature": signature})

        def _say(self, status: int, said: dict[str, object]) -> None:
            body = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Relay)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    name = f"drand:{chain_hash}:{genesis_s}:{_PERIOD_S}:{key.public.hex()}"
    print(json.dumps({"chain": name, "url": f"http://127.0.0.1:{server.server_port}"}), flush=True)
    sys.stdin.read()
    os._exit(0)  # requests that it keeps waiting are not waited for


if __name__ == "__main__":
    main(int(sys.argv[1]), silent="--silent" in sys.argv)
