/* Cuts one write of a process in half, as a signal or a disk that is nearly full does. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/types.h>
#include <unistd.h>

/* Counts down with every write of more than one byte; the one that makes it 0 is cut. */
int short_write_at;

static size_t cut(size_t size) {
    if (short_write_at > 0 && size > 1 && --short_write_at == 0)
        return size / 2;
    return size;
}

ssize_t write(int fd, const void *data, size_t size) {
    static ssize_t (*real)(int, const void *, size_t);
    if (!real)
        real = (ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    return real(fd, data, cut(size));
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t place) {
    static ssize_t (*real)(int, const void *, size_t, off_t);
    if (!real)
        real = (ssize_t (*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite");
    return real(fd, data, cut(size), place);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t place) {
    static ssize_t (*real)(int, const void *, size_t, off64_t);
    if (!real)
        real = (ssize_t (*)(int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, "pwrite64");
    return real(fd, data, cut(size), place);
}
