"""The train step, the loop around it, and what the loop keeps on disk."""
