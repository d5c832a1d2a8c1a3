// Loaded with LD_PRELOAD: lets the n-th call of one kind on files below a folder fail, as a full or broken disk would.
//   IO_FAULT_PREFIX  paths that begin so are meant
//   IO_FAULT_CALL    open, write, pwrite, read, pread, fsync, fdatasync, rename, close or mkdir
//   IO_FAULT_NTH     which of these calls, from 1
//   IO_FAULT_ERRNO   the error; 0 with a write: only half of the bytes are taken
//   IO_FAULT_STICKY  1: all later calls of this kind fail as well
//   IO_FAULT_SECONDS the calls take so much longer and do not fail
//   IO_FAULT_KILL    1: the process dies of SIGKILL instead of the call
// Each failure is a line on stderr that begins with "io_fault:".
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_int num_calls;

static long number_of(const char* name) {
  const char* text = getenv(name);
  return text == NULL ? 0 : strtol(text, NULL, 10);
}

static int fails(const char* call, const char* path) {
  const char* prefix = getenv("IO_FAULT_PREFIX");
  const char* wanted = getenv("IO_FAULT_CALL");
  if (prefix == NULL || wanted == NULL || strcmp(call, wanted) != 0 ||
      strncmp(path, prefix, strlen(prefix)) != 0) {
    return 0;
  }
  const int count = atomic_fetch_add(&num_calls, 1) + 1;
  const long nth = number_of("IO_FAULT_NTH");
  const int is_hit = count == nth || (count > nth && number_of("IO_FAULT_STICKY") == 1);
  const char* seconds = getenv("IO_FAULT_SECONDS");
  if (is_hit && seconds != NULL) {
    usleep((useconds_t)(strtod(seconds, NULL) * 1e6));
    return 0;
  }
  if (is_hit) {
    dprintf(STDERR_FILENO, "io_fault: %s %d of %s\n", call, count, path);
    if (number_of("IO_FAULT_KILL") == 1) {
      raise(SIGKILL);
    }
  }
  return is_hit;
}

static int fails_fd(const char* call, int fd) {
  char link[64];
  char path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t size = readlink(link, path, sizeof path - 1);
  if (size <= 0) {
    return 0;
  }
  path[size] = '\0';
  return fails(call, path);
}

static int fault(void) {
  errno = (int)number_of("IO_FAULT_ERRNO");
  return -1;
}

#define NEXT(type, name) ((type)dlsym(RTLD_NEXT, name))

static int open_with(const char* name, const char* path, int flags, mode_t mode) {
  if (fails("open", path)) {
    return fault();
  }
  return NEXT(int (*)(const char*, int, ...), name)(path, flags, mode);
}

#define OPEN(name)                                \
  int name(const char* path, int flags, ...) {    \
    va_list rest;                                 \
    va_start(rest, flags);                        \
    const mode_t mode = va_arg(rest, mode_t);     \
    va_end(rest);                                 \
    return open_with(#name, path, flags, mode);   \
  }
OPEN(open)
OPEN(open64)

ssize_t write(int fd, const void* bytes, size_t size) {
  if (fails_fd("write", fd)) {
    if (number_of("IO_FAULT_ERRNO") != 0) {
      return fault();
    }
    size = (size + 1) / 2;
  }
  return NEXT(ssize_t (*)(int, const void*, size_t), "write")(fd, bytes, size);
}

#define PWRITE(name)                                                                               \
  ssize_t name(int fd, const void* bytes, size_t size, off_t offset) {                             \
    return fails_fd("pwrite", fd)                                                                  \
               ? fault()                                                                           \
               : NEXT(ssize_t (*)(int, const void*, size_t, off_t), #name)(fd, bytes, size, offset); \
  }
PWRITE(pwrite)
PWRITE(pwrite64)

ssize_t read(int fd, void* bytes, size_t size) {
  return fails_fd("read", fd) ? fault() : NEXT(ssize_t (*)(int, void*, size_t), "read")(fd, bytes, size);
}

#define PREAD(name)                                                                                 \
  ssize_t name(int fd, void* bytes, size_t size, off_t offset) {                                    \
    return fails_fd("pread", fd)                                                                    \
               ? fault()                                                                            \
               : NEXT(ssize_t (*)(int, void*, size_t, off_t), #name)(fd, bytes, size, offset);      \
  }
PREAD(pread)
PREAD(pread64)

int fsync(int fd) {
  return fails_fd("fsync", fd) ? fault() : NEXT(int (*)(int), "fsync")(fd);
}

int fdatasync(int fd) {
  return fails_fd("fdatasync", fd) ? fault() : NEXT(int (*)(int), "fdatasync")(fd);
}

// The file is closed all the same, as the kernel does it.
int close(int fd) {
  const int is_fault = fails_fd("close", fd);
  const int result = NEXT(int (*)(int), "close")(fd);
  return is_fault ? fault() : result;
}

int rename(const char* from, const char* to) {
  return fails("rename", from) ? fault() : NEXT(int (*)(const char*, const char*), "rename")(from, to);
}

int mkdir(const char* path, mode_t mode) {
  return fails("mkdir", path) ? fault() : NEXT(int (*)(const char*, mode_t), "mkdir")(path, mode);
}
