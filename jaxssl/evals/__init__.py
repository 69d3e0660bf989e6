"""Evaluations: what an encoder is worth. One protocol per file.

They know encoders, never how those were pre-trained, and no workdir.
"""
