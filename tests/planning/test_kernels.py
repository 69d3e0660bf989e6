import pytest

from jaxssl.planning import chips, kernels, roofline

# As XLA 0.10.2 wrote them for an H100, shortened.
TEXT = """HloModule step, is_scheduled=true

FileNames
1 "/home/me/jaxssl/models/dense.py"
2 "/home/me/jaxssl/models/vit.py"

FileLocations
1 {file_name_id=1 function_name_id=1 line=17 end_line=17 column=6}
2 {file_name_id=2 function_name_id=1 line=99 end_line=99 column=6}

StackFrames
1 {file_location_id=2 parent_frame_id=1}
2 {file_location_id=1 parent_frame_id=1}

%fused_add (p: f32[256,1024], q: f32[8,1024]) -> f32[8,1024] {
  %p = f32[256,1024]{1,0} parameter(0)
  %q = f32[8,1024]{1,0} parameter(1)
  %s = f32[8,1024]{1,0} slice(%p), slice={[0:8], [0:1024]}
  ROOT %a = f32[8,1024]{1,0} add(%s, %q)
}

%body (t: (s32[], f32[256,1024])) -> (s32[], f32[256,1024]) {
  %t = (s32[], f32[256,1024]{1,0}) parameter(0)
  %x = f32[256,1024]{1,0} get-tuple-element(%t), index=1
  %y = f32[256,1024]{1,0} copy(%x), metadata={op_name="jit(f)/while/copy"}
}

%condition (t: (s32[], f32[256,1024])) -> pred[] {
  ROOT %lt = pred[] compare(%i, %n), direction=LT
}

ENTRY %main (x: f32[256,1024], y: f32[8,1024]) -> f32[8,1024] {
  %x = f32[256,1024]{1,0} parameter(0)
  %y = f32[8,1024]{1,0} parameter(1)
  %loop = (s32[], f32[256,1024]{1,0}) while(%t), condition=%condition, body=%body, backend_config={"known_trip_count":{"n":"3"}}
  %sum = f32[8,1024]{1,0} fusion(%x, %y), kind=kLoop, calls=%fused_add, metadata={op_name="jit(f)/jvp(ViT)/blocks_0/attn/cond/branch_0_fun/add" stack_frame_id=2}
  %sum.1 = f32[8,1024]{1,0} fusion(%x, %y), kind=kLoop, calls=%fused_add, metadata={op_name="jit(f)/jvp(ViT)/blocks_11/attn/cond/branch_0_fun/add" stack_frame_id=2}
  %twice = (f32[8,1024]{1,0}, s8[33554432]{0}) custom-call(%sum, %sum), custom_call_target="library", metadata={op_name="jit(f)/g"}
  %near = f32[8,1024]{1,0:T(8,128)S(1)} copy(%y)
  %start = ((f32[8,1024]{1,0}), f32[8,1024]{1,0}) all-reduce-start(%sum)
  ROOT %done = f32[8,1024]{1,0} all-reduce-done(%start)
}
"""  # noqa: E501
SMALL, LARGE = 8 * 1024 * 4, 256 * 1024 * 4


def found():
  return {each.name: each for each in kernels.kernels(TEXT)}


def test_kernels_are_what_moves_something():
  assert set(found()) == {'sum', 'sum.1', 'twice', 'near', 'start', 'y'}


def test_kernels_in_a_loop_run_in_each_round():
  assert (found()['y'].times, found()['y'].bytes) == (3, 2 * LARGE)
  assert found()['sum'].times == 1


def test_of_an_operand_that_is_sliced_the_slice_counts():
  assert found()['sum'].bytes == 3 * SMALL


def test_an_operand_counts_once_and_a_workspace_not_at_all():
  assert found()['twice'].bytes == 2 * SMALL
  assert found()['twice'].kind == 'library'


def test_what_lies_beside_the_cores_of_a_tpu_is_not_moved():
  assert found()['near'].bytes == SMALL


def test_a_kernel_knows_where_it_comes_from():
  assert found()['sum'].place == 'jvp(ViT)/blocks_0/attn/add (dense.py:17)'
  assert found()['twice'].place == 'g'
  assert found()['near'].place == ''


def make(name, *, moved=0.0, flops=0.0, times=1):
  return kernels.Kernel(name, 'fusion', times, moved, flops, name)


def test_the_bound_is_the_larger_of_both_times_for_each_kernel():
  chip = chips.Chip(memory=1.0, flops=100.0, bandwidth=10.0)
  wide = make('wide', moved=50.0, flops=100.0)  # 5 s to move, 1 s to compute
  deep = make('deep', moved=10.0, flops=300.0, times=2)  # 1 s and 3 s, twice
  bound = roofline.roofline([wide, deep], chip)
  assert bound.seconds == pytest.approx(5 + 2 * 3)
  assert (bound.num_kernels, bound.bytes, bound.flops) == (3, 70.0, 700.0)
  assert [(k.name, s) for k, s in bound.heaviest] == [('deep', 6), ('wide', 5)]
  assert len(roofline.roofline([wide, deep], chip, count=1).heaviest) == 1


def test_the_same_kernel_of_several_layers_is_named_once():
  bound = roofline.roofline(kernels.kernels(TEXT), chips.GPUS['h100'])
  (merged,) = (k for k, _ in bound.heaviest if k.place.startswith('jvp'))
  assert merged.place == 'jvp(ViT)/blocks_*/attn/add (dense.py:17)'
  assert merged.times == 2
  assert bound.num_kernels == 8


def test_a_tpus_compiler_says_how_long_its_kernels_take():
  # As libtpu 0.0.42.1 wrote it for a v5e, shortened.
  text = """ENTRY %main (a: bf16[4096,4096], b: bf16[4096,4096]) -> bf16[4096,4096] {
  %a = bf16[4096,4096]{1,0:T(8,128)(2,1)} parameter(0)
  %b = bf16[4096,4096]{1,0:T(8,128)(2,1)} parameter(1)
  %c = bf16[4096,4096]{1,0:T(8,128)(2,1)} copy(%b)
  ROOT %fusion = bf16[4096,4096]{1,0:T(8,128)(2,1)} fusion(%a, %c), kind=kOutput, calls=%fused, backend_config={"flag_configs":[],"window_config":{"estimated_cycles":"1083068","iteration_bounds":["32","3","1"]}}
}
"""  # noqa: E501
  found = kernels.kernels(text)
  assert [each.cycles for each in found] == [None, 1083068]
  v5e = chips.TPUS['v5e']
  bound = roofline.roofline(found, v5e)
  assert bound.estimated_seconds == pytest.approx(1083068 / 1.5e9)
  # Where the clock fits the peak rate, a large product nearly reaches it.
  assert 2 * 4096**3 / v5e.flops / bound.estimated_seconds > 0.96
  assert bound.heaviest[0][0].name == 'fusion'
  on_gpu = roofline.roofline(found, chips.GPUS['h100'])
  assert on_gpu.estimated_seconds is None
