/* Answers requests on a listening socket that it was handed: responder SOCKET_PATH FD
 *
 * Says by datagram that it runs (as beacon does), then answers one request for each connection. SIGTERM ends it once
 * the request in hand has been answered, as a server should.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static const char answer[] = "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nok\n";
static volatile sig_atomic_t ending;

static void end(int signum)
{
    (void)signum;
    ending = 1;
}

int main(int argc, char **argv)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t said[2] = {getpid(), (int64_t)now.tv_sec * 1000000000 + now.tv_nsec};
    struct sockaddr_un where = {.sun_family = AF_UNIX};
    if (argc != 3 || strlen(argv[1]) >= sizeof where.sun_path)
        return 2;
    strcpy(where.sun_path, argv[1]);
    int listening = atoi(argv[2]);

    /* SIGTERM comes only while nothing is in hand. */
    sigset_t blocked, waiting;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigprocmask(SIG_BLOCK, &blocked, &waiting);
    sigdelset(&waiting, SIGTERM);
    sigaction(SIGTERM, &(struct sigaction){.sa_handler = end}, NULL);
    if (fcntl(listening, F_SETFL, fcntl(listening, F_GETFL) | O_NONBLOCK) < 0)
        return 4;

    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    if (fd < 0 || sendto(fd, said, sizeof said, 0, (struct sockaddr *)&where, sizeof where) != sizeof said)
        return 3;
    close(fd);
    while (!ending) {
        struct pollfd ready = {.fd = listening, .events = POLLIN};
        if (ppoll(&ready, 1, NULL, &waiting) <= 0)
            continue;
        int connection = accept(listening, NULL, NULL);
        if (connection < 0)
            continue; /* another one took it */
        char request[4096];
        if (read(connection, request, sizeof request) > 0)
            (void)!write(connection, answer, sizeof answer - 1);
        close(connection);
    }
    return 0;
}
