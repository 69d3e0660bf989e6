"""Groups of arguments that several commands share, and what they mean."""
