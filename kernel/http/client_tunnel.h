/* SPDX-License-Identifier: Apache-2.0 */
/* A tunnel through a proxy (RFC 9110, 9.3.6), before TLS. For client_dial.c alone. */
#ifndef HTTP_CLIENT_TUNNEL_H
#define HTTP_CLIENT_TUNNEL_H
#include <stdint.h>

#include "base/str.h"
#include "http/client_link.h"

#define CLIENT_TUNNEL_WHY 160

/*
 * On a link to the proxy, on a fiber. to: "host:port". authorization: the value of proxy-authorization, n == 0: none. Parks
 * until the proxy has agreed, until_ns or stop(arg), which is asked after each wake. 0; -1: why says it (no secret in
 * it); -2: out of time or stopped.
 */
int client_tunnel(struct client_link *l, struct str to, struct str authorization, int64_t until_ns,
		  int (*stop)(void *arg), void *arg, char why[CLIENT_TUNNEL_WHY]);
#endif
