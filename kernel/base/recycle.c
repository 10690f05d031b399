/* SPDX-License-Identifier: Apache-2.0 */
#include "base/recycle.h"

#include <stdint.h>
#include <string.h>

#include "base/banned.h"
#include "base/mem.h"

#define STEP 16u
#define CLASSES (RECYCLE_MAX / STEP)

/* In front of each piece; as large as the alignment. */
struct piece {
	size_t size; /* what the caller may use: a multiple of STEP where it can be kept */
	struct piece *next;
};

struct kept {
	size_t bytes;
	struct piece *first[CLASSES]; /* of (index + 1) * STEP bytes */
};

static _Thread_local struct kept kept;

#ifdef __SANITIZE_ADDRESS__
enum { LIMIT = 0 };
#else
enum { LIMIT = RECYCLE_KEPT };
#endif

_Static_assert(sizeof(struct piece) == STEP, "what follows is aligned");

static struct piece *fresh(size_t size)
{
	struct piece *p = size > SIZE_MAX - sizeof(*p) ? NULL : mem_alloc(sizeof(*p) + size);

	if (p != NULL)
		p->size = size;
	return p;
}

void *recycle_alloc(size_t n)
{
	size_t class = n == 0 ? 0 : (n - 1) / STEP;
	struct piece *p;

	if (n > RECYCLE_MAX) {
		p = fresh(n);
	} else if ((p = kept.first[class]) != NULL) {
		kept.first[class] = p->next;
		kept.bytes -= p->size;
	} else {
		p = fresh((class + 1) * STEP);
	}
	return p == NULL ? NULL : p + 1;
}

void *recycle_zalloc(size_t n, size_t size)
{
	void *p = size != 0 && n > SIZE_MAX / size ? NULL : recycle_alloc(n * size);

	return p == NULL ? NULL : memset(p, 0, n * size);
}

void recycle_free(void *memory)
{
	struct piece *p = memory ? (struct piece *)memory - 1 : NULL;
	size_t class;

	if (p == NULL)
		return;
	if (p->size > RECYCLE_MAX || kept.bytes + p->size > LIMIT) {
		mem_free(p);
		return;
	}
	class = p->size / STEP - 1;
	p->next = kept.first[class];
	kept.first[class] = p;
	kept.bytes += p->size;
}

void *recycle_resize(void *memory, size_t n)
{
	struct piece *p = memory ? (struct piece *)memory - 1 : NULL;
	void *more;

	if (p != NULL && n <= p->size)
		return memory;
	more = recycle_alloc(n);
	if (more == NULL || p == NULL)
		return more;
	memcpy(more, memory, p->size);
	recycle_free(memory);
	return more;
}

void recycle_drop(void)
{
	struct piece *p;
	size_t i;

	for (i = 0; i < CLASSES; i++)
		while ((p = kept.first[i]) != NULL) {
			kept.first[i] = p->next;
			mem_free(p);
		}
	kept.bytes = 0;
}
