from jaxssl.planning import hlo

TEXT = """HloModule x, is_scheduled=true

FileNames
1 "model.py"

%inner (p: f32[4]) -> f32[4] {
  ROOT %a = f32[4]{0} add(%p, %p)
}

ENTRY %main (x: f32[4]) -> (f32[4], bf16[2,3]) {
  %x = f32[4]{0} parameter(0), metadata={op_name="state['a'] (b)"}
  %t = (f32[4]{0}, /*index=1*/bf16[2,3]{1,0:T(8,128)(2,1)S(1)}) custom-call(%x, /*index=5*/%y.1), custom_call_target="f", metadata={op_name="g(h)"}
  ROOT %c = s32[] constant(7)
}
"""  # noqa: E501


def test_a_program_is_its_computations():
  program = hlo.parse(TEXT)
  assert program.entry == 'main'
  assert list(program.computations) == ['inner', 'main']
  assert program.header[2:4] == ['FileNames', '1 "model.py"']


def test_an_instruction_is_read_with_nested_parentheses():
  first, second, third = hlo.instructions(hlo.parse(TEXT).computations['main'])
  assert (first.op, first.arguments, first.operands) == ('parameter', '0', ())
  assert second.op == 'custom-call'
  assert second.operands == ('x', 'y.1')
  assert [array.shape for array in second.results] == [(4,), (2, 3)]
  assert 'custom_call_target="f"' in second.attributes
  assert (third.name, third.arguments) == ('c', '7')


def test_arrays_have_bytes_and_a_place():
  narrow, scalar, token = hlo.arrays('(bf16[2,3]{1,0:S(1)}, s32[], token[])')
  assert (narrow.size, narrow.bytes) == (6, 12)
  assert 'S(1)' in narrow.layout
  assert (scalar.shape, scalar.bytes) == ((), 4)
  assert token.bytes == 0
