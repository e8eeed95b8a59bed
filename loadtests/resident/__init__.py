"""What a resident does next, and what each was told."""
