/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread on which a fault (a wrong address and its like) can be told of before the process ends: those signals are not
 * blocked, and their handler has a stack of its own, as the fault may be that the other one is used up.
 */
#ifndef LOOP_FAULT_H
#define LOOP_FAULT_H
#include <signal.h>

void fault_mask(sigset_t *ret_set); /* every signal but these */
void *fault_stack_start(void);	    /* of this thread; NULL: no memory, and so without */
void fault_stack_end(void *stack);  /* on the same thread */
#endif
