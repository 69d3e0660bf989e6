"""The published recipes, compiled for slices that are not there."""
