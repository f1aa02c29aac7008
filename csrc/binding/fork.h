/* A forked child; a part of core.h. */
#ifndef TRT_BINDING_FORK_H
#define TRT_BINDING_FORK_H

/* Forget the parent's runtime. The handler of pthread_atfork: no Python. */
void fork_in_child(void);
/* Close what the parent's runtime has opened, once the interpreter's wake-up descriptor
 * is none of it. */
void fork_close_parents(void);

#endif
