"""What operators do: imports, retention, the doctor."""
