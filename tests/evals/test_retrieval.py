import numpy as np
import pytest

from jaxssl import errors
from jaxssl.evals import retrieval


def test_recall_equals_a_loop_in_numpy():
  draws = np.random.default_rng(0)
  owner = draws.permutation(np.concatenate([np.arange(9), [3, 3, 5, 0]]))
  images, texts = draws.normal(size=(9, 4)), draws.normal(size=(13, 4))
  found = retrieval.retrieval_eval(images, texts, owner, chunk=4)
  cosine = (images / np.linalg.norm(images, axis=1, keepdims=True)) @ (
    texts / np.linalg.norm(texts, axis=1, keepdims=True)
  ).T
  for k in (1, 5):
    texts_found = np.argsort(-cosine, axis=1)[:, :k]
    hits = [(owner[texts_found[i]] == i).any() for i in range(9)]
    assert found[f'image_to_text_r{k}'] == pytest.approx(np.mean(hits))
    images_found = np.argsort(-cosine.T, axis=1)[:, :k]
    hits = [owner[t] in images_found[t] for t in range(13)]
    assert found[f'text_to_image_r{k}'] == pytest.approx(np.mean(hits))
  assert (found['num_images'], found['num_texts']) == (9, 13)


def test_more_answers_than_candidates_are_left_out():
  found = retrieval.retrieval_eval(np.eye(6), np.eye(6), np.arange(6))
  assert found['image_to_text_r1'] == found['text_to_image_r5'] == 1
  assert not any(name.endswith('r10') for name in found)


@pytest.mark.parametrize('owner', [[0, 0], [0, 2], [0]])
def test_an_image_without_text_is_refused(owner):
  with pytest.raises(errors.UserError, match='every text needs an image'):
    retrieval.retrieval_eval(np.eye(2), np.eye(2), np.array(owner))


def test_fewer_candidates_than_any_k_are_refused():
  with pytest.raises(errors.UserError, match='smaller --ks'):
    retrieval.retrieval_eval(np.eye(3), np.eye(3), np.arange(3), ks=(10, 20))


@pytest.mark.parametrize('ks', [(0,), (1, -2)])
def test_answers_that_are_none_are_refused(ks):
  with pytest.raises(errors.UserError, match='Retrieval ks is'):
    retrieval.Retrieval(ks=ks)
