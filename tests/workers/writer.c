/* Writes lines as fast as they are taken: writer SOCKET_PATH LINES LENGTH CHUNK
 *
 * Says by datagram that it runs (as beacon does), waits for SIGUSR1, says so again, writes LINES lines to its standard
 * output in pieces of CHUNK bytes, says so once more, and waits to be ended. LENGTH is that of a line with its end; 0
 * makes lines of many lengths, each of which shows by itself whether it is whole: PID NUMBER FILLING PID, the filling
 * NUMBER % 90 bytes long.
 */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static const char *path;

static void say(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t said[2] = {getpid(), (int64_t)now.tv_sec * 1000000000 + now.tv_nsec};
    struct sockaddr_un where = {.sun_family = AF_UNIX};
    strcpy(where.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    if (fd < 0 || sendto(fd, said, sizeof said, 0, (struct sockaddr *)&where, sizeof where) != sizeof said)
        _exit(3);
    close(fd);
}

int main(int argc, char **argv)
{
    if (argc != 5 || strlen(argv[1]) >= sizeof((struct sockaddr_un *)0)->sun_path)
        return 2;
    path = argv[1];
    long lines = atol(argv[2]), length = atol(argv[3]), chunk = atol(argv[4]);
    size_t size = 0, room = (size_t)lines * (length ? length : 130);
    char *block = malloc(room + 1), filling[91];
    if (block == NULL || chunk < 1)
        return 4;
    memset(filling, '=', sizeof filling);
    for (long number = 0; number < lines; number++)
        if (length) {
            memset(block + size, 'x', length - 1);
            block[size + length - 1] = '\n';
            size += length;
        } else
            size += sprintf(block + size, "%d %08ld %.*s %d\n", getpid(), number, (int)(number % 90), filling, getpid());

    sigset_t go;
    int got;
    sigemptyset(&go);
    sigaddset(&go, SIGUSR1);
    sigprocmask(SIG_BLOCK, &go, NULL);
    say();
    sigwait(&go, &got);
    say();
    for (size_t at = 0; at < size;) {
        size_t rest = size - at;
        ssize_t written = write(1, block + at, rest < (size_t)chunk ? rest : (size_t)chunk);
        if (written < 0)
            return 5;
        at += written;
    }
    say();
    for (;;)
        pause();
}
