/* A task of OpenMP for each node. */
#include "uts.h"

static uts_found
visit(const uts_tree *tree, const uts_node *node)
{
    const int children = uts_children(tree, node);
    uts_found found = uts_found_at(node, children);
    uts_found below[UTS_CHILDREN_MAX];
    for (int i = 0; i < children; i++) {
        uts_found *const its = &below[i];
#pragma omp task
        {
            const uts_node child = uts_child(node, i);
            *its = visit(tree, &child);
        }
    }
#pragma omp taskwait
    for (int i = 0; i < children; i++) {
        uts_add(&found, &below[i]);
    }
    return found;
}

void
run(uts_data *data, int workers)
{
    const uts_node root = uts_root(&data->tree);
#pragma omp parallel num_threads(workers)
#pragma omp single
    data->found = visit(&data->tree, &root);
}
