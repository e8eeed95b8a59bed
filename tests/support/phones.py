"""A gateway whose messages can be read again."""


class Phones:
    """A gateway that keeps what it was given; `broken`: it takes nothing."""

    ready = 100

    def __init__(self) -> None:
        self.messages: list[tuple[str, str]] = []
        self.broken = False

    async def submit(self, phone: str, text: str) -> list[str]:
        """Take a message."""
        if self.broken:
            raise OSError("no space left on device")
        self.messages.append((phone, text))
        return []
