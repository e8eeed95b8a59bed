"""A registration from its pass to its receipt: register, change, cancel, view."""
