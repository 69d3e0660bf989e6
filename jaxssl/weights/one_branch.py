"""A function without choices by platform, for converters that know none.

`jax.lax.platform_dependent` leaves all its branches in what is traced, and the
compiler chooses one. A converter from what is traced has no platform.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.extend import core

# Where the traced programs of these calls stand; what they are called for, such
# as a gradient of their own, a converter of a forward pass does not need.
_CALLS = {
  'jit': 'jaxpr',
  'custom_jvp_call': 'call_jaxpr',
  'custom_vjp_call': 'call_jaxpr',
}
_CHOICE = 'branches_platforms'


def with_one_branch(
  function: Callable[..., Any], *, without: str
) -> Callable[..., Any]:
  """Returns a function that calls one branch of each choice by platform.

  It is the default one, unless that has an operation which the caller cannot
  use; then it is the first.

  Args:
    function: arrays -> any tree of arrays.
    without: name of that operation, a JAX primitive.
  """

  def run(*args: jax.Array) -> Any:
    closed, shape = jax.make_jaxpr(function, return_shape=True)(*args)
    out = _evaluate(closed, args, without)
    return jax.tree.unflatten(jax.tree.structure(shape), out)

  return run


def _evaluate(
  closed: core.ClosedJaxpr, args: Sequence[Any], without: str
) -> list[Any]:
  """Runs a traced program, one equation after the other."""
  jaxpr, values = closed.jaxpr, dict[core.Var, Any]()

  def read(atom: Any) -> Any:
    return atom.val if isinstance(atom, core.Literal) else values[atom]

  values.update(zip(jaxpr.constvars, closed.consts, strict=True))
  values.update(zip(jaxpr.invars, args, strict=True))
  for equation in jaxpr.eqns:
    given = [read(atom) for atom in equation.invars]
    found = _run(equation, given, without)
    values.update(zip(equation.outvars, found, strict=True))
  return [read(atom) for atom in jaxpr.outvars]


def _run(
  equation: core.JaxprEqn, given: Sequence[Any], without: str
) -> Sequence[Any]:
  name, params = equation.primitive.name, equation.params
  if name == 'platform_index':
    return [None]  # the choice below does not read it
  if name == 'cond' and params.get(_CHOICE):
    branch = _chosen(params['branches'], params[_CHOICE], without)
    return _evaluate(branch, given[1:], without)
  if name in _CALLS:
    return _evaluate(params[_CALLS[name]], given, without)
  found = equation.primitive.bind(*given, **params)
  return found if equation.primitive.multiple_results else [found]


def _chosen(
  branches: Sequence[core.ClosedJaxpr], platforms: Sequence[Any], without: str
) -> core.ClosedJaxpr:
  default = branches[platforms.index(None)]
  names = [equation.primitive.name for equation in default.jaxpr.eqns]
  return branches[0] if without in names else default
