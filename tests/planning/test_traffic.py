import jax
from jax.sharding import PartitionSpec as P

from jaxssl.parallel import modes
from jaxssl.planning import traffic

ENTRY = """HloModule x
%add (a: f32[], b: f32[]) -> f32[] {
  ROOT %s = f32[] add(%a, %b)
}

ENTRY %main (x: f32[8,4]) -> f32[8,4] {
  %a = f32[8,4]{1,0} all-reduce(f32[8,4] %x), to_apply=%add
  %b = (f32[2]{0}, bf16[3,2]{1,0}) all-reduce(f32[2] %y, bf16[3,2] %z)
  %s = (f32[4]{0}, f32[16]{0}) all-gather-start(f32[4] %x)
  %d = f32[16]{0} all-gather-done((f32[4], f32[16]) %s)
  %f = f32[8] fusion(f32[8] %all-reduce.1)
}
"""
LOOPS = """HloModule x
%inner (p: (s32[], f32[4])) -> (s32[], f32[4]) {
  %p = f32[4]{0} collective-permute(f32[4] %x)
}
%fewer.1 (p: (s32[], f32[4])) -> pred[] {
  %n = s32[]{:T(128)} constant(3), metadata={}
  ROOT %lt = pred[] compare(%i, %n), direction=LT
}
%outer (p: (s32[], f32[4])) -> (s32[], f32[4]) {
  %w = (s32[], f32[4]) while(%t), condition=%fewer.1, body=%inner
}
%unknown (p: (s32[], f32[4])) -> pred[] {
  ROOT %lt = pred[] compare(%i, %j), direction=LT
}
%never (p: f32[]) -> f32[] {
  %p = f32[4]{0} collective-permute(f32[4] %x)
}
%wrapped (p: f32[4]) -> f32[16] {
  %g = f32[16]{0} all-gather(f32[4] %x)
}
ENTRY %main (x: f32[4]) -> f32[4] {
  %w = (s32[], f32[4]) while(%t), condition=%unknown, body=%outer, NOTE
  %s = ((f32[4]), f32[16]) async-start(%x), calls=%wrapped
  %d = f32[16] async-done(%s), calls=%wrapped
}
"""


def test_bytes_of_collectives():
  found = traffic.collective_bytes(ENTRY)
  assert found == {'all-reduce': 4 * 32 + 8 + 12, 'all-gather': 64}


def test_loops_count_as_often_as_they_go_round():
  # Of the outer loop nothing is known, the inner one has three rounds.
  found = traffic.collective_bytes(LOOPS)
  assert found == {'collective-permute': 3 * 16, 'all-gather': 64}
  note = 'backend_config={"known_trip_count":{"n":"5"}}'
  found = traffic.collective_bytes(LOOPS.replace('NOTE', note))
  assert found['collective-permute'] == 5 * 3 * 16


def test_a_ring_passes_everything_on_as_often_as_it_has_devices():
  mesh = modes.make_mesh(jax.devices()[:4])
  ring = [(i, (i + 1) % 4) for i in range(4)]

  def around(x):
    def hop(x, _):
      return jax.lax.ppermute(x, modes.AXIS, ring), None

    return jax.lax.scan(hop, x, length=4)[0]

  spread = jax.shard_map(
    around, mesh=mesh, in_specs=P(modes.AXIS), out_specs=P(modes.AXIS)
  )
  x = jax.ShapeDtypeStruct((8, 3), 'float32')
  text = jax.jit(spread).lower(x).compile().as_text()
  # Two rows per device.
  assert traffic.collective_bytes(text) == {'collective-permute': 4 * 2 * 12}
