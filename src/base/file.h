/* SPDX-License-Identifier: MIT */
/* What writing a descriptor and naming a file take besides the system call. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "base/attr.h"

/* Reads to the end of fd, or until max bytes. The count, or -1 with errno. */
ssize_t file_read_all(int fd, void *to, size_t max);

/*
 * Writes n bytes, in as few calls as it takes: goes on after a signal and after a part, and waits
 * where a descriptor is non-blocking and full. Returns how many bytes it took; if that is less than
 * n, errno says why (ENOSPC where the system gave no reason).
 */
size_t file_write_all(int fd, const void *data, size_t n) MUST_USE;

/* renameat2() with RENAME_NOREPLACE, which musl has no function for. 0, or -1 with errno: EEXIST;
   EINVAL, ENOSYS or ENOTSUP where the file system cannot do that. */
int file_rename_new(int from_fd, const char *from, int to_fd, const char *to) MUST_USE;

/* Gives the file or folder fd, just made in the folder dirfd, to the folder's owner, if we are root:
   what root's commands make in a user's place is the user's. Where that cannot be, it stays root's. */
void file_give_to_owner(int dirfd, int fd);

/* Makes the folder path and those above it, as far as they are missing, for their owner alone (0700); what root
   makes belongs to whoever has the folder above. path is as before when it returns. 0, or -1 with errno. */
int file_make_folders(char *path) MUST_USE;

/* Makes the file name in the folder dirfd, which must not have it, with these n bytes, on the disk and
   owned as the folder is. 0, or -1 with errno; the file may be there then. */
int file_create(int dirfd, const char *name, mode_t mode, const void *data, size_t n) MUST_USE;

/* What was made, renamed or removed in the folder is on the disk. 0, or -1 with errno; 0 where a file
   system cannot say. */
int file_sync_folder(int dirfd) MUST_USE;

/* Locks the open folder or file against others who do, waiting up to wait_ms. 0, or -1 with errno
   ETIMEDOUT. Where the file system has no locks it is as if nobody else was there. The kernel ends it
   with the process, or with the last descriptor. */
int file_lock(int fd, int wait_ms) MUST_USE;
void file_unlock(int fd);
