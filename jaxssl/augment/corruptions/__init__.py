"""The corruptions of ImageNet-C on the accelerator; see `kinds.corrupt`."""
