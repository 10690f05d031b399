/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/file.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/banned.h"

static int failed(struct arena *a, const char *path, const char *what, struct str *ret_message)
{
	*ret_message = arena_printf(a, "%s: %s", path, what);
	return -1;
}

int file_read(struct arena *a, const char *path, size_t limit, struct str *ret_bytes, struct str *ret_message)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	size_t n = 0;
	ssize_t got = 0;
	char *p;

	if (fd < 0)
		return failed(a, path, strerror(errno), ret_message);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return failed(a, path, "not a regular file", ret_message);
	}
	if ((uint64_t)st.st_size > limit) {
		close(fd);
		*ret_message = arena_printf(a, "%s: %lld bytes, at most %zu are read", path, (long long)st.st_size,
					    limit);
		return -1;
	}
	p = arena_try(a, (size_t)st.st_size + 1);
	while (p != NULL && n < (size_t)st.st_size) {
		got = read(fd, p + n, (size_t)st.st_size - n);
		if (got <= 0 && !(got < 0 && errno == EINTR))
			break;
		n += got > 0 ? (size_t)got : 0;
	}
	close(fd);
	if (p == NULL || got < 0)
		return failed(a, path, p == NULL ? "no memory to read it" : strerror(errno), ret_message);
	p[n] = '\0';
	*ret_bytes = (struct str){ p, n };
	return 0;
}

static const char *distrust(const struct stat *st)
{
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return "belongs to another user than root or the one that runs this: change its owner";
	if ((st->st_mode & (S_IWGRP | S_IWOTH)) && !(S_ISDIR(st->st_mode) && (st->st_mode & S_ISVTX)))
		return "may be written by others: run `chmod go-w` on it";
	return NULL;
}

int file_trusted(struct arena *a, const char *path, struct str *ret_message)
{
	char *p = realpath(path, NULL), *slash;
	const char *why = NULL;
	struct stat st;
	struct str at;

	if (p == NULL)
		return failed(a, path, strerror(errno), ret_message);
	at = arena_printf(a, "%s", p);
	free(p);
	p = (char *)at.p;
	for (;;) {
		if (stat(p[0] ? p : "/", &st) < 0)
			return failed(a, p, strerror(errno), ret_message);
		why = distrust(&st);
		if (why != NULL)
			return failed(a, p[0] ? p : "/", why, ret_message);
		slash = strrchr(p, '/');
		if (slash == NULL || p[0] == '\0')
			return 0;
		*slash = '\0';
	}
}

int file_sha256(int fd, char ret_hex[FILE_SHA256])
{
	unsigned char block[16384], digest[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	unsigned n = 0, i;
	off_t at = 0;
	ssize_t got = -1;

	if (md != NULL && EVP_DigestInit_ex(md, EVP_sha256(), NULL))
		while ((got = pread(fd, block, sizeof(block), at)) > 0 && EVP_DigestUpdate(md, block, (size_t)got))
			at += got;
	if (got != 0 || !EVP_DigestFinal_ex(md, digest, &n))
		n = 0;
	EVP_MD_CTX_free(md);
	for (i = 0; i < n; i++)
		snprintf(ret_hex + 2 * i, 3, "%02x", digest[i]);
	return n == 32 ? 0 : -1;
}
