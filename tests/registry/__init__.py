"""Who may register, with which papers, and who guesses."""
