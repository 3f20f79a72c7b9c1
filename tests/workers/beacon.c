/* Says by datagram that it runs, and waits: beacon SOCKET_PATH
 *
 * The path may also be in the environment as BEACON, which is for a supervisor that gives its programs no words of
 * ours.
 * The datagram is two 64-bit integers in the machine's byte order: pid, and CLOCK_MONOTONIC in nanoseconds as the
 * first thing main() read. Small on purpose: what is measured with it is the supervisor, not the start of a program.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t said[2] = {getpid(), (int64_t)now.tv_sec * 1000000000 + now.tv_nsec};
    struct sockaddr_un where = {.sun_family = AF_UNIX};
    const char *path = getenv("BEACON");
    if (path == NULL && argc == 2)
        path = argv[1];
    if (path == NULL || strlen(path) >= sizeof where.sun_path)
        return 2;
    strcpy(where.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    if (fd < 0 || sendto(fd, said, sizeof said, 0, (struct sockaddr *)&where, sizeof where) != sizeof said)
        return 3;
    close(fd);
    for (;;)
        pause();
}
