"""Evaluations: what the features of a frozen encoder are worth.

They know encoders, never methods.
"""
