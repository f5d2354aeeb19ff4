/* SPDX-License-Identifier: MIT */
/*
 * New keys for clients, and the join string that takes one to the client's machine. The secret T is in that string
 * alone: shown once on a terminal, else in a file that only its owner can read.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "app/cli.h"
#include "base/file.h"
#include "base/i18n.h"
#include "base/log.h"
#include "base/secure.h"
#include "base/trust_path.h"
#include "conf/hostport.h"
#include "conf/join.h"
#include "net/tls_pin.h"
#include "pki/pki.h"
#include "proto/client_key.h"
#include "proto/sha256.h"
#include "server/clients_key.h"
#include "server/public_address.h"

_Static_assert((int)JOIN_PIN_BYTES == (int)TLS_PIN_BYTES, "pin");
_Static_assert((int)JOIN_T_BYTES == (int)CLIENT_KEY_T_BYTES, "T");
_Static_assert((int)CLIENT_KEY_BUF <= (int)CLIENT_ENTRY_KEY_MAX + 1, "key");

/* ---- the server's part of the string ---- */

static int read_pin(const char *certs, uint8_t ret[JOIN_PIN_BYTES])
{
    char path[PATH_MAX];
    struct errmsg why;
    int n = snprintf(path, sizeof path, "%s/ca.crt", certs);
    if (n < 0 || n >= PATH_MAX)
        return clients_fail("%s: %s", certs, errno_text(ENAMETOOLONG));
    if (pki_check_place(certs, false, &why) < 0)
        return clients_fail("%s", why.text);
    FILE *f = fopen(path, "re");
    if (!f)
        return clients_fail(
            _("%s: %s: start the server once, which makes it, or name its folder by "
              "-state"),
            path, errno_text(errno));
    X509 *ca = PEM_read_X509(f, NULL, NULL, NULL);
    (void)fclose(f); /* only read */
    ERR_clear_error();
    int err = ca ? tls_pin_of(ca, ret) : ERR_CERT;
    X509_free(ca);
    return err < 0 ? clients_fail(_("%s holds no certificate"), path) : EXIT_STATUS_OK;
}

/* NAME or NAME:PORT, where NAME may be an IPv6 address with or without brackets. */
static int read_public(const char *text, uint16_t port, struct hostport *ret, struct errmsg *why)
{
    char whole[HOSTPORT_HOST_MAX + 16];
    const char *first = strchr(text, ':'), *last = strrchr(text, ':');
    bool is_bare = *text != '[' && first != last;
    bool has_port = *text == '[' ? strstr(text, "]:") != NULL : first && !is_bare;
    int n = is_bare    ? snprintf(whole, sizeof whole, "[%s]:%d", text, port)
            : has_port ? snprintf(whole, sizeof whole, "%s", text)
                       : snprintf(whole, sizeof whole, "%s:%d", text, port);
    if (n < 0 || n >= (int)sizeof whole)
        return errmsg_set(why, ERR_LIMIT, "%s", _("it is neither a name nor an address"));
    int err = hostport_parse(whole, ret, why);
    if (err == 0 && (ret->port < 0 || !*text || *text == ':'))
        return errmsg_set(why, ERR_INVAL, "%s",
                          _("it is a name or an address, and a port as a number"));
    return err;
}

/* Where the client finds the server. */
static int find_server(const struct clients_work *w, struct clients_key *k)
{
    struct hostport to = {.port = w->port};
    struct address own;
    struct errmsg why;
    if (!*w->line.public_name) {
        k->is_nameless = !public_address_find(&own);
        if (k->is_nameless)
            (void)snprintf(to.host, sizeof to.host, "%s", CLIENTS_NO_NAME);
        else
            (void)address_host_text(to.host, &own);
    } else if (read_public(w->line.public_name, w->port, &to, &why) < 0) {
        (void)clients_fail(_("-public %s: %s"), w->line.public_name, why.text);
        return EXIT_STATUS_USAGE;
    }
    size_t n = strlen(to.host);
    if (n < sizeof k->join.host) /* else it stays empty, which is no name */
        memcpy(k->join.host, to.host, n + 1);
    k->join.port = (uint16_t)to.port;
    return EXIT_STATUS_OK;
}

