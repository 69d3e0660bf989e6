"""What is in a page of HTML, for tests."""

from html import parser


class HtmlReader(parser.HTMLParser):
  """Collects tags with their attributes, and the text."""

  def __init__(self):
    super().__init__()
    self.tags, self.text = [], ''

  def handle_starttag(self, tag, attrs):
    self.tags.append((tag, dict(attrs)))

  def handle_data(self, data):
    self.text += data


def read_html(text: str) -> HtmlReader:
  """Returns what is in a page."""
  reader = HtmlReader()
  reader.feed(text)
  return reader
