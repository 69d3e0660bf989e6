"""What the files beside the weights say that the tensors do not.

Activation, LayerNorm's epsilon, the number of heads, the size of the images and
how pictures are prepared: from `config.json` and `preprocessor_config.json` of
transformers, `open_clip_config.json` and timm's `config.json`.
"""

from collections.abc import Callable, Generator, Mapping
import contextlib
import dataclasses
import json
import pathlib
import re
from typing import Any

from jaxssl.augment.bands import RGB
from jaxssl.augment.preprocessing import Preprocessing
from jaxssl.errors import UserError
from jaxssl.weights import preprocessors
from jaxssl.weights.preprocessors import RELEASED

Options = dict[str, dict[str, Any]]
Json = Mapping[str, Any]
_ACTS = {
  'gelu': 'gelu',
  'quick_gelu': 'quick_gelu',
  'gelu_pytorch_tanh': 'gelu_tanh',
  'gelu_new': 'gelu_tanh',
  'gelu_tanh': 'gelu_tanh',
  'silu': 'swiglu',  # of gated MLPs; no other has it
}
_VIT = {
  'hidden_act': 'gelu',
  'layer_norm_eps': 1e-12,
  'num_attention_heads': 12,
  'image_size': 224,
}
_DINOV2 = {
  'hidden_act': 'gelu',
  'layer_norm_eps': 1e-6,
  'num_attention_heads': 12,
  'image_size': 224,
}
_DINOV3 = {
  'hidden_act': 'gelu',
  'layer_norm_eps': 1e-5,
  'num_attention_heads': 6,
  'image_size': 224,
  'rope_theta': 100.0,
  'key_bias': False,
}
_CLIP = {'hidden_act': 'quick_gelu', 'layer_norm_eps': 1e-5}
_SIGLIP = {
  'hidden_act': 'gelu_pytorch_tanh',
  'layer_norm_eps': 1e-6,
  'num_attention_heads': 12,
}
# What a `config.json` leaves out has the value of its model
# (`configuration_*.py` of transformers 5.23; equal in 4).
_DEFAULTS: dict[str, dict[str, Any]] = {
  'vit': _VIT,
  'vit_mae': _VIT,
  'beit': _VIT,
  'ijepa': _VIT,
  'dinov2': _DINOV2,
  'dinov3_vit': _DINOV3,
  'dinov2_with_registers': _DINOV2,
  'clip_vision_model': _CLIP | {'num_attention_heads': 12, 'image_size': 224},
  'clip_text_model': _CLIP | {'num_attention_heads': 8},
  'siglip_vision_model': _SIGLIP | {'image_size': 224},
  'siglip_text_model': _SIGLIP,
  'metaclip_2_vision_model': _CLIP
  | {'num_attention_heads': 12, 'image_size': 224},
  'metaclip_2_text_model': _CLIP | {'num_attention_heads': 8},
}
# Models whose positions transformers interpolates without antialiasing.
_ALIASED = (
  'vit',
  'vit_mae',
  'ijepa',
  'dinov2',
  'clip_vision_model',
  'siglip_vision_model',
  'metaclip_2_vision_model',
)
# Model of transformers -> its processor, and the release behind it.
_FAMILIES = {
  'vit': ('ViTImageProcessor', 'vit'),
  'vit_mae': ('ViTImageProcessor', 'vit_mae'),
  'beit': ('BeitImageProcessor', 'beit'),
  'ijepa': ('ViTImageProcessor', 'vit'),
  'dinov3_vit': ('DINOv3ViTImageProcessor', 'dinov3'),
  'dinov2': ('BitImageProcessor', 'dinov2'),
  'dinov2_with_registers': ('BitImageProcessor', 'dinov2'),
  'clip': ('CLIPImageProcessor', 'clip'),
  'clip_vision_model': ('CLIPImageProcessor', 'clip'),
  'siglip': ('SiglipImageProcessor', 'siglip'),
  'siglip_vision_model': ('SiglipImageProcessor', 'siglip'),
  'metaclip_2': ('CLIPImageProcessor', 'clip'),
  'metaclip_2_vision_model': ('CLIPImageProcessor', 'clip'),
  'resnet': ('ConvNextImageProcessor', 'timm'),
  'convnext': ('ConvNextImageProcessor', 'timm'),
  'convnextv2': ('ConvNextImageProcessor', 'timm'),
  'dinov3_convnext': ('DINOv3ViTImageProcessor', 'dinov3'),
}
# The encoder has one epsilon where these have two (`huggingface_convnets`).
_CONVNEXTS = ('convnext', 'convnextv2')
# Of open_clip's vision towers, unless the description says otherwise.
_HEAD_WIDTH, _IMAGE_SIZE = 64, 224
# timm's towers for SigLIP have the exact GELU, but for these, whose weights
# came later (timm 1.0.31, vision_transformer.py).
_TANH_TOWER = re.compile(
  r'vit_(base_patch32|so400m_patch16|giantopt_patch16)_siglip_.*'
  r'|vit_large_patch16_siglip_(gap_)?512'
)
# What timm makes of the tokens.
_POOLS = {'token': 'cls', 'avg': 'avg', 'map': 'map'}
_CLIP_TOWER = re.compile(r'vit_\w+_clip_(quickgelu_)?\d+')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Description:
  """What the files say; empty without files, or with those of something else.

  Attributes:
    options: values of the sections 'encoder' and 'text_encoder' of a config.
    sides: height and width in pixels of the images that the positions are for.
    preprocessing: how pictures are prepared.
  """

  options: Options = dataclasses.field(default_factory=dict)
  sides: tuple[int, int] | None = None
  preprocessing: Preprocessing | None = None


