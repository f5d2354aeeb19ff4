/* SPDX-License-Identifier: MIT */
/* Runs a fuzz target over every file of a folder: the corpus as a regression test. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* 0, or -1 if the file cannot be read. */
static int replay(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return -1;
    static uint8_t buf[1 << 20];
    size_t n = fread(buf, 1, sizeof buf, f);
    int bad = ferror(f);
    (void)fclose(f); /* only read */
    if (bad)
        return -1;
    /* A copy of its own size lets the address sanitizer see any read beyond it. */
    uint8_t *copy = malloc(n ? n : 1);
    if (!copy)
        return -1;
    memcpy(copy, buf, n);
    (void)LLVMFuzzerTestOneInput(copy, n); /* 0 by contract; a finding is a crash */
    free(copy);
    return 0;
}

int main(int argc, char **argv)
{
    DIR *d = argc == 2 ? opendir(argv[1]) : NULL;
    if (!d) {
        (void)fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    unsigned count = 0;
    for (struct dirent *e; (e = readdir(d));) {
        char path[4096];
        if (e->d_name[0] == '.')
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", argv[1], e->d_name);
        if (replay(path) < 0) {
            (void)fprintf(stderr, "cannot read %s\n", path);
            return 1;
        }
        count++;
    }
    (void)closedir(d);
    printf("%u inputs\n", count);
    return count > 0 ? 0 : 1; /* an empty corpus tests nothing */
}