/* ---- the key ---- */

static int make_secret(struct clients_key *k)
{
    struct client_secret secret;
    struct client_key key;
    bool is_made = getrandom(k->join.t, sizeof k->join.t, 0) == sizeof k->join.t;
    int errnum = errno;
    if (!is_made)
        return clients_fail(_("cannot make a secret: %s"), errno_text(errnum));
    int err = client_secret_init(&secret, k->join.t);
    if (err == 0)
        err = client_key_init(&key, &secret);
    if (err == 0)
        err = client_key_put(k->key, &key);
    secure_zero(&secret, sizeof secret);
    secure_zero(&key, sizeof key);
    return err < 0 ? clients_fail("%s", err_text(err)) : EXIT_STATUS_OK;
}

static int encode(const struct clients_work *w, struct clients_key *k)
{
    int err = join_encode(k->string, &k->join, sha256);
    if (err == ERR_INVAL) {
        (void)clients_fail(_("-public %s: %s"), w->line.public_name,
                           _("it is neither a name nor an address"));
        return EXIT_STATUS_USAGE;
    }
    return err < 0 ? clients_fail("%s", err_text(err)) : EXIT_STATUS_OK;
}

int clients_key_find(const struct clients_work *w, struct clients_key *k)
{
    (void)snprintf(k->join.name, sizeof k->join.name, "%s", w->line.name); /* fits */
    int status = find_server(w, k);
    return status == EXIT_STATUS_OK ? encode(w, k) : status;
}

static int make_key(const struct clients_work *w, struct clients_key *k)
{
    int status = clients_key_find(w, k);
    if (status == EXIT_STATUS_OK)
        status = read_pin(w->certs, k->join.pin);
    if (status == EXIT_STATUS_OK)
        status = make_secret(k);
    return status == EXIT_STATUS_OK ? encode(w, k) : status;
}

/* ---- the way to the client ---- */

void clients_key_file(const struct clients_work *w, char ret[CLIENTS_KEY_FILE_BUF])
{
    (void)snprintf(ret, CLIENTS_KEY_FILE_BUF, "%s.join", w->line.name); /* fits */
}

/* A whole file under its name, or none. 0, or -1 with errno. */
static int put_file(int dirfd, const char *file, const char *line, size_t n)
{
    char tmp[CLIENTS_KEY_FILE_BUF + 8];
    struct stat st;
    (void)snprintf(tmp, sizeof tmp, ".%s.tmp", file); /* fits */
    (void)unlinkat(dirfd, tmp, 0);                    /* what a crash has left */
    int r = file_create(dirfd, tmp, 0600, line, n);
    if (r == 0)
        r = file_rename_new(dirfd, tmp, dirfd, file);
    if (r < 0 && (errno == EINVAL || errno == ENOSYS || errno == ENOTSUP)) {
        errno = EEXIST; /* a file system without: nobody else makes this file */
        bool is_there = fstatat(dirfd, file, &st, AT_SYMLINK_NOFOLLOW) == 0;
        r = is_there ? -1 : renameat(dirfd, tmp, dirfd, file);
    }
    int errnum = errno;
    if (r < 0)
        (void)unlinkat(dirfd, tmp, 0);
    errno = errnum;
    return r == 0 ? file_sync_folder(dirfd) : r;
}

