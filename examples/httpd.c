/* SPDX-License-Identifier: MIT */
/*
 * An HTTP/1.1 server for the files of a folder: GET and HEAD, connections that stay open, requests that
 * follow each other without waiting. One thread, and one sending of one chain for each connection:
 *
 *   again and again: take what has come; open the file, if it is not open; read a piece; send it
 *
 * The kernel keeps paths inside the folder (openat2, RESOLVE_BENEATH). Memory is CONNECTIONS structures
 * at most, and descriptors are shared out at the start: one for each connection, one for the file that it
 * is sent, the rest for files that are remembered. When all connections are in use the one that was silent
 * for longest has to go: no request was whole, and its client took nothing of an answer. If descriptors are
 * missing all the same, remembered files are given up, and the next client waits for a moment.
 */
#define _GNU_SOURCE 1 /* O_PATH */
#include "httpd.h"
#include "shown.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS 1024u
#define REST_MAX (1u << 20)    /* bytes that are still taken after the last answer */
#define DESCRIPTORS_OTHERS 16u /* the listener, the queue's, and some to spare */
#define PAUSE_NS 100000000u
#define RATE_MIN 256u /* bytes a second: who takes less of an answer counts as silent */
#define STALL_NS UINT64_C(5000000000) /* an answer may stand still for so long */

/* The parameter of a sending: words that its steps load and store, and the rest. */
struct connection {
	int64_t fd;
	char *free;   /* in `request`, where more bytes go, ... */
	int64_t room; /* ... how many, ... */
	int64_t wait; /* ... and recv's flags: wait for them, or take what is there */
	int64_t file_fd;
	char *body;	/* in `answer`, where the next piece of the file goes, ... */
	int64_t offset; /* ... and where it is in the file */
	struct file *file;
	bool busy; /* with an answer */
	bool in_use;
	size_t have;   /* bytes in `request` */
	int64_t left;  /* of the file, the next piece included */
	int64_t piece; /* bytes of it */
	struct stat st;
	_Atomic uint64_t active_ns;
	uint64_t acked; /* bytes that its client had taken when that was looked at last */
	asys_id sending;
	struct connection *next; /* unused ones */
	struct exchange exchange;
	char request[REQUEST_SIZE];
	char answer[ANSWER_SIZE];
};

static struct {
	struct asys_queue *q;
	struct asys_chain *chain, *pause;
	int root, listener, signals;
	bool accepting, pausing;
	struct connection *all, *unused;
	unsigned open, most;
} s;

/* What stands between the calls */

static struct connection *connection_of(const uint64_t arg[6])
{
	return (struct connection *)(uintptr_t)arg[0];
}

/* The first request, if it is whole, or is too large ever to be. */
static bool next_request(struct connection *k)
{
	size_t nothing = empty_lines(k->request, k->have);

	k->have -= nothing;
	memmove(k->request, k->request + nothing, k->have);
	k->exchange.size = request_size(k->request, k->have);
	return k->exchange.size || k->have == REQUEST_SIZE;
}

/* (connection, bytes that came): 1 if a file must be opened, else 0. */
static int64_t take(const uint64_t arg[6])
{
	struct connection *k = connection_of(arg);
	struct exchange *x = &k->exchange;
	int64_t came = (int64_t)arg[1];

	if (came > 0)
		k->have += (size_t)came;
	if (k->busy)
		return 0;
	if (!next_request(k))
		return came > 0 ? 0 : -ECONNRESET;
	k->active_ns = asys_now();
	k->busy = true;
	k->left = k->piece = k->offset = 0;
	exchange_take(x, k->request, k->have);
	if (!x->status)
		k->file = file_find(x->path, k->active_ns);
	return !x->status && !k->file;
}

/* Of a file that could not be opened. */
static int status_of(int64_t err)
{
	switch (-err) {
	case ENOENT:
	case ENOTDIR:
	case ENAMETOOLONG:
	case EXDEV: /* it leads out of the folder */
	case ENXIO:
	case ENODEV:
		return 404;
	case EACCES:
	case EPERM:
	case ELOOP:
		return 403;
	case EMFILE:
	case ENFILE:
		files_give_back();
		return 503;
	case EAGAIN: /* something was renamed meanwhile */
	case ENOMEM:
		return 503;
	default:
		return 500;
	}
}

/* Of what was opened and is no file. */
static int status_of_other(const struct connection *k)
{
	if (!S_ISDIR(k->st.st_mode))
		return 403;
	return k->exchange.folder ? 404 : 301;
}

