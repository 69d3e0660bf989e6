"""Time and memory: of steps, losses, augmentation and input."""
