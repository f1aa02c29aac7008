/* Unbalanced tree search, with a child for each node; see uts.py. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include <taskrt_native.h>

enum { CHILDREN_MAX = 100 };

typedef struct tree {
    int64_t seed;
    int64_t height;   /* nodes at this depth have no children */
    double branching; /* children of the others, on average */
} tree;

typedef struct node {
    uint8_t hash[20];
    int64_t depth;
} node;

typedef struct counts {
    int64_t nodes, leaves, depth;
} counts;

static uint32_t
load(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void
store(uint8_t *p, uint32_t x)
{
    for (int i = 0; i < 4; i++) {
        p[i] = (uint8_t)(x >> (24 - 8 * i));
    }
}

static uint32_t
rotate(uint32_t x, int by)
{
    return x << by | x >> (32 - by);
}

/* SHA-1 (FIPS 180-4) of a message of `size` bytes that fits into one block: 55. */
static void
sha1(const uint8_t *message, size_t size, uint8_t hash[20])
{
    uint8_t block[64] = {0};
    memcpy(block, message, size);
    block[size] = 0x80;
    store(block + 60, (uint32_t)size * 8);
    uint32_t w[80];
    for (int t = 0; t < 16; t++) {
        w[t] = load(block + 4 * t);
    }
    for (int t = 16; t < 80; t++) {
        w[t] = rotate(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
    }
    const uint32_t start[] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476,
                              0xc3d2e1f0};
    uint32_t a = start[0], b = start[1], c = start[2], d = start[3], e = start[4];
    for (int t = 0; t < 80; t++) {
        const uint32_t f = t < 20   ? (d ^ (b & (c ^ d))) + 0x5a827999
                           : t < 40 ? (b ^ c ^ d) + 0x6ed9eba1
                           : t < 60 ? ((b & c) | (d & (b | c))) + 0x8f1bbcdc
                                    : (b ^ c ^ d) + 0xca62c1d6;
        const uint32_t next = rotate(a, 5) + f + e + w[t];
        e = d;
        d = c;
        c = rotate(b, 30);
        b = a;
        a = next;
    }
    const uint32_t end[] = {a, b, c, d, e};
    for (int i = 0; i < 5; i++) {
        store(hash + 4 * i, start[i] + end[i]);
    }
}

static node
root_of(const tree *t)
{
    uint8_t message[20] = {0};
    store(message + 16, (uint32_t)t->seed);
    node root = {.depth = 0};
    sha1(message, sizeof message, root.hash);
    return root;
}

static node
child_of(const node *parent, int place)
{
    uint8_t message[24];
    memcpy(message, parent->hash, 20);
    store(message + 20, (uint32_t)place);
    node child = {.depth = parent->depth + 1};
    sha1(message, sizeof message, child.hash);
    return child;
}

/* Drawn from a geometric distribution by the node's own hash. */
static int
number_of_children(const tree *t, const node *n)
{
    if (n->depth >= t->height) {
        return 0;
    }
    const double u = (load(n->hash + 16) & 0x7fffffff) / 2147483648.0;
    const double p = 1 / (1 + t->branching);
    const int children = (int)floor(log(1 - u) / log(1 - p));
    return children < CHILDREN_MAX ? children : CHILDREN_MAX;
}

static void
add(counts *found, counts below)
{
    found->nodes += below.nodes;
    found->leaves += below.leaves;
    found->depth = found->depth > below.depth ? found->depth : below.depth;
}

// [visit]
typedef struct job {
    const tree *tree;
    const node *parent;
    int place; /* among the siblings */
    counts found;
} job;

static int visit_child(trt_context *ctx, void *arg);

static int
visit(trt_context *ctx, const tree *t, const node *n, counts *found)
{
    const int children = number_of_children(t, n);
    job jobs[CHILDREN_MAX];
    trt_frame frames[CHILDREN_MAX];
    for (int i = 0; i < children; i++) {
        jobs[i] = (job){t, n, i, {0}};
        trt_spawn(ctx, &frames[i], visit_child, &jobs[i]);
    }
    *found = (counts){1, children == 0, n->depth};
    int status = TRT_OK;
    for (int i = children; i-- > 0;) { // the newest first
        const int its = trt_join(ctx, &frames[i]);
        status = status ? status : its;
        add(found, jobs[i].found);
    }
    return status;
}

static int
visit_child(trt_context *ctx, void *arg)
{
    job *const j = arg;
    const node n = child_of(j->parent, j->place);
    return visit(ctx, j->tree, &n, &j->found);
}
// [/visit]

typedef struct uts_data {
    tree tree;
    counts found;
} uts_data;

int
uts(trt_context *ctx, void *arg)
{
    uts_data *const data = arg;
    const node root = root_of(&data->tree);
    return visit(ctx, &data->tree, &root, &data->found);
}

static counts
visit_serial(const tree *t, const node *n)
{
    const int children = number_of_children(t, n);
    counts found = {1, children == 0, n->depth};
    for (int i = 0; i < children; i++) {
        const node child = child_of(n, i);
        add(&found, visit_serial(t, &child));
    }
    return found;
}

void
uts_serial(uts_data *data)
{
    const node root = root_of(&data->tree);
    data->found = visit_serial(&data->tree, &root);
}
