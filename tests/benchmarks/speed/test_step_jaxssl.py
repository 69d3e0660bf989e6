import pytest

from benchmarks.peers import workloads
from benchmarks.speed import step_jaxssl


@pytest.mark.parametrize(
  ('name', 'giga'),
  # Two operations a multiplication and addition; ResNet-50 and the ViTs as
  # open_clip's model_profile.csv and torchvision's page give them.
  [('resnet50_224', 8.18), ('vit_s16_224', 9.2), ('vit_b16_224', 35.1)],
)
def test_operations_of_a_forward_pass_are_the_published_ones(name, giga):
  flops = step_jaxssl.forward_flops(workloads.GPU[name])
  assert flops / 1e9 == pytest.approx(giga, rel=0.01)
