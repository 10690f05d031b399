/* SPDX-License-Identifier: Apache-2.0 */
#include "peer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "consumer.h"

void peer_init(struct peer *p)
{
	p->folder = p->socket = p->sender = -1;
}

/* Beside the file, for the same people: whoever may write it may wake who reads it. */
void peer_open_folder(struct bus *b)
{
	const char *file = sqlite3_db_filename(b->db.db, "main");
	struct stat st;
	char *path;

	if (file == NULL || asprintf(&path, "%s-peers", file) < 0)
		return;
	if (stat(file, &st) == 0 && mkdir(path, 0700) == 0)
		(void)!chmod(path, 0700 | (st.st_mode & 0066) | (st.st_mode & 0044) >> 2);
	b->peer.folder = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (b->peer.folder >= 0)
		b->peer.sender = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (b->peer.sender < 0)
		davit_log(b->instance, DAVIT_LOG_WARN,
			  "The folder beside the database for waking other sidecars cannot be used (%s): they look "
			  "every few seconds",
			  strerrordesc_np(errno));
	free(path);
}

void peer_release(struct bus *b)
{
	struct peer *p = &b->peer;

	if (p->socket >= 0)
		close(p->socket);
	if (p->sender >= 0)
		close(p->sender);
	if (p->folder >= 0)
		close(p->folder);
	p->folder = p->socket = p->sender = -1;
}

/* Through the descriptor of the folder, whose path may be longer than a socket's address. */
static socklen_t address(const struct peer *p, int64_t id, struct sockaddr_un *ret)
{
	ret->sun_family = AF_UNIX;
	snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/%lld", p->folder, (long long)id);
	return sizeof(*ret);
}

static void name_of(int64_t id, char ret_name[32])
{
	snprintf(ret_name, 32, "%lld", (long long)id);
}

static void forget_socket(struct peer *p, int64_t id)
{
	char name[32];

	name_of(id, name);
	if (p->folder >= 0)
		unlinkat(p->folder, name, 0);
}

static void close_socket(struct peer *p)
{
	if (p->socket < 0)
		return;
	close(p->socket);
	p->socket = -1;
	forget_socket(p, p->id);
}

/* A socket by that name, to be found when the transaction is committed. Without one we are not woken, no more. */
static void listen_as(struct bus *b, int64_t id)
{
	struct peer *p = &b->peer;
	struct sockaddr_un at;
	struct stat st;
	char name[32];
	socklen_t n;

	if (p->folder < 0)
		return;
	forget_socket(p, id);
	n = address(p, id, &at);
	name_of(id, name);
	p->socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (p->socket < 0 || bind(p->socket, (struct sockaddr *)&at, n) < 0 ||
	    fstatat(p->folder, "", &st, AT_EMPTY_PATH) < 0) {
		davit_log(b->instance, DAVIT_LOG_WARN, "No socket to be woken by (%s): looking every few seconds",
			  strerrordesc_np(errno));
		close_socket(p);
		return;
	}
	(void)!fchmodat(p->folder, name, 0600 | (st.st_mode & 0066), 0);
}

/* Whether the socket of that peer refuses. One without a socket, or behind another mount, is not known to be dead. */
static int is_dead(const struct peer *p, int64_t id)
{
	struct sockaddr_un at;
	int fd, dead;

	if (p->folder < 0)
		return 0;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return 0;
	dead = connect(fd, (struct sockaddr *)&at, address(p, id, &at)) < 0 && errno == ECONNREFUSED;
	close(fd);
	return dead;
}

/* Somebody may have tidied up beside the file: then we find, and are found, by slow looks only. */
void peer_heal(struct bus *b)
{
	struct peer *p = &b->peer;
	struct stat st;
	char name[32];

	if (p->folder >= 0 && fstat(p->folder, &st) == 0 && st.st_nlink == 0) {
		peer_release(b);
		peer_open_folder(b);
	}
	name_of(p->id, name);
	if (p->id == 0 || p->folder < 0 || (p->socket >= 0 && fstatat(p->folder, name, &st, 0) == 0))
		return;
	close_socket(p);
	listen_as(b, p->id);
	consumers_look(b, 0);
}

int peer_beat(struct bus *b)
{
	int64_t now = now_ms();
	int rc = DATABASE_RUN(&b->db, STATEMENT_PEER_ALIVE, now + b->options.processing_ms, b->peer.id);

	b->peer.beat_ms = now + b->options.processing_ms / 3;
	if (rc == SQLITE_OK && database_changes(&b->db) == 0)
		return peer_join(b);
	peer_heal(b);
	return rc;
}

/* A new number, drawn so that none ever comes twice, and a new socket: what the old one held is given to others. */
static int join_anew(struct bus *b)
{
	int64_t now = now_ms(), id;
	struct consumer *c;
	sqlite3_stmt *s;
	int rc;

	close_socket(&b->peer);
	sqlite3_randomness(sizeof(id), &id);
	b->peer.id = id = (id & INT64_MAX) | 1;
	s = DATABASE_PREPARE(&b->db, STATEMENT_PEER_NEW, &rc, id, now + b->options.processing_ms);
	if (s == NULL)
		return rc;
	rc = sqlite3_bind_text(s, 3, b->name, -1, SQLITE_STATIC);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(s);
	database_done(s);
	if (rc != SQLITE_DONE)
		return rc;
	b->peer.beat_ms = now + b->options.processing_ms / 3;
	listen_as(b, b->peer.id);
	for (c = b->consumers, rc = SQLITE_OK; c != NULL && rc == SQLITE_OK; c = c->next)
		if (c->call != NULL)
			rc = DATABASE_RUN(&b->db, STATEMENT_CONSUMER_ADD, c->topic_id, b->peer.id);
	return rc;
}

