/* SPDX-License-Identifier: MIT */
/* A worker: how it begins, what it says to its agents and to the main thread, and in what order it
 * ends. Agents are stubs that note what they are told. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/thread.h"
#include "kit.h"

void watchdog_worker_alive(struct server *srv)
{
    (void)srv;
}

static int thread_err;
static uint64_t memory;
static void *(*thread_run)(void *arg);
static struct agent *a, *b;
static struct loop main_loop;

/* ---- stubs ---- */

static char letter(const struct agent *x)
{
    return x == a ? 'a' : 'b';
}

void agent_stop(struct agent *x, mtime_ms drain_ms)
{
    kit_did("%c-stop:%d", letter(x), (int)drain_ms);
}

void agent_close(struct agent *x)
{
    kit_did("%c-close", letter(x));
}

void agent_tell(const struct agent *x)
{
    kit_did("%c-tell", letter(x));
}

void agent_look_at_port(struct agent *x)
{
    kit_did("%c-look:%d", letter(x), x->worker->opt->common.threads);
}

void agent_use_rights(struct agent *x)
{
    kit_did("%c-rights:%d", letter(x), (int)credentials_count(x->worker->keys));
}

void keys_worker_uses(struct worker *w)
{
    assert_ptr_equal(w, &kit.worker);
    kit_did("uses-keys");
}

void server_worker_uses_options(struct worker *w)
{
    assert_ptr_equal(w, &kit.worker);
    kit_did("uses");
}

void endpoints_pause(struct agent *x, bool full)
{
    kit_did("%c-%s", letter(x), full ? "pause" : "go");
}

