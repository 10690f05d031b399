#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# An application that reads secrets through its sidecar.
set -eu
store=http://127.0.0.1:$DAPR_HTTP_PORT/v1.0/secrets/store
[ "$(curl -sf "$store/user")" = '{"user":"root"}' ]
curl -sf "$store/bulk" | grep -q '"password":{"password":"s3cret = with an equals sign"}'
! curl -sf "$store/nobody"
