"""SMS: rendering, senders, gateways, delivery receipts and what failed."""
