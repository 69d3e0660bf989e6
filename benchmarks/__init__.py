"""Comparisons and campaigns: not installed, run from the checkout."""
