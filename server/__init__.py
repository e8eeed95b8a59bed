"""jiaohao 叫号: the waiting room, registration and the night of a vaccine booking."""

__version__ = "0.1.0"
