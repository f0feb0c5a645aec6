/* Calls on files below $FAULTS_ROOT that fail at random, as told by the shared file $FAULTS_CONTROL; see `preload.py`.
 *
 * A failed fsync drops what was written, as a kernel may: a later fsync of the same file succeeds, and the data is gone.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

enum { OPEN = 1, WRITE = 2, FSYNC = 4, RENAME = 8, UNLINK = 16, READ = 32, CLOSE = 64, SHORT = 128 };
struct control { uint32_t per_million, error, calls, done; };
static struct control *control;
static char root[PATH_MAX];
static unsigned seed = 1;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("FAULTS_CONTROL"), *told = getenv("FAULTS_ROOT");
  if (!path || !told || !realpath(told, root)) return;
  int descriptor = REAL(open)(path, O_RDWR);
  if (descriptor < 0) return;
  void *memory = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  REAL(close)(descriptor);
  if (memory != MAP_FAILED) control = memory;
}

static int below(const char *path) { return strncmp(path, root, strlen(root)) == 0; }

static int below_descriptor(int descriptor) {
  char link[40], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return below(path);
}

static int chosen(uint32_t call) {
  if (!control || !(control->calls & call) || !control->per_million) return 0;
  return (uint32_t)(rand_r(&seed) % 1000000) < control->per_million;
}

static int failed(void) { control->done++; errno = (int)control->error; return -1; }

#define OPENS(name)                                                                    \
  int name(const char *path, int flags, ...) {                                         \
    va_list more; va_start(more, flags); mode_t mode = va_arg(more, mode_t); va_end(more); \
    if (chosen(OPEN) && below(path)) return failed();                                  \
    return REAL(name)(path, flags, mode);                                              \
  }
OPENS(open)
OPENS(open64)

ssize_t write(int descriptor, const void *data, size_t count) {
  if (chosen(WRITE) && below_descriptor(descriptor)) return failed();
  if (count > 1 && chosen(SHORT) && below_descriptor(descriptor)) { control->done++; count /= 2; }
  return REAL(write)(descriptor, data, count);
}

ssize_t read(int descriptor, void *data, size_t count) {
  if (chosen(READ) && below_descriptor(descriptor)) return failed();
  return REAL(read)(descriptor, data, count);
}

int fsync(int descriptor) {
  if (chosen(FSYNC) && below_descriptor(descriptor)) {
    if (ftruncate(descriptor, 0)) { /* a folder */ }
    return failed();
  }
  return REAL(fsync)(descriptor);
}

int close(int descriptor) {
  int fails = chosen(CLOSE) && below_descriptor(descriptor);
  int result = REAL(close)(descriptor);
  return fails ? failed() : result;
}

int rename(const char *from, const char *to) {
  if (chosen(RENAME) && below(from)) return failed();
  return REAL(rename)(from, to);
}

int unlink(const char *path) {
  if (chosen(UNLINK) && below(path)) return failed();
  return REAL(unlink)(path);
}
