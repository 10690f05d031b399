/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the targets share: an input as text in memory of its own size (so that a byte too far is seen), an arena whose exit
 * is caught, a file for who reads files, and a log that is silent.
 */
#ifndef FUZZ_INPUT_H
#define FUZZ_INPUT_H
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/log.h"
#include "fuzz_stack.h"

/* What `make fuzz-proof` plants: a target that cannot find it within a minute looks nowhere. */
#ifdef FUZZ_PLANT
#define FUZZ_PLANTED(condition) \
	do { \
		if (condition) \
			__builtin_trap(); \
	} while (0)
#else
#define FUZZ_PLANTED(condition) ((void)0)
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void fuzz_require(int truth)
{
	if (!truth)
		abort();
}

static inline void fuzz_quiet(void)
{
	static int done;

	if (!done)
		log_start(&(struct log_options){ .level = LOG_FATAL, .app_id = "fuzz", .version = "" });
	done = 1;
}

struct fuzz_run {
	void (*fn)(struct arena *a, struct str input);
	struct str input;
};

static void fuzz_guarded(void *run)
{
	struct fuzz_run *r = run;
	struct arena *a = arena_new();
	jmp_buf no_memory;

	if (setjmp(no_memory) == 0) {
		arena_on_oom(a, &no_memory);
		r->fn(a, r->input);
	}
	arena_on_oom(a, NULL);
	arena_unref(a);
}

/* fn on a fiber's stack, with an arena, and the input in a block of exactly its size. */
static inline int fuzz_input(const uint8_t *data, size_t size, void (*fn)(struct arena *a, struct str input))
{
	char *copy = malloc(size ? size : 1);
	struct fuzz_run r = { fn, { copy, size } };

	fuzz_quiet();
	if (size > 0)
		memcpy(copy, data, size);
	fuzz_on_fiber(fuzz_guarded, &r);
	free(copy);
	return 0;
}

/* The first byte chooses, the rest is what is read. */
static inline unsigned fuzz_choice(struct str *input)
{
	unsigned c = input->n > 0 ? (unsigned char)input->p[0] : 0;

	*input = str_from(*input, 1);
	return c;
}

/* The input as a file in memory, in a folder of its own; name: "r.yaml". The same file each time. */
static inline const char *fuzz_file(const char *name, struct str input, const char **ret_folder)
{
	static char folder[64], path[128];
	int fd;

	if (folder[0] == '\0') {
		snprintf(folder, sizeof(folder), "/dev/shm/davit-fuzz-XXXXXX");
		if (mkdtemp(folder) == NULL)
			abort();
		snprintf(path, sizeof(path), "%s/%s", folder, name);
	}
	fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
	fuzz_require(fd >= 0 && write(fd, input.p, input.n) == (ssize_t)input.n);
	close(fd);
	if (ret_folder != NULL)
		*ret_folder = folder;
	return path;
}
#endif
