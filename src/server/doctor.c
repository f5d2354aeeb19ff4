/* SPDX-License-Identifier: MIT */
/*
 * The doctor of a server: looks at all that keeps clients or users out and can be seen on this machine, without
 * changing anything; the server may run meanwhile, and then has the port that is tried here.
 *
 *   config --> limits --> ca, certificate --> clients --> listen --> ports --> public --> sessions, sources
 *
 * Whether the port can be reached from outside, only somebody there can tell: the doctor of a client.
 */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/address.h"
#include "app/checklist.h"
#include "app/cli.h"
#include "app/ctl_ask.h"
#include "app/doctor_view.h"
#include "app/limits.h"
#include "app/status_view.h"
#include "base/i18n.h"
#include "base/log.h"
#include "conf/utc.h"
#include "net/listener.h"
#include "proto/account.h"
#include "server/clients.h"
#include "server/cmd.h"
#include "server/public_address.h"

enum {
    DETAIL_MAX = 768,
    FEW_SESSIONS = 64, /* clients at once: below it a fleet fails */
    DAY_S = 24 * 3600,
    CA_SOON_S = 90 * DAY_S, /* clients must get another one until then */
    CROWD = 10,             /* sessions of one address: more than a household has */
    PRIVILEGED = 1024,      /* ports below need a right of the system's */
};

struct doctor {
    const struct server_options *opt;
    enum checklist_form form;
    unsigned failures;
};

static void show(struct doctor *d, const char *word, enum checklist_state state, const char *title,
                 const char *detail, const char *hint)
{
    const struct checklist_step step = {
        .word = word, .state = state, .title = title, .detail = detail, .hint = hint};
    d->failures += state == CHECKLIST_FAIL;
    checklist_show(d->form, &step);
}

/* ---- descriptors ---- */

static void look_at_limits(struct doctor *d)
{
    struct account a;
    char detail[DETAIL_MAX];
    const char *hint = _("raise the limit: ulimit -n in a shell, LimitNOFILE= in a unit");
    unsigned long long limit = limits_raise();
    if (!account_of_server(&a, limit, limits_threads(d->opt->common.threads, limit))) {
        (void)snprintf(detail, sizeof detail, _("the limit of %llu is too low, %d is the least"),
                       limit, ACCOUNT_DESCRIPTORS_MIN); /* fits */
        show(d, "limits", CHECKLIST_FAIL, _("descriptors"), detail, hint);
        return;
    }
    bool is_few = a.sessions_max < FEW_SESSIONS;
    (void)snprintf(
        detail, sizeof detail,
        _("clients at once: %u; connections of users beside one of them: %u (limit %llu)"),
        a.sessions_max, account_users(&a, 1), limit); /* fits */
    show(d, "limits", is_few ? CHECKLIST_WARN : CHECKLIST_OK, _("descriptors"), detail,
         is_few ? hint : NULL);
}

/* ---- certificates ---- */

/* The caller's; NULL: it is not there, or cannot be read. */
static X509 *read_cert(const char *dir, const char *name)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/%s", dir, name);
    BIO *bio = n > 0 && n < (int)sizeof path ? BIO_new_file(path, "r") : NULL;
    X509 *cert = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    ERR_clear_error();
    return cert;
}

/* Seconds from now until then; negative: it was before. */
static long long until(const ASN1_TIME *then)
{
    int days = 0, seconds = 0;
    if (ASN1_TIME_diff(&days, &seconds, NULL, then) != 1)
        return 0;
    return (long long)days * DAY_S + seconds;
}

static const char *cert_hint(bool is_ca, long long from, long long to)
{
    if (from > 0)
        return _("is the clock of this machine right? The certificate begins later");
    if (to <= 0 && is_ca)
        return _("clients refuse the server from now on: move the folder away, so that the next "
                 "start makes new certificates, and give clients the new CA");
    if (to <= 0)
        return _("a running server renews it by itself: start it, or look at its log");
    return _("clients need another CA until then: plan a change");
}

