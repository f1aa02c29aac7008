/* Unbalanced tree search: what all contenders are asked, and how a tree grows.
 *
 * Each node is the SHA-1 of its parent and of its place among the siblings, and the
 * number of its children is drawn from a geometric distribution by that hash: nobody
 * can know how large a subtree is without visiting it. Trees of the kind "geometric,
 * fixed" of Olivier, Huan, Liu, Prins, Dinan, Sadayappan and Tseng, LCPC 2006.
 */
#ifndef UTS_H
#define UTS_H

#include <math.h>
#include <stdint.h>
#include <string.h>

enum { UTS_CHILDREN_MAX = 100 };

typedef struct uts_tree {
    int64_t seed;
    int64_t height;   /* nodes at this depth have no children */
    double branching; /* children of the others, on average */
} uts_tree;

typedef struct uts_found {
    int64_t nodes, leaves, depth;
} uts_found;

typedef struct uts_data {
    uts_tree tree;
    uts_found found;
} uts_data;

typedef struct uts_node {
    uint8_t hash[20];
    int64_t depth;
} uts_node;

static inline uint32_t
sha1_load(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline void
sha1_store(uint8_t *p, uint32_t x)
{
    p[0] = (uint8_t)(x >> 24);
    p[1] = (uint8_t)(x >> 16);
    p[2] = (uint8_t)(x >> 8);
    p[3] = (uint8_t)x;
}

static inline uint32_t
sha1_rotate(uint32_t x, int by)
{
    return x << by | x >> (32 - by);
}

/* SHA-1 (FIPS 180-4) of a message of `size` bytes that fits into one block: 55. */
static inline void
sha1(const uint8_t *message, size_t size, uint8_t hash[20])
{
    uint8_t block[64] = {0};
    memcpy(block, message, size);
    block[size] = 0x80;
    sha1_store(block + 60, (uint32_t)size * 8);
    uint32_t w[80];
    for (int t = 0; t < 16; t++) {
        w[t] = sha1_load(block + 4 * t);
    }
    for (int t = 16; t < 80; t++) {
        w[t] = sha1_rotate(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
    }
    const uint32_t start[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476,
                               0xc3d2e1f0};
    uint32_t a = start[0], b = start[1], c = start[2], d = start[3], e = start[4];
    for (int t = 0; t < 80; t++) {
        const uint32_t f = t < 20   ? (d ^ (b & (c ^ d))) + 0x5a827999
                           : t < 40 ? (b ^ c ^ d) + 0x6ed9eba1
                           : t < 60 ? ((b & c) | (d & (b | c))) + 0x8f1bbcdc
                                    : (b ^ c ^ d) + 0xca62c1d6;
        const uint32_t next = sha1_rotate(a, 5) + f + e + w[t];
        e = d;
        d = c;
        c = sha1_rotate(b, 30);
        b = a;
        a = next;
    }
    sha1_store(hash, start[0] + a);
    sha1_store(hash + 4, start[1] + b);
    sha1_store(hash + 8, start[2] + c);
    sha1_store(hash + 12, start[3] + d);
    sha1_store(hash + 16, start[4] + e);
}

static inline uts_node
uts_root(const uts_tree *tree)
{
    uint8_t message[20] = {0};
    sha1_store(message + 16, (uint32_t)tree->seed);
    uts_node root = {{0}, 0};
    sha1(message, sizeof message, root.hash);
    return root;
}

static inline uts_node
uts_child(const uts_node *parent, int place)
{
    uint8_t message[24];
    memcpy(message, parent->hash, 20);
    sha1_store(message + 20, (uint32_t)place);
    uts_node child = {{0}, parent->depth + 1};
    sha1(message, sizeof message, child.hash);
    return child;
}

static inline int
uts_children(const uts_tree *tree, const uts_node *node)
{
    if (node->depth >= tree->height) {
        return 0;
    }
    const double u = (sha1_load(node->hash + 16) & 0x7fffffff) / 2147483648.0;
    const double p = 1 / (1 + tree->branching);
    const int children = (int)floor(log(1 - u) / log(1 - p));
    return children < UTS_CHILDREN_MAX ? children : UTS_CHILDREN_MAX;
}

/* What is found at a node itself, before its children are added. */
static inline uts_found
uts_found_at(const uts_node *node, int children)
{
    const uts_found one = {1, children == 0, node->depth};
    return one;
}

static inline void
uts_add(uts_found *found, const uts_found *below)
{
    found->nodes += below->nodes;
    found->leaves += below->leaves;
    found->depth = found->depth > below->depth ? found->depth : below->depth;
}

#endif
