/* SPDX-License-Identifier: MIT */
/* net/ and tunnel/ for the tests of server/: see kit.h. */
#include "kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/smux/session.h"
#include "timers.h"
#include "unit/lines.h"

struct kit kit;

enum { AGENTS = 80 };
static struct {
    const struct agent *agent;
    char letter;
} agents[AGENTS];

enum { SERVICES = 1100 };
static struct {
    const struct service *service;
    uint32_t key;
} services[SERVICES];

/* ---- what a test sees ---- */

void kit_did(const char *fmt, ...)
{
    size_t n = strlen(kit.did);
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(kit.did + n, sizeof kit.did - n, fmt, ap);
    va_end(ap);
    (void)strncat(kit.did, " ", sizeof kit.did - strlen(kit.did) - 1);
}

unsigned kit_count(const char *text)
{
    return lines_count(text);
}

int kit_setup(void **state)
{
    (void)state;
    memset(&kit, 0, sizeof kit);
    memset(agents, 0, sizeof agents);
    memset(services, 0, sizeof services);
    timers_forget();
    kit.lines = lines_seen;
    *kit.lines = '\0';
    kit.now = 1000000;
    kit.opt.common.drain_ns = 30 * INT64_C(1000000000);
    kit.srv.opt = &kit.opt;
    quota_init(&kit.srv.connections, 100);
    quota_init(&kit.crowd.users, UINT32_MAX);
    assert_true(account_of_server(&kit.srv.account, 1 << 20, 1));
    kit.workers = &kit.worker;
    kit.workers_count = 1;
    kit.worker.srv = &kit.srv;
    kit.worker.loop = &kit.srv.loop;
    kit.worker.opt = &kit.opt;
    kit.worker.relays.quota = &kit.srv.connections;
    list_init(&kit.worker.agents);
    return 0;
}

void kit_watch(const struct agent *a, char letter)
{
    unsigned i = 0;
    while (agents[i].agent)
        i++;
    assert_true(i < AGENTS);
    agents[i].agent = a;
    agents[i].letter = letter;
}

struct agent *kit_agent(char letter, const char *peer)
{
    struct agent *a = calloc(1, sizeof *a);
    assert_non_null(a);
    kit_watch(a, letter);
    a->worker = &kit.worker;
    a->work.fd = -1;
    a->main.crowd = &kit.crowd;
    (void)snprintf(a->peer, sizeof a->peer, "%s", peer);
    (void)snprintf(a->name, sizeof a->name, "%s", peer);
    return a;
}

void kit_watch_service(const struct service *v)
{
    unsigned i = 0;
    while (services[i].service && services[i].service != v) /* that one was freed untold */
        i++;
    assert_true(i < SERVICES);
    services[i].service = v;
    services[i].key = v->key;
}

void kit_forget(const struct agent *a)
{
    for (unsigned i = 0; i < AGENTS; i++)
        if (agents[i].agent == a)
            agents[i].agent = NULL;
}

/* ---- net/mailbox ---- */

struct message_name {
    const char *word;
    size_t at;
};

#define ORDER(m)                                                                                   \
    {                                                                                              \
#m, offsetof(struct agent, orders.m)                                                       \
    }
#define REPORT(m)                                                                                  \
    {                                                                                              \
#m, offsetof(struct agent, reports.m)                                                      \
    }
static const struct message_name of_agent[] = {
    ORDER(begin),  ORDER(drop),      ORDER(judge),     ORDER(turn_away),    ORDER(open_port),
    ORDER(accept), ORDER(refuse),    ORDER(evict),     ORDER(revoke),       ORDER(expire),
    ORDER(attach), ORDER(forgotten), REPORT(line),     REPORT(auth_failed), REPORT(auth_ok),
    REPORT(asked), REPORT(opened),   REPORT(released), REPORT(waits),       REPORT(resume),
    REPORT(ended), {NULL, 0}};
#undef ORDER
#undef REPORT
#define W(m)                                                                                       \
    {                                                                                              \
#m, offsetof(struct worker, m)                                                             \
    }
static const struct message_name of_worker[] = {
    W(maybe_room),  W(stop_listening), W(end),      W(status),    W(was_full),
    W(room),        W(stopped),        W(empty),    W(told),      W(gone),
    W(use_options), W(uses_options),   W(use_keys), W(uses_keys), {NULL, 0}};
#undef W

#define ORDER(m)                                                                                   \
    {                                                                                              \
#m, offsetof(struct service, orders.m)                                                     \
    }
#define REPORT(m)                                                                                  \
    {                                                                                              \
#m, offsetof(struct service, reports.m)                                                    \
    }
static const struct message_name of_service[] = {
    ORDER(open_port), ORDER(refuse),   ORDER(yield),     ORDER(forgotten), REPORT(asked),
    REPORT(opened),   REPORT(yielded), REPORT(released), REPORT(gone),     {NULL, 0}};
#undef ORDER
#undef REPORT

