"""What is known of channels that 8-bit RGB would not hold, before a run."""

from collections.abc import Mapping
import dataclasses
from typing import Any

import numpy as np

from jaxssl.augment.bands import Bands, ValueRange
from jaxssl.augment.preprocessing import Channels
from jaxssl.data import measured
from jaxssl.data.measured import PERCENTILES, Spread
from jaxssl.data.source import Source
from jaxssl.evals.table import aligned

# Types whose range is known.
_KNOWN = ('uint8', 'uint16')


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChannelFacts:
  """What was found in some pictures of a data set.

  Attributes:
    bands: how its pictures are read.
    spread: the values of each channel as stored.
    mean: of each channel, in units of the range of values.
    std: deviation of each channel, in the same units.
  """

  bands: Bands
  spread: Spread
  mean: Channels
  std: Channels

  def as_json(self) -> dict[str, Any]:
    """Returns the figures as JSON has them."""
    return {
      'channels': self.bands.channels,
      'dtype': self.spread.dtype,
      'value_range': self.bands.value_range,
      'percentiles': {
        str(share): column.tolist()
        for share, column in zip(
          PERCENTILES, self.spread.percentiles.T, strict=True
        )
      },
      'mean': list(self.mean),
      'std': list(self.std),
    }

  def lines(self) -> list[str]:
    """Returns a table of the channels, and the keys that a config needs."""
    titles = ('lowest', '1 %', 'median', '99 %', 'highest')
    rows = [['channel', *titles, 'mean', 'std']]
    for number, values in enumerate(self.spread.percentiles, 1):
      shares = (self.mean[number - 1], self.std[number - 1])
      rows.append([str(number), *(f'{v:.6g}' for v in (*values, *shares))])
    values = self.bands.value_range
    low, high = values or (0, {'uint8': 255}.get(self.spread.dtype, 65535))
    keys = {'channels': self.bands.channels, 'value_range': values}
    keys |= {'mean': self.mean, 'std': self.std}
    return [
      f'{self.bands.channels} channel(s) of {self.spread.dtype} in '
      f'{self.spread.count} pictures; mean and std are shares of '
      f'{low:g} to {high:g}',
      aligned(rows),
      'jaxssl train --method measures this itself; a config needs:',
      *(
        f"  --config.input.{key}='{value}'"
        for key, value in keys.items()
        if value is not None
      ),
    ]


def look(source: Source, inputs: Mapping[str, Any]) -> ChannelFacts | None:
  """Looks at the channels of a source; None where its pictures are 8-bit RGB.

  Values whose type says no range are given that of their 1st to their 99th
  percentile over all channels.

  Args:
    source: what is read.
    inputs: section `input` of a config with `channels`; or empty, for those
      that are recognised.

  Raises:
    UserError: if no picture has so many channels.
  """
  channels = inputs.get('channels') or measured.recognise(source)
  if channels is None:
    return None
  spread = measured.spread(source, channels)
  found = measured.measure(
    source, channels, inputs.get('value_range') or _range(spread)
  )
  return ChannelFacts(
    bands=found.bands, spread=spread, mean=found.mean, std=found.std
  )


def _range(spread: Spread) -> ValueRange | None:
  if all(kind in _KNOWN for kind in spread.dtype.split(', ')):
    return None
  low = float(np.min(spread.percentiles[:, 1]))
  high = float(np.max(spread.percentiles[:, 3]))
  return (low, high) if low < high else (low, low + 1.0)
