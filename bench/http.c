/* SPDX-License-Identifier: MIT */
/*
 * Requests per second of two file servers: examples/httpd and nginx with one worker.
 *
 * Both serve the same 64 files of 1 to 16 KiB on the loopback interface, each as a process of its own
 * on the first core, and take turns; the one that does not is idle. wrk, on the second core, asks for
 * one file after the other over 256 connections that stay open. Before a server is measured, each
 * file is fetched once and compared; during it, every answer must be good. nginx has its descriptors
 * cached and logs nothing, and sends files by sendfile or from buffers, whichever is faster here.
 *
 * The note says how busy its core the server kept: if that is far from 100 %, it was wrk that could
 * do no more, and the ratio says little.
 */
#include "http.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONNECTIONS "256"
#define ROUNDS_PER 3u /* of the harness: ours are longer */
#define WRK_CORE 1
#define VARIANTS 3u

static const struct {
	const char *name, *lines;
} variants[VARIANTS] = {
	{ "sendfile, tcp_nopush", "sendfile on; tcp_nopush on;" },
	{ "sendfile", "sendfile on; tcp_nopush off;" },
	{ "no sendfile", "sendfile off; output_buffers 1 32k; postpone_output 1460;" },
};

static int server_open(struct bench_child *child)
{
	struct http_server *s = calloc(1, sizeof *s);

	child->state = s;
	if (!s)
		return -ENOMEM;
	s->set = child->arg;
	return 0;
}

static void server_close(struct bench_child *child)
{
	struct http_server *s = child->state;

	http_stop(s);
	free(s);
}

/* wrk's last line: requests, microseconds, errors of any kind. */
static int read_result(int fd, struct bench_cost *ret_cost)
{
	unsigned long long requests = 0, us = 0, errors = 0;
	bool seen = false;
	char line[256];
	FILE *out = fdopen(fd, "r");

	if (!out) {
		close(fd);
		return -ENOMEM;
	}
	while (fgets(line, sizeof line, out))
		seen |= sscanf(line, "total %llu %llu %llu", &requests, &us, &errors) == 3;
	fclose(out);
	if (!seen || !requests || errors)
		return -EBADMSG;
	ret_cost->ns = us * 1000;
	ret_cost->ops = requests;
	return 0;
}

static int run_wrk(const struct http_server *s, struct bench_cost *ret_cost)
{
	char seconds[16], url[64];
	char *argv[] = {
		(char *)(uintptr_t)s->set->wrk,	   "-t1", "-c", CONNECTIONS, "-d", seconds, "-s",
		(char *)(uintptr_t)s->set->script, url,	  NULL
	};
	int fds[2], pid, err, end;

	snprintf(seconds, sizeof seconds, "%us", s->set->seconds);
	snprintf(url, sizeof url, "http://127.0.0.1:%u", s->port);
	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	pid = bench_program_start(argv, fds[1], WRK_CORE);
	close(fds[1]);
	if (pid < 0) {
		close(fds[0]);
		return pid;
	}
	err = read_result(fds[0], ret_cost);
	end = bench_program_wait(pid);
	return err ? err : end;
}

/* A round lasts as long as the setting says, however many operations are asked for. */
static int server_round(struct bench_child *child, uint64_t ops, struct bench_cost *ret_cost)
{
	(void)ops;
	return run_wrk(child->state, ret_cost);
}

/* A round for the note: it is the last thing that is done before the measurement begins. */
static int note_busy(struct bench_child *child)
{
	const struct http_server *s = child->state;
	uint64_t cpu = http_cpu(s);
	struct bench_cost cost;
	size_t used = strlen(child->note);
	int err = run_wrk(s, &cost);

	cpu = http_cpu(s) - cpu;
	if (!err)
		snprintf(child->note + used, sizeof child->note - used,
			 "%score %.0f %% busy, %.2f us of it a request", used ? ", " : "",
			 100 * (double)cpu / (double)cost.ns, (double)cpu / (double)cost.ops / 1e3);
	return err;
}

/* asys */

static int ours_open(struct bench_child *child)
{
	static const char *const names[] = { "../examples/httpd", NULL };
	struct http_server *s;
	char port[16];
	int err = server_open(child);

	if (err)
		return err;
	s = child->state;
	err = bench_program_find(names, s->program);
	if (!err) {
		char *argv[] = { s->program, "-p", port, (char *)(uintptr_t)s->set->www, NULL };

		s->port = http_free_port();
		snprintf(port, sizeof port, "%u", s->port);
		err = http_start(s, argv);
	}
	if (err)
		snprintf(child->note, sizeof child->note, "examples/httpd does not serve");
	return err ? err : note_busy(child);
}

/* nginx */

