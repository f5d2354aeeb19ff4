/* SPDX-License-Identifier: MIT */
/*
 * What the server prints on stdout when it is ready: all a person needs to start a client, and first what to type. The
 * secret itself appears only on a terminal; service managers and files keep what they are given.
 * A stdout that takes nothing must not keep the server from serving: it has a thread of its own,
 * which ends with it.
 */
#include "server/banner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/i18n.h"
#include "base/log.h"
#include "base/secure.h"
#include "base/thread.h"
#include "server/internal.h"

#define RULE "==========================================================================\n"

static void print_head(FILE *to)
{
    fprintf(to, "\n======================= SERVER IS RUNNING (SECURE) =======================\n");
}

/* No secret to show, and the join string has the CA. */
static void print_keys_only(FILE *to, const struct server *srv)
{
    print_head(to);
    fprintf(to, "%s\n",
            _("Make a client with its own key here, and run what this prints on its machine:"));
    fprintf(to, "./gotunnel clients add laptop -ports 8080\n\n");
    fprintf(to, _("Listening on: %s\n"), listener_address(srv->tunnel_port));
    fputs(RULE, to);
}

static void print(FILE *to, const struct server *srv, const char *ca)
{
    const char *secret = isatty(STDOUT_FILENO) ? srv->opt->common.secret : "<secret>";
    print_head(to);
    fprintf(
        to, "%s\n",
        _("Beside the service run a command like this (replace <server_ip> by the server's real "
          "public IP):"));
    fprintf(
        to,
        "./gotunnel client -server <server_ip>:%d -secret \"%s\" -ca ./ca.crt -remote-port 8080 "
        "-local-target 127.0.0.1:80\n\n",
        listener_port(srv->tunnel_port), secret);
    fprintf(to, "%s\n",
            _("Create a file ca.crt on the client machine and copy the following into it:"));
    fprintf(to, "%s\n", ca);
    fprintf(to, _("Shared secret: %s\n"), secret);
    fprintf(to, _("Listening on: %s\n"), listener_address(srv->tunnel_port));
    fputs(RULE, to);
}

/* The whole text in memory, NULL without any. */
static char *render(const struct server *srv)
{
    char *ca, *text = NULL;
    size_t n;
    FILE *to = open_memstream(&text, &n);
    if (!to)
        return NULL;
    if (!*srv->opt->common.secret) {
        print_keys_only(to, srv);
    } else if (pki_ca_pem(srv->identity, &ca) == 0) {
        print(to, srv, ca);
        free(ca);
    }
    (void)fclose(to); /* memory only; without it text stays NULL or short */
    return text;
}

static void *write_out(void *arg)
{
    char *text = arg;
    size_t n = strlen(text);
    (void)!file_write_all(STDOUT_FILENO, text, n); /* a closed stdout is no reason not to serve */
    secure_zero(text, n);                          /* on a terminal the secret is in it */
    free(text);
    return NULL;
}

void banner_put(char *text)
{
    pthread_t thread;
    if (isatty(STDOUT_FILENO))
        log_flush(); /* a person reads both, in this order */
    if (thread_start(&thread, "banner", write_out, text) == 0)
        (void)pthread_detach(thread); /* it may be stuck when the program ends */
    else
        write_out(text);
}

void banner_print(const struct server *srv)
{
    char *text = render(srv);
    if (text)
        banner_put(text); /* without memory for 2 KB the tunnel works all the same */
}
