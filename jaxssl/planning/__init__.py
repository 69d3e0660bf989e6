"""What a run needs of a machine that is not there."""
