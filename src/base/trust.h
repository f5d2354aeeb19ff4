/* SPDX-License-Identifier: MIT */
/*
 * Which files may decide about trust: certificates, secrets, what is remembered of peers. Whoever can
 * change such a file, or put another one in its place, decides for us. So it, its folder and every
 * folder above belong to those whom we trust anyway, and are written by nobody else.
 *
 * Facts in, a judgement out: no I/O. base/trust_path.h asks the file system for the facts.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* Whom we trust: root, and these. */
struct trust_who {
    uid_t self;    /* as we run */
    uid_t become;  /* whom we are to become; else self */
    uid_t sudo;    /* who started us by sudo, ... */
    bool has_sudo; /* ... if so and we are root: their files will do, with a warning */
};

/* What an entry of the file system is on the way to a file. */
enum trust_place {
    TRUST_WAY,    /* a folder further above, or a link */
    TRUST_FOLDER, /* the folder with the file */
    TRUST_FILE,   /* which all may read */
    TRUST_SECRET, /* which others may not read; a group may, if its owner lets it */
};

struct trust_facts {
    uid_t uid;
    mode_t mode;        /* with its type */
    bool private_group; /* nobody is in its group but its owner; asked where the group may write */
    bool read_only;     /* nothing can be written where it is mounted; asked of a TRUST_SECRET */
};

enum trust_fault {
    TRUST_FAULTLESS,
    TRUST_BY_SUDO,  /* belongs to who ran sudo */
    TRUST_SHOWN,    /* a secret that all can read, root's, where nobody can write: of a container */
    TRUST_MOVABLE,  /* others can take away what is below; what they put there is TRUST_FOREIGN */
    TRUST_FOREIGN,  /* belongs to somebody else */
    TRUST_WRITABLE, /* others can write it */
    TRUST_OPEN,     /* a secret that others can read or write */
};

enum trust_verdict {
    TRUST_GOOD,
    TRUST_DOUBTFUL, /* to be used, with a warning */
    TRUST_REFUSED,
};

/*
 * The worst that is wrong with an entry. A sticky folder may be written by others, because what is
 * in it stays its owner's. The mode of a link means nothing, nor that of a pipe or a device.
 */
enum trust_fault trust_judge(const struct trust_who *who, enum trust_place place,
                             const struct trust_facts *f);

/* What follows from a fault. is_lenient: the original would use the file, so whoever is not root is
   only warned of what could be changed by others; an open secret is refused all the same. */
enum trust_verdict trust_verdict(const struct trust_who *who, enum trust_fault fault,
                                 bool is_lenient);
