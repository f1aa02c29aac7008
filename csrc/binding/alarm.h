/* The thread that looks when something is due; a part of core.h. See alarm.c. */
#ifndef TRT_BINDING_ALARM_H
#define TRT_BINDING_ALARM_H

/* Whether the alarm looks by this time. Asked after what is due then was noted where it
 * looks. Any thread. */
bool alarm_is_set(uint64_t due_ns);
/* Have it look by this time, for what was noted before. Any thread, without a lock. 0,
 * or a negative errno: there is no thread for it. */
int alarm_set(uint64_t due_ns);
/* Whether its thread is there, and Python's name for it. */
bool alarm_is_alive(unsigned long *ident);
/* Have the thread end, and start none; and do so no more. Main. */
void alarm_stop(void);
void alarm_go_on(void);
/* In a forked child. */
void alarm_forget(void);

#endif
