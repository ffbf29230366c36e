#!/usr/bin/env bash
# A chat, the same streamed, and the models on offer. TOLLGATE_URL defaults to `tollgate serve` on this machine;
# APP_KEY is a client key, where the gateway has any.
set -euo pipefail
url=${TOLLGATE_URL:-http://127.0.0.1:4000}
auth="authorization: Bearer ${APP_KEY:-unused}"

curl --fail-with-body -sS "$url/v1/models" -H "$auth"
echo

# -i shows the response headers: x-tollgate-model, -reason, -cost.
curl --fail-with-body -sS -i "$url/v1/chat/completions" -H "$auth" -H 'content-type: application/json' \
    -H 'x-tollgate-tags: feature=curl' \
    -d '{"model": "auto", "messages": [{"role": "user", "content": "What is the capital of France?"}]}'
echo

curl --fail-with-body -sS -N "$url/v1/chat/completions" -H "$auth" -H 'content-type: application/json' \
    -d '{"model": "auto", "stream": true, "messages": [{"role": "user", "content": "What is the capital of France?"}]}'
