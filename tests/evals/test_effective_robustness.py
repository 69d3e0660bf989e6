import pytest
from scipy import special

from jaxssl import errors
from jaxssl.evals.effective_robustness import effective_robustness

BASELINE = (0.5, 0.6, 0.7, 0.8)
SHIFTED = [float(special.expit(0.9 * special.logit(x) - 0.7)) for x in BASELINE]


def robustness(accuracy, shifted, **changes):
  values = {'baseline': BASELINE, 'baseline_shifted': SHIFTED, **changes}
  return effective_robustness(accuracy, shifted, **values)


def test_a_model_on_the_line_has_none():
  on_line = float(special.expit(0.9 * special.logit(0.65) - 0.7))
  assert robustness(0.65, on_line) == pytest.approx(0, abs=1e-9)
  assert robustness(0.65, on_line + 0.1) == pytest.approx(0.1)


@pytest.mark.parametrize(
  ('arguments', 'changes', 'message'),
  [
    ((0.5, 0.4), {'baseline': (0.5,)}, 'two or more'),
    ((0.5, 0.4), {'baseline': (0.5,) * 4}, 'two or more'),
    ((1.0, 0.4), {}, 'strictly between'),
    ((0.5, 0.4), {'baseline': (0.5, 0.6, 0.7, 80.0)}, 'got 80'),
  ],
)
def test_what_gives_no_line_is_refused(arguments, changes, message):
  with pytest.raises(errors.UserError, match=message):
    robustness(*arguments, **changes)
