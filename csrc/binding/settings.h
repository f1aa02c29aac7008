/* What the user has chosen; a part of core.h. */
#ifndef TRT_BINDING_SETTINGS_H
#define TRT_BINDING_SETTINGS_H

/* What the environment asks for, see _config.py. */
typedef struct Settings {
    uint32_t threads[TRT_TEAMS]; /* none of the interactive team: it has no tasks */
    bool inline_tasks, debug, closures;
} Settings;

/* Read the environment, and what set_num_threads() was told, which goes before. 0 or −1
 * with ValueError. */
int settings_read(Settings *read);

/* The team that a user's pool=... means. `same`: what "same" stands for, or −1 if that
 * is not allowed. −1 with ValueError. */
int settings_pool(PyObject *name, int same);

#endif
