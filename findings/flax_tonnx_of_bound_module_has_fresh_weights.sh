#!/usr/bin/env bash
# A Linen module with its weights bound, handed to flax.nnx, has other weights.
#
# Versions: flax 0.12.8, jax 0.10.2, Python 3.11; 2026-11-29.
#
# One would guess that `nnx.bridge.ToNNX(module.bind(variables), rngs)` is the
# bound module: `bind` is Linen's way to give a module its variables. Seen:
# `lazy_init`, which its documentation asks for, draws new weights without a
# word, and every call runs with them. The weights of a trained network get in
# as attributes, by `nnx.bridge.variables.linen_vars_to_nnx_attrs`.
#
# Exits with 1 if this changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet flax==0.12.8 jax==0.10.2 jaxlib==0.10.2
JAX_PLATFORMS=cpu "$folder/venv/bin/python" - <<'PYTHON'
from flax import linen, nnx
from flax.nnx.bridge import variables as bridge_variables
import jax
import jax.numpy as jnp

module, x = linen.Dense(3), jnp.ones((1, 2))
trained = module.init(jax.random.key(7), x)
expected = module.apply(trained, x)

bound = nnx.bridge.ToNNX(module.bind(trained), rngs=nnx.Rngs(0)).lazy_init(x)
given = nnx.bridge.ToNNX(module)
attributes = bridge_variables.linen_vars_to_nnx_attrs(trained)
for name, value in attributes.items():
  setattr(given, name, value)
print('expected', expected, 'bound', bound(x), 'as attributes', given(x))
assert not jnp.allclose(bound(x), expected)
assert jnp.array_equal(given(x), expected)
PYTHON
echo 'as before: lazy_init of a bound module draws new weights'