static void show_cert(struct doctor *d, const char *word, const char *title, bool is_ca,
                      const X509 *cert)
{
    char detail[DETAIL_MAX], date[UTC_BUF];
    long long from = until(X509_get0_notBefore(cert)), to = until(X509_get0_notAfter(cert));
    bool is_bad = from > 0 || to <= 0, is_soon = is_ca && to < CA_SOON_S;
    long long now = (long long)time(NULL);
    (void)snprintf(detail, sizeof detail,
                   from > 0 ? _("%s: not valid before %s") : _("%s: valid until %s"), d->opt->certs,
                   utc_shown(date, now + (from > 0 ? from : to))); /* cut on purpose */
    show(d, word,
         is_bad    ? CHECKLIST_FAIL
         : is_soon ? CHECKLIST_WARN
                   : CHECKLIST_OK,
         title, detail, is_bad || is_soon ? cert_hint(is_ca, from, to) : NULL);
}

static bool is_file(const char *dir, const char *name, mode_t *ret_mode)
{
    char path[PATH_MAX];
    struct stat st;
    int n = snprintf(path, sizeof path, "%s/%s", dir, name);
    if (n < 0 || n >= (int)sizeof path || stat(path, &st) < 0)
        return false;
    if (ret_mode)
        *ret_mode = st.st_mode;
    return true;
}

/* A server does not begin with a key that others can read. */
static void look_at_key(struct doctor *d, const char *name)
{
    mode_t mode;
    char detail[DETAIL_MAX];
    if (!is_file(d->opt->certs, name, &mode) || !(mode & 077))
        return;
    (void)snprintf(detail, sizeof detail, _("%s/%s has mode %04o: others can read or change it"),
                   d->opt->certs, name, (unsigned)mode & 07777); /* cut on purpose */
    show(d, "key", CHECKLIST_FAIL, _("key"), detail,
         _("chmod 600: the server does not start before"));
}

static void look_at_certs(struct doctor *d)
{
    char detail[DETAIL_MAX];
    X509 *ca = read_cert(d->opt->certs, "ca.crt"), *cert = read_cert(d->opt->certs, "server.crt");
    if (!ca) {
        (void)snprintf(detail, sizeof detail, _("%s/ca.crt is not there, or cannot be read"),
                       d->opt->certs); /* cut on purpose */
        show(d, "ca", CHECKLIST_WARN, _("CA"), detail,
             _("the first start makes it; if there was one, run this as the server's user"));
    } else {
        show_cert(d, "ca", _("CA"), true, ca);
    }
    if (cert)
        show_cert(d, "certificate", _("certificate"), false, cert);
    else if (ca && is_file(d->opt->certs, "server.crt", NULL))
        show(d, "certificate", CHECKLIST_FAIL, _("certificate"),
             _("server.crt is damaged, or cannot be read"),
             _("remove it while ca.key is there: the next start makes another one"));
    look_at_key(d, "ca.key");
    look_at_key(d, "server.key");
    X509_free(ca);
    X509_free(cert);
}

/* ---- clients ---- */

static void on_broken(void *ctx, const char *line)
{
    struct doctor *d = ctx;
    show(d, "client", CHECKLIST_WARN, _("client"), line,
         _("this client alone is not let in: mend its file, or 'gotunnel clients set' it anew"));
}

static void look_at_clients(struct doctor *d)
{
    char place[PATH_MAX], detail[DETAIL_MAX];
    struct errmsg why;
    struct clients_dir dir;
    struct clients_counts counts = {0};
    struct credentials *all = NULL;
    if (!clients_place(d->opt, place)) {
        show(d, "clients", CHECKLIST_OK, _("clients"), _("all with the shared secret"), NULL);
        return;
    }
    int err = clients_dir_open(&dir, place, CLIENTS_DIR_READ, &why);
    if (err == 0) {
        err = clients_load(&dir, NULL, on_broken, d, &all, &counts, &why);
        clients_dir_close(&dir);
    }
    if (err < 0) {
        show(d, "clients", CHECKLIST_FAIL, _("clients"), why.text, NULL);
        return;
    }
    credentials_unref(all);
    (void)snprintf(detail, sizeof detail,
                   P_("%u client with a key in %s", "%u clients with a key in %s", counts.clients),
                   counts.clients, place); /* cut on purpose */
    bool is_empty = counts.clients == 0 && !*d->opt->common.secret;
    show(d, "clients", is_empty ? CHECKLIST_WARN : CHECKLIST_OK, _("clients"), detail,
         is_empty ? _("nobody can come in: 'gotunnel clients add NAME' makes one") : NULL);
}

