"""Opening a workdir: its encoder, towers, data, and inputs of evaluations."""
