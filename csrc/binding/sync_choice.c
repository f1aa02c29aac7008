/* One of several steps, taken at once or waited for. */
#include "sync.h"

static trt_channel *
channel_of(const Choice *self, size_t index)
{
    return &self->steps[index].channel->channel;
}

static bool
is_put(const Choice *self, size_t index)
{
    return self->steps[index].item != NULL;
}

static void
lock_all(const Choice *self)
{
    for (size_t i = 0; i < self->lock_count; i++) {
        trt_mutex_lock(self->locks[i]);
    }
}

static void
unlock_all(const Choice *self)
{
    for (size_t i = 0; i < self->lock_count; i++) {
        trt_mutex_unlock(self->locks[i]);
    }
}

/* Bring the steps into an order of which each is as likely (Fisher and Yates). */
static void
shuffle(Worker *w, Choice *self)
{
    for (size_t i = 0; i < self->count; i++) {
        const size_t other = i ? trt_worker_random(&w->base) % (i + 1) : 0;
        self->order[i] = self->order[other];
        self->order[other] = i;
    }
}

static trt_channel_result
take_step_locked(Choice *self, size_t index, trt_wait_node **wake)
{
    const Step *const step = &self->steps[index];
    if (step->channel) {
        trt_channel *const channel = channel_of(self, index);
        void *item = NULL;
        if (step->item) {
            return trt_channel_put_locked(channel, step->item, NULL, wake);
        }
        const trt_channel_result result =
            trt_channel_get_locked(channel, &item, NULL, wake);
        self->item = item;
        return result;
    }
    const bool possible =
        step->event ? trt_event_try(step->event) : step->due_ns <= trt_clock_now_ns();
    return possible ? TRT_CHANNEL_DONE : TRT_CHANNEL_MUST_WAIT;
}

/* Take one of the steps that are possible now. Who is to be woken without the locks, or
 * NULL. */
static trt_wait_node *
take_any_locked(Choice *self)
{
    trt_wait_node *wake = NULL;
    for (size_t i = 0; i < self->count; i++) {
        self->result = take_step_locked(self, self->order[i], &wake);
        if (self->result != TRT_CHANNEL_MUST_WAIT) {
            self->chosen = self->order[i];
            break;
        }
    }
    return wake;
}

static void
take_now(Worker *w, Choice *self)
{
    shuffle(w, self);
    lock_all(self);
    trt_wait_node *const wake = take_any_locked(self);
    unlock_all(self);
    trt_wait_nodes_wake(wake);
}

/* ---- waiting --------------------------------------------------------------------- */

static void
queue_step_locked(const Choice *self, size_t index, Wait *wait)
{
    const Step *const step = &self->steps[index];
    trt_wait_node *const node = &wait->nodes[index];
    trt_wait_node_init(node, &wait->base, NULL);
    node->place = step->place;
    if (step->channel) {
        trt_channel_queue_locked(channel_of(self, index), step->item != NULL,
                                 step->item, node);
    } else if (step->event) {
        trt_event_queue_locked(step->event, node);
    }
}

static bool
choice_enter(Awaited *base, Wait *wait)
{
    Choice *const self = (Choice *)base;
    lock_all(self);
    trt_wait_node *const wake = take_any_locked(self);
    for (size_t i = 0; self->result == TRT_CHANNEL_MUST_WAIT && i < self->count; i++) {
        queue_step_locked(self, i, wait);
    }
    unlock_all(self);
    trt_wait_nodes_wake(wake);
    return self->result == TRT_CHANNEL_MUST_WAIT;
}

static void
leave_queues(const Choice *self, Wait *wait)
{
    for (size_t i = 0; i < self->count; i++) {
        Step *const step = &self->steps[i];
        if (wait->nodes[i].served) {
            continue;
        }
        step->place = wait->nodes[i].place;
        if (step->channel) {
            trt_channel_leave(channel_of(self, i), &wait->nodes[i], is_put(self, i));
        } else if (step->event) {
            trt_event_leave(step->event, &wait->nodes[i]);
        }
    }
}

static void
choice_served(Awaited *base, Wait *wait)
{
    Choice *const self = (Choice *)base;
    size_t i = 0;
    while (!wait->nodes[i].served) {
        i++;
    }
    void *const value = wait->nodes[i].value;
    const bool gets = self->steps[i].channel && !is_put(self, i);
    const bool done = gets ? value != NULL : value != trt_channel_refused;
    self->chosen = i;
    self->item = gets ? value : NULL;
    self->result = done ? TRT_CHANNEL_DONE : TRT_CHANNEL_CLOSED;
    leave_queues(self, wait);
}

