"""Plots and the table."""
