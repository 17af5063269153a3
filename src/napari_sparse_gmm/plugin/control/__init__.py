"""What the dock widget does: fits begun, superseded and cancelled, and what the layers show."""
