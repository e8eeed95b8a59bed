"""Small inputs that failed people: residents, desk workers, SREs, attackers. Each stands for its kind."""
