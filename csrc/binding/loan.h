/* Threads lent to event loops; a part of core.h. */
#ifndef TRT_BINDING_LOAN_H
#define TRT_BINDING_LOAN_H

extern PyType_Spec loan_spec; /* loan.c */
PyObject *core_lend(PyObject *, PyObject *);
PyObject *core_run_own(PyObject *, PyObject *);
PyObject *core_expect(PyObject *, PyObject *);
PyObject *core_serve_tasks(PyObject *, PyObject *);
/* wait.c: run the tasks that only this foreign thread may run. */
void wait_run_pinned(Worker *w);

#endif
