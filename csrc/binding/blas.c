/* One pool for BLAS: OpenBLAS runs its parallel calls on workers that have nothing to
 * do. Two things are set in each library that is steered:
 *
 *   its callback, which gets the jobs of a parallel call and runs them as a gang, see
 *   sched/gang.h
 *
 *   its number of threads, which a call reads when it begins: one, the caller, and as
 *   many as there are workers to be had at that moment. It is set anew whenever a
 *   worker falls asleep or is woken, and as a task begins. So a call that is made while
 *   all are busy runs on its own thread and never comes here; and a gang seldom finds
 *   fewer workers than it was told.
 *
 * A job has a number because OpenBLAS keeps a buffer for each. Its own threads have the
 * first ones: they sleep, but for LU factorisations, which go to them past the
 * callback.
 */
#include "blas.h"

#include <pthread.h>

#include "os/check.h"
#include "sched/gang.h"

enum { LIBRARIES_MAX = 8 };

typedef void (*Dojob)(int number, void *job, int data);
typedef void (*Callback)(int sync, Dojob dojob, int count, size_t size, void *jobs,
                         int data);

/* An OpenBLAS of this process. Its place is its own for good, since a call may come as
 * late as it likes; the functions are constant. */
typedef struct Library {
    bool active; /* is to be steered */
    void (*set_callback)(Callback);
    void (*set_number)(int);
    int (*get_number)(void);
    int own;           /* its number of threads before it was steered */
    int most;          /* jobs that there were numbers for when it was steered */
    trt_roster roster; /* under hall.lock */
    uint64_t numbers;  /* all that are the roster's; the same */
} Library;

/* All but the roster is written under `number_lock`, which is a leaf; `hall` has its
 * own. */
static Library libraries[LIBRARIES_MAX];
static uint32_t library_count; /* never less than before */
_Atomic(bool) blas_steers;     /* numbers of threads follow the workers */
static bool has_callbacks;     /* from the first of these to the end of steering, and
                                  also through the exit of the process */
static trt_mutex number_lock;
static trt_hall hall;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static uint32_t forks_begun; /* handlers of one fork that have run, under hall.lock */

/* ---- the callback ---------------------------------------------------------------- */

typedef struct {
    Dojob dojob;
    char *jobs;
    size_t size;
    int data;
} Call;

static void
run_job(void *arg, uint32_t index, uint32_t number)
{
    const Call *const call = arg;
    call->dojob((int)number, call->jobs + index * call->size, call->data);
}

/* Somebody has raised the number of threads beyond what it had when it was steered, and
 * a call has more jobs than there are numbers for. From now on the numbers of
 * OpenBLAS's own threads are used too: wrong only if an LU factorisation has them at
 * that moment, while waiting would be for ever. */
static void
widen(Library *library, uint32_t count)
{
    if (count > TRT_GANG_MAX) {
        trt_panic(
            "a BLAS call has more than 64 parts: while taskrt.interop.blas shares "
            "the pool, let no other code raise OpenBLAS's number of threads");
    }
    trt_mutex_lock(&hall.lock);
    library->roster.free |= ~library->numbers;
    library->numbers = UINT64_MAX;
    trt_mutex_unlock(&hall.lock);
}

static void
run_call(Library *library, Dojob dojob, int count, size_t size, void *jobs, int data)
{
    if (count > library->most) {
        widen(library, (uint32_t)count);
    }
    Call call = {.dojob = dojob, .jobs = jobs, .size = size, .data = data};
    trt_gang_run(&hall, core->pool, &library->roster, run_job, &call, (uint32_t)count);
}

/* The callback is told nothing of whose it is: hence one for each library. */
#define CALLBACK(n)                                                                    \
    static void call_##n(int sync, Dojob dojob, int count, size_t size, void *jobs,    \
                         int data)                                                     \
    {                                                                                  \
        (void)sync; /* 1 in all versions */                                            \
        run_call(&libraries[n], dojob, count, size, jobs, data);                       \
    }
CALLBACK(0)
CALLBACK(1)
CALLBACK(2)
CALLBACK(3)
CALLBACK(4)
CALLBACK(5)
CALLBACK(6)
CALLBACK(7)
static const Callback callbacks[LIBRARIES_MAX] = {call_0, call_1, call_2, call_3,
                                                  call_4, call_5, call_6, call_7};

/* ---- the number ------------------------------------------------------------------ */

