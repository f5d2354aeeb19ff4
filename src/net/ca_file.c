/* SPDX-License-Identifier: MIT */
/* OpenSSL says of all of these that it finds no certificate; a look at the file tells them apart. */
#include "net/ca_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/i18n.h"
#include "base/secure.h"

/* What is behind the sentence in each of these. */
static int fault(struct errmsg *why, const char *path, const char *text, const char *words)
{
    return errmsg_set(why, ERR_CERT, _("the CA certificate file %s %s (%s)"), path, text, words);
}

static bool begins_a_line(const char *text, const char *at)
{
    return at == text || at[-1] == '\n' || at[-1] == '\r';
}

/* The sentence for what stands in the file. */
static const char *judge(const char *text, size_t n)
{
    static const char begin[] = "-----BEGIN CERTIFICATE-----";
    const char *at = strstr(text, begin);
    if (n == 0)
        return _("is empty: copy ca.crt from the server again");
    if (n > 2 && (unsigned char)text[0] == 0x30 && (unsigned char)text[1] == 0x82)
        return _("is not PEM but DER: copy ca.crt from the server, which is PEM");
    if (at && !begins_a_line(text, at))
        return _(
            "is indented, or something stands before '-----BEGIN': its lines must begin at the "
            "left edge");
    if (at)
        return _("is damaged: copy ca.crt from the server again");
    if (strstr(text, "PRIVATE KEY-----"))
        return _("is a private key: give the server's ca.crt, and keep keys at the server");
    return _("holds no certificate: give the server's ca.crt");
}

int ca_file_fault(const char *path, const char *words, struct errmsg *why)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT)
        return fault(why, path,
                     _("is missing: copy ca.crt from the server, where it is in the directory of "
                       "-certs, and say with -ca where it is"),
                     strerror(ENOENT));
    if (fd < 0)
        return fault(why, path, _("cannot be read"), strerror(errno));
    char *text = calloc(1, CA_FILE_SEEN + 1);
    ssize_t n = -1;
    int err;
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
        err = fault(why, path, _("is a directory: give the file in it, ca.crt"), strerror(EISDIR));
    else if (!text || (n = file_read_all(fd, text, CA_FILE_SEEN)) < 0)
        err = fault(why, path, _("cannot be read"), words);
    else
        err = fault(why, path, judge(text, (size_t)n), words);
    if (n > 0)
        secure_zero(text, (size_t)n); /* it may be a private key */
    free(text);
    (void)close(fd); /* only read */
    return err;
}
