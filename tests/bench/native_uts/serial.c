/* Plain recursion. */
#include "uts.h"

static uts_found
visit(const uts_tree *tree, const uts_node *node)
{
    const int children = uts_children(tree, node);
    uts_found found = uts_found_at(node, children);
    for (int i = 0; i < children; i++) {
        const uts_node child = uts_child(node, i);
        const uts_found below = visit(tree, &child);
        uts_add(&found, &below);
    }
    return found;
}

void
run(uts_data *data, int workers)
{
    (void)workers;
    const uts_node root = uts_root(&data->tree);
    data->found = visit(&data->tree, &root);
}