/* The file was opened, or not: what will be the answer? */
static void begin_answer(struct connection *k, int64_t opened, int64_t looked)
{
	struct exchange *x = &k->exchange;

	if (opened >= 0 && looked >= 0 && S_ISREG(k->st.st_mode)) {
		k->file = file_add(x->path, k->active_ns, (int)opened, &k->st);
	} else if (!x->status && !k->file) {
		x->status = opened < 0 ? status_of(opened) :
			    looked < 0 ? status_of(looked) :
					 status_of_other(k);
		if (opened >= 0)
			close((int)opened);
	}
	if (!x->status)
		x->status = k->file ? 200 : 500;
	k->body = k->answer + exchange_head(x, k->file ? k->file->lines : NULL, k->answer);
	if (k->file) {
		k->file_fd = k->file->fd;
		k->left = x->head ? 0 : k->file->size;
	}
	if (k->left && file_copy(k->file, k->body)) {
		k->body += k->left;
		k->left = 0;
	}
}

/* (connection, open's result, fstat's result): bytes to read for the next piece. */
static int64_t next_piece(const uint64_t arg[6])
{
	struct connection *k = connection_of(arg);

	if (!k->busy)
		return 0;
	if (k->offset)
		k->body = k->answer;
	else
		begin_answer(k, (int64_t)arg[1], (int64_t)arg[2]);
	k->piece = k->left < BODY_SIZE ? k->left : BODY_SIZE;
	return k->piece;
}

/*
 * The first piece has fewer bytes than the file was said to have, or could not be read, and nothing was
 * said of that yet: the answer is begun anew.
 */
static void begin_again(struct connection *k, int64_t got)
{
	struct exchange *x = &k->exchange;
	char lines[LINES_SIZE];
	size_t head;

	file_forget(k->file);
	k->piece = k->left = got < 0 ? 0 : got;
	if (got < 0) {
		x->status = 500;
		k->body = k->answer + exchange_head(x, NULL, k->answer);
		return;
	}
	file_lines(lines, x->path, got);
	memmove(k->answer + HEAD_SIZE, k->body, (size_t)got);
	head = exchange_head(x, lines, k->answer);
	k->body = memmove(k->answer + head, k->answer + HEAD_SIZE, (size_t)got);
}

/* (connection, bytes read): bytes to send, from `answer` on. */
static int64_t piece_ready(const uint64_t arg[6])
{
	struct connection *k = connection_of(arg);

	if (!k->busy)
		return 0;
	if (k->piece && (int64_t)arg[1] != k->piece) {
		if (k->offset)
			return -EIO; /* the file has become shorter than was promised */
		begin_again(k, (int64_t)arg[1]);
	} else if (k->piece && k->piece == k->file->size) {
		file_keep(k->file, k->body);
	}
	return k->body + k->piece - k->answer;
}

/* (connection, bytes sent): 1 to go on, 0 for the end. */
static int64_t piece_sent(const uint64_t arg[6])
{
	struct connection *k = connection_of(arg);
	bool keep = true;

	if (k->busy) {
		if ((int64_t)arg[1] < 0)
			return (int64_t)arg[1];
		k->active_ns = asys_now();
		k->left -= k->piece;
		k->offset += k->piece;
		k->busy = k->left > 0;
		if (!k->busy) {
			file_put(k->file);
			k->file = NULL;
			keep = k->exchange.keep;
			k->have -= k->exchange.size ? k->exchange.size : k->have;
			memmove(k->request, k->request + k->exchange.size, k->have);
		}
	}
	k->free = k->request + k->have;
	k->room = (int64_t)(REQUEST_SIZE - k->have);
	k->wait = k->busy || next_request(k) ? MSG_DONTWAIT : 0;
	return keep;
}

/* The chain */

#define AT(field) asys_plus(c, k, offsetof(struct connection, field))
#define GET(field) asys_load(c, AT(field))

static const struct open_how how = {
	.flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY,
	.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
};

