/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded into the sidecar: the n-th allocation, read, write, open or connect from now on fails, once. The driver arms and reads it
 * through a page of shared memory, the file named by FAULT_CONTROL. Allocations that live are counted as well.
 *
 * The wall clock can be set off; the monotonic one is left alone. Names are first looked for in the file FAULT_NAMES, lines
 * of "name address"; an address of "-" says that there is no such name.
 *
 * malloc and its kin go to glibc's own under their other names, so nothing here allocates.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { MEMORY = 1, READ, WRITE, OPEN, CONNECT };

struct control {
	_Atomic int32_t kind;	 /* what is armed */
	_Atomic int32_t tripped; /* 1: it has failed */
	_Atomic int64_t left;	 /* so many go well before */
	_Atomic int64_t seen;	 /* of this kind since it was armed */
	_Atomic int64_t live;	 /* allocations that are not freed */
	_Atomic int64_t shift;	 /* seconds by which the wall clock is off */
};

static struct control nobody, *control = &nobody;

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);
void __libc_free(void *p);

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("FAULT_CONTROL");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *p = fd >= 0 ? mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;

	if (fd >= 0)
		close(fd);
	if (p != MAP_FAILED) {
		atomic_store(&((struct control *)p)->live, atomic_load(&nobody.live));
		control = p;
	}
}

static int fails(int kind, int error)
{
	if (atomic_load(&control->kind) != kind)
		return 0;
	atomic_fetch_add(&control->seen, 1);
	if (atomic_fetch_sub(&control->left, 1) != 0)
		return 0;
	atomic_store(&control->tripped, 1);
	errno = error;
	return 1;
}

/*
 * Files and sockets only: an eventfd does not fail, and libuv says so with abort(). A stream that fails is good for nothing any
 * more, on neither side, as one whose peer has reset it.
 */
static int fails_on(int fd, int kind, int error)
{
	struct stat st;
	int type = 0;
	socklen_t n = sizeof(type);

	if (atomic_load(&control->kind) != kind || fstat(fd, &st) < 0 ||
	    !(S_ISREG(st.st_mode) || S_ISSOCK(st.st_mode)) || !fails(kind, error))
		return 0;
	if (kind != CONNECT && getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) == 0 && type == SOCK_STREAM)
		shutdown(fd, SHUT_RDWR);
	errno = error;
	return 1;
}

static void *counted(void *p)
{
	if (p != NULL)
		atomic_fetch_add_explicit(&control->live, 1, memory_order_relaxed);
	return p;
}

void *malloc(size_t n)
{
	return fails(MEMORY, ENOMEM) ? NULL : counted(__libc_malloc(n));
}

void *calloc(size_t n, size_t size)
{
	return fails(MEMORY, ENOMEM) ? NULL : counted(__libc_calloc(n, size));
}

void *realloc(void *p, size_t n)
{
	if (fails(MEMORY, ENOMEM))
		return NULL;
	return p == NULL ? counted(__libc_realloc(p, n)) : __libc_realloc(p, n);
}

void *memalign(size_t align, size_t n)
{
	return fails(MEMORY, ENOMEM) ? NULL : counted(__libc_memalign(align, n));
}

void *aligned_alloc(size_t align, size_t n)
{
	return memalign(align, n);
}

int posix_memalign(void **ret_p, size_t align, size_t n)
{
	void *p = memalign(align, n);

	if (p == NULL)
		return ENOMEM;
	*ret_p = p;
	return 0;
}

void free(void *p)
{
	if (p != NULL)
		atomic_fetch_sub_explicit(&control->live, 1, memory_order_relaxed);
	__libc_free(p);
}

int clock_gettime(clockid_t id, struct timespec *t)
{
	int failed = (int)syscall(SYS_clock_gettime, id, t);

	if (!failed && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
		t->tv_sec += atomic_load(&control->shift);
	return failed;
}

int gettimeofday(struct timeval *t, void *zone)
{
	struct timespec now;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &now);
	t->tv_sec = now.tv_sec;
	t->tv_usec = now.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *ret_t)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (ret_t != NULL)
		*ret_t = now.tv_sec;
	return now.tv_sec;
}

#define NEXT(type, name) \
	static type (*next)(); \
	if (next == NULL) \
	next = (type(*)())dlsym(RTLD_NEXT, name)