static int write_config(struct http_server *s, const char *lines)
{
	const char *place = s->set->place;
	FILE *file;

	snprintf(s->config, sizeof s->config, "%s/nginx-%ld.conf", place, (long)getpid());
	file = fopen(s->config, "we");
	if (!file)
		return -errno;
	/* As root its worker would be somebody who may not read our folder. */
	fprintf(file,
		"%s\ndaemon off;\nworker_processes 1;\npid %s/nginx-%ld.pid;\n"
		"error_log stderr crit;\nevents { worker_connections 1024; }\n"
		"http {\n"
		"\taccess_log off;\n\tdefault_type application/octet-stream;\n"
		"\ttypes { text/plain txt; }\n"
		"\t%s\n\ttcp_nodelay on;\n"
		"\tkeepalive_requests 1000000000;\n\tkeepalive_timeout 1h;\n"
		"\topen_file_cache max=1000 inactive=1h;\n\topen_file_cache_valid 1h;\n"
		"\topen_file_cache_min_uses 1;\n\topen_file_cache_errors off;\n"
		"\tclient_body_temp_path %s/nginx-body;\n\tproxy_temp_path %s/nginx-proxy;\n"
		"\tfastcgi_temp_path %s/nginx-fastcgi;\n\tuwsgi_temp_path %s/nginx-uwsgi;\n"
		"\tscgi_temp_path %s/nginx-scgi;\n"
		"\tserver { listen 127.0.0.1:%u backlog=1024; root %s; }\n"
		"}\n",
		geteuid() ? "" : "user root root;", place, (long)getpid(), lines, place, place,
		place, place, place, s->port, s->set->www);
	return fclose(file) ? -errno : 0;
}

static int nginx_use(struct bench_child *child, unsigned variant)
{
	struct http_server *s = child->state;
	char *argv[] = { s->program, "-e", "stderr", "-c", s->config, NULL };
	int err;

	http_stop(s);
	s->port = http_free_port();
	err = write_config(s, variants[variant].lines);
	snprintf(child->note, sizeof child->note, "%s", variants[variant].name);
	return err ? err : http_start(s, argv);
}

static int nginx_open(struct bench_child *child)
{
	static const char *const names[] = { "nginx", NULL };
	struct http_server *s;
	int err = server_open(child);

	if (err)
		return err;
	s = child->state;
	err = bench_program_find(names, s->program);
	if (err) {
		snprintf(child->note, sizeof child->note, "nginx is not installed");
		return err;
	}
	err = s->set->quick ? nginx_use(child, 0) :
			      bench_fastest(child, VARIANTS, 1, nginx_use, server_round);
	return err < 0 ? err : note_busy(child);
}

static const struct bench_side side_asys = { "asys", ours_open, server_round, server_close };
static const struct bench_side side_nginx = { "nginx", nginx_open, server_round, server_close };
static const struct bench_side *const sides[] = { &side_asys, &side_nginx };

/* What is missing for this benchmark, or NULL. */
static const char *missing(char wrk[BENCH_PROGRAM_PATH])
{
	static const char *const wrks[] = { "wrk", NULL }, *const nginxes[] = { "nginx", NULL };
	static const char *const ours[] = { "../examples/httpd", NULL };
	char path[BENCH_PROGRAM_PATH];
	cpu_set_t cores;

	if (bench_program_find(wrks, wrk))
		return "wrk is not installed";
	if (bench_program_find(nginxes, path))
		return "nginx is not installed";
	if (bench_program_find(ours, path))
		return "examples/httpd is not built";
	if (sched_getaffinity(0, sizeof cores, &cores) || CPU_COUNT(&cores) < 2)
		return "there is only one core";
	return NULL;
}

static int run_all(struct bench_options *options, struct http_setting *set)
{
	const struct bench_case one = { CONNECTIONS, "us", 1e3, 2, sides, set };
	int err;

	set->place = bench_place(options, false);
	if (!set->place)
		return -EIO;
	set->quick = options->quick;
	set->seconds = 1;
	err = http_make(set);
	if (err) {
		bench_say(options, "cannot make the files: %s", strerror(-err));
		return err;
	}
	options->lives = 1;
	if (options->rounds > ROUNDS_PER)
		options->rounds /= ROUNDS_PER;
	return bench_compare(options, &one);
}

int main(int argc, char **argv)
{
	static struct http_setting set;
	struct bench_options options;
	const char *why;

	bench_options(
		&options, "http",
		"Time per request of examples/httpd against nginx with one worker, asked by\n"
		"wrk on another core over 256 connections. As a round takes a second, a third\n"
		"of the rounds asked for is measured.",
		argc, argv);
	why = missing(set.wrk);
	if (why && bench_wants(&options, CONNECTIONS)) {
		bench_say(&options, "skipped: %s", why);
		return BENCH_SKIPPED;
	}
	return bench_exit(&options, run_all(&options, &set));
}