/* Parameter: the connection. */
static void build(struct asys_chain *c)
{
	asys_id k = asys_param(c, 0);

	asys_chain_loop(c, UINT32_MAX);
	asys_id came = asys_recvfrom(asys_may_fail(c), GET(fd), GET(free), GET(room), GET(wait),
				     NULL, NULL);
	asys_id new = asys_chain_compute(asys_after(c, came), take, k, came);
	asys_id file = asys_openat2(asys_may_fail(asys_when(c, new, ASYS_POSITIVE)), s.root,
				    AT(exchange.path), &how, sizeof(how));
	asys_id looked = asys_fstat(asys_may_fail(c), file, AT(st));
	asys_after(asys_after(asys_after_ok(c, new), file), looked);
	asys_id size = asys_chain_compute(c, next_piece, k, file, looked);
	asys_id got = asys_pread64(asys_may_fail(asys_full(asys_when(c, size, ASYS_POSITIVE))),
				   GET(file_fd), GET(body), size, GET(offset));
	asys_after(asys_after_ok(c, size), got);
	asys_id ready = asys_chain_compute(c, piece_ready, k, got);
	asys_id sent = asys_sendto(asys_full(asys_when(c, ready, ASYS_POSITIVE)), GET(fd),
				   AT(answer), ready, MSG_NOSIGNAL, NULL, 0);
	asys_after(asys_after_ok(c, ready), sent);
	asys_id more = asys_chain_compute(c, piece_sent, k, sent);
	asys_id served = asys_chain_while(c, more, ASYS_POSITIVE);

	/* A client that is still sending would not see the last answer if its words were refused. */
	asys_id said = asys_shutdown(asys_after_ok(c, served), GET(fd), SHUT_WR);
	asys_chain_loop(asys_after_ok(c, said), REST_MAX / REQUEST_SIZE);
	asys_id rest = asys_recvfrom(c, GET(fd), AT(request), REQUEST_SIZE, 0, NULL, NULL);
	asys_chain_while(c, rest, ASYS_POSITIVE);

	asys_chain_finally(c);
	asys_close(c, GET(fd));
	asys_chain_end(c);
}

/* Connections */

/* For a moment no client is accepted. */
static void pause_accepting(void)
{
	s.pausing = true;
	asys_chain_send(asys_user(s.q, (uintptr_t)&s.pausing), s.pause);
}

