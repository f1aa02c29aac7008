/* A task of a oneTBB group for each node. */
#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/task_group.h>

#include "uts.h"

static uts_found
visit(const uts_tree *tree, const uts_node *node)
{
    const int children = uts_children(tree, node);
    uts_found found = uts_found_at(node, children);
    uts_found below[UTS_CHILDREN_MAX];
    tbb::task_group group;
    for (int i = 0; i < children; i++) {
        uts_found *const its = &below[i];
        group.run([=] {
            const uts_node child = uts_child(node, i);
            *its = visit(tree, &child);
        });
    }
    group.wait();
    for (int i = 0; i < children; i++) {
        uts_add(&found, &below[i]);
    }
    return found;
}

extern "C" void
run(uts_data *data, int workers)
{
    tbb::task_arena arena(workers);
    arena.execute([data] {
        const uts_node root = uts_root(&data->tree);
        data->found = visit(&data->tree, &root);
    });
}
