"""The audit: the contract's promises, each checked by name against what residents were told and the store has."""