static void
set_numbers_locked(uint32_t most)
{
    for (uint32_t i = 0; i < library_count; i++) {
        Library *const library = &libraries[i];
        if (!library->active) {
            continue;
        }
        const int number = most < (uint32_t)library->own ? (int)most : library->own;
        if (library->get_number() != number) {
            library->set_number(number);
        }
    }
}

/* As many as there are workers to be had, and the caller, and `more`; one while the
 * process ends. The last that comes here has seen what those before it have changed:
 * they changed it before they took the lock. */
static void
follow_and(uint32_t more)
{
    trt_mutex_lock(&number_lock);
    if (trt_load_relaxed(&blas_steers)) {
        set_numbers_locked(1 + more +
                           trt_sleep_sleeping(&core->pool->teams[TRT_DEFAULT].sleep) +
                           trt_load_relaxed(&hall.lounging));
    } else if (has_callbacks) {
        set_numbers_locked(1);
    }
    trt_mutex_unlock(&number_lock);
}

static void
follow(void)
{
    follow_and(0);
}

/* A spawn has woken a worker, and then its task was run by the one that waits for it:
 * that worker searches and is about to fall asleep again. */
void
blas_begin_task_slow(Worker *w)
{
    const uint32_t searching =
        trt_sleep_searching(&core->pool->teams[TRT_DEFAULT].sleep);
    if (searching > 0 && !trt_worker_sees_work(&w->base)) {
        follow_and(searching);
    }
}

static void
follow_sleep(trt_sleep *Py_UNUSED(sleep))
{
    follow();
}

static void
set_following_locked(bool on)
{
    trt_store_relaxed(&blas_steers, on);
    if (core->pool) {
        trt_store_relaxed(&core->pool->teams[TRT_DEFAULT].sleep.told,
                          on ? follow_sleep : NULL);
    }
}

/* Set callbacks or take them away; then numbers. Any order of the two is safe for calls
 * that have begun: OpenBLAS's own threads are there all the time, and a gang makes up
 * for workers that it lacks. */
static void
set_steering_locked(bool on)
{
    if (!on && !has_callbacks) {
        return;
    }
    has_callbacks = on;
    for (uint32_t i = 0; i < library_count; i++) {
        if (libraries[i].active) {
            libraries[i].set_callback(on ? callbacks[i] : NULL);
        }
    }
    set_following_locked(on);
    if (!on) {
        set_numbers_locked(UINT32_MAX);
    }
}

static void
prepare(void)
{
    trt_mutex_init(&number_lock);
    trt_hall_init(&hall, follow);
}

void
blas_pause(void)
{
    pthread_once(&once, prepare);
    trt_mutex_lock(&number_lock);
    set_steering_locked(false);
    trt_mutex_unlock(&number_lock);
}

/* OpenBLAS joins its threads while the process ends, and waits for ever for one that is
 * given a job at that moment, by a call on a daemon thread. So they are given none: a
 * call that has begun has the callback, and later ones have one thread. */
void
blas_leave(void)
{
    pthread_once(&once, prepare);
    trt_mutex_lock(&number_lock);
    if (has_callbacks) {
        set_following_locked(false);
    }
    trt_mutex_unlock(&number_lock);
    follow();
}

void
blas_resume(void)
{
    pthread_once(&once, prepare);
    trt_mutex_lock(&number_lock);
    bool active = false;
    for (uint32_t i = 0; i < library_count; i++) {
        active |= libraries[i].active;
    }
    if (active) {
        set_steering_locked(true);
    }
    trt_mutex_unlock(&number_lock);
    follow();
}

/* ---- fork ------------------------------------------------------------------------ */

/* OpenBLAS ends its threads before a fork, and with them its buffers, and starts them
 * again in whoever needs them. So no gang may run then, and nobody may set a number: in
 * the child, the lock that this takes would stay taken. Registered after OpenBLAS's
 * handler and therefore called before it, at each library anew; the first call acts. */
static void
before_fork(void)
{
    if (forks_begun++ > 0) {
        return;
    }
    trt_hall_close(&hall);
    trt_mutex_lock(&number_lock);
    if (has_callbacks) {
        set_numbers_locked(UINT32_MAX); /* what the child is to have */
    }
}

static void
after_fork_in_parent(void)
{
    if (--forks_begun > 0) {
        return;
    }
    trt_mutex_unlock(&number_lock);
    trt_hall_open(&hall);
    follow();
}

