/* Asks a server without pause until its standard input ends: requester PORT WORKERS
 *
 * So many threads each open a connection to the port on the loopback, send a request, read the answer to its end and
 * begin again after 2 ms. At the end it prints: requests, failures, and the longest answer in microseconds. What is no
 * whole answer is a failure.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define MOST 64
static struct counts {
    long requests, failures, longest;
} counts[MOST];
static struct sockaddr_in server;
static volatile int over;

static int ask(void)
{
    static const char request[] = "GET / HTTP/1.0\r\n\r\n";
    char got[256];
    size_t size = 0;
    ssize_t more = -1;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct timeval patience = {.tv_sec = 10};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(fd, (struct sockaddr *)&server, sizeof server) == 0 &&
        send(fd, request, sizeof request - 1, MSG_NOSIGNAL) == sizeof request - 1)
        while (size < sizeof got && (more = read(fd, got + size, sizeof got - size)) > 0)
            size += more;
    close(fd);
    return more == 0 && size > 3 && memcmp(got + size - 3, "ok\n", 3) == 0;
}

static void *ask_on(void *argument)
{
    struct counts *mine = argument;
    while (!over) {
        struct timespec from, to, pause = {.tv_nsec = 2000000};
        clock_gettime(CLOCK_MONOTONIC, &from);
        mine->failures += !ask();
        clock_gettime(CLOCK_MONOTONIC, &to);
        long taken = (to.tv_sec - from.tv_sec) * 1000000 + (to.tv_nsec - from.tv_nsec) / 1000;
        mine->longest = taken > mine->longest ? taken : mine->longest;
        mine->requests++;
        nanosleep(&pause, NULL);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    int workers = argc == 3 ? atoi(argv[2]) : 0;
    pthread_t threads[MOST];
    if (workers < 1 || workers > MOST)
        return 2;
    server.sin_family = AF_INET;
    server.sin_port = htons(atoi(argv[1]));
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int number = 0; number < workers; number++)
        if (pthread_create(&threads[number], NULL, ask_on, &counts[number]))
            return 3;
    while (getchar() != EOF)
        ;
    over = 1;
    struct counts all = {0};
    for (int number = 0; number < workers; number++) {
        pthread_join(threads[number], NULL);
        all.requests += counts[number].requests;
        all.failures += counts[number].failures;
        all.longest = counts[number].longest > all.longest ? counts[number].longest : all.longest;
    }
    printf("%ld %ld %ld\n", all.requests, all.failures, all.longest);
    return 0;
}
