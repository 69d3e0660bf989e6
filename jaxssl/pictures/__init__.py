"""Pictures of runs: curves, maps of features, grids of views."""
