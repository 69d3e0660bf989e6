"""What a card could do at most, to say how much of it a step uses."""

import re

# Dense bfloat16 with float32 sums, a second, of NVIDIA's data sheets. Names are
# patterns for the end of what the driver calls the card: an L40 is no L4.
PEAK_FLOPS = {
  r'H100 PCIe': 756e12,
  r'H100 80GB HBM[23]e?': 989e12,
  r'H200': 989e12,
  r'A100[- ](SXM4|PCIE)-\d+GB': 312e12,
  r'L4': 121e12,
  r'GeForce RTX 4090': 165e12,
}


def peak_flops(device: str) -> float | None:
  """Returns the peak of a card by its name, or None for an unknown one.

  Args:
    device: `device_kind` of JAX, such as 'NVIDIA H100 80GB HBM3'.
  """
  for name, peak in PEAK_FLOPS.items():
    if re.search(rf'(^|\s){name}$', device):
      return peak
  return None


def utilisation(
  flops: float, seconds: float, peak: float | None
) -> float | None:
  """Returns the model FLOPs utilisation, None where no peak is known.

  Args:
    flops: products and convolutions of a step, without recomputation.
    seconds: of that step.
    peak: of the card.
  """
  return None if peak is None else flops / seconds / peak
