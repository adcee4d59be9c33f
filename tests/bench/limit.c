// The least that a scan can cost: getdents64 and statx, nothing kept. limit ROOT [THREADS]
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { BUFFER = 1 << 18, MOST_THREADS = 64 };

struct record {
    uint64_t inode;
    int64_t offset;
    unsigned short length;
    unsigned char type;
    char name[];
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static char **waiting;
static size_t count, room, busy;
static uint64_t files, directories, mixed;

static void push(char *path) {
    pthread_mutex_lock(&mutex);
    if (count == room) waiting = realloc(waiting, (room = room ? room * 2 : 1024) * sizeof *waiting);
    waiting[count++] = path;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&mutex);
}

static char *joined(const char *parent, const char *name) {
    size_t length = strlen(parent), more = strlen(name);
    char *path = malloc(length + more + 2);
    memcpy(path, parent, length);
    path[length] = '/';
    memcpy(path + length + 1, name, more + 1);
    return path;
}

static void scan(const char *path, char *buffer, uint64_t *found, uint64_t *mix) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return;
    for (long end; (end = syscall(SYS_getdents64, fd, buffer, BUFFER)) > 0;) {
        for (long at = 0; at < end;) {
            struct record *entry = (void *)(buffer + at);
            at += entry->length;
            if (!strcmp(entry->name, ".") || !strcmp(entry->name, "..")) continue;
            if (entry->type == DT_DIR) {
                push(joined(path, entry->name));
                continue;
            }
            struct statx seen;
            if (statx(fd, entry->name, AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC,
                      STATX_TYPE | STATX_SIZE | STATX_MTIME | STATX_CTIME, &seen)) continue;
            ++*found;
            *mix ^= seen.stx_size ^ seen.stx_mtime.tv_nsec ^ seen.stx_ctime.tv_nsec;
        }
    }
    close(fd);
}

static void *work(void *unused) {
    char *buffer = malloc(BUFFER);
    uint64_t found = 0, mix = 0, opened = 0;
    pthread_mutex_lock(&mutex);
    for (;;) {
        while (!count && busy) pthread_cond_wait(&changed, &mutex);
        if (!count) break;
        char *path = waiting[--count];
        busy++;
        pthread_mutex_unlock(&mutex);
        scan(path, buffer, &found, &mix);
        opened++;
        free(path);
        pthread_mutex_lock(&mutex);
        busy--;
    }
    pthread_cond_broadcast(&changed);
    files += found, directories += opened, mixed ^= mix;
    pthread_mutex_unlock(&mutex);
    free(buffer);
    return unused;
}

int main(int argc, char **argv) {
    if (argc < 2) return 64;
    int threads = argc > 2 ? atoi(argv[2]) : 1;
    pthread_t others[MOST_THREADS];
    push(strdup(argv[1]));
    for (int n = 1; n < threads && n < MOST_THREADS; n++) pthread_create(&others[n], 0, work, 0);
    work(0);
    for (int n = 1; n < threads && n < MOST_THREADS; n++) pthread_join(others[n], 0);
    printf("%lu files in %lu directories (%lx)\n", files, directories, mixed);
    return 0;
}