static void
choice_leave(Awaited *base, Wait *wait)
{
    leave_queues((Choice *)base, wait);
    free(wait);
}

/* The wait has failed, with an error set, and perhaps a step was taken all the same. An
 * item that was got goes back, and so does an event's turn. A put cannot be undone: it
 * counts, and a cancellation is met at the next checkpoint. 1 or −1. */
static int
end_failed(Choice *self)
{
    if (self->result != TRT_CHANNEL_DONE) {
        return -1;
    }
    const Step *const step = &self->steps[self->chosen];
    if (!step->channel) {
        if (step->event && step->event->autoreset) {
            trt_event_set(step->event); /* for somebody else */
        }
        return -1;
    }
    PyObject *const item = self->item;
    self->item = NULL;
    if (item && trt_channel_put_back(channel_of(self, self->chosen), item)) {
        return -1;
    }
    if (PyErr_ExceptionMatches(core->cancelled)) {
        PyErr_Clear();
        self->item = item;
        return 1;
    }
    Py_XDECREF(item); /* no memory to keep it in */
    return -1;
}

/* For reports: what a select waits for. 0, or −1 with an error set. */
static int
name_operations(Choice *self)
{
    PyObject *const names = PyTuple_New((Py_ssize_t)self->count);
    for (size_t i = 0; names && i < self->count; i++) {
        PyTuple_SET_ITEM(names, (Py_ssize_t)i, Py_NewRef(self->operations[i]));
    }
    self->base.object = names;
    self->base.verb = "for one of";
    return names ? 0 : -1;
}

static int
wait_for_step(Worker *w, Choice *self, uint64_t deadline)
{
    const bool ends_by_step = self->due_ns <= deadline;
    for (;;) {
        const int status =
            wait_once(w, &self->base, ends_by_step ? self->due_ns : deadline);
        if (status < 0) {
            return end_failed(self);
        }
        if (status == 0 && self->result == TRT_CHANNEL_MUST_WAIT && ends_by_step) {
            take_now(w, self); /* one is possible now */
        }
        if (self->result != TRT_CHANNEL_MUST_WAIT) {
            return 1;
        }
        if (status == 0) {
            return 0;
        }
    }
}

int
choice_take(Worker *w, Choice *self, uint64_t deadline)
{
    self->base.enter = choice_enter;
    self->base.served = choice_served;
    self->base.leave = choice_leave;
    self->base.nodes = self->count;
    self->item = NULL;
    for (size_t i = 0; i < self->count; i++) {
        Py_XINCREF(self->steps[i].item); /* the channel's, if it takes it */
    }
    take_now(w, self);
    int status = self->result != TRT_CHANNEL_MUST_WAIT;
    if (!status && (deadline == TRT_FOREVER || deadline > trt_clock_now_ns())) {
        if (self->operations && name_operations(self) < 0) {
            status = -1;
        } else {
            status = wait_for_step(w, self, deadline);
        }
        if (self->operations) {
            Py_CLEAR(self->base.object);
        }
    }
    const bool taken = self->result == TRT_CHANNEL_DONE;
    for (size_t i = 0; i < self->count; i++) {
        if (!taken || i != self->chosen) {
            Py_XDECREF(self->steps[i].item);
        }
    }
    if (status > 0 && self->result == TRT_CHANNEL_CLOSED) {
        channel_raise_closed(self->steps[self->chosen].channel,
                             is_put(self, self->chosen));
        return -1;
    }
    if (status > 0 && self->result == TRT_CHANNEL_NO_MEMORY) {
        PyErr_NoMemory();
        return -1;
    }
    return status;
}

int
choice_take_step(Worker *w, Step *step, PyObject **got, bool *taken, uint64_t deadline)
{
    trt_mutex *lock = &step->channel->channel.lock;
    size_t order = 0;
    const char *const verb = step->item ? "to put into" : "to get from";
    Choice choice = {
        .base = {.object = step->what ? step->what : (PyObject *)step->channel,
                 .verb = step->what ? NULL : verb},
        .steps = step,
        .count = 1,
        .order = &order,
        .locks = &lock,
        .lock_count = 1,
        .due_ns = TRT_FOREVER};
    const int status = choice_take(w, &choice, deadline);
    *got = choice.item;
    *taken = choice.result == TRT_CHANNEL_DONE;
    return status;
}
