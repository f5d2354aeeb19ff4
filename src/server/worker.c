/* SPDX-License-Identifier: MIT */
/*
 * A worker: one loop with its clients, their public ports and their users' connections.
 *
 * What a loop has for itself belongs here: receive buffer, list of relays, timers, window budget.
 */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/memory.h"
#include "base/thread.h"
#include "server/internal.h"

/* ---- the worker's thread ---- */

static void finish(struct worker *w)
{
    relays_cut_orphans(&w->relays);
    relays_fini(&w->relays);
    mailbox_close(&w->in);
    mailbox_post(&w->srv->in, &w->gone);
}

void worker_agent_gone(struct worker *w)
{
    if (w->ending && list_empty(&w->agents))
        finish(w);
}

static void on_end(struct message *m)
{
    struct worker *w = CONTAINER_OF(m, struct worker, end);
    w->ending = true;
    list_foreach (n, &w->agents)
        agent_close(LIST_ENTRY(n, struct agent, work.node));
    worker_agent_gone(w); /* there may be none */
}

static void on_stop_listening(struct message *m)
{
    struct worker *w = CONTAINER_OF(m, struct worker, stop_listening);
    w->stopping = true;
    mtime_ms drain_ms = w->opt->common.drain_ns / 1000000;
    list_foreach (n, &w->agents)
        agent_stop(LIST_ENTRY(n, struct agent, work.node), drain_ms);
    mailbox_post(&w->srv->in, &w->stopped);
}

static void on_status(struct message *m)
{
    struct worker *w = CONTAINER_OF(m, struct worker, status);
    list_foreach (n, &w->agents)
        agent_tell(LIST_ENTRY(n, struct agent, work.node));
    w->received = w->relays.received;
    w->sent = w->relays.sent;
    mailbox_post(&w->srv->in, &w->told);
}

static void on_ping(struct message *m)
{
    struct worker *w = CONTAINER_OF(m, struct worker, ping);
    mailbox_post(&w->srv->in, &w->pong);
}

static void on_use_options(struct message *m)
{
    struct worker *w = CONTAINER_OF(m, struct worker, use_options);
    snapshot_unref(w->options);
    w->options = w->next_options;
    w->opt = snapshot_server(w->options);
    list_foreach (n, &w->agents)
        agent_look_at_port(LIST_ENTRY(n, struct agent, work.node));
    mailbox_post(&w->srv->in, &w->uses_options);
}

static void on_use_keys(struct message *m)
{
    struct worker *w = CONTAINER_OF(m, struct worker, use_keys);
    credentials_unref(w->keys);
    w->keys = w->next_keys;
    w->next_keys = NULL;
    list_foreach (n, &w->agents)
        agent_use_rights(LIST_ENTRY(n, struct agent, work.node));
    mailbox_post(&w->srv->in, &w->uses_keys);
}

static void pause_users(struct worker *w, bool paused)
{
    w->full = paused;
    list_foreach (n, &w->agents)
        endpoints_pause(LIST_ENTRY(n, struct agent, work.node), paused);
}

void worker_full(struct worker *w)
{
    pause_users(w, true);
    mailbox_post(&w->srv->in, &w->was_full);
}

/* If others were quicker, the next one who leaves is told again. */
static void on_maybe_room(struct message *m)
{
    struct worker *w = CONTAINER_OF(m, struct worker, maybe_room);
    if (w->full && !quota_is_full(w->relays.quota))
        pause_users(w, false);
}

static void on_relay_room(void *ctx)
{
    struct worker *w = ctx;
    if (!w->stopping && !w->ending)
        mailbox_post(&w->srv->in, &w->room);
}

static void on_relays_empty(void *ctx)
{
    struct worker *w = ctx;
    if (w->stopping && !w->ending)
        mailbox_post(&w->srv->in, &w->empty);
}

static void *run(void *arg)
{
    struct worker *w = arg;
    loop_run(w->loop);
    loop_fini(w->loop);
    return NULL;
}

/* ---- the main thread ---- */

static void on_stopped(struct message *m)
{
    server_worker_stopped(CONTAINER_OF(m, struct worker, stopped)->srv);
}

