"""Heads: small networks between the features and a loss."""
