"""What would suit any Qt program."""
