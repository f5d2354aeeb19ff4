/* SPDX-License-Identifier: MIT */
/* What people give as the CA's certificate by mistake. */
#pragma once

#include "base/err.h"

/*
 * Says why the file at path, of which OpenSSL has said words, is not the certificate of a CA, and what
 * to do. Looks at its first CA_FILE_SEEN bytes; start-up only. ERR_CERT, with the sentence in *why.
 */
int ca_file_fault(const char *path, const char *words, struct errmsg *why);

enum { CA_FILE_SEEN = 64 << 10 };