def describe(
  file: pathlib.Path, library: str, *, image_size: int | None = None
) -> Description:
  """Reads the files beside the weights.

  Args:
    file: file that holds the weights.
    library: a key of `READERS`; for others nothing is read.
    image_size: side of the images instead of the described one.

  Raises:
    UserError: for a damaged file, an activation that no tower has, or a rule of
      preprocessing that there is not here; names the file.
  """
  if library not in READERS:
    return Description()
  found = READERS[library](file.parent, image_size)
  rule = found.preprocessing
  if image_size is None or rule is None or rule.image_size == image_size:
    return found
  return dataclasses.replace(found, preprocessing=rule.of_size(image_size))


def _read_transformers(
  folder: pathlib.Path, image_size: int | None
) -> Description:
  path = folder / 'config.json'
  with _blaming(path):
    config = _load(path)
    options = _of_transformers(config)
    _check(options)
    vision = _tower(config, 'vision') if 'vision_config' in config else config
    sides = _pair(_complete(vision).get('image_size'))
  kind = str(config.get('model_type'))
  name, release = _FAMILIES.get(kind, (None, None))
  processor, found = _processor(folder)
  rule = None
  if found:
    with _blaming(processor):
      rule = preprocessors.from_transformers(found, processor=name)
  elif release and sides:
    with _blaming(path):
      rule = RELEASED[release].of_size(image_size or _side(sides))
  return Description(options=options, sides=sides, preprocessing=rule)


def _processor(folder: pathlib.Path) -> tuple[pathlib.Path, Json]:
  """Returns the image processor, and the file that holds it.

  transformers 5 saves all processors of a model in one file, which wins.
  """
  path = folder / 'processor_config.json'
  with _blaming(path):
    found = _load(path).get('image_processor')
  if found:
    return path, found
  path = folder / 'preprocessor_config.json'
  with _blaming(path):
    return path, _load(path)


def _of_transformers(config: Json) -> Options:
  if not config.keys() & {'vision_config', 'text_config'}:
    options = _of_tower(_complete(config))
    return {'encoder': options} if options else {}
  return {
    section: _of_tower(_complete(_tower(config, part)))
    for section, part in (('encoder', 'vision'), ('text_encoder', 'text'))
    if f'{part}_config' in config
  }


def _tower(config: Json, part: str) -> Json:
  """Returns the configuration of a tower, with the name of its model."""
  kind = {'model_type': f'{config.get("model_type")}_{part}_model'}
  return kind | dict(config[f'{part}_config'])


