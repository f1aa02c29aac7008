/* The sleep protocol of csrc/runtime/sched/README.md, with its step names: two
 * producers, some workers, a shutdown.
 *
 * What is checked
 *   Work is conserved. Each of the TASKS public tasks ends only when all of them have
 *   been started, and so does the sticky one, which takes all workers at once. So an
 *   item that stays behind while a worker sleeps is an invalid end state; so is a
 *   sticky item whose worker sleeps on, and a shutdown that does not reach everybody.
 *   The counts are checked by assertion at each step.
 *
 * Memory
 *   The store of a producer's push waits in a store buffer until `memory` drains it at
 *   some later time, a locked operation of the same producer drains it, or a heavy
 *   barrier of anybody drains all of them. Everything else is one locked operation or a
 *   plain load. With -DFENCES the barrier is the fallback: a full fence in the light
 *   half, nothing that reaches other processors in the heavy half.
 *
 * Options: -DWORKERS=2 or 3; -DALARMS, a worker also wakes by itself; -DFENCES.
 * Planted bugs: -DNO_RESCAN and so on; `run` has the list.
 */

#ifndef WORKERS
#define WORKERS 3
#endif
#define TASKS (WORKERS - 1)
#define STICKY 1
#define NOBODY 255

byte searching, sleeping;  /* the packed word; each change is one atomic step */
byte stack[WORKERS];       /* most recent sleeper last */
bool token[WORKERS];       /* the parkers */
byte inbox[WORKERS];       /* sticky items */
byte visible;              /* public items that everybody sees */
byte buffered[2];          /* public items in the store buffer of each producer */
byte alarms[WORKERS];      /* times that a worker may leave park by itself */
bool stop;
byte started, finished, sticky_finished, gone;

inline check_word() { assert(searching + sleeping <= WORKERS) }

inline drain(p)
{
    visible = visible + buffered[p];
    buffered[p] = 0
}

#ifdef FENCES
#ifdef NO_LIGHT
#define LIGHT(p) skip
#else
#define LIGHT(p) d_step { drain(p) }
#endif
#define HEAVY skip
#else
#define LIGHT(p) skip
#ifdef NO_HEAVY
#define HEAVY skip
#else
#define HEAVY d_step { drain(0); drain(1) }
#endif
#endif

#define WANTS_WAKE (searching == 0 && sleeping > 0)

/* P4, P5; `waked` is NOBODY before and after */
inline wake_slow(waked)
{
    atomic {
        if
        :: WANTS_WAKE ->
            sleeping--;
            waked = stack[sleeping];
            stack[sleeping] = 0;
#ifndef NOT_COUNTED
            searching++;
#endif
            check_word()
        :: else
        fi
    }
    if
    :: atomic { waked != NOBODY -> token[waked] = true; waked = NOBODY }
    :: else
    fi
}

inline push(p, waked)
{
    atomic { buffered[p]++; LIGHT(p) } /* P1, P2 */
    if
    :: WANTS_WAKE -> /* P3 */
        d_step { drain(p) } /* part of taking the lock */
        wake_slow(waked)
    :: else
    fi
}

inline push_sticky(p, target)
{
    d_step { drain(p); inbox[target]++ }
#ifdef STICKY_SKIPPED
    if
    :: searching == 0 -> token[target] = true
    :: else
    fi
#else
    token[target] = true
#endif
}

proctype producer(byte p)
{
    byte waked = NOBODY;
    if
    :: p < TASKS -> push(p, waked)
    :: else
    fi;
    if
    :: p == 1 -> push_sticky(p, 0)
    :: else
    fi
}

/* S2: the look is at the value that the step itself leaves */
#define LAST (searching == 1 && sleeping > 0)
inline found(counted, waked)
{
    if
    :: atomic { counted && !LAST -> searching--; counted = false; check_word() }
    :: atomic { counted && LAST -> searching--; counted = false; check_word() }
#ifndef NO_BATON
        wake_slow(waked)
#endif
    :: else
    fi
}

/* L1 */
inline retract(id, search, counted)
{
    place = 0;
    do
    :: place < sleeping && stack[place] != id -> place++
    :: else -> break
    od;
    if
    :: place < sleeping ->
        sleeping--;
        do
        :: place < sleeping -> stack[place] = stack[place + 1]; place++
        :: else -> break
        od;
        stack[sleeping] = 0;
        counted = search;
        searching = searching + search
    :: else -> counted = true
    fi;
    place = 0;
    check_word()
}

#define MAY_SEARCH (searching == 0 || 2 * searching < WORKERS - sleeping)
#define OWN_WORK (stop || inbox[id] > 0)

/* The part of the rescan that looks for public work */
#if defined(NO_RESCAN) || defined(RESCAN_FIRST)
#define SEEN 0
#else
#define SEEN visible
#endif

#ifdef LEFT_EARLY
#define SEARCH_AFTER_RESCAN (!OWN_WORK)
#else
#define SEARCH_AFTER_RESCAN true
#endif

/* Steps that touch only what this worker alone can see, or that commute with all steps
 * of others that could come between, are joined with a neighbour: fewer states. */
proctype worker(byte id)
{
    bool counted, nothing;
    byte place;
    byte waked = NOBODY;

look:
    atomic {
        if
        :: MAY_SEARCH -> searching++; counted = true; check_word() /* S1 */
        :: else
        fi
    }
take:
    if
    :: stop -> goto leave
    :: atomic { !stop && inbox[id] > 0 -> inbox[id]-- }
        found(counted, waked);
        atomic { started == TASKS -> sticky_finished++ }
        goto look
    :: atomic { !OWN_WORK && visible > 0 -> visible--; started++ }
        found(counted, waked);
        atomic { started == TASKS -> finished++ }
        goto look
    :: !OWN_WORK && visible == 0
    fi;

#ifdef RESCAN_FIRST
    nothing = !OWN_WORK && visible == 0;
#endif
    atomic { /* G1 */
        stack[sleeping] = id;
        sleeping++;
        searching = searching - counted;
        counted = false;
        check_word()
    }
    atomic {
        HEAVY; /* G2 */
#ifndef RESCAN_FIRST
        nothing = !OWN_WORK; /* G3 */
#endif
#ifdef NO_RESCAN
        nothing = true;
#endif
    }
    if
    :: atomic {
            !nothing || SEEN > 0 ->
            nothing = false;
            retract(id, SEARCH_AFTER_RESCAN, counted) /* L1 */
        }
#ifdef TOKEN_CLEARED
    :: atomic { nothing && SEEN == 0 -> nothing = false; token[id] = false }
#else
    :: atomic { nothing && SEEN == 0 -> nothing = false }
#endif
        if /* G4, L1 */
        :: atomic { token[id] -> token[id] = false; retract(id, !OWN_WORK, counted) }
        :: atomic { alarms[id] > 0 -> alarms[id]--; retract(id, false, counted) }
        fi
    fi;
    goto take;

leave:
    found(counted, waked);
    gone++
}

active proctype memory()
{
end:
    do
    :: d_step { buffered[0] > 0 -> drain(0) }
    :: d_step { buffered[1] > 0 -> drain(1) }
    od
}

init
{
    atomic {
#ifdef ALARMS
        alarms[1] = 1;
#endif
        run producer(0);
        run producer(1);
        run worker(0);
        run worker(1);
#if WORKERS > 2
        run worker(2)
#endif
    }
    finished == TASKS && sticky_finished == STICKY;
    stop = true;
    d_step {
        token[0] = true;
        token[1] = true;
#if WORKERS > 2
        token[2] = true
#endif
    }
    gone == WORKERS;
    assert(searching == 0 && sleeping == 0)
}