/* Its client has taken some of an answer since this was looked at, or since the last piece of it. */
static bool has_moved(struct connection *k)
{
	uint64_t now = asys_now(), ns = now - k->active_ns, bytes;
	struct tcp_info info = { 0 };
	socklen_t size = sizeof(info);

	if (getsockopt((int)k->fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0)
		return false;
	bytes = info.tcpi_bytes_acked - k->acked;
	k->acked = info.tcpi_bytes_acked;
	if (bytes * 1000000000u <= RATE_MIN * ns)
		return false;
	k->active_ns = now;
	return true;
}

/* May be ended for another: not in the middle of an answer that its client has taken some of lately. What
 * the client's kernel has taken for it is not seen, so a slow reader may look silent for a while. */
static bool is_silent(const struct connection *k)
{
	return k->in_use && (!__atomic_load_n(&k->busy, __ATOMIC_RELAXED) ||
			     asys_now() - k->active_ns > STALL_NS);
}

/* The one that was silent for longest; false: none is silent. */
static bool end_oldest(void)
{
	for (unsigned tries = 0; tries < s.most; tries++) {
		struct connection *oldest = NULL;

		for (unsigned n = 0; n < s.most; n++)
			if (is_silent(&s.all[n]) &&
			    (!oldest || s.all[n].active_ns < oldest->active_ns))
				oldest = &s.all[n];
		if (!oldest)
			return false;
		if (!has_moved(oldest)) {
			asys_queue_cancel(s.q, oldest->sending);
			return true;
		}
	}
	return false;
}

static void accept_next(void)
{
	if (s.accepting || s.pausing)
		return;
	s.accepting = s.open < s.most;
	if (s.accepting)
		asys_accept4(asys_user(s.q, (uintptr_t)&s.listener), s.listener, NULL, NULL,
			     SOCK_CLOEXEC);
	else if (!end_oldest())
		pause_accepting();
}

static void begin(int fd)
{
	struct connection *k = s.unused;

	s.unused = k->next;
	s.open++;
	k->fd = fd;
	k->have = 0;
	k->busy = false;
	k->free = k->request;
	k->room = REQUEST_SIZE;
	k->wait = 0;
	k->in_use = true;
	k->acked = 0;
	k->active_ns = asys_now();
	k->sending = asys_chain_send(asys_user(s.q, (uintptr_t)k), s.chain, k);
}

static void accepted(int64_t fd)
{
	s.accepting = false;
	if (fd >= 0) {
		begin((int)fd);
	} else if (fd != -ECONNABORTED && fd != -EPROTO) {
		/* The client still waits to be accepted: asked at once, the kernel would say the same. */
		files_give_back();
		pause_accepting();
	}
	accept_next();
}

static void ended(struct connection *k)
{
	file_put(k->file);
	k->file = NULL;
	k->in_use = false;
	k->next = s.unused;
	s.unused = k;
	s.open--;
	accept_next();
}

/* Until a signal asks for the end. */
static int serve(void)
{
	struct signalfd_siginfo info;
	struct asys_event events[256];
	int n;

	asys_read(asys_user(s.q, (uintptr_t)&s.signals), s.signals, &info, sizeof(info));
	accept_next();
	for (;;) {
		n = asys_queue_get_many(s.q, events, 256, 1, ASYS_FOREVER);
		if (n < 0 && n != -EINTR)
			return n;
		for (int e = 0; e < n; e++) {
			void *who = (void *)(uintptr_t)events[e].user;

			if (who == &s.signals)
				return 0;
			if (who == &s.listener) {
				accepted(events[e].result);
			} else if (who == &s.pausing) {
				s.pausing = false;
				accept_next();
			} else {
				ended(who);
			}
		}
	}
}

/* Beginning and end */

/* Descriptors that are not in use; `enough` if there are more. */
static unsigned unused_descriptors(unsigned enough)
{
	struct rlimit files;
	unsigned unused = 0;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return 0;
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	for (rlim_t fd = 0; fd < files.rlim_cur && unused < enough; fd++)
		unused += fcntl((int)fd, F_GETFD) < 0;
	return unused;
}

/* 0 or -1. */
static int make_connections(void)
{
	const unsigned wanted = 2 * CONNECTIONS + FILES_MAX;
	unsigned room = unused_descriptors(wanted + DESCRIPTORS_OTHERS), files;

	if (room < DESCRIPTORS_OTHERS + 5)
		return -1;
	room -= DESCRIPTORS_OTHERS;
	files = room < wanted ? room / 5 : FILES_MAX;
	files_open(files);
	s.most = (room - files) / 2;
	s.all = calloc(s.most, sizeof(*s.all));
	for (unsigned n = 0; s.all && n < s.most; n++) {
		s.all[n].next = s.unused;
		s.unused = &s.all[n];
	}
	return s.all ? 0 : -1;
}

static int listen_at(const char *address, unsigned port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	socklen_t size = sizeof(at);
	const int on = 1;

	if (inet_pton(AF_INET, address, &at.sin_addr) != 1) {
		errno = EINVAL; /* it sets none */
		return -1;
	}
	s.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s.listener < 0)
		return -1;
	setsockopt(s.listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(s.listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (bind(s.listener, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    listen(s.listener, 1024) < 0 ||
	    getsockname(s.listener, (struct sockaddr *)&at, &size) < 0)
		return -1;
	printf("http://%s:%u/\n", address, ntohs(at.sin_port));
	return fflush(stdout);
}

static int open_queue(void)
{
	struct asys_queue_options options;
	int err;

	asys_queue_options_init(&options);
	options.depth = 2 * CONNECTIONS;
	options.cores = 1;
	err = asys_queue_open(&s.q, &options);
	if (!err)
		err = asys_chain_open(&s.chain, NULL);
	if (!err)
		err = asys_chain_open(&s.pause, NULL);
	if (err)
		return err;
	build(s.chain);
	asys_chain_timer(s.pause, PAUSE_NS);
	err = asys_chain_ready(s.pause);
	return err ? err : asys_chain_ready(s.chain);
}

static int fail(const char *what, const char *why)
{
	fprintf(stderr, "httpd: %s: %s\n", shown(what), why);
	return 1;
}

/* No number, or more than that: 65536. */
static unsigned port_of(const char *text)
{
	unsigned long port;
	char *end;

	if (*text < '0' || *text > '9')
		return 65536;
	port = strtoul(text, &end, 10);
	return *end || port > 65535 ? 65536 : (unsigned)port;
}

int main(int argc, char **argv)
{
	const char *address = "127.0.0.1";
	unsigned port = 8080;
	sigset_t signals;
	int option, err;

	while ((option = getopt(argc, argv, "a:p:")) != -1) {
		if (option == 'a')
			address = optarg;
		else if (option == 'p')
			port = port_of(optarg);
		else
			optind = argc;
	}
	if (optind != argc - 1 || port > 65535) {
		fputs("usage: httpd [-a ADDRESS] [-p PORT] FOLDER\n"
		      "Without options at 127.0.0.1, port 8080; port 0 is any that is free.\n",
		      stderr);
		return 2;
	}
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	s.signals = signalfd(-1, &signals, SFD_CLOEXEC);
	s.root = open(argv[optind], O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (s.root < 0 || s.signals < 0)
		return fail(argv[optind], strerror(errno));
	if (make_connections() < 0)
		return fail("connections", "no memory, or no descriptors");
	/* Before it says where it listens. */
	if (open_queue() < 0)
		return fail("queue", asys_message());
	if (listen_at(address, port) < 0)
		return fail(address, strerror(errno));
	err = serve();
	if (err)
		fail("queue", asys_message());
	asys_queue_close(s.q); /* ends all connections */
	asys_chain_close(s.chain);
	asys_chain_close(s.pause);
	for (unsigned n = 0; n < s.most; n++)
		file_put(s.all[n].file);
	files_give_back();
	free(s.all);
	return err != 0;
}
