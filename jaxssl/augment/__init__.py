"""Random views of images, in pure JAX on the accelerator."""
