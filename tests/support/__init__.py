"""What tests share: servers, people, models, files."""

from pathlib import Path

SUPPORT = Path(__file__).parent
