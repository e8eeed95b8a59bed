"""The capacity model: what a call costs, how workers add up, and what a city needs (`jiaohao plan`)."""