#define HEARS(name)                                                                                \
    void name(struct server *srv)                                                                  \
    {                                                                                              \
        assert_ptr_equal(srv, &kit.srv);                                                           \
        kit_did(#name);                                                                            \
    }
HEARS(server_worker_stopped)
HEARS(server_worker_empty)
HEARS(server_worker_told)
HEARS(server_worker_gone)
HEARS(reception_full)
HEARS(reception_room)

int thread_start(pthread_t *ret, const char *name, void *(*run)(void *arg), void *arg)
{
    (void)ret;
    assert_ptr_equal(arg, &kit.worker);
    kit_did("thread:%s", name);
    thread_run = run;
    return thread_err;
}

void loop_run(struct loop *l)
{
    assert_ptr_equal(l, &kit.worker.own);
    kit_did("loop-run");
}

void relays_memory(struct relays *rs, uint64_t bytes, const struct tcp_memory *tcp)
{
    (void)tcp;
    assert_ptr_equal(rs, &kit.worker.relays);
    memory = bytes;
}

int __wrap_pthread_join(pthread_t t, void **ret);
int __wrap_pthread_join(pthread_t t, void **ret)
{
    (void)t;
    (void)ret;
    kit_did("join");
    return 0;
}

/* ---- the bench ---- */

static int setup(void **state)
{
    struct errmsg why;
    (void)kit_setup(state);
    thread_err = 0;
    assert_int_equal(worker_start(&kit.worker, &kit.srv, 0, &main_loop, &why), 0);
    a = kit_agent('a', "192.0.2.1:4711");
    b = kit_agent('b', "192.0.2.2:4711");
    list_init(&a->work.node);
    list_init(&b->work.node);
    list_push(&kit.worker.agents, &a->work.node);
    list_push(&kit.worker.agents, &b->work.node);
    *kit.did = '\0';
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(a);
    free(b);
    return 0;
}

/* As agent_on_forgotten() does. */
static void leave(struct agent *x)
{
    list_del(&x->work.node);
    worker_agent_gone(&kit.worker);
}

/* ---- the beginning ---- */

static void with_one_worker_there_is_no_thread(void **state)
{
    struct errmsg why;
    struct worker *w = &kit.worker;
    (void)state;
    kit.srv.memory = 1000;
    assert_int_equal(worker_start(w, &kit.srv, 0, &main_loop, &why), 0);
    KIT_DID("mailbox relays ");
    assert_ptr_equal(w->loop, &main_loop);
    assert_ptr_equal(w->relays.quota, &kit.srv.connections);
    assert_int_equal(memory, 1000);
    worker_fini(w);
    KIT_DID("mailbox-fini ");
}

static void of_several_each_has_a_thread_and_a_loop(void **state)
{
    struct errmsg why;
    struct worker *w = &kit.worker;
    (void)state;
    assert_int_equal(worker_start(w, &kit.srv, 1, NULL, &why), 0);
    KIT_DID("loop mailbox relays thread:worker 2 ");
    assert_ptr_equal(w->loop, &w->own);
    (void)thread_run(w);
    KIT_DID("loop-run loop-fini ");
    worker_fini(w);
    KIT_DID("join mailbox-fini ");
}

/* Whatever fails, what was made before is undone, in reverse. */
static void a_worker_that_cannot_begin_leaves_nothing(void **state)
{
    struct {
        int *fails, err, expected;
        const char *did;
    } cases[] = {
        {&kit.loop_err, ERR_LIMIT, ERR_LIMIT, "loop "},
        {&kit.mailbox_err, ERR_NOMEM, ERR_NOMEM, "loop mailbox loop-fini "},
        {&kit.relays_err, ERR_NOMEM, ERR_NOMEM,
         "loop mailbox relays mailbox-close mailbox-fini loop-fini "},
        {&thread_err, EAGAIN, ERR_LIMIT,
         "loop mailbox relays thread:worker 1 relays-fini mailbox-close mailbox-fini loop-fini "},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct errmsg why;
        *cases[i].fails = cases[i].err;
        assert_int_equal(worker_start(&kit.worker, &kit.srv, 0, NULL, &why), cases[i].expected);
        KIT_DID(cases[i].did);
        assert_true(*why.text);
        *cases[i].fails = 0;
    }
    struct errmsg why;
    kit.mailbox_err = ERR_IO; /* the main loop is not its own */
    assert_int_equal(worker_start(&kit.worker, &kit.srv, 0, &main_loop, &why), ERR_IO);
    KIT_DID("mailbox ");
}

/* ---- room ---- */

static void a_full_worker_pauses_all_its_ports(void **state)
{
    struct worker *w = &kit.worker;
    (void)state;
    worker_full(w);
    KIT_DID("a-pause b-pause >was_full ");
    assert_true(w->full);
    kit_run(&w->was_full);
    KIT_DID("reception_full ");
}

static void room_is_looked_for_again(void **state)
{
    struct worker *w = &kit.worker;
    (void)state;
    quota_init(&kit.srv.connections, 1);
    kit_run(&w->maybe_room);
    KIT_DID(""); /* it waits for none */
    quota_take(&kit.srv.connections);
    worker_full(w);
    *kit.did = '\0';
    kit_run(&w->maybe_room);
    KIT_DID(""); /* others were quicker */
    assert_true(w->full);
    (void)quota_give(&kit.srv.connections);
    kit_run(&w->maybe_room);
    KIT_DID("a-go b-go ");
    assert_false(w->full);
}

static void who_leaves_makes_room(void **state)
{
    struct worker *w = &kit.worker;
    (void)state;
    w->relays.on_room(w->relays.ctx);
    KIT_DID(">room ");
    kit_run(&w->room);
    KIT_DID("reception_room ");
    kit_run(&w->stop_listening);
    *kit.did = '\0';
    w->relays.on_room(w->relays.ctx); /* nobody comes any more */
    KIT_DID("");
}

/* ---- other options ---- */

static struct snapshot *options_with(int threads)
{
    struct snapshot *s = snapshot_new(&server_mode);
    struct server_options *draft = snapshot_draft(s);
    draft->common.threads = threads;
    assert_int_equal(snapshot_seal(s), 0);
    return s;
}

/* Each reference has one owner: the sanitizer sees one too few, or too many. */
static void other_options_are_used_before_it_says_so(void **state)
{
    struct worker *w = &kit.worker;
    struct errmsg why;
    (void)state;
    kit.srv.options = options_with(3);
    kit.srv.opt = snapshot_server(kit.srv.options);
    assert_int_equal(worker_start(w, &kit.srv, 0, &main_loop, &why), 0);
    list_push(&w->agents, &a->work.node);
    assert_int_equal(w->opt->common.threads, 3);
    snapshot_unref(kit.srv.options); /* it has its own */
    w->next_options = options_with(4);
    *kit.did = '\0';
    kit_run(&w->use_options);
    KIT_DID("a-look:4 >uses_options ");
    assert_int_equal(w->opt->common.threads, 4);
    kit_run(&w->uses_options);
    KIT_DID("uses ");
    worker_fini(w);
    kit.srv.opt = &kit.opt;
}

/* The same for rights; who has died before he took them has them no more. */
static void other_rights_are_used_before_it_says_so(void **state)
{
    static const struct credentials_config cfg = {.nobody = {1}};
    struct worker *w = &kit.worker;
    struct errmsg why;
    (void)state;
    kit.srv.options = options_with(3);
    kit.srv.keys = credentials_new(&cfg);
    assert_int_equal(worker_start(w, &kit.srv, 0, &main_loop, &why), 0);
    list_push(&w->agents, &a->work.node);
    assert_int_equal(credentials_count(w->keys), 0);
    credentials_unref(kit.srv.keys); /* it has its own */
    kit.srv.keys = NULL;
    w->next_keys = credentials_new(&cfg);
    w->takes_keys = true;
    assert_int_equal(credentials_add(w->next_keys, &(struct credential){.name = "lap"}), 0);
    *kit.did = '\0';
    kit_run(&w->use_keys);
    KIT_DID("a-rights:1 >uses_keys ");
    kit_run(&w->uses_keys);
    KIT_DID("uses-keys ");
    w->next_keys = credentials_new(&cfg); /* on its way */
    worker_fini(w);
    snapshot_unref(kit.srv.options);
}

/* ---- the orderly end ---- */

static void it_stops_before_it_says_so(void **state)
{
    struct worker *w = &kit.worker;
    (void)state;
    kit_run(&w->stop_listening);
    KIT_DID("a-stop:30000 b-stop:30000 >stopped ");
    kit_run(&w->stopped);
    KIT_DID("server_worker_stopped ");
}

static void the_last_connection_is_told_while_it_stops(void **state)
{
    struct worker *w = &kit.worker;
    (void)state;
    w->relays.on_empty(w->relays.ctx);
    KIT_DID("");
    kit_run(&w->stop_listening);
    *kit.did = '\0';
    w->relays.on_empty(w->relays.ctx);
    KIT_DID(">empty ");
    kit_run(&w->empty);
    KIT_DID("server_worker_empty ");
    kit_run(&w->end);
    *kit.did = '\0';
    w->relays.on_empty(w->relays.ctx); /* the end comes anyway */
    w->relays.on_room(w->relays.ctx);
    KIT_DID("");
}

static void it_is_gone_with_the_last_agent(void **state)
{
    struct worker *w = &kit.worker;
    (void)state;
    kit_run(&w->end);
    KIT_DID("a-close b-close ");
    leave(b);
    KIT_DID("");
    leave(a);
    KIT_DID("relays-cut relays-fini mailbox-close >gone "); /* the last thing it says */
    kit_run(&w->gone);
    KIT_DID("server_worker_gone ");
}

static void without_agents_it_is_gone_at_once(void **state)
{
    struct worker *w = &kit.worker;
    (void)state;
    leave(a);
    leave(b);
    KIT_DID(""); /* it goes on without */
    kit_run(&w->stop_listening);
    KIT_DID(">stopped ");
    kit_run(&w->end);
    KIT_DID("relays-cut relays-fini mailbox-close >gone ");
}

static void its_lines_are_out_before_it_says_so(void **state)
{
    struct worker *w = &kit.worker;
    (void)state;
    w->relays.received = 10;
    w->relays.sent = 20;
    kit_run(&w->status);
    assert_true(w->received == 10 && w->sent == 20);
    KIT_DID("a-tell b-tell >told ");
    kit_run(&w->told);
    KIT_DID("server_worker_told ");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(with_one_worker_there_is_no_thread),
        T(of_several_each_has_a_thread_and_a_loop),
        T(a_worker_that_cannot_begin_leaves_nothing),
        T(a_full_worker_pauses_all_its_ports),
        T(room_is_looked_for_again),
        T(who_leaves_makes_room),
        T(it_stops_before_it_says_so),
        T(the_last_connection_is_told_while_it_stops),
        T(it_is_gone_with_the_last_agent),
        T(without_agents_it_is_gone_at_once),
        T(its_lines_are_out_before_it_says_so),
        T(other_options_are_used_before_it_says_so),
        T(other_rights_are_used_before_it_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
