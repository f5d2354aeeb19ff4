/* SPDX-License-Identifier: MIT */
/* Deficit round robin with two lists, as fq_codel's (RFC 8290, 4.2): new flows go before old ones.
 */
#include "tunnel/turn.h"

static struct turn_node *turn_node_of(struct list *n)
{
    return LIST_ENTRY(n, struct turn_node, node);
}

static void turn_give_share(const struct turn *t, struct turn_node *n)
{
    n->round = t->round;
    n->left = t->share;
}

void turn_init(struct turn *t)
{
    list_init(&t->fresh);
    list_init(&t->later);
    t->round = 1;
    t->share = TURN_SHARE;
}

void turn_set_share(struct turn *t, size_t bytes)
{
    t->share = bytes < TURN_SHARE       ? TURN_SHARE
               : bytes < TURN_SHARE_MAX ? (int32_t)bytes
                                        : TURN_SHARE_MAX;
}

void turn_node_init(struct turn_node *n)
{
    list_init(&n->node);
    n->left = 0;
    n->round = 0; /* never one of a turn until 2^32 rounds, and then it costs a place once */
}

void turn_ready(struct turn *t, struct turn_node *n)
{
    if (!list_empty(&n->node))
        return;
    if (n->round != t->round)
        turn_give_share(t, n);
    list_push(turn_has_share(n) ? &t->fresh : &t->later, &n->node);
}

void turn_idle(struct turn_node *n)
{
    list_del(&n->node);
}

struct turn_node *turn_next(struct turn *t)
{
    struct list *first = list_first(&t->fresh);
    if (first)
        return turn_node_of(first);
    if (!(first = list_first(&t->later)))
        return NULL;
    struct turn_node *n = turn_node_of(first);
    if (n->round == t->round && !turn_has_share(n))
        t->round++; /* the list is in order: all in it have had theirs */
    if (n->round != t->round)
        turn_give_share(t, n);
    return n;
}

/* n's node, or if that is the list's own, what comes before the list. */
static struct turn_node *turn_from(const struct turn *t, struct list *n)
{
    if (n == &t->later)
        n = t->fresh.prev;
    return n == &t->fresh ? NULL : turn_node_of(n);
}

struct turn_node *turn_last(const struct turn *t)
{
    return turn_from(t, t->later.prev);
}

struct turn_node *turn_before(const struct turn *t, const struct turn_node *n)
{
    return turn_from(t, n->node.prev);
}

void turn_spend(struct turn *t, struct turn_node *n, size_t bytes)
{
    n->left = bytes < (size_t)n->left ? n->left - (int32_t)bytes : 0;
    if (!turn_has_share(n) && !list_empty(&n->node))
        list_move(&t->later, &n->node);
}

bool turn_is_over(const struct turn *t)
{
    return list_empty(&t->fresh) && list_empty(&t->later);
}