/* Not on a terminal: the string goes to a file of the working directory. */
static int write_string(const struct clients_work *w, const struct clients_key *k)
{
    char file[CLIENTS_KEY_FILE_BUF], line[JOIN_BUF + 1];
    struct errmsg why;
    if (trust_path(".", TRUST_FOLDER, false, &why) < 0) /* root's file would be its owner's */
        return clients_fail("%s", why.text);
    clients_key_file(w, file);
    int n = snprintf(line, sizeof line, "%s\n", k->string);
    int fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = fd >= 0 && n > 0 ? put_file(fd, file, line, (size_t)n) : -1;
    int errnum = errno;
    secure_zero(line, sizeof line);
    if (fd >= 0)
        (void)close(fd); /* synced, or of no use */
    if (r < 0 && errnum == EEXIST)
        return clients_fail(_("%s is there already: move it away, or work in another folder"),
                            file);
    if (r < 0)
        return clients_fail(_("cannot write %s: %s: work in a folder of your own"), file,
                            errno_text(errnum));
    return EXIT_STATUS_OK;
}

static void drop_string(const struct clients_work *w)
{
    char file[CLIENTS_KEY_FILE_BUF];
    clients_key_file(w, file);
    (void)unlink(file); /* made a moment ago */
}

/* Does the file hold a join string of this client, for this CA? */
static bool is_own_string(const struct clients_work *w, int fd, const uint8_t pin[JOIN_PIN_BYTES])
{
    char text[JOIN_BUF + 1];
    struct join j;
    struct errmsg why;
    ssize_t n = file_read_all(fd, text, sizeof text);
    bool is_own = n > 0 && join_decode(&j, text, (size_t)n, sha256, &why) == 0 &&
                  strcmp(j.name, w->line.name) == 0 && memcmp(j.pin, pin, JOIN_PIN_BYTES) == 0;
    secure_zero(text, sizeof text);
    secure_zero(&j, sizeof j);
    return is_own;
}

int clients_key_clear(const struct clients_work *w)
{
    char file[CLIENTS_KEY_FILE_BUF];
    uint8_t pin[JOIN_PIN_BYTES];
    int status = read_pin(w->certs, pin);
    clients_key_file(w, file);
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW);
    if (status == EXIT_STATUS_OK && fd >= 0 && is_own_string(w, fd, pin))
        (void)unlink(file); /* or it is said that it is in the way */
    if (fd >= 0)
        (void)close(fd); /* only read */
    return status;
}

/* Past stdio, which would keep a copy. */
static void print_string(const char *server, const struct clients_key *k)
{
    char text[JOIN_BUF + 512], public_port[16] = "";
    if (k->public_port > 0)
        (void)snprintf(public_port, sizeof public_port, "@%u", k->public_port);
    int n = snprintf(text, sizeof text,
                     _("On the machine of the service run, with its port in the place of PORT:\n\n"
                       "  gotunnel join %s PORT%s%s\n\nThis string is shown once.\n"),
                     k->string, public_port, server); /* fits */
    (void)fflush(stdout);
    (void)!file_write_all(STDOUT_FILENO, text, n > 0 ? strlen(text) : 0); /* a terminal */
    secure_zero(text, sizeof text);
}

/* What to do with it. Who may not leave the choice of a port to the server is shown one to ask for. */
static void show_string(const struct clients_work *w, const struct client_entry *e,
                        struct clients_key *k, bool is_terminal)
{
    k->public_port = e->ports.count > 0 ? e->ports.ranges[0].first : 0;
    char file[CLIENTS_KEY_FILE_BUF], server[64] = "";
    clients_key_file(w, file);
    if (k->is_nameless) {
        log_text(_("no interface of this machine has a public address: write the server's name in "
                   "the place of YOUR-NAME\n"));
        (void)snprintf(server, sizeof server, " -server " CLIENTS_NO_NAME ":%u",
                       (unsigned)k->join.port);
    }
    if (is_terminal)
        print_string(server, k);
    else
        printf(_("the join string is in %s: take it to the machine of the service, and remove it "
                 "here\n"),
               file);
    if (!is_terminal && *server)
        printf("  gotunnel join - PORT%s < %s\n", server, file);
}

/* ---- add, rotate ---- */

