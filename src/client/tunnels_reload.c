/* SPDX-License-Identifier: MIT */
/*
 * A reload of the client's tunnels. By name (conf/tunnels_diff.h): who has another target keeps its
 * service at the server, its next connections go elsewhere; who has another public port is a tunnel
 * more, which replaces the one that is there (proto/session/wishes.h); who is gone closes, and its
 * connections may finish for the time of -drain. The only tunnel is a list of one; from one file to
 * the other it is the same, whatever its name.
 *
 * What can fail is done by prepare, aside: addresses are read, memory is there. How much closes at
 * once is WISHES_CLOSING_MAX's to say.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "client/internal.h"
#include "conf/client_tunnels.h"
#include "conf/tunnels_diff.h"

/* What is ready for an entry of the file that is to be. */
struct change {
    struct tunnel *fresh;        /* NULL: the one that is there stays */
    char *name;                  /* another target, as the user wrote it; NULL: the same */
    struct destinations *target; /* and what it says; NULL: a service has it */
};

struct tunnels_plan {
    struct tunnels_diff diff;
    uint32_t was_count, is_count;
    struct tunnel **was;       /* of the file that was, in its order */
    bool *stays;               /* ... and whether they have an entry in the other one */
    struct tunnel_edit *edits; /* of the file that is to be */
    struct change *changes;
};

/* ---- prepare ---- */

static void plan_free(struct tunnels_plan *p)
{
    if (!p)
        return;
    for (uint32_t i = 0; p->changes && i < p->is_count; i++) {
        tunnel_free(p->changes[i].fresh);
        free(p->changes[i].name);
        free(p->changes[i].target);
    }
    free(p->was);
    free(p->stays);
    free(p->edits);
    free(p->changes);
    free(p);
}

static struct tunnels_plan *plan_new(const struct client *c, const struct tunnels *was,
                                     const struct tunnels *is)
{
    struct tunnels_plan *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->was_count = was->count;
    p->is_count = is->count;
    p->was = calloc(was->count, sizeof *p->was);
    p->stays = calloc(was->count, sizeof *p->stays);
    p->edits = calloc(is->count, sizeof *p->edits);
    p->changes = calloc(is->count, sizeof *p->changes);
    if (!p->was || !p->stays || !p->edits || !p->changes) {
        plan_free(p);
        return NULL;
    }
    uint32_t n = 0;
    list_foreach (i, &c->tunnels)
        p->was[n++] = LIST_ENTRY(i, struct tunnel, node);
    tunnels_diff(was, is, p->edits, p->stays, &p->diff);
    return p;
}

static int prepare_one(struct client *c, const struct client_options *is,
                       const struct tunnel_option *o, struct tunnels_plan *p, uint32_t i,
                       struct errmsg *why)
{
    const struct tunnel_edit *e = &p->edits[i];
    struct change *ch = &p->changes[i];
    if (e->change == TUNNEL_NEW || e->has_new_target) {
        int err = target_read(is, o->target, &ch->target, why);
        if (err < 0)
            return err;
    }
    if (e->has_new_target && !(ch->name = strdup(o->target)))
        return ERR_NOMEM;
    if (e->change == TUNNEL_NEW)
        ch->fresh = tunnel_new_to(c, o, &ch->target);
    else if (e->change == TUNNEL_PLACE)
        ch->fresh = tunnel_new(c, o, p->was[e->was]->service);
    bool is_missing = e->change >= TUNNEL_PLACE && !ch->fresh;
    return is_missing ? ERR_NOMEM : 0;
}

