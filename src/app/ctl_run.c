/* SPDX-License-Identifier: MIT */
/* What the running program does for each command: a row of a table. */
#include <string.h>
#include <unistd.h>

#include "app/ctl_internal.h"
#include "base/event.h"
#include "base/i18n.h"
#include "base/log.h"
#include "conf/flags.h"
#include "conf/value.h"

static void end(struct ctl_answer *a)
{
    ctl_put_truth(a, "ok", true);
    ctl_end_line(a);
}

static void run_ping(struct ctl *c, const struct ctl_request *req, struct ctl_answer *a,
                     void (**ret_then)(struct ctl *c))
{
    (void)c, (void)req, (void)ret_then;
    ctl_put_number(a, "pid", getpid());
    end(a);
}

static void run_version(struct ctl *c, const struct ctl_request *req, struct ctl_answer *a,
                        void (**ret_then)(struct ctl *c))
{
    (void)req, (void)ret_then;
    ctl_put_text(a, "mode", c->mode);
    ctl_put_text(a, "version", GOTUNNEL_VERSION);
    ctl_put_number(a, "pid", getpid());
    end(a);
}

static void put_tunnels(struct ctl_answer *a, const struct tunnels_diff *d)
{
    ctl_put_number(a, "tunnels_new", d->fresh);
    ctl_put_number(a, "tunnels_changed", d->changed);
    ctl_put_number(a, "tunnels_closed", d->closed);
    ctl_put_number(a, "tunnels_same", d->same);
}

static void run_reload(struct ctl *c, const struct ctl_request *req, struct ctl_answer *a,
                       void (**ret_then)(struct ctl *c))
{
    struct reload_result r;
    (void)req, (void)ret_then;
    c->ops->reload(c->ctx, &r);
    for (unsigned i = 0; i < r.errors_count; i++) {
        ctl_put_text(a, "error", r.errors[i] ? r.errors[i] : err_text(ERR_NOMEM));
        if (i + 1 < r.errors_count)
            ctl_end_line(a);
    }
    if (r.errors_count > 0) {
        ctl_put_truth(a, "ok", false);
        ctl_end_line(a);
    } else {
        ctl_put_words(a, "changed", r.changed, r.changed_count);
        ctl_put_words(a, "next_start", r.waiting, r.waiting_count);
        if (r.has_tunnels)
            put_tunnels(a, &r.tunnels);
        end(a);
    }
    reload_result_fini(&r);
}

static void stop(struct ctl *c)
{
    (void)signals_stop(c->signals);
}

static void run_drain(struct ctl *c, const struct ctl_request *req, struct ctl_answer *a,
                      void (**ret_then)(struct ctl *c))
{
    (void)req;
    ctl_put_truth(a, "already", signals_stop_asked(c->signals));
    ctl_put_number(a, "connections", c->ops->connections(c->ctx));
    ctl_put_number(a, "drain_ms", (long long)(signals_drain_seconds(c->signals) * 1000));
    end(a);
    event_control_drain();
    *ret_then = stop;
}

/* Which of the words of an option it is; -1: none. */
static int choice_of(const char *words, const char *word)
{
    size_t n = strlen(word);
    for (int i = 0;; i++) {
        size_t len = strcspn(words, " ");
        if (n == len && memcmp(words, word, n) == 0)
            return i;
        if (!words[len])
            return -1;
        words += len + 1;
    }
}

static void run_log_level(struct ctl *c, const struct ctl_request *req, struct ctl_answer *a,
                          void (**ret_then)(struct ctl *c))
{
    int level = choice_of("error warn info debug", req->argument);
    (void)c, (void)ret_then;
    if (level < 0) {
        ctl_refuse(a, _("the level is error, warn, info or debug"));
        return;
    }
    log_set_level((enum log_level)level);
    event_control_log_level(req->argument);
    ctl_put_text(a, "level", req->argument);
    end(a);
}

static void run_client(struct ctl *c, const struct ctl_request *req, struct ctl_answer *a,
                       void (**ret_then)(struct ctl *c))
{
    (void)ret_then;
    if (c->ops->client)
        c->ops->client(c->ctx, req->argument, a);
    else
        ctl_refuse(a, _("this program is no server: it has no clients"));
}

static void run_clients(struct ctl *c, const struct ctl_request *req, struct ctl_answer *a,
                        void (**ret_then)(struct ctl *c))
{
    (void)req, (void)ret_then;
    if (!c->ops->clients) {
        ctl_refuse(a, _("this program is no server: it has no clients"));
        return;
    }
    c->ops->clients(c->ctx, a);
    end(a);
}

static void (*const runs[CTL_COMMANDS])(struct ctl *c, const struct ctl_request *req,
                                        struct ctl_answer *a, void (**ret_then)(struct ctl *c)) = {
    [CTL_PING] = run_ping,       [CTL_VERSION] = run_version,     [CTL_RELOAD] = run_reload,
    [CTL_DRAIN] = run_drain,     [CTL_LOG_LEVEL] = run_log_level, [CTL_CLIENT] = run_client,
    [CTL_CLIENTS] = run_clients, [CTL_STATUS] = ctl_run_status,
};

void ctl_run(struct ctl *c, const struct ctl_request *req, struct ctl_answer *a,
             void (**ret_then)(struct ctl *c))
{
    runs[req->command](c, req, a, ret_then);
}
