"""Tests of the rehearsal, its audit and its reports."""
