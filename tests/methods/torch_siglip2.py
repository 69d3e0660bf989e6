"""SigLIP 2's loss in PyTorch, around a SiglipModel of transformers."""

import torch
from torch.nn import functional as F


def parameters(tree):
  """Returns a tree of arrays as tensors that have gradients."""
  if isinstance(tree, dict):
    return {name: parameters(value) for name, value in tree.items()}
  return torch.tensor(tree, requires_grad=True)


def gradients(tree):
  """Returns the gradients of such a tree."""
  if isinstance(tree, dict):
    return {name: gradients(value) for name, value in tree.items()}
  return tree.grad.numpy()


def tokens(model, images, hidden=None, mask_token=None):
  """Returns tokens of images [b, 3, H, W] after the last norm."""
  vision = model.vision_model
  x = vision.embeddings.patch_embedding(images).flatten(2).transpose(1, 2)
  if hidden is not None:
    x = torch.where(hidden[:, :, None], mask_token[0], x)
  x = x + vision.embeddings.position_embedding.weight
  x = vision.encoder(inputs_embeds=x).last_hidden_state
  return vision.post_layernorm(x)


def pooled(model, x):
  """Returns the features of tokens."""
  return model.vision_model.head(x)


def sigmoid_loss(model, images, texts):
  """Returns the loss of all pairs."""
  x = F.normalize(pooled(model, tokens(model, images)), dim=-1)
  y = model.text_model(texts).pooler_output
  logits = x @ F.normalize(y, dim=-1).T * model.logit_scale.exp()
  logits = logits + model.logit_bias
  signs = 2 * torch.eye(len(logits)) - 1
  return -F.logsigmoid(signs * logits).sum() / len(logits)


def _norm(x, weights):
  return F.layer_norm(x, x.shape[-1:], weights['scale'], weights['bias'], 1e-6)


def _dense(x, weights):
  return x @ weights['kernel'] + weights['bias']


def _attention(q, kv, heads, mask=None):
  def split(x):
    return x.unflatten(-1, (heads, -1)).transpose(0, 1)

  k, v = kv.chunk(2, dim=-1)
  out = F.scaled_dot_product_attention(
    split(q), split(k), split(v), attn_mask=mask
  )
  return out.transpose(0, 1).flatten(1)


def caption_cost(weights, ids, used, image, parallel, *, heads, vocabulary):
  """Returns -log p of each token of one text [L], one image [N, D].

  Args:
    weights: of the decoder.
    ids: tokens with padding, which is read but does not count.
    used: how many tokens count.
    image: tokens of its image.
    parallel: whether it is predicted all at once.
    heads: of attention.
    vocabulary: V, also the id of the begin token; V + 1 is the mask.
  """
  count, layers = len(ids), weights['decoder']
  if parallel:
    read = torch.full((count,), vocabulary + 1)
    mask = None
  else:
    read = torch.cat([torch.tensor([vocabulary]), ids[:-1]])
    mask = torch.tril(torch.ones(count, count, dtype=torch.bool))
  x = weights['tok_embed'][read] + weights['pos_embed'][0, :count]
  depth = sum(name.startswith('blocks_') for name in layers)
  for i in range(depth):
    own, cross = layers[f'blocks_{i}'], layers[f'cross_{i}']
    qkv = _dense(_norm(x, own['norm1']), own['attn']['qkv'])
    q, kv = qkv.split([x.shape[-1], 2 * x.shape[-1]], dim=-1)
    x = x + _dense(_attention(q, kv, heads, mask), own['attn']['proj'])
    q = _dense(_norm(x, cross['norm1']), cross['attn']['q'])
    kv = _dense(_norm(image, cross['norm_kv']), cross['attn']['kv'])
    x = x + _dense(_attention(q, kv, heads), cross['attn']['proj'])
    y = _dense(_norm(x, cross['norm2']), cross['mlp']['fc1'])
    x = x + _dense(F.gelu(y, approximate='tanh'), cross['mlp']['fc2'])
  logits = _norm(x, layers['norm']) @ layers['head']['kernel']
  return F.cross_entropy(logits[:used], ids[:used], reduction='none')


def head(weights, x):
  """Returns logits of prototypes, as DINO's head."""
  x = F.gelu(_dense(x, weights['dense_0']))
  x = F.gelu(_dense(x, weights['dense_1']))
  x = F.normalize(_dense(x, weights['dense_2']), dim=-1)
  return x @ F.normalize(weights['last_layer']['kernel'], dim=0)


def view_head(weights, x):
  """Returns logits of features, which come with mean 0 and variance 1."""
  return head(weights, F.layer_norm(x, x.shape[-1:]))


def imitation(targets, logits):
  """Returns the cross entropy with logits / 0.1."""
  return -(targets * F.log_softmax(logits / 0.1, dim=-1)).sum(-1)
