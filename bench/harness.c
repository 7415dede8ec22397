/* SPDX-License-Identifier: MIT */
#include "harness.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static bool matched; /* did --case name a case? */
static bool headed;  /* is the table's head printed? */

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t bench_now(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

uint64_t bench_thread_cpu(void)
{
	return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

void bench_say(const struct bench_options *options, const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fprintf(stderr, "%s: ", options->bench);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

static void usage(const struct bench_options *options, const char *what)
{
	printf("usage: %s [--rounds N] [--case NAME] [--place DIR] [--quick] [--json] "
	       "[--help]\n\n%s\n\n"
	       "  --rounds N   measure in N rounds, 1..%u (%u)\n"
	       "  --case NAME  only this case\n"
	       "  --place DIR  put files there\n"
	       "  --quick      only see that it works; the figures mean nothing\n"
	       "  --json       one object a line for each case and peer\n"
	       "  --help       this text\n\n"
	       "A ratio above 1 means that asys is better. Files go to $TMPDIR, or /tmp,\n"
	       "or where a benchmark says.\n",
	       options->bench, what, BENCH_ROUNDS_MAX, BENCH_ROUNDS);
}

static unsigned parse_rounds(const struct bench_options *options, const char *text)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (errno || end == text || *end || text[0] == '-' || n < 1 || n > BENCH_ROUNDS_MAX) {
		bench_say(options, "--rounds %s: not a number from 1 to %u", text,
			  BENCH_ROUNDS_MAX);
		exit(2);
	}
	return (unsigned)n;
}

void bench_options(struct bench_options *ret_options, const char *bench, const char *what, int argc,
		   char **argv)
{
	static const struct option longs[] = {
		{ "rounds", required_argument, NULL, 'r' },
		{ "case", required_argument, NULL, 'c' },
		{ "place", required_argument, NULL, 'p' },
		{ "quick", no_argument, NULL, 'q' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct bench_options *o = ret_options;
	int c;

	*o = (struct bench_options){ .bench = bench, .lives = 3, .round_ns = 20000000 };
	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 'r':
			o->rounds = parse_rounds(o, optarg);
			break;
		case 'c':
			o->only = optarg;
			break;
		case 'p':
			o->place = optarg;
			break;
		case 'q':
			o->quick = true;
			break;
		case 'j':
			o->json = true;
			break;
		case 'h':
			usage(o, what);
			exit(0);
		default:
			fprintf(stderr, "%s: see --help\n", bench);
			exit(2);
		}
	}
	if (optind < argc) {
		bench_say(o, "unexpected argument: %s (see --help)", argv[optind]);
		exit(2);
	}
	if (o->quick) {
		o->lives = 1;
		o->round_ns = 500000;
	}
	if (!o->rounds)
		o->rounds = o->quick ? 2 : BENCH_ROUNDS;
	if (o->lives > o->rounds)
		o->lives = o->rounds;
}

bool bench_wants(const struct bench_options *options, const char *name)
{
	bool wanted = !options->only || !strcmp(options->only, name);

	matched |= wanted;
	return wanted;
}

int bench_exit(const struct bench_options *options, int err)
{
	if (!err && !matched) {
		bench_say(options, "--case %s: there is no such case", options->only);
		return 2;
	}
	if (fflush(stdout)) {
		bench_say(options, "cannot write the results: %s", strerror(errno));
		return 1;
	}
	return err ? 1 : 0;
}

static int compare_doubles(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

struct summary {
	double min, median, p99, max;
};

/* Sorts `values`. p99 is the smallest value that 99 % of the values do not exceed. */
static struct summary summarize(double *values, unsigned len)
{
	struct summary s;

	qsort(values, len, sizeof *values, compare_doubles);
	s.min = values[0];
	s.max = values[len - 1];
	s.median = (values[(len - 1) / 2] + values[len / 2]) / 2;
	s.p99 = values[(len * 99 + 99) / 100 - 1];
	return s;
}

static void print_head(void)
{
	if (headed)
		return;
	headed = true;
	printf("%-20s %-15s %-6s %10s %10s %10s  %s\n", "case", "who", "unit", "min", "median",
	       "p99", "ratio, median [min..max]");
}

static void print_row(const char *name, const char *who, const char *unit, const struct summary *s)
{
	print_head();
	printf("%-20s %-15s %-6s %10.2f %10.2f %10.2f", name, who, unit, s->min, s->median, s->p99);
}

static void print_note(const char *note)
{
	printf("%s%s%s\n", *note ? "  (" : "", note, *note ? ")" : "");
}

void bench_figure(const struct bench_options *options, const char *name, const char *unit,
		  double *values, unsigned len, const char *note)
{
	struct summary s = summarize(values, len);

	if (options->json) {
		printf("{\"bench\":\"%s\",\"case\":\"%s\",\"ours\":%.4f,\"peer\":null,"
		       "\"peer_name\":null,\"unit\":\"%s\",\"ratio\":null,\"rounds\":%u}\n",
		       options->bench, name, s.median, unit, len);
	} else {
		print_row(name, "asys", unit, &s);
		print_note(note);
	}
	fflush(stdout);
}

/* One case while it is being measured. */
struct match {
	const struct bench_options *options;
	const struct bench_case *one;
	struct bench_process process[BENCH_SIDES_MAX];
	bool out[BENCH_SIDES_MAX]; /* does not take part */
	uint64_t ops[BENCH_SIDES_MAX];
	double cost[BENCH_SIDES_MAX][BENCH_ROUNDS_MAX]; /* units per operation */
	char note[BENCH_SIDES_MAX][BENCH_NOTE];
};

static int fail(const struct match *m, unsigned side, int err)
{
	bench_say(m->options, "%s: %s: %s: %s", m->one->name, m->one->sides[side]->name,
		  m->process[side].note[0] ? m->process[side].note : "failed", strerror(-err));
	return err;
}

static void stop_all(struct match *m)
{
	for (unsigned i = 0; i < m->one->sides_len; i++)
		if (!m->out[i])
			bench_process_stop(&m->process[i]);
}

/* Starts every side that takes part. On failure none is left. */
static int start_all(struct match *m, unsigned life)
{
	for (unsigned i = 0; i < m->one->sides_len; i++) {
		struct bench_process *p = &m->process[i];
		int err;

		if (m->out[i])
			continue;
		err = bench_process_start(m->one->sides[i], m->one->arg, p);
		if (!err) {
			memcpy(m->note[i], p->note, sizeof m->note[i]);
			continue;
		}
		if (i == 0 || life > 0 || err == -ECHILD || err == -EINTR) {
			for (unsigned k = i; k < m->one->sides_len; k++)
				m->out[k] = true;
			stop_all(m);
			return fail(m, i, err);
		}
		m->out[i] = true;
		bench_say(m->options, "%s: %s is left out: %s%s%s", m->one->name,
			  m->one->sides[i]->name, p->note, p->note[0] ? ": " : "", strerror(-err));
	}
	return 0;
}

/* How many operations fill one round of this side? The first rounds warm it up as well. */
static int calibrate(struct match *m, unsigned side)
{
	uint64_t ops = 1;

	for (;;) {
		struct bench_cost cost;
		uint64_t start = bench_now(), wall;
		int err = bench_process_round(&m->process[side], ops, &cost);

		if (err)
			return err;
		wall = bench_now() - start;
		if (wall >= m->options->round_ns / 2) {
			ops = (uint64_t)((double)cost.ops * (double)m->options->round_ns /
					 (double)wall);
			m->ops[side] = ops ? ops : 1;
			return 0;
		}
		ops = cost.ops * 2;
	}
}

static int measure(struct match *m, unsigned side, unsigned round)
{
	struct bench_cost cost;
	int err = bench_process_round(&m->process[side], m->ops[side], &cost);

	if (!err)
		m->cost[side][round] = (double)cost.ns / (double)cost.ops / m->one->per_unit;
	return err;
}

/* The rounds of one life, from `first` up to, not including, `last`. */
static int live(struct match *m, unsigned life, unsigned first, unsigned last)
{
	unsigned n = m->one->sides_len;
	int err = start_all(m, life);

	if (err)
		return err;
	for (unsigned i = 0; i < n && !err; i++)
		if (!m->out[i] && (err = calibrate(m, i)))
			fail(m, i, err);
	for (unsigned r = first; r < last && !err; r++) {
		for (unsigned k = 0; k < n && !err; k++) {
			unsigned i = r % 2 ? n - 1 - k : k;

			if (!m->out[i] && (err = measure(m, i, r)))
				fail(m, i, err);
		}
	}
	stop_all(m);
	return err;
}

static void print_json(const struct match *m, unsigned side, double ours, double peer,
		       const struct summary *ratio)
{
	printf("{\"bench\":\"%s\",\"case\":\"%s\",\"ours\":%.4f,\"peer\":%.4f,\"peer_name\":\"%s\","
	       "\"unit\":\"%s\",\"ratio\":%.4f,\"ratio_min\":%.4f,\"ratio_max\":%.4f,"
	       "\"rounds\":%u}\n",
	       m->options->bench, m->one->name, ours, peer, m->one->sides[side]->name, m->one->unit,
	       ratio->median, ratio->min, ratio->max, m->options->rounds);
}

static void report(struct match *m)
{
	static double ratios[BENCH_SIDES_MAX][BENCH_ROUNDS_MAX];
	unsigned rounds = m->options->rounds;
	struct summary ours;

	for (unsigned i = 1; i < m->one->sides_len; i++)
		for (unsigned r = 0; r < rounds; r++)
			ratios[i][r] = m->cost[i][r] / m->cost[0][r];
	ours = summarize(m->cost[0], rounds);
	if (!m->options->json) {
		print_row(m->one->name, m->one->sides[0]->name, m->one->unit, &ours);
		print_note(m->note[0]);
	}
	for (unsigned i = 1; i < m->one->sides_len; i++) {
		struct summary ratio, peer;

		if (m->out[i])
			continue;
		ratio = summarize(ratios[i], rounds);
		peer = summarize(m->cost[i], rounds);
		if (m->options->json) {
			print_json(m, i, ours.median, peer.median, &ratio);
			continue;
		}
		print_row("", m->one->sides[i]->name, m->one->unit, &peer);
		printf("  %.2f [%.2f..%.2f]", ratio.median, ratio.min, ratio.max);
		print_note(m->note[i]);
	}
	fflush(stdout);
}

int bench_compare(const struct bench_options *options, const struct bench_case *one)
{
	static struct match m; /* large, and there is one at a time */
	unsigned lives = options->lives, peers = 0;

	if (!bench_wants(options, one->name))
		return 0;
	memset(&m, 0, sizeof m);
	m.options = options;
	m.one = one;
	for (unsigned life = 0; life < lives; life++) {
		int err = live(&m, life, options->rounds * life / lives,
			       options->rounds * (life + 1) / lives);

		if (err)
			return err;
	}
	for (unsigned i = 1; i < one->sides_len; i++)
		peers += !m.out[i];
	if (!peers)
		bench_say(options, "%s: no peer to compare with", one->name);
	report(&m);
	return 0;
}
