"""Who is who: the first-dose registry, who is eligible, and the limit on wrong papers."""
