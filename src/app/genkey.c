/* SPDX-License-Identifier: MIT */
/* A new secret. It goes straight from its buffer to the descriptor: stdio would keep a copy. */
#include "app/genkey.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "app/cli.h"
#include "base/err.h"
#include "base/event.h"
#include "base/file.h"
#include "base/hex.h"
#include "base/i18n.h"
#include "base/secure.h"
#include "conf/quote.h"

enum { KEY_BYTES = 32, TEXT_BYTES = 2 * KEY_BYTES + 1 };

static void print_usage(void)
{
    (void)fprintf(stderr, "%s\n%s\n",
                  _("Usage of genkey: gotunnel genkey prints a new random secret, as for "
                    "-secret-file:"),
                  "  (umask 077; gotunnel genkey > secret)");
}

static int refuse(const char *arg)
{
    char quoted[256];
    (void)quote(quoted, sizeof quoted, arg); /* cut on purpose */
    (void)fprintf(stderr, _("unexpected argument %s: genkey takes none\n"), quoted);
    print_usage();
    return EXIT_STATUS_USAGE;
}

static bool is_help(const char *arg)
{
    return strcmp(arg, "-h") == 0 || strcmp(arg, "-help") == 0 || strcmp(arg, "--help") == 0;
}

static int print_key(void)
{
    uint8_t key[KEY_BYTES];
    char text[TEXT_BYTES];
    /* A request of up to 256 bytes is never cut short. */
    bool made = getrandom(key, sizeof key, 0) == (ssize_t)sizeof key;
    if (made) {
        hex_put(text, key, sizeof key);
        text[TEXT_BYTES - 1] = '\n';
    }
    bool printed = made && file_write_all(STDOUT_FILENO, text, sizeof text) == sizeof text;
    int errnum = errno;
    secure_zero(key, sizeof key);
    secure_zero(text, sizeof text);
    if (printed)
        return EXIT_STATUS_OK;
    if (made)
        event_key_not_written(errno_text(errnum));
    else
        event_key_not_made(errno_text(errnum));
    return EXIT_STATUS_FAILED;
}

int cmd_genkey(int argc, char **argv)
{
    if (argc == 0)
        return print_key();
    if (!is_help(argv[0]))
        return refuse(argv[0]);
    print_usage();
    return EXIT_STATUS_OK;
}
