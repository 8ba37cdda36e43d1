#!/bin/sh
# Pictures of the views without a swarm, in build/gallery: tests/gallery/shoot.sh NAME 'QUERY' [WIDTH HEIGHT]
set -eu
cd "$(dirname "$0")/../.."
out=build/gallery
mkdir -p "$out"
[ -n "${KEEP:-}" ] || extension/node_modules/.bin/esbuild tests/gallery/gallery.ts --bundle --format=esm --target=es2022 \
  --outfile="$out/gallery.js" --log-level=error --alias:uplot="$PWD/extension/node_modules/uplot"
themes=.venv/share/jupyter/lab/themes/@jupyterlab
for theme in light dark; do
  cp "$themes/theme-$theme-extension/index.css" "$out/$theme.css"
  printf '<!doctype html><html lang=en><meta charset=utf-8><title>views</title><link rel=stylesheet href=%s.css>
<link rel=stylesheet href=gallery.css><body style="background:var(--jp-layout-color0);margin:0"><script type=module src=gallery.js></script></body>' "$theme" > "$out/$theme.html"
  chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --allow-file-access-from-files --virtual-time-budget=4000 \
    --window-size="${3:-1010},${4:-800}" --screenshot="$out/$1-$theme.png" "file://$PWD/$out/$theme.html?theme=$theme&$2" 2>/dev/null
done