int tunnels_reload_prepare(void *ctx, const struct reload_plan *plan, struct errmsg *why)
{
    struct client *c = ctx;
    const struct client_options *is = snapshot_client(plan->is);
    if (!options_have(&client_mode, plan->diff.live, "forward"))
        return 0;
    struct tunnel_option one_was, one;
    struct tunnels was = client_tunnels(c->opt, &one_was), ts = client_tunnels(is, &one);
    if (client_has_sole(c->opt) && client_has_sole(is))
        memcpy(one_was.name, one.name, sizeof one.name);
    struct tunnels_plan *p = plan_new(c, &was, &ts);
    int err = p ? 0 : ERR_NOMEM;
    for (uint32_t i = 0; err == 0 && i < ts.count; i++)
        err = prepare_one(c, is, &ts.at[i], p, i, why);
    if (err < 0)
        plan_free(p);
    else
        c->coming.tunnels = p;
    return err;
}

void tunnels_reload_drop(void *ctx)
{
    struct client *c = ctx;
    plan_free(c->coming.tunnels);
    c->coming.tunnels = NULL;
}

/* ---- apply ---- */

/* Another public port. The tunnel that has the name from now on. */
static struct tunnel *change_place(struct client *c, struct tunnel *t, struct change *ch,
                                   uint32_t drain_ms)
{
    struct wish *older = wishes_replaced(&t->wish);
    list_move(&c->leaving, &t->node);
    if (older && older->wanted.port == ch->fresh->wish.wanted.port) {
        wishes_undo(&c->wishes, &t->wish); /* back to where it still is */
        return CONTAINER_OF(older, struct tunnel, wish);
    }
    struct tunnel *fresh = ch->fresh;
    ch->fresh = NULL; /* the table's */
    wishes_replace(&c->wishes, &t->wish, &fresh->wish, drain_ms);
    return fresh;
}

static struct tunnel *apply_one(struct client *c, struct tunnels_plan *p, uint32_t i,
                                uint32_t drain_ms)
{
    const struct tunnel_edit *e = &p->edits[i];
    struct change *ch = &p->changes[i];
    struct tunnel *t = e->change == TUNNEL_NEW ? ch->fresh : p->was[e->was];
    if (ch->name) {
        service_move(t->service, ch->name, ch->target);
        ch->name = NULL; /* the service's */
        ch->target = NULL;
    }
    if (e->change == TUNNEL_PLACE)
        return change_place(c, t, ch, drain_ms);
    if (e->change == TUNNEL_NEW) {
        ch->fresh = NULL;
        wishes_add(&c->wishes, &t->wish);
    }
    return t;
}

static void close_others(struct client *c, const struct tunnels_plan *p, uint32_t drain_ms)
{
    for (uint32_t i = 0; i < p->was_count; i++) {
        if (p->stays[i])
            continue;
        list_move(&c->leaving, &p->was[i]->node);
        wishes_remove(&c->wishes, &p->was[i]->wish, drain_ms);
    }
}

/* The only tunnel may have another name, and become one of a list, or be left over of one. */
static void call(struct tunnel *t, const char *name, bool is_sole)
{
    (void)snprintf(t->wish.wanted.name, sizeof t->wish.wanted.name, "%s", name);
    t->is_sole = is_sole;
}

bool tunnels_reload_apply(void *ctx, const struct reload_plan *plan)
{
    struct client *c = ctx;
    const struct client_options *is = snapshot_client(plan->is);
    struct tunnel_option one;
    struct tunnels ts = client_tunnels(is, &one);
    struct tunnels_plan *p = c->coming.tunnels;
    uint32_t drain_ms = (uint32_t)(c->opt->common.drain_ns / 1000000);
    if (!p)
        return false;
    close_others(c, p, drain_ms);
    for (uint32_t i = 0; i < p->is_count; i++) {
        struct tunnel *t = apply_one(c, p, i, drain_ms);
        call(t, ts.at[i].name, client_has_sole(is));
        list_move(&c->tunnels, &t->node);
        wishes_last(&c->wishes, &t->wish);
    }
    plan->told->has_tunnels = true;
    plan->told->tunnels = p->diff;
    tunnels_share_dials(c);
    tunnels_reload_drop(c);
    tunnels_act(c);
    if (c->current)
        uplink_tell_unserved(c->current);
    client_tell_manager(c);
    return false; /* what changed stands in the diff */
}
