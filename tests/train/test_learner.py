import chex
import jax
import optax
import pytest

from jaxssl.augment.crop_spec import CropSpec
from jaxssl.augment.view import Augment, View
from jaxssl.data import batch_shapes
from jaxssl.errors import UserError
from jaxssl.methods import MoCo, Rotation
from jaxssl.train.learner import Learner
from tests.tiny import TinyEncoder

AUGMENT = Augment(views=(View(crop=CropSpec(size=8)),) * 2)


def test_a_step_keeps_the_shapes_that_are_told_before_anything_is_computed():
  learner = Learner(
    method=Rotation(encoder=TinyEncoder()), augment=AUGMENT, tx=optax.sgd(0.1)
  )
  batch = batch_shapes(4, image_size=8)
  state = learner.abstract(batch)
  after, metrics = jax.eval_shape(learner.step, state, batch)
  chex.assert_trees_all_equal_shapes_and_dtypes(after, state)
  assert {'loss', 'grad_norm'} <= metrics.keys()


def test_a_batch_that_cannot_be_cut_is_refused_when_the_learner_is_made():
  with pytest.raises(UserError, match='cannot take its batch in parts'):
    Learner(
      method=MoCo(encoder=TinyEncoder()),
      augment=AUGMENT,
      tx=optax.sgd(0.1),
      micro_batches=2,
    )


def test_weights_for_a_method_that_takes_none_are_refused():
  learner = Learner(
    method=Rotation(encoder=TinyEncoder()), augment=AUGMENT, tx=optax.sgd(0.1)
  )
  with pytest.raises(UserError, match='Rotation does not start from'):
    learner.abstract(batch_shapes(4, image_size=8), {'params': {}})