/* There are no workers, and no libraries that are steered. */
static void
after_fork_in_child(void)
{
    if (--forks_begun > 0) {
        return;
    }
    trt_mutex_reinit_after_fork(&number_lock);
    trt_hall_init(&hall, follow);
    for (uint32_t i = 0; i < library_count; i++) {
        if (libraries[i].active) {
            libraries[i].set_callback(NULL);
            libraries[i].active = false;
        }
    }
    has_callbacks = false;
    trt_store_relaxed(&blas_steers, false);
}

/* ---- from Python ----------------------------------------------------------------- */

/* The place of the library with this function, or a new one. Under the lock. */
static uint32_t
find_library(void (*set_callback)(Callback))
{
    uint32_t i = 0;
    while (i < library_count && libraries[i].set_callback != set_callback) {
        i++;
    }
    return i;
}

/* Steer it; false if there are too many. */
static bool
steer(const Library *library)
{
    trt_mutex_lock(&number_lock);
    const uint32_t place = find_library(library->set_callback);
    const bool is_new = place == library_count;
    if (place < LIBRARIES_MAX) {
        if (is_new) {
            libraries[place] = *library;
            library_count++;
        }
        if (!libraries[place].active) {
            libraries[place].active = true;
            libraries[place].own = library->get_number();
        }
        set_steering_locked(true);
    }
    trt_mutex_unlock(&number_lock);
    if (is_new && place < LIBRARIES_MAX) {
        pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
    }
    return place < LIBRARIES_MAX;
}

/* _blas_steer(set_callback, set_number, get_number, first, count): steer one more
 * library, by the addresses of its functions; its gangs have `count` job numbers from
 * `first` on. Starts the runtime. */
PyObject *
core_blas_steer(PyObject *Py_UNUSED(module), PyObject *args)
{
    unsigned long long set_callback, set_number, get_number;
    unsigned int first, count;
    if (!PyArg_ParseTuple(args, "KKKII:_blas_steer", &set_callback, &set_number,
                          &get_number, &first, &count)) {
        return NULL;
    }
    if (count == 0 || first + count > TRT_GANG_MAX) {
        PyErr_Format(PyExc_ValueError,
                     "%u job numbers from %u on are not all below %d: choose fewer",
                     count, first, TRT_GANG_MAX);
        return NULL;
    }
    if (!worker_self()) {
        return NULL;
    }
    pthread_once(&once, prepare);
    const Library library = {
        .set_callback = (void (*)(Callback))(uintptr_t)set_callback,
        .set_number = (void (*)(int))(uintptr_t)set_number,
        .get_number = (int (*)(void))(uintptr_t)get_number,
        .most = (int)count,
        .roster = {.free = UINT64_MAX >> (TRT_GANG_MAX - count) << first},
        .numbers = UINT64_MAX >> (TRT_GANG_MAX - count) << first,
    };
    trt_hall_keep(&hall, (uint32_t)library.get_number() - 1);
    if (!steer(&library)) {
        PyErr_Format(PyExc_ValueError,
                     "%d libraries are steered, which is all there is room for",
                     LIBRARIES_MAX);
        return NULL;
    }
    follow();
    Py_RETURN_NONE;
}

/* _blas_release(): give all libraries back what they had. */
PyObject *
core_blas_release(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    pthread_once(&once, prepare);
    trt_mutex_lock(&number_lock);
    set_steering_locked(false);
    for (uint32_t i = 0; i < library_count; i++) {
        libraries[i].active = false;
    }
    trt_mutex_unlock(&number_lock);
    trt_hall_dismiss(&hall);
    Py_RETURN_NONE;
}

/* _blas_state(): what has happened since the process began, and what there is now. */
PyObject *
core_blas_state(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    pthread_once(&once, prepare);
    trt_mutex_lock(&hall.lock);
    const unsigned helpers = hall.helpers;
    trt_mutex_unlock(&hall.lock);
    const bool steers = trt_load_relaxed(&blas_steers);
    return Py_BuildValue(
        "{sOsKsKsKsI}", "steering", steers ? Py_True : Py_False, "gangs",
        (unsigned long long)trt_load_relaxed(&hall.gangs), "worker_jobs",
        (unsigned long long)trt_load_relaxed(&hall.worker_jobs), "helper_jobs",
        (unsigned long long)trt_load_relaxed(&hall.helper_jobs), "helpers", helpers);
}
