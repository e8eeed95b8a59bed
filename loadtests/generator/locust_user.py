"""Locust's user. Importing Locust patches the whole process for gevent, so nobody but its entry points does."""

from __future__ import annotations

import gevent
from locust import User, task

from loadtests.generator.dispatcher import Dispatcher


class ConnectionUser(User):
    """A Locust user that is one of the run's lines, and serves whoever its dispatcher hands it; one run a process."""

    @task
    def serve(self) -> None:
        """Serve until killed."""
        board = Dispatcher.of_this_process
        if board is None:  # not begun
            gevent.sleep(0.1)
        else:
            board.serve()