/* ---- ports ---- */

/* A descriptor of the control socket of a server of ours that runs here; ERR_PERM: we may not ask it; ERR_NOTFOUND. */
static int reach_server(const struct doctor *d)
{
    char path[CTL_PATH_MAX + 1], state[PATH_MAX];
    struct errmsg why;
    int n = snprintf(state, sizeof state, "%s/..", d->opt->certs);
    for (unsigned i = 0;
         n > 0 && n < (int)sizeof state && ctl_server_place(d->opt->common.control, state, i, path);
         i++) {
        int fd = ctl_reach(path, &why);
        if (fd >= 0 || fd == ERR_PERM)
            return fd;
    }
    return ERR_NOTFOUND;
}

/* Who has the port is it. */
static bool is_running(const struct doctor *d)
{
    int fd = reach_server(d);
    if (fd >= 0)
        (void)close(fd); /* only tried */
    return fd != ERR_NOTFOUND;
}

static void on_user(void *ctx, int fd, const struct sockaddr *peer)
{
    (void)ctx, (void)peer;
    (void)close(fd); /* nobody runs the loop: it cannot be */
}

/* Binds as the server would, and lets go. */
static int try_listening(const struct hostport *at, struct errmsg *why)
{
    static const struct listener_events events = {.on_accept = on_user};
    const struct listener_config cfg = {.host = at->host, .port = at->port};
    struct listener *l;
    struct loop loop;
    int err = loop_init(&loop);
    if (err < 0)
        return err;
    err = listener_open(&loop, &cfg, &events, NULL, &l, why);
    if (err == 0)
        listener_close(l);
    loop_run(&loop);
    loop_fini(&loop);
    return err;
}

static void look_at_port(struct doctor *d)
{
    struct hostport at;
    struct errmsg why = {""};
    char detail[DETAIL_MAX], hint[DETAIL_MAX] = "";
    int err = address_parse_listen(d->opt->listen, &at, &why);
    if (err == 0)
        err = try_listening(&at, &why);
    if (err == ERR_INUSE && is_running(d)) {
        (void)snprintf(detail, sizeof detail, _("%s: the server that runs has it"),
                       d->opt->listen); /* cut on purpose */
        show(d, "listen", CHECKLIST_OK, _("tunnel port"), detail, NULL);
        return;
    }
    (void)snprintf(detail, sizeof detail, "%s: %s", d->opt->listen,
                   err == 0    ? _("free")
                   : *why.text ? why.text
                               : err_text(err)); /* cut on purpose */
    if (err == ERR_INUSE)
        (void)snprintf(hint, sizeof hint,
                       _("another program, or a server of ours without a control socket, has it: "
                         "'ss -ltnp sport = :%d' names it"),
                       at.port); /* fits */
    else if (err == ERR_PERM)
        (void)snprintf(hint, sizeof hint, "%s",
                       _("ports below 1024 need a right: start it as root (it gives up what it "
                         "does not need), or give it CAP_NET_BIND_SERVICE"));
    show(d, "listen", err == 0 ? CHECKLIST_OK : CHECKLIST_FAIL, _("tunnel port"), detail, hint);
}

/* Whoever is root here need not be who runs the server. */
static void look_at_ports(struct doctor *d)
{
    char text[PORTS_BUF];
    const struct ports *p = &d->opt->allow_ports;
    bool has_low = false;
    for (size_t i = 0; i < p->count; i++)
        has_low |= p->ranges[i].last > 0 && p->ranges[i].first < PRIVILEGED;
    if (p->count == 0)
        (void)snprintf(text, sizeof text, "%s", _("every port that a client asks for"));
    else
        (void)ports_text(text, sizeof text, p); /* fits */
    bool is_doubtful = has_low && geteuid() != 0;
    show(d, "ports", is_doubtful ? CHECKLIST_WARN : CHECKLIST_OK, _("public ports"), text,
         is_doubtful ? _("those below 1024 need root or CAP_NET_BIND_SERVICE at the start") : NULL);
}

