"""What an operator does: overview, interventions, imports, retention, key rotation, the doctor."""
