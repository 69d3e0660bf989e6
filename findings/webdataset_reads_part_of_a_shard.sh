#!/usr/bin/env bash
# webdataset 1.0.2 (NumPy 2.4.6, Python 3.11), seen on 2026-11-29.
#
# A shard that is not whole is read without an error, as far as it goes.
#
# One would guess: a tar file marks its end and has a checksum in each header, so
# that a reader which comes to no header and no mark says so.
# Seen, with six samples: three are read, and nothing is said, if the file
# - ends before the fourth sample,
# - ends within the header of the fourth sample,
# - has one flipped bit in that header.
# Two shards joined byte by byte give the samples of the first one alone. Only a
# file that ends within the content of a member raises. Python's `tarfile`, which
# reads the headers, takes whatever is no header behind the first one for the end.
#
# Exits with 0 as long as this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m pip install --quiet --disable-pip-version-check \
  --target "$folder/site" webdataset==1.0.2 numpy==2.4.6
cd "$folder"
PYTHONPATH=$folder/site "${PYTHON:-python3}" - <<'PY'
import io
import pathlib
import tarfile

import webdataset


def shard(keys):
  stream = io.BytesIO()
  with tarfile.open(fileobj=stream, mode='w') as file:
    for key in keys:
      for ending, content in (('jpg', b'x' * 3000), ('txt', b'text')):
        info = tarfile.TarInfo(f'{key}.{ending}')
        info.size = len(content)
        file.addfile(info, io.BytesIO(content))
  return stream.getvalue()


def count(content):
  pathlib.Path('a.tar').write_bytes(content)
  return len(list(webdataset.WebDataset('a.tar', shardshuffle=False)))


whole = shard(f'{number:03}' for number in range(6))
with tarfile.open(fileobj=io.BytesIO(whole)) as file:
  fourth = next(m.offset for m in file if m.name == '003.jpg')
flipped = bytearray(whole)
flipped[fourth] ^= 1
found = {
  'whole': count(whole),
  'cut before the fourth': count(whole[:fourth]),
  'cut in its header': count(whole[: fourth + 100]),
  'a bit of its header flipped': count(bytes(flipped)),
  'joined with another of two': count(whole + shard(['100', '101'])),
}
print(found)
raise SystemExit(0 if list(found.values()) == [6, 3, 3, 3, 6] else 1)
PY
