/* One of several steps on channels, taken at once or waited for. */
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
        trt_channel_lock(&self->locks[i]->channel);
    }
}

static void
unlock_all(const Choice *self)
{
    for (size_t i = 0; i < self->lock_count; i++) {
        trt_channel_unlock(&self->locks[i]->channel);
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
take_step_locked(Choice *self, size_t index, trt_wait_node *node, trt_wait_node **wake)
{
    trt_channel *const channel = channel_of(self, index);
    void *item = NULL;
    if (is_put(self, index)) {
        return trt_channel_put_locked(channel, self->steps[index].item, node, wake);
    }
    const trt_channel_result result =
        trt_channel_get_locked(channel, &item, node, wake);
    self->item = item;
    return result;
}

/* Take one of the steps that are possible now. Who is to be woken without the locks, or
 * NULL. */
static trt_wait_node *
take_any_locked(Choice *self)
{
    trt_wait_node *wake = NULL;
    for (size_t i = 0; i < self->count; i++) {
        self->result = take_step_locked(self, self->order[i], NULL, &wake);
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

static bool
choice_enter(Awaited *base, Wait *wait)
{
    Choice *const self = (Choice *)base;
    lock_all(self);
    trt_wait_node *wake = take_any_locked(self);
    for (size_t i = 0; self->result == TRT_CHANNEL_MUST_WAIT && i < self->count; i++) {
        trt_wait_node *nobody;
        trt_wait_node_init(&wait->nodes[i], &wait->base, NULL);
        (void)take_step_locked(self, i, &wait->nodes[i], &nobody); /* must wait */
    }
    unlock_all(self);
    trt_wait_nodes_wake(wake);
    return self->result == TRT_CHANNEL_MUST_WAIT;
}

static void
leave_queues(const Choice *self, Wait *wait)
{
    for (size_t i = 0; i < self->count; i++) {
        if (!wait->nodes[i].served) {
            trt_channel_leave(channel_of(self, i), &wait->nodes[i], is_put(self, i));
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
    const bool done = is_put(self, i) ? value != trt_channel_refused : value != NULL;
    self->chosen = i;
    self->item = is_put(self, i) ? NULL : value;
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
 * item that was got goes back. A put cannot be undone: it counts, and a cancellation is
 * met at the next checkpoint. 1 or −1. */
static int
end_failed(Choice *self)
{
    if (self->result != TRT_CHANNEL_DONE) {
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

static int
wait_for_step(Worker *w, Choice *self, uint64_t deadline)
{
    for (;;) {
        const int status = wait_once(w, &self->base, deadline);
        if (status < 0) {
            return end_failed(self);
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
        status = wait_for_step(w, self, deadline);
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
choice_take_step(Worker *w, const Step *step, PyObject **got, bool *taken,
                 uint64_t deadline)
{
    ChannelObject *lock = step->channel;
    size_t order = 0;
    Choice choice = {.base = {.object = (PyObject *)step->channel},
                     .steps = step,
                     .count = 1,
                     .order = &order,
                     .locks = &lock,
                     .lock_count = 1};
    const int status = choice_take(w, &choice, deadline);
    *got = choice.item;
    *taken = choice.result == TRT_CHANNEL_DONE;
    return status;
}
