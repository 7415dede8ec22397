/* SPDX-License-Identifier: MIT */
/* One side of a comparison as a process: it waits for an order, measures, and answers. */
#include "harness.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define ANSWER_MS 60000 /* a side that takes longer for a round hangs */
#define TRIAL_ROUNDS 3u

struct answer {
	int32_t err;
	struct bench_cost cost;
	char note[BENCH_NOTE];
};

static void serve(const struct bench_side *side, struct bench_child *child, int sock)
{
	struct answer answer = { 0 };
	uint64_t ops;

	answer.err = side->open(child);
	memcpy(answer.note, child->note, sizeof answer.note);
	if (send(sock, &answer, sizeof answer, MSG_NOSIGNAL) != sizeof answer || answer.err)
		return;
	while (recv(sock, &ops, sizeof ops, 0) == sizeof ops) {
		answer.err = side->round(child, ops, &answer.cost);
		memcpy(answer.note, child->note, sizeof answer.note);
		if (send(sock, &answer, sizeof answer, MSG_NOSIGNAL) != sizeof answer)
			break;
	}
	side->close(child);
}

bool bench_ends_with(int parent)
{
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	return getppid() == parent;
}

static void run_child(const struct bench_side *side, const void *arg, int sock, pid_t parent)
{
	struct bench_child child = { .arg = arg };

	if (bench_ends_with(parent))
		serve(side, &child, sock);
	_exit(0);
}

/* -ETIMEDOUT: hangs. -ECHILD: died. -EINTR: we were asked to stop. */
static int await_answer(struct bench_process *process, struct answer *ret_answer)
{
	struct pollfd pfd = { process->sock, POLLIN, 0 };
	ssize_t n;
	int ready;

	do {
		ready = poll(&pfd, 1, ANSWER_MS);
		if (bench_stopped())
			return -EINTR;
	} while (ready < 0 && errno == EINTR);
	if (ready == 0) {
		snprintf(process->note, sizeof process->note, "no answer within %d s",
			 ANSWER_MS / 1000);
		return -ETIMEDOUT;
	}
	n = recv(process->sock, ret_answer, sizeof *ret_answer, 0);
	if (n != sizeof *ret_answer) {
		siginfo_t info = { 0 };

		if (!waitid(P_PID, (id_t)process->pid, &info, WEXITED | WNOWAIT))
			snprintf(process->note, sizeof process->note, "its process died (%s %d)",
				 info.si_code == CLD_EXITED ? "exit code" : "signal",
				 info.si_status);
		return -ECHILD;
	}
	memcpy(process->note, ret_answer->note, sizeof process->note);
	return ret_answer->err;
}

int bench_process_start(const struct bench_side *side, const void *arg,
			struct bench_process *ret_process)
{
	struct answer answer;
	pid_t parent = getpid(), pid;
	int socks[2], err;

	ret_process->note[0] = 0;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks))
		return -errno;
	fflush(NULL);
	pid = fork();
	if (pid < 0) {
		err = -errno;
		close(socks[0]);
		close(socks[1]);
		return err;
	}
	if (pid == 0) {
		close(socks[0]);
		run_child(side, arg, socks[1], parent);
	}
	close(socks[1]);
	ret_process->pid = pid;
	ret_process->sock = socks[0];
	err = await_answer(ret_process, &answer);
	if (err) {
		char note[BENCH_NOTE];

		memcpy(note, ret_process->note, sizeof note);
		bench_process_stop(ret_process);
		memcpy(ret_process->note, note, sizeof note);
	}
	return err;
}

int bench_process_round(struct bench_process *process, uint64_t ops, struct bench_cost *ret_cost)
{
	struct answer answer;
	int err;

	if (send(process->sock, &ops, sizeof ops, MSG_NOSIGNAL) != sizeof ops && errno != EPIPE)
		return -errno;
	err = await_answer(process, &answer);
	if (err)
		return err;
	*ret_cost = answer.cost;
	return answer.cost.ops && answer.cost.ns ? 0 : -EPROTO;
}

/* Lets the side end by itself (it removes what it made), and kills it if it does not. */
void bench_process_stop(struct bench_process *process)
{
	struct pollfd pfd = { process->sock, 0, 0 };

	shutdown(process->sock, SHUT_WR);
	while (poll(&pfd, 1, bench_stopped() ? 0 : 10000) < 0 && errno == EINTR)
		;
	if (!(pfd.revents & POLLHUP))
		kill(process->pid, SIGKILL);
	close(process->sock);
	while (waitpid(process->pid, NULL, 0) < 0 && errno == EINTR)
		;
}

int bench_fastest(struct bench_child *child, unsigned len, uint64_t ops,
		  int (*use)(struct bench_child *child, unsigned variant),
		  int (*round)(struct bench_child *child, uint64_t ops, struct bench_cost *cost))
{
	double best = 0;
	int fastest = -EINVAL, err = 0;

	for (unsigned v = 0; v < len; v++) {
		double least = 0;

		err = use(child, v);
		/* One more than counts: the first one warms up. */
		for (unsigned r = 0; r <= TRIAL_ROUNDS && !err; r++) {
			struct bench_cost cost = { 0, 0 };
			double per;

			err = round(child, ops, &cost);
			per = err ? 0 : (double)cost.ns / (double)cost.ops;
			if (r > 0 && (r == 1 || per < least))
				least = per;
		}
		if (err) {
			if (fastest < 0)
				fastest = err;
			continue;
		}
		if (fastest < 0 || least < best) {
			best = least;
			fastest = (int)v;
		}
	}
	if (fastest >= 0 && (err = use(child, (unsigned)fastest)))
		return err;
	return fastest;
}
