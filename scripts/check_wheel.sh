#!/usr/bin/env bash
# Installs a wheel into an empty environment, and masters a track there without the repository:
#   bash scripts/check_wheel.sh dist/nmjax-0.1.0-py3-none-any.whl [PYTHON]
set -euo pipefail
wheel=$(realpath "$1")
python=${2:-python3}
max_bytes=20000000

bytes=$(wc -c < "$wheel")
echo "wheel: $bytes bytes"
[ "$bytes" -le "$max_bytes" ] || { echo "The wheel is larger than $max_bytes bytes." >&2; exit 1; }

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet "$wheel"
echo "environment: $(du -sm "$folder/venv" | cut -f1) MB, $("$folder/venv/bin/python" --version)"

cd "$folder"  # not the checkout
venv/bin/python - <<'PYTHON'
import numpy as np
import soundfile

time = np.arange(8 * 44_100) / 44_100
noise = np.random.default_rng(0).standard_normal((len(time), 2)) * np.exp(-4 * (time % 0.5))[:, None]
soundfile.write("track.wav", 0.05 * noise + 0.1 * np.sin(2 * np.pi * 110 * time)[:, None], 44_100, subtype="PCM_24")
PYTHON
venv/bin/nmjax infer track.wav --report report.html --export eq.yml
venv/bin/nmjax infer track.wav --reference track-mastered.wav -o matched.wav
ls track-mastered.wav track-mastered.wav.json report.html eq.yml matched.wav
if venv/bin/nmjax train --phase 1a --data . --out run 2> message.txt; then
  echo "Training ran without its packages." >&2
  exit 1
fi
grep -F "pip install 'nmjax[train]'" message.txt