static const char *word_of(const void *object, const struct message_name *names,
                           const struct message *m)
{
    for (; names->word; names++)
        if ((const char *)object + names->at == (const char *)m)
            return names->word;
    return NULL;
}

void mailbox_post(struct mailbox *mb, struct message *m)
{
    const char *word = NULL;
    (void)mb;
    for (unsigned i = 0; i < kit.workers_count && !word; i++)
        if ((word = word_of(&kit.workers[i], of_worker, m)))
            kit_did(kit.workers_count > 1 ? "%2$u>%1$s" : ">%1$s", word, i + 1);
    for (unsigned i = 0; i < AGENTS && !word; i++)
        if (agents[i].agent && (word = word_of(agents[i].agent, of_agent, m)))
            kit_did("%c>%s", agents[i].letter, word);
    for (unsigned i = 0; i < SERVICES && !word; i++)
        if (services[i].service && (word = word_of(services[i].service, of_service, m)))
            kit_did("s%u>%s", services[i].key, word);
    assert_non_null(word);
}

void message_init(struct message *m, void (*run)(struct message *m))
{
    *m = (struct message){.run = run};
}

void kit_run(struct message *m)
{
    m->run(m);
}

int mailbox_init(struct mailbox *mb, struct loop *loop)
{
    (void)mb;
    (void)loop;
    kit_did("mailbox");
    return kit.mailbox_err;
}

void mailbox_close(struct mailbox *mb)
{
    (void)mb;
    kit_did("mailbox-close");
}

void mailbox_fini(struct mailbox *mb)
{
    (void)mb;
    kit_did("mailbox-fini");
}

/* ---- net/loop, net/listener, net/sock ---- */

int loop_init(struct loop *l)
{
    (void)l;
    kit_did("loop");
    return kit.loop_err;
}

void loop_fini(struct loop *l)
{
    (void)l;
    kit_did("loop-fini");
}

mtime_ms loop_now(const struct loop *l)
{
    (void)l;
    return kit.now;
}

int listener_open(struct loop *loop, const struct listener_config *cfg,
                  const struct listener_events *ev, void *ctx, struct listener **ret,
                  struct errmsg *why)
{
    (void)loop;
    kit_did("listen:%d", cfg->port);
    if (kit.listen_err)
        return errmsg_set(why, kit.listen_err, "%s", "stub");
    *ret = kit.listener.ev && !kit.listener.closed ? &kit.other : &kit.listener;
    **ret = (struct listener){.cfg = *cfg, .ev = ev, .ctx = ctx};
    return 0;
}

int listener_adopt(struct loop *loop, int fd, const struct listener_config *cfg,
                   const struct listener_events *ev, void *ctx, struct listener **ret,
                   struct errmsg *why)
{
    (void)loop, (void)fd, (void)cfg, (void)ev, (void)ctx, (void)ret;
    return errmsg_set(why, ERR_IO, "%s", "stub");
}

void listener_pause(struct listener *l, bool paused)
{
    assert_false(l->closed);
    l->paused = paused;
}

bool listener_has_waiting(const struct listener *l)
{
    return l->has_waiting;
}

const char *listener_address(const struct listener *l)
{
    assert_false(l->closed);
    return "[::]:8080";
}

int listener_port(const struct listener *l)
{
    assert_false(l->closed);
    return 8080;
}

void listener_close(struct listener *l)
{
    if (!l)
        return;
    assert_false(l->closed);
    l->closed = true;
    kit_did("unlisten");
}

void __wrap_sock_close_reset(int fd);
void __wrap_sock_close_reset(int fd)
{
    kit_did("reset:%d", fd);
}

/* ---- tunnel/opening ---- */

int opening_new(const struct opening_config *cfg, int fd, struct opening **ret)
{
    (void)fd;
    if (kit.opening_err)
        return kit.opening_err;
    assert_true(kit.openings_count < KIT_OPENINGS);
    *ret = &kit.openings[kit.openings_count++];
    **ret = (struct opening){.cfg = *cfg};
    return 0;
}

void opening_close(struct opening *o)
{
    assert_false(o->closed);
    o->closed = true;
    kit_did("opening-close");
}

const char *opening_tls_info(const struct opening *o)
{
    (void)o;
    return "TLSv1.3 stub";
}

void opening_accept(struct opening *o, const char *address, struct session **ret)
{
    assert_false(o->closed);
    assert_true(!*address || strcmp(address, "[::]:8080") == 0);
    kit_did(*address ? "accepted" : "accepted-portless");
    *ret = kit.accept_breaks ? NULL : &kit.session;
}

void opening_refuse(struct opening *o, const struct opening_refusal *why)
{
    assert_false(o->closed);
    enum hello_error error = why->answer.error;
    const char *word = why->err == ERR_RANGE   ? "range"
                       : why->err == ERR_PERM  ? "perm"
                       : why->err == ERR_INUSE ? "inuse"
                       : why->err == ERR_PROTO ? "proto"
                                               : "io";
    kit_did("refused:%s:%s", error ? hello_error_word(error) : "", error ? "" : word);
}

