"""Tests, named by what a user could lose."""