static void on_empty(struct message *m)
{
    server_worker_empty(CONTAINER_OF(m, struct worker, empty)->srv);
}

static void on_told(struct message *m)
{
    server_worker_told(CONTAINER_OF(m, struct worker, told)->srv);
}

static void on_pong(struct message *m)
{
    watchdog_worker_alive(CONTAINER_OF(m, struct worker, pong)->srv);
}

static void on_uses_options(struct message *m)
{
    server_worker_uses_options(CONTAINER_OF(m, struct worker, uses_options));
}

static void on_uses_keys(struct message *m)
{
    keys_worker_uses(CONTAINER_OF(m, struct worker, uses_keys));
}

static void on_gone(struct message *m)
{
    server_worker_gone(CONTAINER_OF(m, struct worker, gone)->srv);
}

static void on_was_full(struct message *m)
{
    reception_full(CONTAINER_OF(m, struct worker, was_full)->srv);
}

static void on_room(struct message *m)
{
    reception_room(CONTAINER_OF(m, struct worker, room)->srv);
}

static void init_messages(struct worker *w)
{
    message_init(&w->maybe_room, on_maybe_room);
    message_init(&w->stop_listening, on_stop_listening);
    message_init(&w->end, on_end);
    message_init(&w->status, on_status);
    message_init(&w->ping, on_ping);
    message_init(&w->use_options, on_use_options);
    message_init(&w->use_keys, on_use_keys);
    message_init(&w->was_full, on_was_full);
    message_init(&w->room, on_room);
    message_init(&w->stopped, on_stopped);
    message_init(&w->empty, on_empty);
    message_init(&w->told, on_told);
    message_init(&w->pong, on_pong);
    message_init(&w->uses_options, on_uses_options);
    message_init(&w->uses_keys, on_uses_keys);
    message_init(&w->gone, on_gone);
    census_init_worker(w);
}

static int begin_thread(struct worker *w, struct errmsg *why)
{
    char name[16];
    (void)snprintf(name, sizeof name, "worker %u", w->index + 1);
    int errnum = thread_start(&w->thread, name, run, w);
    return errnum ? errmsg_set(why, ERR_LIMIT, "%s", errno_text(errnum)) : 0;
}

int worker_start(struct worker *w, struct server *srv, unsigned index, struct loop *loop,
                 struct errmsg *why)
{
    memory_zero(w, sizeof *w); /* most of it is for sessions to come */
    w->srv = srv;
    w->index = index;
    w->loop = loop ? loop : &w->own;
    w->options = snapshot_ref(srv->options);
    w->opt = srv->opt;
    w->keys = srv->keys ? credentials_ref(srv->keys) : NULL;
    list_init(&w->agents);
    init_messages(w);
    *why->text = '\0';
    int err = loop ? 0 : loop_init(&w->own);
    if (err < 0)
        goto no_loop;
    err = mailbox_init(&w->in, w->loop);
    if (err < 0)
        goto no_mailbox;
    err = relays_init(&w->relays, w->loop, &srv->connections);
    if (err < 0)
        goto no_relays;
    relays_memory(&w->relays, srv->memory, &srv->tcp_memory);
    w->relays.on_room = on_relay_room;
    w->relays.on_empty = on_relays_empty;
    w->relays.ctx = w;
    err = loop ? 0 : begin_thread(w, why);
    if (err == 0)
        return 0;
    relays_fini(&w->relays);

no_relays:
    mailbox_close(&w->in);
    mailbox_fini(&w->in);
no_mailbox:
    if (!loop)
        loop_fini(&w->own);
no_loop:
    credentials_unref(w->keys);
    snapshot_unref(w->options);
    return *why->text ? err : errmsg_set(why, err, "%s", err_text(err));
}

void worker_fini(struct worker *w)
{
    if (w->loop == &w->own)
        (void)pthread_join(w->thread, NULL); /* cannot fail: it is ours, and joined once */
    mailbox_fini(&w->in);
    census_part_free(w->census.part); /* it was there to count, and nobody to add it up */
    if (w->takes_keys)
        credentials_unref(w->next_keys); /* it was not there to take them; NULL: it did */
    credentials_unref(w->keys);
    snapshot_unref(w->options);
}
