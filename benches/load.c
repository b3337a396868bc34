/* The load of benches/peers.sh, dashboard.py and wire_cost.py.
 *   load opens DIR SECONDS [RATE]
 *                                opens and closes 100 files of DIR in turn, RATE a second or as fast
 *                                as it can; prints: us/pair, pairs
 *   load short DIR SECONDS RATE  the same by processes that end after 100 opens each, one after the other
 *   load send ADDRESS SECONDS    sends 18-byte UDP payloads as fast as it can; prints: packets/s
 *   load sink SECONDS            owns the port and never reads, so that no ICMP answers
 *   load frames INTERFACE MAC rx|tx ADDRESSES RATE SECONDS
 *                                sends frames of 60 bytes to MAC, RATE a second, through the queueing
 *                                layer; rx: from ADDRESSES addresses in turn, from 10.1.0.0 on, to
 *                                10.0.0.1; tx: from 10.0.0.1 to as many from 10.2.0.0 on; prints: sent */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FILES 100
#define BATCH 64
#define PORT 7777
#define FRAME 60

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

static void open_all(char paths[FILES][4096])
{
	int i, fd;

	for (i = 0; i < FILES; i++) {
		fd = open(paths[i], O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			die(paths[i]);
		close(fd);
	}
}

static void open_all_in_child(char paths[FILES][4096])
{
	pid_t child = fork();
	int status;

	if (child < 0)
		die("fork");
	if (child == 0) {
		open_all(paths);
		_exit(0);
	}
	if (waitpid(child, &status, 0) < 0 || status)
		die("a child's opens");
}

static void opens(const char *dir, double seconds, double rate, int in_children)
{
	static char paths[FILES][4096];
	unsigned long pairs = 0;
	double start, end, due;
	int i, fd;

	for (i = 0; i < FILES; i++) {
		snprintf(paths[i], sizeof(paths[i]), "%s/file%02d", dir, i);
		fd = open(paths[i], O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0)
			die(paths[i]);
		close(fd);
	}
	prctl(PR_SET_TIMERSLACK, 1000);
	start = now();
	do {
		due = rate > 0 ? start + pairs / rate - now() : 0;
		if (due > 0)
			usleep(due * 1e6);
		if (in_children)
			open_all_in_child(paths);
		else
			open_all(paths);
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

/* Ethernet, IPv4, UDP and padding; the addresses follow. */
static void write_frame(unsigned char *frame, const unsigned char *to, const unsigned char *from)
{
	static const unsigned char udp_header[8] = { PORT >> 8,	  PORT & 0xff, PORT >> 8,
						     PORT & 0xff, 0,	       26 };
	static const unsigned char ip_header[12] = { 0x45, 0, 0, 46, 0, 0, 0x40, 0, 64, 17 };

	memset(frame, 0, FRAME);
	memcpy(frame, to, 6);
	memcpy(frame + 6, from, 6);
	frame[12] = 8;
	memcpy(frame + 14, ip_header, sizeof(ip_header));
	memcpy(frame + 34, udp_header, sizeof(udp_header));
}

static void address_frame(unsigned char *frame, int tx, unsigned int n)
{
	unsigned int here = htonl(0x0a000001);
	unsigned int there = htonl((tx ? 0x0a020000 : 0x0a010000) + n);
	unsigned char *ip = frame + 14;
	unsigned long sum = 0;
	int i;

	memcpy(ip + 12, tx ? &here : &there, 4);
	memcpy(ip + 16, tx ? &there : &here, 4);
	ip[10] = ip[11] = 0;
	for (i = 0; i < 20; i += 2)
		sum += ip[i] << 8 | ip[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~(sum + (sum >> 16)) & 0xffff;
	ip[10] = sum >> 8;
	ip[11] = sum & 0xff;
}

static void send_frames(char **argv)
{
	static unsigned char frames[BATCH][FRAME];
	struct sockaddr_ll here = { .sll_family = AF_PACKET,
				    .sll_ifindex = if_nametoindex(argv[0]) };
	socklen_t length = sizeof(here);
	unsigned int addresses = atoi(argv[3]), next = 0;
	double rate = atof(argv[4]), seconds = atof(argv[5]), start, due;
	int fd = socket(AF_PACKET, SOCK_RAW, 0), tx = !strcmp(argv[2], "tx"), i;
	struct mmsghdr messages[BATCH] = {};
	struct iovec parts[BATCH];
	unsigned char mac[6];
	unsigned long sent = 0;

	if (fd < 0 || bind(fd, (struct sockaddr *)&here, sizeof(here)) ||
	    getsockname(fd, (struct sockaddr *)&here, &length))
		die(argv[0]);
	if (sscanf(argv[1], "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", mac, mac + 1, mac + 2, mac + 3,
		   mac + 4, mac + 5) != 6)
		die(argv[1]);
	prctl(PR_SET_TIMERSLACK, 1000);
	for (i = 0; i < BATCH; i++) {
		write_frame(frames[i], mac, here.sll_addr);
		parts[i] = (struct iovec){ frames[i], FRAME };
		messages[i].msg_hdr.msg_iov = &parts[i];
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	start = now();
	while (now() - start < seconds) {
		due = start + sent / rate - now();
		if (due > 0)
			usleep(due * 1e6);
		for (i = 0; i < BATCH; i++, next++)
			address_frame(frames[i], tx, next % addresses);
		for (i = 0; i < BATCH;) {
			int n = sendmmsg(fd, messages + i, BATCH - i, 0);

			if (n > 0)
				i += n;
		}
		sent += BATCH;
	}
	printf("%lu\n", sent);
}

int main(int argc, char **argv)
{
	if ((argc == 4 || argc == 5) && !strcmp(argv[1], "opens"))
		opens(argv[2], atof(argv[3]), argc == 5 ? atof(argv[4]) : 0, 0);
	else if (argc == 5 && !strcmp(argv[1], "short"))
		opens(argv[2], atof(argv[3]), atof(argv[4]), 1);
	else if (argc == 4 && !strcmp(argv[1], "send"))
		send_packets(argv[2], atof(argv[3]));
	else if (argc == 3 && !strcmp(argv[1], "sink"))
		sink(atof(argv[2]));
	else if (argc == 8 && !strcmp(argv[1], "frames"))
		send_frames(argv + 2);
	else
		return fprintf(stderr, "usage: load opens|short|send|sink|frames …\n"), 2;
	return 0;
}
