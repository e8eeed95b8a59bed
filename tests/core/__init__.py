"""What every room stands on: city, clock, papers, keys, tokens, encryption."""
