/* A preload shim between the command and the system: short reads and writes, interrupted calls, a
 * disk of limited size. Chosen by environment variables:
 *   SHIM_SHORT=1      reads and writes move at most half of what is asked for
 *   SHIM_EINTR=n      every n-th of those calls fails with EINTR
 *   SHIM_BYTES=n      after n bytes written, writes fail with ENOSPC (what fits is written)
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

static long number(const char *name) {
    const char *text = getenv(name);
    return text ? atol(text) : 0;
}

static int interrupted(void) {
    static long every = -1, calls = 0;
    if (every < 0) every = number("SHIM_EINTR");
    if (every > 0 && ++calls % every == 0) {
        errno = EINTR;
        return 1;
    }
    return 0;
}

static size_t shortened(size_t count) {
    return number("SHIM_SHORT") && count > 1 ? count / 2 : count;
}

/* Bytes that still fit; the count is that of this process. */
static ssize_t room(size_t count) {
    static long left = -1;
    if (left < 0) {
        left = number("SHIM_BYTES");
        if (left == 0) left = -2;
    }
    if (left == -2) return (ssize_t)count;
    if (left <= 0) {
        left = 0;
        errno = ENOSPC;
        return -1;
    }
    if ((long)count > left) count = (size_t)left;
    left -= (long)count;
    return (ssize_t)count;
}

ssize_t pwrite64(int fd, const void *buffer, size_t count, off64_t offset) {
    static ssize_t (*next)(int, const void *, size_t, off64_t);
    if (!next) next = (ssize_t(*)(int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, "pwrite64");
    if (interrupted()) return -1;
    ssize_t fits = room(shortened(count));
    return fits < 0 ? -1 : next(fd, buffer, (size_t)fits, offset);
}

ssize_t pread64(int fd, void *buffer, size_t count, off64_t offset) {
    static ssize_t (*next)(int, void *, size_t, off64_t);
    if (!next) next = (ssize_t(*)(int, void *, size_t, off64_t))dlsym(RTLD_NEXT, "pread64");
    if (interrupted()) return -1;
    return next(fd, buffer, shortened(count), offset);
}

ssize_t read(int fd, void *buffer, size_t count) {
    static ssize_t (*next)(int, void *, size_t);
    if (!next) next = (ssize_t(*)(int, void *, size_t))dlsym(RTLD_NEXT, "read");
    if (interrupted()) return -1;
    return next(fd, buffer, shortened(count));
}

ssize_t write(int fd, const void *buffer, size_t count) {
    static ssize_t (*next)(int, const void *, size_t);
    if (!next) next = (ssize_t(*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    if (interrupted()) return -1;
    return next(fd, buffer, shortened(count));
}
