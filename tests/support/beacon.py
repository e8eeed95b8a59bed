"""Rounds of drand's quicknet that were recorded: public facts, and the only ones that the tests know."""

from typing import Final, NamedTuple


class Recorded(NamedTuple):
    """A round of the beacon, as its documentation has it."""

    number: int
    signature: str
    randomness: str


RECORDED: Final = (
    Recorded(
        657413,
        "b713718a38ae728dfd477991af2822e08d2f305e47718cef9f7848ce4050e7be41076862b98fad56e91a6b85b89cd97b",
        "fc1873a13f3545aeade8401532ef5519920652eee6b0d2b19ca12643b87b3587",
    ),
    Recorded(
        42,
        "95a9f9f5b231b7714de1553105d8ffdf3dcda24cfdb1e689319bccf79a9c8ce430a91b811fbfaf763900bc998b5d686a",
        "8ada64bae5c6c0f5540a6a13af56e663240edfbd2c76ac6a8f27671eb7259ce3",
    ),
)
