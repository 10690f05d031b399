/* SPDX-License-Identifier: Apache-2.0 */
/* The port of the internal gRPC server when none is given: one that stays the same, so that peers find a restarted one. */
#include <arpa/inet.h>
#include <limits.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/banned.h"
#include "base/buf.h"
#include "main/options.h"

#define FIRST_PORT 47300

int options_stable_port(struct str app_id, const char *cwd, unsigned uid, const char *hostname)
{
	unsigned char hash[EVP_MAX_MD_SIZE];
	struct buf b = buf_init();
	int port = -1;

	buf_printf(&b, STR_FMT "|%s|%u|%s", STR_ARG(app_id), cwd, uid, hostname);
	struct str text = buf_str(&b);

	if (!b.failed && EVP_Digest(text.p, text.n, hash, NULL, EVP_sha256(), NULL) == 1)
		port = FIRST_PORT + (hash[0] | hash[1] << 8) % (65535 - FIRST_PORT);
	buf_free(&b);
	return port;
}

/* Binds port on localhost and lets it go again; the port it got (of interest for port 0), -1: it cannot be had. */
static int try_port(int port)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_port = htons((uint16_t)port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(at);
	int one = 1, got = -1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0 && listen(fd, 1) == 0 &&
	    getsockname(fd, (struct sockaddr *)&at, &n) == 0)
		got = ntohs(at.sin_port);
	close(fd);
	return got;
}

int options_internal_port(struct str app_id)
{
	char cwd[PATH_MAX] = "", host[HOST_NAME_MAX + 1] = "";
	int port;

	if (!getcwd(cwd, sizeof(cwd)))
		cwd[0] = 0;
	if (gethostname(host, sizeof(host) - 1) < 0)
		host[0] = 0;
	port = options_stable_port(app_id, cwd, (unsigned)getuid(), host);
	if (port > 0 && try_port(port) == port)
		return port;
	return try_port(0);
}
