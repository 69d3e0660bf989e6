"""A map of features: every image a point, every class a colour and a name.

t-SNE and not UMAP: `import umap` of umap-learn 0.5 also imports TensorFlow and
PyTorch wherever they are installed.
"""

from collections.abc import Mapping
import os
from typing import Any, Literal

import numpy as np

from jaxssl import errors
from jaxssl.evals.features import Features
from jaxssl.pictures import canvas, palette

Method = Literal['pca', 'tsne']
_MOST_NAMES = 40  # classes; more names would hide the points
_LETTER = (0.014, 0.032)  # of the width and height of a map


def pca(
  features: np.ndarray, *, dims: int = 2
) -> tuple[np.ndarray, np.ndarray]:
  """Projects features on their principal axes.

  Args:
    features: float [n, D].
    dims: axes to keep, at most min(n, D).

  Returns:
    Coordinates float [n, dims] and the share of the variance along each axis.
    The sign of an axis is fixed so that its largest loading is positive.
  """
  centred = features.astype(np.float64) - features.mean(axis=0)
  u, sigma, axes = np.linalg.svd(centred, full_matrices=False)
  largest = np.abs(axes).argmax(axis=1)
  sign = np.where(axes[np.arange(len(axes)), largest] < 0, -1, 1)
  share = sigma**2 / max((sigma**2).sum(), 1e-300)
  return (u * sigma * sign)[:, :dims], share[:dims]


def tsne(features: np.ndarray, *, seed: int = 0) -> np.ndarray:
  """Returns the t-SNE of features, cosine metric, [n, 2].

  Van der Maaten & Hinton 2008, as in scikit-learn: perplexity 30 (less for few
  rows), started from the principal axes.

  Args:
    features: float [n, D], n > 3.
    seed: seed of the optimisation.

  Raises:
    jaxssl.errors.UserError: if scikit-learn is not installed.
  """
  try:
    from sklearn import manifold
    import threadpoolctl
  except ImportError as error:
    raise errors.UserError(
      't-SNE needs scikit-learn: pip install "jaxssl[photos]"'
    ) from error
  reducer = manifold.TSNE(
    metric='cosine',
    init='pca',
    perplexity=min(30, (len(features) - 1) / 3),
    random_state=seed,
  )
  # Its threads wait for each other without sleeping, which is slow on cores
  # that other processes use too.
  with threadpoolctl.threadpool_limits(1, user_api='openmp'):
    return reducer.fit_transform(features)


def feature_map(
  data: Features,
  path: str | os.PathLike[str],
  *,
  methods: tuple[Method, ...] = ('pca', 'tsne'),
  max_points: int = 2000,
  seed: int = 0,
) -> None:
  """Draws maps of features side by side, with one legend.

  Args:
    data: features; rows without a label are gray.
    path: picture to write; the ending names the format.
    methods: one map each, of `'pca'`, `'tsne'`.
    max_points: most points of a map; of more rows, so many are drawn at random.
    seed: seed of the choice and of the maps.

  Raises:
    jaxssl.errors.UserError: for an unknown method, fewer than four rows or two
      dimensions, or if a library is missing.
  """
  for method in methods:
    if method not in _MAPS:
      raise errors.unknown('map', method, _MAPS)
  if len(data.labels) < 4 or data.features.shape[1] < 2:
    raise errors.UserError(
      'a map needs features of at least four images with two dimensions, got '
      f'{data.features.shape}'
    )
  features, labels = _sample(data, max_points, seed)
  figure = canvas.new_figure(4.6 * len(methods) + 1.9, 4.6)
  axes = figure.subplots(1, len(methods), squeeze=False)[0]
  for ax, method in zip(axes, methods, strict=True):
    _MAPS[method](ax, features, labels, data, seed)
    ax.spines[['top', 'right']].set_visible(False)
  handles, names = axes[0].get_legend_handles_labels()
  figure.legend(
    handles,
    names,
    loc='outside right center',
    frameon=False,
    fontsize='small',
    ncols=1 + len(names) // 25,
  )
  canvas.save(figure, path)


def _sample(
  data: Features, max_points: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
  """Returns features and labels of at most `max_points` rows."""
  if len(data.labels) <= max_points:
    return data.features, data.labels
  random = np.random.default_rng(seed)
  rows = np.sort(random.choice(len(data.labels), max_points, replace=False))
  return data.features[rows], data.labels[rows]


def _draw_pca(
  ax: Any, features: np.ndarray, labels: np.ndarray, data: Features, seed: int
) -> None:
  del seed
  points, share = pca(features)
  _scatter(ax, points, labels, data)
  ax.set_title('PCA')
  ax.set_xlabel(f'axis 1 ({share[0]:.0%} of the variance)')
  ax.set_ylabel(f'axis 2 ({share[1]:.0%} of the variance)')


def _draw_tsne(
  ax: Any, features: np.ndarray, labels: np.ndarray, data: Features, seed: int
) -> None:
  _scatter(ax, tsne(features, seed=seed), labels, data)
  ax.set_title('t-SNE')
  # Only neighbourhoods mean something here: no numbers on the axes.
  ax.set_xlabel('t-SNE 1 (no unit)')
  ax.set_ylabel('t-SNE 2 (no unit)')
  ax.set_xticks([])
  ax.set_yticks([])


_MAPS = {'pca': _draw_pca, 'tsne': _draw_tsne}


def _scatter(
  ax: Any, points: np.ndarray, labels: np.ndarray, data: Features
) -> None:
  """Draws each class in its style; unknown labels lie beneath in gray."""
  places: dict[str, np.ndarray] = {}
  unknown = labels < 0
  if unknown.any():
    ax.scatter(*points[unknown].T, s=8, color='0.8', lw=0, label='no label')
  for label, style in enumerate(palette.class_styles(data.num_classes)):
    rows = labels == label
    if rows.any():
      named = label < len(data.class_names)
      name = data.class_names[label] if named else f'class {label}'
      name = canvas.name(name)
      ax.scatter(*points[rows].T, s=14, lw=0, alpha=0.8, label=name, **style)
      places[name] = _middle(points[rows])
  if data.num_classes <= _MOST_NAMES:
    _write_names(ax, places, np.ptp(points, axis=0))


def _middle(points: np.ndarray) -> np.ndarray:
  """Returns the point with the least sum of distances to the others.

  Unlike their mean it does not lie between two clusters.
  """
  distance = np.linalg.norm(points[:, None] - points[None], axis=2)
  return points[distance.sum(axis=1).argmin()]


def _write_names(
  ax: Any, places: Mapping[str, np.ndarray], span: np.ndarray
) -> None:
  """Writes names at their places; below those that are in the way."""
  from matplotlib import patheffects

  halo = patheffects.withStroke(linewidth=2.5, foreground='white')
  width, height = span * _LETTER
  taken: list[tuple[float, float, float]] = []
  for name, middle in sorted(places.items(), key=lambda item: -item[1][1]):
    (x, y), half = middle, len(name) * width / 2
    while any(
      abs(x - other) < half + its and abs(y - at) < height
      for other, at, its in taken
    ):
      y -= height / 4
    taken.append((x, y, half))
    is_moved = y < middle[1]
    line = {'arrowstyle': '-', 'lw': 0.6, 'color': '0.3'} if is_moved else None
    ax.annotate(
      name,
      middle,
      xytext=(x, y),
      ha='center',
      va='center',
      fontsize='x-small',
      path_effects=[halo],
      arrowprops=line,
      zorder=4,
    )
