"""Runs that are killed at random moments, and how they end."""
