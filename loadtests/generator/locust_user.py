"""Locust's user. Importing Locust patches the whole process for gevent, so nobody but its entry points does."""

from __future__ import annotations

from typing import ClassVar

import gevent
from locust import User, task

from loadtests.generator.dispatcher import Dispatcher


class ConnectionUser(User):
    """A Locust user that is one of the run's lines, and serves whoever its dispatcher hands it; one run a process.

    Attributes:
        dispatcher: of the run, set by its generator once there is one.
    """

    dispatcher: ClassVar[Dispatcher | None] = None

    @task
    def serve(self) -> None:
        """Serve until killed."""
        if self.dispatcher is None:  # not begun
            gevent.sleep(0.1)
        else:
            self.dispatcher.serve()
