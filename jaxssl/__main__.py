"""`python -m jaxssl`."""

from jaxssl.cli import program

if __name__ == '__main__':
  program()