def _complete(config: Json) -> Json:
  """Fills in what a configuration leaves out."""
  return _DEFAULTS.get(str(config.get('model_type')), {}) | dict(config)


def _of_tower(config: Json) -> dict[str, Any]:
  if config.get('model_type') == 'resnet':
    return _of_resnet(config)
  if config.get('model_type') in _CONVNEXTS:
    return {}
  act = _act('hidden_act', config.get('hidden_act'))
  if config.get('use_swiglu_ffn'):
    act = 'swiglu'  # whatever `hidden_act` says
  return _given(
    epsilon=config.get('layer_norm_eps'),
    num_heads=config.get('num_attention_heads'),
    act=act,
    antialias=False if config.get('model_type') in _ALIASED else None,
    **_rope(config),
  )


def _of_resnet(config: Json) -> dict[str, Any]:
  """Refuses what our ResNet cannot be told; the tensors say the rest."""
  if config.get('hidden_act', 'relu') != 'relu':
    raise UserError(f'hidden_act is {config["hidden_act"]!r}, not relu')
  for key in ('downsample_in_first_stage', 'downsample_in_bottleneck'):
    if config.get(key):
      raise UserError(f'{key} is true; ResNets here are of version 1.5')
  return {}


def _rope(config: Json) -> dict[str, Any]:
  """Returns what DINOv3's configurations say of positions and biases."""
  if 'rope_theta' not in config or 'key_bias' not in config:
    return {}
  return {
    'position': 'rope',
    'rope_base': float(config['rope_theta']),
    'rope_shift': config.get('pos_embed_shift'),
    'rope_jitter': config.get('pos_embed_jitter'),
    'rope_rescale': config.get('pos_embed_rescale'),
    'key_bias': bool(config['key_bias']),
  }


def _read_open_clip(
  folder: pathlib.Path, image_size: int | None
) -> Description:
  path = folder / 'open_clip_config.json'
  with _blaming(path):
    config = _load(path)
    if 'model_cfg' not in config:
      return Description()
    model = config['model_cfg']
    options = _of_open_clip(model)
    _check(options)
    size = model.get('vision_cfg', {}).get('image_size', _IMAGE_SIZE)
    rule = preprocessors.from_open_clip(
      config.get('preprocess_cfg', {}),
      image_size=image_size or size,
      default=RELEASED['siglip' if 'init_logit_bias' in model else 'clip'],
    )
    return Description(options=options, sides=_pair(size), preprocessing=rule)


def _of_open_clip(model: Json) -> Options:
  vision, text = model.get('vision_cfg', {}), model.get('text_cfg', {})
  act = {'act': 'quick_gelu' if model.get('quick_gelu') else 'gelu'}
  towers: Options = {'encoder': {}, 'text_encoder': dict(act)}
  if text.get('act_kwargs', {}).get('approximate') == 'tanh':
    towers['text_encoder']['act'] = 'gelu_tanh'
  if 'eps' in text.get('norm_kwargs', {}):
    towers['text_encoder']['epsilon'] = text['norm_kwargs']['eps']
  if 'heads' in text:
    towers['text_encoder']['num_heads'] = text['heads']
  if 'timm_model_name' in vision:
    is_tanh = _TANH_TOWER.fullmatch(vision['timm_model_name'])
    towers['encoder'] = {'act': 'gelu_tanh' if is_tanh else 'gelu'}
  # Of a modified ResNet the layers are a list, and it has none of these.
  if isinstance(vision.get('layers'), int) and 'width' in vision:
    heads = vision['width'] // vision.get('head_width', _HEAD_WIDTH)
    towers['encoder'] = act | {'num_heads': heads}
  return towers


