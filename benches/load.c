/* The load of benches/peers.sh.
 *   load opens DIR SECONDS       opens and closes 100 files of DIR in turn; prints: us/pair, pairs
 *   load send ADDRESS SECONDS    sends 18-byte UDP payloads as fast as it can; prints: packets/s
 *   load sink SECONDS            owns the port and never reads, so that no ICMP answers */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FILES 100
#define BATCH 64
#define PORT 7777

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void opens(const char *dir, double seconds)
{
	static char paths[FILES][4096];
	unsigned long pairs = 0;
	double start, end;
	int i, fd;

	for (i = 0; i < FILES; i++) {
		snprintf(paths[i], sizeof(paths[i]), "%s/file%02d", dir, i);
		fd = open(paths[i], O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0)
			die(paths[i]);
		close(fd);
	}
	start = now();
	do {
		for (i = 0; i < FILES; i++) {
			fd = open(paths[i], O_RDONLY | O_CLOEXEC);
			if (fd < 0)
				die(paths[i]);
			close(fd);
		}
		pairs += FILES;
		end = now();
	} while (end - start < seconds);
	printf("%.3f %lu\n", (end - start) * 1e6 / pairs, pairs);
}

static int udp(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (fd < 0)
		die("socket");
	return fd;
}

static void send_packets(const char *address, double seconds)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	struct mmsghdr messages[BATCH] = {};
	char payload[18] = {};
	struct iovec part = { .iov_base = payload, .iov_len = sizeof(payload) };
	unsigned long sent = 0;
	double start, end;
	int fd = udp(), i;

	if (inet_pton(AF_INET, address, &to.sin_addr) != 1)
		die(address);
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)))
		die("connect");
	for (i = 0; i < BATCH; i++) {
		messages[i].msg_hdr.msg_iov = &part;
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	start = now();
	do {
		int n = sendmmsg(fd, messages, BATCH, 0);

		if (n > 0)
			sent += n;
		end = now();
	} while (end - start < seconds);
	printf("%.0f\n", sent / (end - start));
}

static void sink(double seconds)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	int fd = udp();

	if (bind(fd, (struct sockaddr *)&at, sizeof(at)))
		die("bind");
	usleep(seconds * 1e6);
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "opens"))
		opens(argv[2], atof(argv[3]));
	else if (argc == 4 && !strcmp(argv[1], "send"))
		send_packets(argv[2], atof(argv[3]));
	else if (argc == 3 && !strcmp(argv[1], "sink"))
		sink(atof(argv[2]));
	else
		return fprintf(stderr, "usage: load opens|send|sink …\n"), 2;
	return 0;
}