static void look_at_address(struct doctor *d)
{
    struct address a;
    char name[SOCK_NAME_MAX];
    bool is_there = public_address_find(&a);
    show(d, "public", is_there ? CHECKLIST_OK : CHECKLIST_WARN, _("public address"),
         is_there ? address_host_text(name, &a)
                  : _("no interface of this machine has a public address"),
         is_there ? _("whether its port is open to the internet says 'gotunnel doctor' of a client")
                  : _("if a router stands in front, it must forward the tunnel port and the public "
                      "ports to here"));
}

/* ---- who is there ---- */

/* Without the port. The caller's; NULL without memory. */
static char *host_of(const struct census_client *k)
{
    const char *colon = strrchr(k->address, ':');
    return strndup(k->address, colon ? (size_t)(colon - k->address) : strlen(k->address));
}

static int compare_hosts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* How many of the n sorted hosts are the one that most have, which is *ret_host. */
static unsigned largest_crowd(char *const *hosts, unsigned n, const char **ret_host)
{
    unsigned most = 0, run = 0;
    for (unsigned i = 0; i < n; i++) {
        run = i > 0 && strcmp(hosts[i], hosts[i - 1]) == 0 ? run + 1 : 1;
        if (run > most) {
            most = run;
            *ret_host = hosts[i];
        }
    }
    return most;
}

static void show_crowd(struct doctor *d, const char *host, unsigned crowd)
{
    char detail[DETAIL_MAX];
    (void)snprintf(detail, sizeof detail,
                   P_("%u client comes from %s", "%u clients come from %s", crowd), crowd,
                   host); /* cut on purpose */
    show(
        d, "sources", CHECKLIST_WARN, _("sources"), detail,
        _("what one of them does wrong, all are slowed down for: if a balancer or proxy is there, "
          "let "
          "it say whose connections they are, by PROXY and -trusted-proxy; behind a NAT it is so"));
}

static void look_at_sources(struct doctor *d, const struct status_view *v)
{
    const char *host = "";
    unsigned n = 0, up = 0, crowd = 0;
    char detail[DETAIL_MAX], **hosts = calloc(v->clients->clients_count + 1, sizeof *hosts);
    for (const struct census_client *k = NULL; hosts && (k = census_next_client(v->clients, k));) {
        up += k->state == CENSUS_UP;
        if ((hosts[n] = host_of(k)))
            n++;
    }
    if (hosts) {
        qsort(hosts, n, sizeof *hosts, compare_hosts);
        crowd = largest_crowd(hosts, n, &host);
        (void)snprintf(detail, sizeof detail, _("sessions: %u; up: %u"), n, up); /* fits */
        show(d, "sessions", CHECKLIST_OK, _("sessions"), detail, NULL);
    }
    if (crowd >= CROWD)
        show_crowd(d, host, crowd);
    for (unsigned i = 0; i < n; i++)
        free(hosts[i]);
    free(hosts);
}

/* What the server that runs says, if we may ask it. */
static void look_at_running(struct doctor *d)
{
    struct status_view v = {0};
    struct errmsg why;
    int fd = reach_server(d);
    if (fd < 0)
        return;
    if (status_view_read(&v, fd, NULL, &why) == 0) {
        look_at_sources(d, &v);
        doctor_show_cuts(d->form, &v);
    } else {
        show(d, "sessions", CHECKLIST_WARN, _("sessions"), why.text, NULL);
    }
    status_view_fini(&v);
    (void)close(fd); /* all is said */
}

/* ---- the command ---- */

static int examine(const struct server_options *opt, bool wants_json)
{
    struct doctor d = {.opt = opt, .form = checklist_form_of_stdout(wants_json)};
    log_release();
    checklist_hold(); /* nothing else runs: each line is written at once */
    show(&d, "config", CHECKLIST_OK, _("configuration"),
         *opt->common.config ? opt->common.config : _("the command line"), NULL);
    look_at_limits(&d);
    look_at_certs(&d);
    look_at_clients(&d);
    look_at_port(&d);
    look_at_ports(&d);
    look_at_address(&d);
    look_at_running(&d);
    checklist_flush();
    return d.failures > 0 ? EXIT_STATUS_FAILED : EXIT_STATUS_OK;
}

int server_doctor(int argc, char **argv)
{
    bool wants_json = checklist_take_json(&argc, argv);
    int status;
    struct snapshot *options = server_read_options(argc, argv, &status);
    if (!options)
        return status;
    status = examine(snapshot_server(options), wants_json);
    snapshot_unref(options);
    return status;
}
