/* SPDX-License-Identifier: Apache-2.0 */
/* Functions that do not compile here: each has an unbounded, locale-bound or thread-unsafe habit. */
#ifndef BASE_BANNED_H
#define BASE_BANNED_H
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#pragma GCC poison strcpy strcat sprintf vsprintf strtok atoi atol gets localtime gmtime ctime asctime
#ifndef BASE_ALLOWS_MALLOC
#pragma GCC poison malloc calloc realloc strdup strndup asprintf vasprintf
#endif
#endif