int peer_join(struct bus *b)
{
	int rc, there;
	sqlite3_stmt *s;

	if (b->peer.id == 0)
		return join_anew(b);
	s = DATABASE_PREPARE(&b->db, STATEMENT_PEER_GET, &rc, b->peer.id);
	if (s == NULL)
		return rc;
	rc = sqlite3_step(s);
	there = rc == SQLITE_ROW;
	database_done(s);
	return there ? SQLITE_OK : rc == SQLITE_DONE ? join_anew(b) : rc;
}

/* What it held is free, and those who subscribe to its topics are told. */
static int drop(struct bus *b, int64_t id)
{
	sqlite3_stmt *s;
	int rc;

	s = DATABASE_PREPARE(&b->db, STATEMENT_CONSUMER_TOPICS, &rc, id);
	if (s == NULL)
		return rc;
	while ((rc = sqlite3_step(s)) == SQLITE_ROW)
		bus_touch(b, sqlite3_column_int64(s, 0));
	database_done(s);
	if (rc == SQLITE_DONE)
		rc = DATABASE_RUN(&b->db, STATEMENT_PEER_RELEASE, id);
	if (rc == SQLITE_OK)
		rc = DATABASE_RUN(&b->db, STATEMENT_PEER_LEAVE, id);
	if (rc == SQLITE_OK)
		rc = DATABASE_RUN(&b->db, STATEMENT_PEER_DROP, id);
	return rc;
}

int peer_leave(struct bus *b)
{
	int rc = drop(b, b->peer.id);

	if (rc == SQLITE_OK)
		close_socket(&b->peer);
	return rc;
}

/* The next behind `after` that is dead; 0: there is none, -1: ret_rc says why not. */
static int64_t next_dead(struct bus *b, int64_t after, int *ret_rc)
{
	int64_t now = now_ms(), id, found = 0;
	sqlite3_stmt *s = database_prepare(&b->db, STATEMENT_PEERS, 0, NULL, ret_rc);

	if (s == NULL)
		return -1;
	while (found == 0 && (*ret_rc = sqlite3_step(s)) == SQLITE_ROW) {
		id = sqlite3_column_int64(s, 0);
		if (id > after && id != b->peer.id && (sqlite3_column_int64(s, 1) < now || is_dead(&b->peer, id)))
			found = id;
	}
	database_done(s);
	return found != 0 ? found : *ret_rc == SQLITE_DONE ? 0 : -1;
}

int peer_any_dead(struct bus *b)
{
	int rc;

	b->peer.suspect = 0;
	return next_dead(b, 0, &rc) > 0;
}

int peer_reap(struct bus *b)
{
	int64_t id = 0;
	int rc = SQLITE_OK;

	while ((id = next_dead(b, id, &rc)) > 0) {
		rc = drop(b, id);
		if (rc != SQLITE_OK)
			return rc;
		forget_socket(&b->peer, id);
	}
	return id < 0 ? rc : SQLITE_OK;
}

static int is_known(struct bus *b, const char *name, int *ret_rc)
{
	int64_t id = strtoll(name, NULL, 10);
	sqlite3_stmt *s = DATABASE_PREPARE(&b->db, STATEMENT_PEER_GET, ret_rc, id);

	if (s == NULL)
		return 1;
	*ret_rc = sqlite3_step(s);
	database_done(s);
	return *ret_rc != SQLITE_DONE;
}

int peer_tidy(struct bus *b)
{
	int fd = b->peer.folder >= 0 ? openat(b->peer.folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1,
	    rc = SQLITE_OK;
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;

	if (d == NULL) {
		if (fd >= 0)
			close(fd);
		return SQLITE_OK;
	}
	while ((e = readdir(d)) != NULL)
		if (e->d_name[strspn(e->d_name, "0123456789")] == '\0' && !is_known(b, e->d_name, &rc))
			unlinkat(b->peer.folder, e->d_name, 0);
	closedir(d);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static void wake(struct bus *b, int64_t id)
{
	struct sockaddr_un at;
	socklen_t n = address(&b->peer, id, &at);

	if (sendto(b->peer.sender, "", 1, MSG_NOSIGNAL, (struct sockaddr *)&at, n) < 0 && errno == ECONNREFUSED)
		b->peer.suspect = id;
}

static void wake_rows(struct bus *b, sqlite3_stmt *s)
{
	while (s != NULL && sqlite3_step(s) == SQLITE_ROW)
		if (sqlite3_column_int64(s, 0) != b->peer.id)
			wake(b, sqlite3_column_int64(s, 0));
	if (s != NULL)
		database_done(s);
}

void peer_wake_touched(struct bus *b)
{
	int i, rc;

	if (b->peer.sender < 0)
		return;
	for (i = 0; i < b->ntouched && i < TOUCHED; i++)
		wake_rows(b, DATABASE_PREPARE(&b->db, STATEMENT_CONSUMERS, &rc, b->touched[i]));
	if (b->ntouched > TOUCHED)
		wake_rows(b, database_prepare(&b->db, STATEMENT_PEERS, 0, NULL, &rc));
}

void peer_hear(struct bus *b)
{
	char bytes[8];

	while (recv(b->peer.socket, bytes, sizeof(bytes), 0) >= 0)
		;
	consumers_look(b, 0);
}
