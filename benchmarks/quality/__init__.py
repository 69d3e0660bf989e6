"""What is learned, beside PyTorch and with one budget."""
