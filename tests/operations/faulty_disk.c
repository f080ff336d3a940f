/* A disk that fails on request, for one process: preloaded between a program and the C library.
 *
 * Which files are meant and what happens to them stands in the file that FAULTY_DISK names, as one line that is looked at
 * before every operation: "<what> <part of a path>", or nothing. What is one of
 *
 *   full    writing finds no room
 *   broken  syncing fails
 *   slow    syncing takes 300 ms
 *   stuck   syncing does not return before the file says something else
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static int is_asked(const char *what, int fd) {
  const char *order_path = getenv("FAULTY_DISK");
  char order[256] = "", kind[16] = "", part[200] = "", link[64], path[4096];
  int order_fd = order_path ? open(order_path, O_RDONLY | O_CLOEXEC) : -1;
  if (order_fd < 0) return 0;
  ssize_t length = read(order_fd, order, sizeof order - 1);
  close(order_fd);
  if (length <= 0 || sscanf(order, "%15s %199s", kind, part) != 2 || strcmp(kind, what) != 0) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  length = readlink(link, path, sizeof path - 1);
  if (length <= 0) return 0;
  path[length] = 0;
  return strstr(path, part) != NULL;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define FULL_OR(call)                                                                                                      \
  do {                                                                                                                     \
    if (is_asked("full", fd)) {                                                                                            \
      errno = ENOSPC;                                                                                                      \
      return -1;                                                                                                           \
    }                                                                                                                      \
    return call;                                                                                                           \
  } while (0)

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) {
  FULL_OR(NEXT(pwrite64)(fd, bytes, length, offset));
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) {
  FULL_OR(NEXT(pwrite)(fd, bytes, length, offset));
}

ssize_t write(int fd, const void *bytes, size_t length) {
  FULL_OR(NEXT(write)(fd, bytes, length));
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
  FULL_OR(NEXT(writev)(fd, parts, count));
}

static int synced(int fd, int (*sync)(int)) {
  if (is_asked("broken", fd)) {
    errno = EIO;
    return -1;
  }
  if (is_asked("slow", fd)) usleep(300 * 1000);
  while (is_asked("stuck", fd)) usleep(10 * 1000);
  return sync(fd);
}

int fsync(int fd) { return synced(fd, NEXT(fsync)); }

int fdatasync(int fd) { return synced(fd, NEXT(fdatasync)); }
