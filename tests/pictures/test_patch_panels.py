"""Neighbour patches, predicted masks and colours of patches."""

import numpy as np
import pytest

from jaxssl.pictures import neighbours, patch_neighbours
from jaxssl.pictures.patch_colors import patch_colors_panel
from jaxssl.pictures.patch_neighbours import Bank
from jaxssl.pictures.segmentation import class_colors, segmentation_panel
from tests.evals import colored


def _bank(count=6, seed=0):
  random = np.random.default_rng(seed)
  features = random.normal(size=(count, 4, 4, 5))
  images = random.integers(0, 200, (count, 16, 16, 3), np.uint8)
  unit = neighbours.unit(features)
  return Bank(images, unit, np.arange(10, 10 + count))


def test_the_most_similar_patches_of_other_pictures():
  bank = _bank()
  patch = bank.features[2, 1, 3]
  found = patch_neighbours.find(patch, bank, k=9, skip=-1)
  assert found[0][:2] == (2, (1, 3))
  assert np.isclose(found[0][2], 1)
  assert len({i for i, _, _ in found}) == len(found) == 6
  cosines = [
    max(
      (float(bank.features[i, r, c] @ patch), (r, c))
      for r in range(4)
      for c in range(4)
    )
    for i in range(6)
  ]
  for i, at, cosine in found:
    assert at == cosines[i][1]
    # One product of many patches adds up in another order than each alone.
    assert cosine == pytest.approx(cosines[i][0], rel=1e-6)
  others = patch_neighbours.find(patch, bank, k=2, skip=12)
  assert [i for i, _, _ in others] == [i for i, _, _ in found[1:3]]


def test_the_patch_that_is_least_like_the_rest_is_looked_up():
  features = np.tile(np.array([1.0, 0.1, 0]), (2, 3, 4, 1))
  features[0, 1, 2] = features[1, 2, 0] = [0, 0, 1]
  found = patch_neighbours.chosen_patches(neighbours.unit(features))
  assert found.tolist() == [[1, 2], [2, 0]]


def test_the_frame_is_around_the_patch():
  image = np.full((16, 16, 3), 100, np.uint8)
  drawn = patch_neighbours.framed(image, (1, 3), 4)
  assert (drawn[4:8, 12:16] == 100).all()
  assert drawn[3, 12].tolist() == drawn[4, 11].tolist() == [255, 60, 0]
  assert (drawn[10:, :10] == 160).all()


def test_a_row_for_each_picture():
  bank = _bank()
  panel = patch_neighbours.patch_neighbours_panel(
    bank.images[:3], bank.features[:3], bank.records[:3], bank, k=4
  )
  assert [len(column.images) for column in panel.columns] == [3] * 5
  assert all(float(c) < 0.999 for c in panel.columns[1].captions)


def test_masks_of_colours_are_found():
  panel = segmentation_panel(
    colored.encoder(), colored.pictures(8), colored.pictures(3, seed=1)
  )
  image, truth, answer = panel.columns
  assert [len(c.images) for c in panel.columns] == [3, 3, 3]
  assert image.images.shape == (3, 16, 16, 3)
  same = (truth.images == answer.images).all(axis=-1)
  assert same[:, 2:].mean() > 0.7
  # Of the first row of pixels nothing is known.
  assert (truth.images[:, 0] == 255).all()
  shares = [float(lines[0].removesuffix(' %')) for lines in answer.captions]
  assert min(shares) > 70
  assert set(truth.captions[0].split(', ')) <= set(colored.NAMES)


def test_every_class_has_a_colour():
  for count in (2, 7, 20, 45):
    colors = class_colors(count)
    assert colors.shape == (count + 1, 3)
    assert len({tuple(c) for c in colors.tolist()}) == min(count, 20) + 1
    assert colors[-1].tolist() == [255] * 3


def test_colours_of_patches_fill_the_picture():
  panel = patch_colors_panel(
    np.zeros((2, 16, 16, 3), np.uint8),
    np.random.default_rng(0).normal(size=(2, 4, 4, 5)),
  )
  colors = panel.columns[1].images
  assert colors.shape == (2, 16, 16, 3)
  assert (colors[:, :4, :4] == colors[:, :1, :1]).all()
