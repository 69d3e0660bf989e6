"""Text to token ids."""

from jaxssl.text.tokenizer import Tokenizer, make_tokenizer

__all__ = ['Tokenizer', 'make_tokenizer']
