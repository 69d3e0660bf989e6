#!/usr/bin/env bash
# Builds the pages as a site, in .cache/site/html. A link to a page or a heading
# that is not there ends it with 1.
#
#   ./launch/site.sh                     installs the builder into .venv first
#   ZENSICAL=/path/to/zensical SITE=/a/folder ./launch/site.sh
#   python -m http.server --directory .cache/site/html     shows it
set -euo pipefail
cd "$(dirname "$0")/.."

if [ -z "${ZENSICAL:-}" ]; then
  source launch/install.sh
  install_jaxssl '.[docs]'
  ZENSICAL=$PWD/.venv/bin/zensical
fi

# In a folder of its own: Zensical follows no links to folders, and takes
# `.cache` beside its config for its own, which --clean deletes.
site=${SITE:-.cache/site}
rm -rf "$site/pages" "$site/html"
mkdir -p "$site/pages/benchmarks"
cp launch/site.yml "$site/mkdocs.yml"
cp ./*.md "$site/pages"
cp -R docs "$site/pages/docs"
cp -R benchmarks/results "$site/pages/benchmarks/results"
cd "$site"
"$ZENSICAL" build --clean --strict
