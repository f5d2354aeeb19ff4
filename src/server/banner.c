/* SPDX-License-Identifier: MIT */
/*
 * What the server prints on stdout when it is ready: all a person needs to start a client. The
 * secret itself appears only on a terminal; service managers and files keep what they are given.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/i18n.h"
#include "server/internal.h"

void banner_print(const struct server *srv)
{
    char *ca;
    const char *secret = isatty(STDOUT_FILENO) ? srv->opt->common.secret : "<secret>";
    if (pki_ca_pem(srv->identity, &ca) < 0)
        return; /* no memory for a text of 1 KB: the tunnel works all the same */
    printf("\n======================= SERVER IS RUNNING (SECURE) =======================\n");
    printf(_("Shared secret: %s\n"), secret);
    printf(_("Listening on: %s\n\n"), listener_address(srv->tunnel_port));
    printf("%s\n", _("Create a file ca.crt on the client machine and copy the following into it:"));
    printf("%s\n", ca);
    printf("%s\n", _("Then connect with a command like this (replace <server_ip> by the server's "
                     "real public IP):"));
    printf("./gotunnel client -server <server_ip>:%d -secret \"%s\" -ca ./ca.crt -remote-port 8080 "
           "-local-target 127.0.0.1:80\n",
           listener_port(srv->tunnel_port), secret);
    printf("==========================================================================\n");
    (void)fflush(stdout); /* a closed stdout is no reason to stop serving */
    free(ca);
}
