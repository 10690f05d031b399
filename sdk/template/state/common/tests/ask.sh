#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# An application that saves and reads through its sidecar.
set -eu
store=http://127.0.0.1:$DAPR_HTTP_PORT/v1.0/state/store
curl -sf -H 'Content-Type: application/json' -d '[{"key": "k", "value": {"a": 1}}]' "$store"
[ "$(curl -sf "$store/k")" = '{"a":1}' ]
curl -sf -X DELETE "$store/k"
[ -z "$(curl -sf "$store/k")" ]
