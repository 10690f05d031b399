/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bound for the HTTP figures: libmicrohttpd and nothing behind it. Level-triggered epoll, one polling thread,
 * keep-alive, a pool of 8 KiB. GET answers a fixed body as application/json, POST takes its body and answers 204, or after
 * `post` as GET does.
 *
 *	bare_mhd PORT [BODY [post]]	"ready PORT" on standard output; ends on SIGTERM
 */
#include <microhttpd.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POOL (8u * 1024)

static struct MHD_Response *body, *empty;
static int posts;

static enum MHD_Result answer(void *arg, struct MHD_Connection *c, const char *url, const char *method,
			      const char *version, const char *upload, size_t *upload_size, void **state)
{
	static int seen;

	(void)arg, (void)url, (void)version, (void)upload;
	if (*state == NULL) { /* the header block only */
		*state = &seen;
		return MHD_YES;
	}
	if (*upload_size > 0) {
		*upload_size = 0;
		return MHD_YES;
	}
	if (posts || strcmp(method, "GET") == 0)
		return MHD_queue_response(c, 200, body);
	return MHD_queue_response(c, 204, empty);
}

int main(int argc, char **argv)
{
	const char *text = argc > 2 ? argv[2] : "{\"value\":\"0123456789abcdef\"}";
	int port = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 0;
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	struct MHD_Daemon *d;
	sigset_t ends;
	int caught;

	if (argc < 2) {
		fprintf(stderr, "usage: bare_mhd PORT [BODY [post]]\n");
		return 2;
	}
	posts = argc > 3;
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	body = MHD_create_response_from_buffer(strlen(text), (void *)text, MHD_RESPMEM_PERSISTENT);
	empty = MHD_create_response_from_buffer(0, "", MHD_RESPMEM_PERSISTENT);
	if (body == NULL || empty == NULL)
		return 1;
	MHD_add_response_header(body, "content-type", "application/json");
	d = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, answer, NULL, MHD_OPTION_SOCK_ADDR,
			     (struct sockaddr *)&to, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)POOL, MHD_OPTION_END);
	if (d == NULL) {
		perror("bare_mhd");
		return 1;
	}
	printf("ready %u\n", (unsigned)MHD_get_daemon_info(d, MHD_DAEMON_INFO_BIND_PORT)->port);
	fflush(stdout);
	sigwait(&ends, &caught);
	MHD_stop_daemon(d);
	MHD_destroy_response(body);
	MHD_destroy_response(empty);
	return 0;
}