int clients_key_add(struct clients_work *w, struct clients_key *k, bool is_terminal)
{
    char text[CLIENT_ENTRY_TEXT_MAX];
    struct errmsg why;
    int status = make_key(w, k);
    if (status == EXIT_STATUS_OK && !is_terminal)
        status = write_string(w, k);
    if (status != EXIT_STATUS_OK)
        return status;
    memcpy(w->line.entry.key, k->key, sizeof k->key);
    size_t n = client_entry_text(text, &w->line.entry);
    if (clients_dir_add(&w->dir, w->line.name, text, n, &why) < 0) {
        if (!is_terminal)
            drop_string(w);
        return clients_fail("%s", why.text);
    }
    return EXIT_STATUS_OK;
}

void clients_key_undo(const struct clients_work *w, bool is_terminal)
{
    if (!is_terminal)
        drop_string(w);
    clients_dir_drop(&w->dir, w->line.name); /* else `rotate` gives it another string */
}

static int add_with(struct clients_work *w, struct clients_key *k, bool is_terminal)
{
    int status = clients_key_add(w, k, is_terminal);
    if (status != EXIT_STATUS_OK)
        return status;
    clients_print(w->line.name, 0, &w->line.entry);
    if (w->line.entry.ports.count == 0)
        log_text(_("it may open no port: 'gotunnel clients set NAME -ports LIST' allows some\n"));
    show_string(w, &w->line.entry, k, is_terminal);
    return clients_tell(w);
}

int clients_add(struct clients_work *w)
{
    struct clients_key k = {.is_nameless = false};
    struct errmsg why;
    int err = clients_dir_read(&w->dir, w->line.name, &w->file, &why);
    if (err != ERR_NOTFOUND)
        return clients_fail(_("there is a client called %s"), w->line.name);
    int status = add_with(w, &k, isatty(STDOUT_FILENO));
    secure_zero(&k, sizeof k);
    return status;
}

/* The present key becomes a former one. Those that are over go, and the oldest where there is no room; without
   grace all go. */
static void retire(struct client_entry *e, int64_t now, int64_t grace_s)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < e->old_count; i++)
        if (grace_s > 0 && e->old[i].until > now)
            e->old[kept++] = e->old[i];
    if (grace_s > 0 && kept == CLIENT_ENTRY_OLD_MAX)
        memmove(e->old, e->old + 1, --kept * sizeof *e->old);
    if (grace_s > 0) {
        memcpy(e->old[kept].text, e->key, sizeof e->key);
        e->old[kept++].until = now + grace_s;
    }
    e->old_count = kept;
}

static int rotate_with(struct clients_work *w, struct clients_key *k, int64_t grace_s,
                       bool is_terminal)
{
    struct client_entry to = w->file.entry;
    int status = make_key(w, k);
    if (status == EXIT_STATUS_OK && !is_terminal)
        status = write_string(w, k);
    if (status != EXIT_STATUS_OK)
        return status;
    retire(&to, (int64_t)time(NULL), grace_s);
    memcpy(to.key, k->key, sizeof k->key);
    status = clients_change(w, &to);
    if (status != EXIT_STATUS_OK) {
        if (!is_terminal)
            drop_string(w);
        return status;
    }
    show_string(w, &to, k, is_terminal);
    return clients_tell(w);
}

int clients_rotate(struct clients_work *w)
{
    enum { GRACE_MAX_DAYS = 365 };
    const int64_t second = INT64_C(1000000000), most = GRACE_MAX_DAYS * 86400 * second;
    struct clients_key k = {.is_nameless = false};
    if (w->line.grace_ns < 0 || w->line.grace_ns > most) {
        (void)clients_fail(_("-grace is from 0 to %dh"), GRACE_MAX_DAYS * 24);
        return EXIT_STATUS_USAGE;
    }
    int status = clients_read(w);
    if (status != EXIT_STATUS_OK)
        return status;
    int64_t grace_s = (w->line.grace_ns + second - 1) / second;
    status = rotate_with(w, &k, grace_s, isatty(STDOUT_FILENO));
    secure_zero(&k, sizeof k);
    return status;
}
