"""A text as short messages in UCS-2: one of 70 UTF-16 units, or parts of 67 behind a header (3GPP TS 23.040)."""

UNITS_ALONE = 70
UNITS_OF_A_PART = 67
MOST_PARTS = 255

_OCTETS = 2  # of a unit


def units(text: str) -> int:
    """Length in UTF-16 units: what an SMS counts; an emoji or a rare character is two."""
    return len(text.encode("utf-16-be", "surrogatepass")) // _OCTETS


def split(text: str, reference: int) -> list[bytes]:
    """The octets of each short message, 140 at most, with the header that joins them where there are several.

    Args:
        text: what to say.
        reference: 0..255, the same in all parts, another one in the next message to the same phone.

    Raises:
        ValueError: an empty text, half a surrogate pair, or more than 255 parts.
    """
    try:
        octets = text.encode("utf-16-be")
    except UnicodeEncodeError:  # its own words would repeat the text
        raise ValueError("half a character") from None
    if not octets:
        raise ValueError("nothing to say")
    if len(octets) <= UNITS_ALONE * _OCTETS:
        return [octets]
    pieces = []
    start = 0
    while start < len(octets):
        end = start + UNITS_OF_A_PART * _OCTETS
        # The first half of a pair does not stay behind alone.
        if end < len(octets) and 0xD8 <= octets[end - _OCTETS] <= 0xDB:
            end -= _OCTETS
        pieces.append(octets[start:end])
        start = end
    if len(pieces) > MOST_PARTS:
        raise ValueError("too long for one message")
    # 5 octets follow; 00: parts of one message, reference of one octet; 3 octets follow.
    return [bytes((5, 0, 3, reference, len(pieces), i)) + piece for i, piece in enumerate(pieces, start=1)]
