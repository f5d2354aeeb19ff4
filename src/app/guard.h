/* SPDX-License-Identifier: MIT */
/* What the process does for its secrets before anything else. */
#pragma once

/*
 * First thing of main(): nobody but root may look into the process (ptrace, core dumps, its
 * environment, memory and descriptors in /proc), and OpenSSL keeps private keys apart
 * (tls_library_begin()). As far as the system allows.
 */
void guard_begin(void);
