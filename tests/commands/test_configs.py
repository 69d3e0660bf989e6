import argparse

from jaxssl.commands import configs


def test_another_encoder_keeps_only_values_that_it_takes():
  parser = argparse.ArgumentParser()
  configs.add_arguments(parser)
  arguments = parser.parse_args(['--config', 'configs/quickstart.py'])
  made = configs.resolve(arguments, ['--config.encoder.name=vit_ti4'])
  assert made['encoder']['name'] == 'vit_ti4'
  # The ResNet's stem is 'cifar', which a ViT does not have.
  assert made['encoder']['stem'] == 'patch'
