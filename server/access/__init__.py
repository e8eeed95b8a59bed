"""How residents show who they are without a receipt: one-time codes."""