void opening_judge(struct opening *o, const struct credentials *keys, int64_t now_s)
{
    assert_false(o->closed);
    kit.judged_with = keys;
    kit.judged_at_s = now_s;
    kit_did("judged");
}

void opening_turn_away(struct opening *o)
{
    assert_false(o->closed);
    kit_did("turned-away");
}

void handover_refuse(struct loop *loop, struct handover *h, enum hello_error error,
                     const uint8_t *resume_key)
{
    (void)loop;
    (void)h;
    assert_null(resume_key);
    kit_did("resume-refused:%s", hello_error_word(error));
}

/* ---- tunnel/session ---- */

void session_count_at(struct session *s, struct quota *q)
{
    s->counted_at = q;
}

void session_set_client(struct session *s, uint64_t client)
{
    s->client = client;
}

void session_set_name(struct session *s, const char *name)
{
    (void)s;
    kit_did("name:%s", name);
}

static const char *reason_word(enum end_reason r)
{
    return r == END_REPLACED   ? "replaced"
           : r == END_EXPIRED  ? "expired"
           : r == END_REVOKED  ? "revoked"
           : r == END_SHUTDOWN ? "shutdown"
           : r == END_PROTOCOL ? "protocol"
           : r == END_LOCAL    ? "local"
                               : "?";
}

/* Only marks: the end comes from the loop, that is from the test. */
void session_close(struct session *s, enum end_reason reason, const struct errmsg *why)
{
    s->closed = true;
    s->reason = reason;
    s->why = why ? *why : (struct errmsg){""};
    kit_did("session-close:%s", reason_word(reason));
}

void session_stop(struct session *s, mtime_ms drain_ms)
{
    (void)s;
    kit_did("session-stop:%d", (int)drain_ms);
}

int session_open_stream(struct session *s, const struct smux_open *open, struct smux_stream **ret)
{
    (void)s;
    kit.opened = *open;
    *ret = NULL;
    kit_did("stream");
    return kit.stream_err;
}

enum hello_error session_resume(struct session *s, struct handover *h)
{
    (void)s;
    (void)h;
    kit_did("session-resume");
    return kit.resume_error;
}

const char *session_peer(const struct session *s)
{
    (void)s;
    return "198.51.100.9:4711";
}

/* ---- tunnel/relay ---- */

int relays_init(struct relays *rs, struct loop *loop, struct quota *quota)
{
    *rs = (struct relays){.loop = loop, .quota = quota};
    kit_did("relays");
    return kit.relays_err;
}

void relays_cut_orphans(struct relays *rs)
{
    (void)rs;
    kit_did("relays-cut");
}

void relays_fini(struct relays *rs)
{
    (void)rs;
    kit_did("relays-fini");
}

struct relay *relay_new(struct relays *rs, struct session *session, struct smux_stream *st)
{
    static char relay;
    (void)rs;
    (void)session;
    (void)st;
    return kit.no_relay ? NULL : (struct relay *)&relay;
}

void relay_bound_unsent(struct relay *r)
{
    (void)r;
    kit.unsent_bound = true;
}

void relay_count_at(struct relay *r, struct tally *t)
{
    (void)r;
    if (t->key != 0)
        kit_did("relay-of:%u", t->key);
}

void relays_cut_service(struct session *s, uint32_t svc, enum smux_reset_code code)
{
    (void)s;
    assert_int_equal(code, SMUX_RST_SHUTDOWN);
    kit_did("cut:%u", svc);
}

int session_say(struct session *s, const char *line, size_t n)
{
    (void)s;
    kit_did("say:%.*s", (int)n - 1, line);
    return kit.say_err;
}

bool session_may_lose_port(const struct session *s)
{
    (void)s;
    return kit.may_lose_port;
}

void session_line_is_useless(struct session *s)
{
    (void)s;
    kit_did("useless");
}

void session_read_lines(struct session *s)
{
    (void)s;
    kit_did("read-lines");
}

void relay_set_source(struct relay *r, uint64_t source)
{
    (void)r;
    kit.source = source;
}

void relay_set_visit(struct relay *r, struct user_visit *v)
{
    (void)r;
    if (v)
        kit_did("visit:%s,%s,%s", v->client, v->tunnel, v->user);
    free(v);
}

void relay_attach(struct relay *r, int fd)
{
    (void)r;
    quota_take(kit.worker.relays.quota);
    kit_did("relay:%d", fd);
}

void smux_stream_close(struct smux_stream *st, mtime_ms now)
{
    (void)st;
    assert_int_equal(now, kit.now);
    kit_did("stream-close");
}

/* ---- the census ---- */

void census_init(struct server *srv)
{
    (void)srv;
}

void census_init_worker(struct worker *w)
{
    (void)w;
}

void census_desk_close(struct census_desk *d)
{
    (void)d;
}

void server_census(void *ctx, struct census_ask *a)
{
    (void)ctx, (void)a;
}
