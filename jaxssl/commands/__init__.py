"""The commands of `jaxssl`: one file each, arguments and action."""
