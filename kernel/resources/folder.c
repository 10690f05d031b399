/* SPDX-License-Identifier: Apache-2.0 */
#include "resources/folder.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/banned.h"
#include "base/log.h"
#include "resources/yaml.h"

#define LOG_SCOPE "dapr.runtime.loader.disk"

/* What is open, for the arena to close should its memory run out meanwhile. */
struct opened {
	DIR *dir;
	int fd;
};

static void close_all(void *arg)
{
	struct opened *o = arg;

	if (o->dir != NULL)
		closedir(o->dir);
	if (o->fd >= 0)
		close(o->fd);
	*o = (struct opened){ NULL, -1 };
}

static struct opened *opened_new(struct arena *a)
{
	struct opened *o = arena_alloc(a, sizeof(*o));

	*o = (struct opened){ NULL, -1 };
	arena_defer(a, close_all, o);
	return o;
}

const char *folder_errno(struct arena *work, int error)
{
	const char *text = strerrordesc_np(error);
	char *copy = arena_cstr(work, text ? text : "unknown error");

	copy[0] = (char)tolower((unsigned char)copy[0]);
	return copy;
}

struct error folder_move_error(struct arena *a, const struct error *e)
{
	char *p = arena_try(a, e->message.n + 1);
	struct error moved = *e;

	moved.message = STR("out of memory");
	if (p != NULL) {
		memcpy(p, e->message.p, e->message.n);
		p[e->message.n] = '\0';
		moved.message = (struct str){ p, e->message.n };
	}
	return moved;
}

/* Into `into`, which has room for YAML_FILE_MAX + 1; NULL, or what is wrong. */
static const char *read_all(struct arena *work, struct opened *o, const char *path, char *into, size_t *ret_n)
{
	struct stat st;
	ssize_t got;
	size_t n = 0;

	o->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); /* a FIFO must not hold us up */
	if (o->fd < 0 || fstat(o->fd, &st) < 0)
		return folder_errno(work, errno);
	if (!S_ISREG(st.st_mode))
		return "it is no regular file";
	do {
		got = read(o->fd, into + n, YAML_FILE_MAX + 1 - n);
		if (got > 0)
			n += (size_t)got;
	} while (n <= YAML_FILE_MAX && (got > 0 || (got < 0 && errno == EINTR)));
	if (got < 0)
		return folder_errno(work, errno);
	if (n > YAML_FILE_MAX)
		return "it is larger than 1 MiB: split it into several files";
	into[n] = '\0';
	*ret_n = n;
	return NULL;
}

const char *folder_read_file(struct arena *work, const char *path, struct str *ret_text)
{
	struct opened *o = opened_new(work);
	char *into = arena_alloc(work, YAML_FILE_MAX + 1);
	const char *fault;
	size_t n = 0;

	fault = read_all(work, o, path, into, &n);
	close_all(o);
	if (fault == NULL)
		*ret_text = (struct str){ into, n };
	return fault;
}

static int is_yaml(const char *name)
{
	struct str s = str_of(name);
	size_t i;

	for (i = s.n; i > 0 && s.p[i - 1] != '.'; i--)
		;
	return i > 0 && (str_ieq(str_from(s, i), STR("yaml")) || str_ieq(str_from(s, i), STR("yml")));
}

static int is_folder(DIR *dir, const struct dirent *e)
{
	struct stat st;

	if (e->d_type != DT_UNKNOWN)
		return e->d_type == DT_DIR;
	return fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

struct names {
	const char **p;
	size_t n, cap;
};

static void add_name(struct arena *a, struct names *list, const char *name)
{
	if (list->n == list->cap) {
		size_t cap = list->cap ? list->cap * 2 : 64;

		list->p = arena_grow(a, list->p, list->cap * sizeof(*list->p), cap * sizeof(*list->p));
		list->cap = cap;
	}
	list->p[list->n++] = arena_cstr(a, name);
}

/* All names but folders, sorted; 0, or errno. */
static int list_folder(struct arena *work, struct opened *o, const char *path, struct names *ret)
{
	struct names list = { NULL, 0, 0 };
	struct dirent *e;

	o->dir = opendir(path);
	if (o->dir == NULL)
		return errno;
	errno = 0;
	while ((e = readdir(o->dir)) != NULL) {
		if (!is_folder(o->dir, e))
			add_name(work, &list, e->d_name);
		errno = 0;
	}
	if (errno != 0)
		return errno;
	if (list.n > 1)
		qsort(list.p, list.n, sizeof(*list.p), by_name);
	*ret = list;
	return 0;
}

int folder_read(struct arena *work, const char *path, folder_file *fn, void *arg, struct error *ret_error)
{
	struct opened *o = opened_new(work);
	char *into = arena_alloc(work,
				 YAML_FILE_MAX + 1); /* one for all; the system gives its pages when they are used */
	struct str folder = str_of(path);
	struct names list = { NULL, 0, 0 };
	int fault = list_folder(work, o, path, &list);
	size_t i;

	close_all(o);
	if (fault != 0) {
		*ret_error = error_new(work, ERROR_NOT_FOUND, "failed to load components",
				       "open %s: %s (give --resources-path a folder that is there and readable)", path,
				       folder_errno(work, fault));
		return -1;
	}
	while (folder.n > 1 && folder.p[folder.n - 1] == '/')
		folder.n--;
	for (i = 0; i < list.n; i++) {
		const char *why, *file;
		size_t n = 0;

		if (!is_yaml(list.p[i])) {
			log_warn("A non-YAML Component file %s was detected, it will not be loaded", list.p[i]);
			continue;
		}
		file = arena_printf(work, STR_FMT "%s%s", STR_ARG(folder), str_is(folder, "/") ? "" : "/", list.p[i]).p;
		why = read_all(work, o, file, into, &n);
		close_all(o);
		if (fn(arg, file, (struct str){ into, n }, why) != 0)
			return -1;
	}
	return 0;
}
