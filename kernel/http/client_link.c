/* SPDX-License-Identifier: Apache-2.0 */
#include "http/client_link.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/banned.h"
#include "base/mem.h"
#include "http/client_sealed.h"
#include "loop/fiber.h"

#define INPUT 32768

static _Thread_local char input[INPUT]; /* all links of a loop read into it: what is not used at once is copied */

struct client_link *client_link_new(struct loop *loop, int unix_socket)
{
	struct client_link *l = mem_zalloc(sizeof(*l));

	if (l == NULL)
		return NULL;
	l->loop = loop;
	if ((unix_socket ? uv_pipe_init(loop_uv(loop), &l->pipe, 0) : uv_tcp_init(loop_uv(loop), &l->tcp)) < 0) {
		mem_free(l);
		return NULL;
	}
	l->handle.data = l->connecting.data = l->write.data = l;
	return l;
}

static void on_connect(uv_connect_t *r, int status)
{
	struct client_link *l = r->data;

	if (l->closed)
		return;
	l->dial_status = status;
	l->dial_done = 1;
	fiber_wake(l->dialer);
}

int client_link_connect(struct client_link *l, const struct sockaddr *to, struct fiber *dialer)
{
	int rc;

	l->dialer = dialer;
	rc = uv_tcp_connect(&l->connecting, &l->tcp, to, on_connect);
	if (rc == 0) {
		uv_tcp_nodelay(&l->tcp, 1);
		uv_tcp_keepalive(&l->tcp, 1, 15);
	}
	return rc;
}

void client_link_connect_unix(struct client_link *l, const char *path, struct fiber *dialer)
{
	l->dialer = dialer;
	uv_pipe_connect(&l->connecting, &l->pipe, path, on_connect); /* its failures come by the callback too */
}

static void give_input(uv_handle_t *h, size_t suggested, uv_buf_t *ret_buf)
{
	(void)h, (void)suggested;
	*ret_buf = uv_buf_init(input, INPUT);
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
	struct client_link *l = s->data;

	if (n == 0 || l->closed) /* EAGAIN */
		return;
	if (l->sealed != NULL) {
		client_sealed_came(l, buf->base, n);
		return;
	}
	if (n < 0)
		client_link_read(l, 0);
	l->came(l->owner, buf->base, n == UV_EOF ? 0 : n);
}

void client_link_read(struct client_link *l, int on)
{
	if (l->reading == on || l->closed)
		return;
	l->reading = on;
	if (on && l->sealed != NULL)
		client_sealed_resume(l);
	if (on && (l->sealed == NULL || l->sealed->error == 0))
		uv_read_start(&l->stream, give_input, on_read);
	else
		uv_read_stop(&l->stream);
}

static void on_written(uv_write_t *w, int status)
{
	struct client_link *l = w->data;

	if (l->closed)
		return;
	if (l->sealed != NULL) {
		client_sealed_written(l, status);
		return;
	}
	l->writing = 0;
	l->written(l->owner, status);
}

int client_link_push(struct client_link *l, const uv_buf_t *buf)
{
	return uv_write(&l->write, &l->stream, buf, 1, on_written);
}

int client_link_write(struct client_link *l, const uv_buf_t *bufs, unsigned nbufs, size_t *ret_sent)
{
	uv_buf_t left[CLIENT_LINK_BUFS];
	unsigned i = 0, n = 0;
	int rc;

	*ret_sent = 0;
	if (l->sealed != NULL)
		return client_sealed_write(l, bufs, nbufs, ret_sent);
	rc = uv_try_write(&l->stream, bufs, nbufs);
	if (rc < 0 && rc != UV_EAGAIN)
		return rc;
	*ret_sent = rc > 0 ? (size_t)rc : 0;
	for (size_t skip = *ret_sent; i < nbufs; i++) {
		size_t k = skip < bufs[i].len ? skip : bufs[i].len;

		skip -= k;
		if (k < bufs[i].len)
			left[n++] = (uv_buf_t){ .base = bufs[i].base + k, .len = bufs[i].len - k };
	}
	if (n == 0)
		return 0;
	rc = uv_write(&l->write, &l->stream, left, n, on_written);
	if (rc < 0)
		return rc;
	l->writing = 1;
	return 1;
}

void client_link_end(struct client_link *l)
{
	uv_os_fd_t fd;

	if (!l->closed && uv_fileno(&l->handle, &fd) == 0)
		shutdown(fd, SHUT_WR);
}

int client_link_gone(struct client_link *l)
{
	uv_os_fd_t fd;
	ssize_t n;
	char c;

	if (l->closed || uv_fileno(&l->handle, &fd) < 0)
		return 1;
	n = recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT);
	if (n > 0)
		return 2;
	return n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

const char *client_link_reason(const struct client_link *l, ssize_t code)
{
	if (l->sealed != NULL && code == UV_EPROTO && tls_session_why(l->sealed->session)[0] != '\0')
		return tls_session_why(l->sealed->session);
	return uv_strerror((int)code);
}

static void free_closed(uv_handle_t *h)
{
	struct client_link *l = h->data;

	mem_free(l->sealed_out);
	mem_free(l);
}

void client_link_close(struct client_link *l)
{
	if (l == NULL || l->closed)
		return;
	if (l->sealed != NULL)
		client_sealed_close(l);
	l->closed = 1;
	l->owner = NULL;
	uv_close(&l->handle, free_closed);
}
