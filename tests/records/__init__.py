"""Records: as the store keeps them, and as the key table says."""
