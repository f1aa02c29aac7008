/* A child for each node. */
#include <taskrt_native.h>

#include "uts.h"

typedef struct job {
    const uts_tree *tree;
    const uts_node *parent;
    int place; /* among the siblings */
    uts_found found;
} job;

static int visit(trt_context *ctx, const uts_tree *tree, const uts_node *node,
                 uts_found *found);

static int
visit_child(trt_context *ctx, void *arg)
{
    job *const j = arg;
    const uts_node node = uts_child(j->parent, j->place);
    return visit(ctx, j->tree, &node, &j->found);
}

static int
visit(trt_context *ctx, const uts_tree *tree, const uts_node *node, uts_found *found)
{
    const int children = uts_children(tree, node);
    *found = uts_found_at(node, children);
    job jobs[UTS_CHILDREN_MAX];
    trt_frame frames[UTS_CHILDREN_MAX];
    for (int i = 0; i < children; i++) {
        jobs[i].tree = tree;
        jobs[i].parent = node;
        jobs[i].place = i;
        trt_spawn(ctx, &frames[i], visit_child, &jobs[i]);
    }
    int status = TRT_OK;
    for (int i = children; i-- > 0;) {
        const int its = trt_join(ctx, &frames[i]);
        status = status ? status : its;
        uts_add(found, &jobs[i].found);
    }
    return status;
}

int
run(trt_context *ctx, void *arg)
{
    uts_data *const data = arg;
    const uts_node root = uts_root(&data->tree);
    return visit(ctx, &data->tree, &root, &data->found);
}
