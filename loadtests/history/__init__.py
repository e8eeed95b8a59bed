"""What every resident asked and was told, and when: recorded small, and proven to be explained by one order."""