#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#pragma GCC diagnostic ignored "-Wmissing-prototypes"

ssize_t read(int fd, void *p, size_t n)
{
	NEXT(ssize_t, "read");
	return fails_on(fd, READ, EIO) ? -1 : next(fd, p, n);
}

ssize_t pread64(int fd, void *p, size_t n, off64_t at)
{
	NEXT(ssize_t, "pread64");
	return fails_on(fd, READ, EIO) ? -1 : next(fd, p, n, at);
}

ssize_t pread(int fd, void *p, size_t n, off_t at)
{
	return pread64(fd, p, n, at);
}

ssize_t recv(int fd, void *p, size_t n, int flags)
{
	NEXT(ssize_t, "recv");
	return fails_on(fd, READ, ECONNRESET) ? -1 : next(fd, p, n, flags);
}

ssize_t write(int fd, const void *p, size_t n)
{
	NEXT(ssize_t, "write");
	return fails_on(fd, WRITE, ENOSPC) ? -1 : next(fd, p, n);
}

ssize_t pwrite64(int fd, const void *p, size_t n, off64_t at)
{
	NEXT(ssize_t, "pwrite64");
	return fails_on(fd, WRITE, ENOSPC) ? -1 : next(fd, p, n, at);
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
	return pwrite64(fd, p, n, at);
}

ssize_t writev(int fd, const struct iovec *v, int n)
{
	NEXT(ssize_t, "writev");
	return fails_on(fd, WRITE, EPIPE) ? -1 : next(fd, v, n);
}

ssize_t send(int fd, const void *p, size_t n, int flags)
{
	NEXT(ssize_t, "send");
	return fails_on(fd, WRITE, EPIPE) ? -1 : next(fd, p, n, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	NEXT(ssize_t, "sendmsg");
	return fails_on(fd, WRITE, EPIPE) ? -1 : next(fd, m, flags);
}

int connect(int fd, const struct sockaddr *to, socklen_t n)
{
	NEXT(int, "connect");
	return fails_on(fd, CONNECT, ECONNREFUSED) ? -1 : next(fd, to, n);
}

int fsync(int fd)
{
	NEXT(int, "fsync");
	return fails_on(fd, WRITE, EIO) ? -1 : next(fd);
}

int fdatasync(int fd)
{
	NEXT(int, "fdatasync");
	return fails_on(fd, WRITE, EIO) ? -1 : next(fd);
}

int accept4(int fd, struct sockaddr *ret_from, socklen_t *ret_n, int flags)
{
	NEXT(int, "accept4");
	return fails_on(fd, CONNECT, ECONNABORTED) ? -1 : next(fd, ret_from, ret_n, flags);
}

static int open_at(int dir, const char *path, int flags, unsigned mode)
{
	static int (*next)(int, const char *, int, ...);

	if (next == NULL)
		next = (int (*)(int, const char *, int, ...))dlsym(RTLD_NEXT, "openat64");
	return fails(OPEN, EMFILE) ? -1 : next(dir, path, flags, mode);
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **ret_list)
{
	const char *path = getenv("FAULT_NAMES");
	FILE *file = path != NULL && name != NULL ? fopen(path, "re") : NULL;
	char line[256], known[128], address[64];

	NEXT(int, "getaddrinfo");
	while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
		if (sscanf(line, "%127s %63s", known, address) != 2 || strcmp(known, name) != 0)
			continue;
		fclose(file);
		return strcmp(address, "-") == 0 ? EAI_NONAME : next(address, service, hints, ret_list);
	}
	if (file != NULL)
		fclose(file);
	return next(name, service, hints, ret_list);
}

#define MODE(flags) \
	unsigned mode = 0; \
	if (flags & (O_CREAT | __O_TMPFILE)) { \
		va_list list; \
		va_start(list, flags); \
		mode = va_arg(list, unsigned); \
		va_end(list); \
	}

int open(const char *path, int flags, ...)
{
	MODE(flags)
	return open_at(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
	MODE(flags)
	return open_at(AT_FDCWD, path, flags, mode);
}

int openat(int dir, const char *path, int flags, ...)
{
	MODE(flags)
	return open_at(dir, path, flags, mode);
}

int openat64(int dir, const char *path, int flags, ...)
{
	MODE(flags)
	return open_at(dir, path, flags, mode);
}
