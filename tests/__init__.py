"""Tests; what fails in a helper of theirs says why, as a test itself does."""

import pytest

pytest.register_assert_rewrite("tests.support", "tests.broken")
