/* SPDX-License-Identifier: Apache-2.0 */
/* Why something failed, until it is known which of several failures is told. Never holds a key, a token or a signature. */
#ifndef AZURE_FAULT_H
#define AZURE_FAULT_H
#include <davit/plugin.h>

#define AZURE_WHY 512 /* bytes of a text that an HTTP request is given for its failure */

struct azure_fault {
	davit_status status;
	char code[64]; /* the service's error code, such as "BlobNotFound"; "": it told none, or did not answer */
	char text[1024];
};

/* Both return the status. */
davit_status azure_fault_set(struct azure_fault *f, davit_status status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
davit_status azure_fault_no_memory(struct azure_fault *f);
#endif
