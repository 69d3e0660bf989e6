"""Random views of images, in pure JAX on the accelerator.

`recipes` holds what methods use; `view` the classes to make your own. This
file imports nothing, so that `augment.crop_spec` stays free of JAX for the
processes that only read pictures.
"""
