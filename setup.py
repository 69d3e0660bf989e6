"""Installs jaxssl: `pip install .`, see README.md.

Name, version, requirements and extras are in pyproject.toml. This file keeps
tools working that call it.
"""

import setuptools

setuptools.setup()
