"""Times one training step of a family in PyTorch, in this process.

  python -m benchmarks.speed.family_torch dino --device cpu --steps 4

The encoders are timm's (CLIP's towers open_clip's), heads and losses lightly's.
`torch.compile` takes the whole loss, without a graph for each size of an input;
convolutional networks are channels-last, the optimizer is fused, and autocast
chooses bfloat16. Prints one JSON object; `benchmarks.speed.gpu_step` runs it
beside the step of jaxssl.
"""

import contextlib
import json
from typing import Any

import torch
from torch import nn

from benchmarks.peers import torch_methods, torch_open_clip, torch_simclr
from benchmarks.speed import family_jaxssl, step_torch
from benchmarks.speed.families import Family

Peer = Any


def make_peer(family: Family) -> Peer:
  """Returns the method with random weights, on the CPU."""
  return _PEERS[family.method](family)


def _simclr(family: Family) -> Peer:
  temperature = family.settings['temperature']

  def criterion(first, second):
    return torch_simclr.nt_xent(torch.cat([first, second]), temperature)

  return torch_methods.SimCLR(
    torch_simclr.network(family.work),
    temperature=temperature,
    criterion=criterion,
  )


def _moco_v2(family: Family) -> Peer:
  encoder, width = torch_simclr.encoder(family.work), family.head['out_dim']
  head = torch_methods.moco_head(encoder.num_features, width)
  settings = dict(family.settings)
  queue = torch.randn(settings.pop('queue_size'), width)
  return torch_methods.MoCo(
    nn.Sequential(encoder, head).train(),
    queue=nn.functional.normalize(queue),
    **settings,
  )


def _moco_v3(family: Family) -> Peer:
  encoder = torch_simclr.encoder(family.work)
  hidden, out_dim = family.head['hidden_dim'], family.head['out_dim']
  head = torch_methods.moco_v3_mlp(
    encoder.num_features, hidden, out_dim, num_layers=family.head['num_layers']
  )
  predictor = torch_methods.moco_v3_mlp(out_dim, hidden, out_dim, num_layers=2)
  return torch_methods.MoCoV3(
    nn.Sequential(encoder, head).train(), predictor.train(), **family.settings
  )


def _dino(family: Family) -> Peer:
  head, nets = family.head, []
  for _ in range(2):
    encoder = torch_simclr.encoder(family.work)
    sizes = (head['hidden_dim'], head['bottleneck_dim'], head['out_dim'])
    last = torch_methods.dino_head(encoder.num_features, *sizes)
    nets.append(nn.Sequential(encoder, last).train())
  nets[1].load_state_dict(nets[0].state_dict())
  return torch_methods.DINO(*nets, out_dim=head['out_dim'], **family.settings)


def _mae(family: Family) -> Peer:
  vit = torch_simclr.encoder(family.work).train()
  return torch_methods.MAE(vit, **family.settings)


def _rotation(family: Family) -> Peer:
  encoder = torch_simclr.encoder(family.work)
  classifier = nn.Linear(encoder.num_features, torch_methods.NUM_ROTATIONS)
  return torch_methods.Rotation(nn.Sequential(encoder, classifier).train())


def _clip(family: Family) -> Peer:
  image, text = dict(family.work.options), dict(family.text)
  model = torch_open_clip.vit(
    image_size=family.views[0],
    patch_size=image.pop('patch_size'),
    image=image,
    vocab_size=text.pop('vocab_size'),
    length=text.pop('length'),
    text=text,
    **family.head,
  )
  return torch_methods.CLIP(model.train())


_PEERS = {
  'simclr': _simclr,
  'moco_v2': _moco_v2,
  'moco_v3': _moco_v3,
  'dino': _dino,
  'mae': _mae,
  'rotation': _rotation,
  'clip': _clip,
}


def make_inputs(family: Family) -> list[torch.Tensor]:
  """Returns the same views and texts that jaxssl takes."""
  batch = family_jaxssl.make_batch(family)
  inputs = [torch_simclr.to_torch(view) for view in batch['views']]
  if family.text:
    inputs.append(torch.from_numpy(batch['text']).long())
  return inputs


def place(
  family: Family, peer: Peer, inputs: list[torch.Tensor], device: str
) -> list[torch.Tensor]:
  """Moves a peer (in place) and its inputs; convolutions are channels-last."""
  layout = {}
  if family.work.encoder.startswith('resnet'):
    layout = {'memory_format': torch.channels_last}
  for part in vars(peer).values():
    if isinstance(part, nn.Module):
      part.to(device=device, **layout)
  return [
    x.to(device=device, **(layout if x.ndim == 4 else {})) for x in inputs
  ]


def make_step(
  family: Family,
  peer: Peer,
  inputs: list[torch.Tensor],
  *,
  dtype: str = 'bfloat16',
  backend: str | None = 'inductor',
) -> Any:
  """Returns a function that makes a step and returns its loss.

  Args:
    family: says which optimizer.
    peer: of `make_peer`, where it shall run.
    inputs: there too.
    dtype: what autocast chooses; 'float32' for none of it.
    backend: of `torch.compile`; None to run eagerly.
  """
  optimizer = step_torch.make_optimizer(
    family.work.optimizer, peer.parameters()
  )
  loss_fn = peer.loss
  if backend:
    loss_fn = torch.compile(loss_fn, backend=backend, dynamic=False)
  device = inputs[0].device.type

  def precision():
    if dtype == 'float32':
      return contextlib.nullcontext()
    return torch.autocast(device, dtype=getattr(torch, dtype))

  def step() -> torch.Tensor:
    optimizer.zero_grad(set_to_none=True)
    with precision():
      loss = loss_fn(inputs)
    loss.backward()
    optimizer.step()
    peer.after_step()
    return loss

  return step


def run(
  family: Family, *, device: str, steps: int, warm_up: int, dtype: str
) -> dict[str, Any]:
  """Returns what was measured; on a CPU without generating any code."""
  torch.backends.cudnn.benchmark = True
  torch.set_float32_matmul_precision('high')
  peer = make_peer(family)
  inputs = place(family, peer, make_inputs(family), device)
  # Traces all that a GPU would, but calls no compiler of C++.
  backend = 'inductor' if device == 'cuda' else 'aot_eager'
  step = make_step(family, peer, inputs, dtype=dtype, backend=backend)
  return {
    **step_torch.time_steps(step, steps, warm_up=warm_up),
    'parameters': sum(p.numel() for p in peer.parameters()),
    'device': torch.cuda.get_device_name() if device == 'cuda' else 'cpu',
  }


def main() -> None:
  args = family_jaxssl.parse()
  result = run(
    args.family,
    device='cuda' if args.device == 'gpu' else 'cpu',
    steps=args.steps,
    warm_up=args.warm_up,
    dtype=args.dtype,
  )
  print(json.dumps(result))


if __name__ == '__main__':
  main()
