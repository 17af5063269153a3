"""The fields of the dock widgets."""
