"""jaxssl: pre-train visual encoders without labels, in JAX."""

__version__ = '0.1.0'
