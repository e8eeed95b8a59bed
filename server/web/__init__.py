"""HTTP: knows the contract's calls and nothing of the store."""
