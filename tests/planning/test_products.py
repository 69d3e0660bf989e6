import jax
import jax.numpy as jnp
import pytest

from jaxssl.planning import hlo, kernels, products

# As XLA 0.10.2 wrote them for an H100, shortened.
CONFIG = (
  'backend_config={"operation_queue_id":"0","gemm_backend_config":{'
  '"dot_dimension_numbers":{"lhs_contracting_dimensions":["1"],'
  '"rhs_contracting_dimensions":["0"]}}}'
)
LINES = f"""
  %a = bf16[100,768]{{1,0}} parameter(0)
  %b = bf16[768,2304]{{1,0}} parameter(1)
  %q = bf16[2,200,3,64]{{3,2,1,0}} parameter(2)
  %k = bf16[2,80,3,64]{{3,2,1,0}} parameter(3)
  %x = bf16[8,14,14,64]{{3,2,1,0}} parameter(4)
  %y = bf16[8,7,7,128]{{3,2,1,0}} parameter(5)
  %w = bf16[128,3,3,64]{{3,2,1,0}} parameter(6)
  %gemm = (bf16[100,2304]{{1,0}}, s8[33554432]{{0}}) custom-call(%a, %b), custom_call_target="__cublas$lt$matmul", {CONFIG}
  %dot = f32[100,2304]{{1,0}} dot(%a, %b), lhs_contracting_dims={{1}}, rhs_contracting_dims={{0}}
  %attend = (bf16[2,3,200,64]{{3,1,2,0}}, f32[2,3,200]{{2,1,0}}, u8[0]{{0}}) custom-call(%q, %k, %k), custom_call_target="__cudnn$fmhaSoftmax", backend_config={{"mask_type": "PADDING"}}
  %causal = (bf16[2,3,200,64]{{3,1,2,0}}, f32[2,3,200]{{2,1,0}}, u8[0]{{0}}) custom-call(%q, %q, %q), custom_call_target="__cudnn$fmhaSoftmax", backend_config={{"mask_type": "PADDING_CAUSAL"}}
  %back = (bf16[2,3,200,64]{{3,1,2,0}}, u8[0]{{0}}) custom-call(%q, %k, %k), custom_call_target="__cudnn$fmhaSoftmaxBackward", backend_config={{"mask_type": "PADDING"}}
  %conv = (bf16[8,7,7,128]{{3,2,1,0}}, u8[9]{{0}}) custom-call(%x, %w), window={{size=3x3 stride=2x2 pad=1_1x1_1}}, dim_labels=b01f_o01i->b01f, custom_call_target="__cudnn$convForward"
  %dx = (bf16[8,14,14,64]{{3,2,1,0}}, u8[9]{{0}}) custom-call(%y, %w), window={{size=3x3 stride=2x2 pad=1_1x1_1}}, dim_labels=b01f_o01i->b01f, custom_call_target="__cudnn$convBackwardInput"
  %dw = (bf16[128,3,3,64]{{3,2,1,0}}, u8[9]{{0}}) custom-call(%x, %y), window={{size=3x3 stride=2x2 pad=1_1x1_1}}, dim_labels=b01f_o01i->b01f, custom_call_target="__cudnn$convBackwardFilter"
  %qs = bf16[16,64,12,200]{{3,2,1,0}} parameter(7)
  %ks = bf16[16,64,12,200]{{3,2,1,0}} parameter(8)
  %batched = bf16[16,200,12,200]{{3,2,1,0}} convolution(%qs, %ks), window={{size=16x12 stride=15x11 pad=15_15x11_11 lhs_dilate=16x12}}, dim_labels=0f1b_0i1o->0b1f
  %sum = bf16[100,768]{{1,0}} add(%a, %a)
"""  # noqa: E501
ATTENTION = 2 * 3 * 200 * 80 * 64
# Of 14 pixels, padded by one, a stride of 2 meets 7 with each of its outer
# taps but one.
CONVOLUTION = 2 * 8 * 128 * 64 * (7 + 7 + 6) ** 2


@pytest.mark.parametrize(
  ('name', 'expected'),
  [
    ('gemm', 2 * 100 * 768 * 2304),
    ('dot', 2 * 100 * 768 * 2304),
    ('attend', 2 * 2 * ATTENTION),
    ('causal', 2 * 2 * 2 * 3 * 200 * 200 * 64 / 2),
    ('back', 2 * 5 * ATTENTION),
    ('conv', CONVOLUTION),
    ('dx', CONVOLUTION),
    ('dw', CONVOLUTION),
    # As a TPU's compiler writes the logits of 16 heads and 12 images.
    ('batched', 2 * 16 * 12 * 200 * 200 * 64),
    ('sum', 0),
  ],
)
def test_flops_of_an_instruction(name, expected):
  found = hlo.instructions(LINES.splitlines())
  results = {each.name: each.results for each in found}
  (one,) = (each for each in found if each.name == name)
  assert products.flops(one, results) == expected


def test_flops_are_those_of_the_shapes_in_a_program_of_this_machine():
  def fn(a, b, image, kernel):
    conv = jax.lax.conv(image, kernel, (1, 1), 'VALID')
    return jnp.sin(a @ b), conv

  shapes = [(32, 16), (16, 8), (2, 4, 9, 9), (6, 4, 3, 3)]
  compiled = jax.jit(fn).lower(*map(jnp.zeros, shapes)).compile()
  found = kernels.kernels(compiled.as_text())
  expected = 2 * 32 * 16 * 8 + 2 * 2 * 6 * 7 * 7 * 4 * 9
  assert sum(kernel.flops for kernel in found) == expected
