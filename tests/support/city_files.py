"""City files that are the shipped one with something else in it."""

from pathlib import Path

from server.core.city import SHIPPED_CITY, City, load_city


def changed_city_file(folder: Path, *changes: tuple[str, str]) -> Path:
    """The shipped city file, where each of these stands once, with another text in its place."""
    text = SHIPPED_CITY.read_text("utf-8")
    for before, after in changes:
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    file = folder / "city.toml"
    file.write_text(text, "utf-8")
    return file


def changed_city(folder: Path, *changes: tuple[str, str]) -> City:
    """The city of such a file."""
    return load_city(changed_city_file(folder, *changes))


def loud_city(folder: Path, **sms: int) -> str:
    """A city file without quiet hours: commands go by the machine's clock."""
    text = load_text().replace("quiet_hours = { begins = 21:00:00, ends = 08:00:00 }", "quiet_hours = {}")
    for name, value in sms.items():
        (line,) = (line for line in text.splitlines() if line.startswith(f"{name} = "))
        text = text.replace(line, f"{name} = {value}")
    file = folder / "loud.toml"
    file.write_text(text, "utf-8")
    return str(file)


def load_text() -> str:
    """The shipped city file, which has quiet hours."""
    text = SHIPPED_CITY.read_text("utf-8")
    assert "quiet_hours = { begins" in text
    return text
