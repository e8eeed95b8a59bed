"""Records: what the store keeps, a struct each, with the closed set of answers of the scripts that change it."""
