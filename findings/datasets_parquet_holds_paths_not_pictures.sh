#!/usr/bin/env bash
# datasets 5.2.0 (pyarrow 26.0.1, Pillow 13.0.0, Python 3.11), seen on 2026-11-29.
#
# `Dataset.to_parquet` of pictures that are files writes no pictures.
#
# One would guess: a parquet file that can be copied, as `push_to_hub` uploads it,
# with the bytes of each picture in `image.bytes`.
# Seen: `bytes` is null in every row, and `path` is the path on the machine that
# wrote it. Nothing is said. Where that path is gone, reading the row fails. Only
# pictures that came as bytes (out of another parquet file, say) are written. The
# schema is the same in both cases, so only the values tell.
#
# Exits with 0 as long as this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m pip install --quiet --disable-pip-version-check \
  --target "$folder/site" datasets==5.2.0 pyarrow==26.0.1 pillow==13.0.0
cd "$folder"
HF_HUB_OFFLINE=1 HF_DATASETS_DISABLE_PROGRESS_BARS=1 HF_HOME=$folder/home \
  PYTHONPATH=$folder/site "${PYTHON:-python3}" - <<'PY'
import io
import pathlib

import datasets
from PIL import Image
import pyarrow as pa
import pyarrow.parquet as pq

stream = io.BytesIO()
Image.new('RGB', (8, 8), (200, 30, 60)).save(stream, 'PNG')
pathlib.Path('cat.png').write_bytes(stream.getvalue())
features = datasets.Features({'image': datasets.Image()})


def written(picture):
  row = features.encode_example({'image': picture})
  rows = datasets.Dataset(
    pa.Table.from_pylist([row], schema=features.arrow_schema),
    info=datasets.DatasetInfo(features=features),
    fingerprint='one',
  )
  rows.to_parquet('rows.parquet')
  table = pq.read_table('rows.parquet')
  return table.schema.field('image').type, table.to_pylist()[0]['image']


kind, of_file = written(str(pathlib.Path('cat.png').resolve()))
same_kind, of_bytes = written({'bytes': stream.getvalue(), 'path': None})
pathlib.Path('cat.png').unlink()
print(of_file, len(of_bytes['bytes']), kind)
as_seen = (
  of_file['bytes'] is None
  and of_file['path'].endswith('cat.png')
  and of_bytes['bytes'] == stream.getvalue()
  and kind == same_kind
)
raise SystemExit(0 if as_seen else 1)
PY
