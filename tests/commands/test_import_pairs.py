"""`jaxssl import huggingface --text_encoder`, from a file to its towers."""

import jax
import numpy as np
import pytest

from jaxssl import build
from jaxssl.train.workdir import Workdir
from jaxssl.weights import safetensors_file
from jaxssl.weights.exported import load_encoder
from tests.commands import runs
from tests.models import (
  timm_reference,
  transformers_pairs,
  transformers_reference,
)

SIZES = ('dim=32', 'depth=2', 'num_heads=4', 'mlp_ratio=2.0')


def _import(path, workdir, encoder, text_encoder):
  return runs.jaxssl(
    'import',
    'huggingface',
    path,
    f'--encoder={encoder}',
    f'--text_encoder={text_encoder}',
    f'--image_size={transformers_pairs.SIZE}',
    f'--workdir={workdir}',
    *(f'--config.encoder.{option}' for option in SIZES),
    *(f'--config.text_encoder.{option}' for option in SIZES),
  )


@pytest.mark.reference
def test_imported_towers_equal_transformers(tmp_path, monkeypatch):
  import torch

  # The tiny vocabulary has no tokenizer.
  monkeypatch.setattr(build, 'build_tokenizer', lambda config: None)
  model = transformers_pairs.clip()
  path = tmp_path / 'model.safetensors'
  safetensors_file.write(path, transformers_reference.tensors(model))
  assert _import(path, tmp_path / 'run', 'clip_vit_b8', 'clip_512') == 0
  workdir = Workdir(tmp_path / 'run')
  method = build.build_method(workdir.read_config())
  exported = load_encoder(workdir.export)
  towers = {'encoder': exported.variables, **exported.towers}
  images = timm_reference.images(transformers_pairs.SIZE, 3)
  text = transformers_pairs.text()
  with torch.no_grad():
    output = model(
      input_ids=torch.from_numpy(text).long(),
      pixel_values=timm_reference.to_torch(images),
    )
  x = jax.jit(method.encode_image)(towers, images)
  y = jax.jit(method.encode_text)(towers, text)
  scale = np.exp(towers['logits']['params']['scale'])
  # float32 on both sides, two blocks.
  np.testing.assert_allclose(
    scale * x @ y.T, output.logits_per_image, atol=1e-4
  )
  assert exported.mean[0] == pytest.approx(0.48145466)


@pytest.mark.parametrize(
  ('tensors', 'message'),
  [
    ({}, 'no text tower'),
    (
      {
        'text_model.embeddings.token_embedding.weight': np.zeros((300, 32)),
        'text_model.embeddings.position_embedding.weight': np.zeros((9, 32)),
      },
      'no projection of texts',
    ),
  ],
)
def test_a_file_without_both_towers_is_a_user_error(
  tensors, message, tmp_path, capsys
):
  path = tmp_path / 'model.safetensors'
  safetensors_file.write(
    path, {n: t.astype(np.float32) for n, t in tensors.items()}
  )
  assert _import(path, tmp_path / 'run', 'clip_vit_b8', 'clip_512') == 2
  assert message in capsys.readouterr().err
  assert not (tmp_path / 'run').exists()


def test_a_header_that_begins_like_a_pickle_is_read(tmp_path, capsys):
  path = tmp_path / 'model.safetensors'
  safetensors_file.write(path, {'a': np.zeros(1, np.float32)})
  header = path.read_bytes()[8:]
  header = header[: header.rindex(b'}') + 1].ljust(128) + bytes(4)
  path.write_bytes((128).to_bytes(8, 'little') + header)
  assert path.read_bytes()[:1] == b'\x80'
  assert _import(path, tmp_path / 'run', 'clip_vit_b8', 'clip_512') == 2
  assert 'no text tower' in capsys.readouterr().err


def test_other_formats_have_no_text_tower(tmp_path, capsys):
  path = tmp_path / 'model.safetensors'
  safetensors_file.write(path, {})
  code = runs.jaxssl(
    'import',
    'timm',
    path,
    '--encoder=vit_ti8',
    '--text_encoder=clip_512',
    f'--workdir={tmp_path / "run"}',
  )
  assert code == 2
  assert 'timm has no text towers' in capsys.readouterr().err
