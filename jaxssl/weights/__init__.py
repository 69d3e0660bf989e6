"""Weights of other libraries, and the safetensors format."""
