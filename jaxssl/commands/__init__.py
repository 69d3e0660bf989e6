"""The commands of `jaxssl`: one file each, arguments and action.

Every `run` raises `jaxssl.errors.UserError` for a mistake of the user, which
`cli` tells in one line.
"""
