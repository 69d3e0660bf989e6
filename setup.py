"""Installs jaxssl: `pip install .`, see README.md.

Name, version, requirements and extras are in pyproject.toml.
"""

import setuptools

# `configs/` goes along, so that `--config quickstart` works without a checkout.
# Here, as pyproject.toml cannot add a folder to the packages that are found.
setuptools.setup(
  packages=[
    *setuptools.find_packages(include=['jaxssl', 'jaxssl.*']),
    'jaxssl.shipped_configs',
  ],
  package_dir={'jaxssl.shipped_configs': 'configs'},
)
