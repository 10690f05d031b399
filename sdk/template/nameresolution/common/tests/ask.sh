#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# An application that calls two others through its sidecar: one that is nowhere, and one at an address where nobody listens.
set -eu
invoke=http://127.0.0.1:$DAPR_HTTP_PORT/v1.0/invoke
curl -s "$invoke/nobody/method/x" | grep -q "no address is known for 'nobody'"
curl -s "$invoke/shop/method/x" | grep -q '127.0.0.1:1'