def _read_timm(folder: pathlib.Path, image_size: int | None) -> Description:
  path = folder / 'config.json'
  with _blaming(path):
    config = _load(path)
    # Older files hold the keys of `pretrained_cfg` themselves.
    cfg = config.get('pretrained_cfg', config)
    if not cfg:
      return Description()
    sides = _pair(cfg.get('input_size', (3, 224, 224))[1:])
    options = {'encoder': _of_timm(config, cfg)}
    _check(options)
    if image_size is not None:
      channels = cfg.get('input_size', (RGB,))[0]
      cfg = {**cfg, 'input_size': (channels, image_size, image_size)}
    rule = preprocessors.from_timm(cfg)
    return Description(options=options, sides=sides, preprocessing=rule)


def _of_timm(config: Json, cfg: Json) -> dict[str, Any]:
  """Returns what the arguments of a model, or its name, say of the encoder."""
  name = str(config.get('architecture', cfg.get('architecture')))
  found: dict[str, Any] = {}
  if _CLIP_TOWER.fullmatch(name):
    # Its weights of OpenAI have QuickGELU in the name of the architecture.
    act = 'quick_gelu' if 'quickgelu' in name else 'gelu'
    found = {'act': act, 'epsilon': 1e-5}
  elif 'siglip' in name:
    is_tanh = _TANH_TOWER.fullmatch(name)
    found = {'act': 'gelu_tanh' if is_tanh else 'gelu'}
  elif name.startswith('convnext_xxlarge'):
    found = {'epsilon': 1e-5}
  arguments = config.get('model_args', {})
  return found | _given(
    act=_act('act_layer', arguments.get('act_layer')),
    num_heads=arguments.get('num_heads'),
    # ConvNeXt's, and that which `export timm` writes of a transformer.
    epsilon=arguments.get('norm_eps', config.get('layer_norm_eps')),
    rope_base=arguments.get('rope_temperature'),
    rope_shift=arguments.get('rope_shift_coords'),
    rope_jitter=arguments.get('rope_jitter_coords'),
    rope_rescale=arguments.get('rope_rescale_coords'),
    pool=_POOLS.get(str(config.get('global_pool'))),
  )


# Library -> what reads the files of a folder, the size of the images being
# given or not.
READERS: dict[str, Callable[[pathlib.Path, int | None], Description]] = {
  'huggingface': _read_transformers,
  'open_clip': _read_open_clip,
  'timm': _read_timm,
}


def _given(**values: Any) -> dict[str, Any]:
  return {name: value for name, value in values.items() if value is not None}


def _act(key: str, name: Any) -> str | None:
  if name is None:
    return None
  if name not in _ACTS:
    known = ', '.join(_ACTS)
    raise UserError(f'{key} is {name!r}; the towers know {known}')
  return _ACTS[name]


def _check(options: Options) -> None:
  for tower in options.values():
    heads, epsilon = tower.get('num_heads', 1), tower.get('epsilon', 1.0)
    if type(heads) is not int or heads < 1:
      raise UserError(f'the number of attention heads is {heads!r}')
    if type(epsilon) is not float or not 0.0 < epsilon <= 1.0:
      raise UserError(f'layer_norm_eps is {epsilon!r}')


def _pair(size: Any) -> tuple[int, int] | None:
  """Returns height and width of a side or a pair of them."""
  if size is None:
    return None
  sides = (size, size) if isinstance(size, int) else tuple(size)
  if len(sides) != 2 or any(type(s) is not int or s < 1 for s in sides):
    raise UserError(f'the size of the images is {size!r}')
  return sides


def _side(sides: tuple[int, int]) -> int:
  if sides[0] != sides[1]:
    raise UserError(
      f'images are of {sides[0]}x{sides[1]} pixels, but are squares here; give '
      '--image_size'
    )
  return sides[0]


def _load(path: pathlib.Path) -> Json:
  """Returns the content of a JSON file; empty without it."""
  if not path.is_file():
    return {}
  found = json.loads(path.read_text(encoding='utf-8'))
  return dict(found)


@contextlib.contextmanager
def _blaming(path: pathlib.Path) -> Generator[None]:
  """Names the file that is wrong."""
  try:
    yield
  except UserError as error:
    raise UserError(f'{path}: {error}') from error
  except (
    OSError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    ArithmeticError,
    RecursionError,
  ) as error:
    raise UserError(f'{path} is damaged: {error}') from error
