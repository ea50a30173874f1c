#!/bin/sh
# usage: start PORT BASE_DIR
# Serves ComfyUI on 127.0.0.1:PORT. BASE_DIR keeps input, output, temp and user of this one instance;
# the models are shared by all instances through extra_model_paths.yaml. It becomes python (exec), so
# that a signal sent to this process reaches the server itself.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$2/custom_nodes" "$2/input" "$2/output" "$2/temp" "$2/user" "$2/models"
base=$(cd "$2" && pwd)
# A custom node in the server's own tree is invisible once --base-directory points elsewhere.
cp "$here/ComfyUI/custom_nodes/websocket_image_save.py" "$base/custom_nodes/"
# The loaders must never ask a hub for files, and telemetry has no place in a test.
export HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 DO_NOT_TRACK=1 PYTHONUNBUFFERED=1
exec "$here/venv/bin/python" "$here/ComfyUI/main.py" --cpu --listen 127.0.0.1 --port "$1" \
    --base-directory "$base" --extra-model-paths-config "$here/extra_model_paths.yaml" \
    --front-end-root "$here/front-end" --database-url sqlite:///:memory: --disable-api-nodes \
    --preview-method auto --fp32-text-enc --use-pytorch-cross-attention
