/* SPDX-License-Identifier: MIT */
/*
 * Random chains, really run and interpreted (model.h): both must agree on every step's results and
 * arguments, on how often each ran, on what is stored and reported, on the order, and on the end.
 *
 *   reference [--seed N] [--chains N] [--print] [--fork] [--calm]
 *
 * Chain number i is made from seed + i alone, and its queue from (seed + i) / 8: --seed S --chains 1
 * repeats one, --print shows it, --calm cancels nothing, --fork runs each chain in a child, so that
 * one that crashes or stands still can be made smaller too. One that fails is made smaller as long
 * as it still fails, and printed.
 */
#include "../support.h"
#include "compare.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum { SENDINGS_MAX = 4, CHAINS_PER_QUEUE = 8, CHAINS = 5000 };

/* How one chain is run. */
struct setup {
	struct asys_queue_options options;
	char fault[64];
	unsigned sendings;
	struct sending sending[SENDINGS_MAX];
	uint32_t pause_ns; /* before cancelling */
};

static struct world worlds[SENDINGS_MAX];
static char now_running[128];
static bool in_children, calm;

static void on_alarm(int signal)
{
	(void)signal;
	(void)!write(STDERR_FILENO, now_running, strlen(now_running));
	if (getenv("ASYS_TEST_ABORT"))
		abort();
	_exit(1);
}

/* ---- running -------------------------------------------------------------------------------- */

static bool collect(struct asys_queue *queue, struct setup *setup)
{
	struct asys_event events[16];
	int n;

	while ((n = asys_queue_get_many(queue, events, 16, 1, ASYS_FOREVER)) != 0) {
		if (n < 0)
			return wrong("get_many: %d", n);
		for (int i = 0; i < n; i++)
			if (!drive_take(setup->sending, setup->sendings, &events[i]))
				return wrong("an event that is nobody's");
	}
	for (unsigned i = 0; i < setup->sendings; i++)
		if (setup->sending[i].ends != 1)
			return wrong("sending %u of %u brought %u events, %llu pending", i,
				     setup->sendings, setup->sending[i].ends,
				     (unsigned long long)asys_queue_pending(queue));
	if (asys_queue_pending(queue))
		return wrong("still pending: %llu", (unsigned long long)asys_queue_pending(queue));
	return true;
}

static void send_all(struct asys_queue *queue, struct asys_chain *chain, const struct rig *rig,
		     struct setup *setup)
{
	bool any = false;

	for (unsigned i = 0; i < setup->sendings; i++) {
		struct sending *sending = &setup->sending[i];

		if (sending->deadline)
			asys_deadline(queue, asys_now() + setup->pause_ns);
		drive_send(queue, chain, rig, sending);
		any = any || sending->cancel;
	}
	if (!any)
		return;
	asys_queue_flush(queue);
	for (const uint64_t until = asys_now() + setup->pause_ns; asys_now() < until;)
		;
	for (unsigned i = 0; i < setup->sendings; i++)
		if (setup->sending[i].cancel)
			asys_queue_cancel(queue, setup->sending[i].id);
}

static bool run_in(struct asys_queue *queue, const struct pool *pool, struct setup *setup)
{
	struct asys_chain *chain;
	struct rig rig = { .file = memory_file() };
	bool good;

	chain = drive_build(pool, &rig);
	for (unsigned i = 0; i < setup->sendings; i++)
		drive_prepare(&setup->sending[i], &pool->program[0]);
	if (chain)
		send_all(queue, chain, &rig, setup);
	good = chain ? collect(queue, setup) : wrong("it was not built");
	asys_chain_close(chain);
	for (unsigned i = 0; i < setup->sendings && good; i++)
		good = compare(&worlds[i], &setup->sending[i], &pool->program[0]);
	for (unsigned i = 0; i < setup->sendings; i++)
		drive_release(&setup->sending[i]);
	close(rig.file);
	return good;
}

static void interpret(const struct pool *pool, const struct setup *setup)
{
	for (unsigned i = 0; i < setup->sendings; i++) {
		const struct sending *sending = &setup->sending[i];

		memcpy(worlds[i].input, sending->input, sizeof(sending->input));
		memcpy(worlds[i].param, sending->param, sizeof(sending->param));
		worlds[i].ppid = getppid();
		model_run(&worlds[i], &pool->program[0]);
	}
}

static bool fit(const struct setup *setup)
{
	for (unsigned i = 0; i < setup->sendings; i++)
		if (worlds[i].unfit)
			return false;
	return true;
}

static void choose_queue(struct random *random, struct setup *setup)
{
	static const uint32_t flags[] = { 0,
					  0,
					  ASYS_QUEUE_SHARED,
					  ASYS_QUEUE_DRIVER,
					  ASYS_QUEUE_NO_HELP,
					  ASYS_QUEUE_NO_HELP | ASYS_QUEUE_DRIVER };

	asys_queue_options_init(&setup->options);
	setup->options.engine = random_below(random, ASYS_ENGINE_COUNT);
	setup->options.depth = 1u << random_below(random, 8);
	setup->options.flags = flags[random_below(random, 6)];
	setup->options.threads = 1 + random_below(random, 4);
	/* There every read that blocks has a thread. */
	if (setup->options.engine == ASYS_ENGINE_THREADS || engine_forced("threads"))
		setup->options.threads = 128;
	if (setup->options.engine == ASYS_ENGINE_INLINE || engine_forced("inline"))
		setup->options.flags &= ~ASYS_QUEUE_NO_HELP;
	if (random_below(random, 4) == 0) {
		snprintf(setup->fault, sizeof(setup->fault), "seed=%u,rate=20,kinds=benign",
			 random_below(random, 1000));
		setup->options.fault = setup->fault;
	}
}

static void choose_sendings(struct random *random, struct setup *setup)
{
	static const int64_t values[] = { 0, 1, 5, -3, -EIO, -5000, 123456789, INT32_MIN };

	setup->pause_ns = random_below(random, 2) ? random_below(random, 60000) : 0;
	setup->sendings = 1 + random_below(random, SENDINGS_MAX);
	for (unsigned i = 0; i < setup->sendings; i++) {
		struct sending *sending = &setup->sending[i];

		for (unsigned k = 0; k < INPUTS; k++)
			sending->input[k] = values[random_below(random, 8)];
		for (unsigned k = PARAM_FIRST; k < 6; k++)
			sending->param[k] = values[random_below(random, 8)];
		sending->param_id.value =
			sending->param[PARAM_FIRST] >= 0 && random_below(random, 4) == 0;
		sending->cancel = random_below(random, 12) == 0 && !calm;
		sending->deadline = !sending->cancel && random_below(random, 24) == 0 && !calm;
	}
}

/* ---- smaller -------------------------------------------------------------------------------- */

static bool succeeds(const struct pool *pool, const struct setup *setup)
{
	static struct setup again;
	struct asys_queue *queue;
	bool good = true;

	for (unsigned tries = 0; good && tries < 10; tries++) {
		again = *setup;
		queue = open_with(&setup->options);
		good = run_in(queue, pool, &again);
		asys_queue_close(queue);
	}
	return good;
}

/* Where a failure may be a crash or a standstill. */
static bool succeeds_in_child(const struct pool *pool, const struct setup *setup)
{
	int status = 0;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	check(pid >= 0);
	if (!pid) {
		alarm(3);
		interpret(pool, setup); /* its parent is another */
		if (succeeds(pool, setup))
			_exit(0);
		fprintf(stderr, "%s\n", why);
		_exit(1);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) && !WEXITSTATUS(status);
}

static bool fails_alone(const struct pool *pool, const struct setup *setup)
{
	interpret(pool, setup);
	if (!fit(setup))
		return false;
	return !(in_children ? succeeds_in_child(pool, setup) : succeeds(pool, setup));
}

static void drop_name(struct node *node, unsigned n)
{
	unsigned names = 0;

	for (unsigned i = 0; i < node->names; i++)
		if (node->name[i].step != n)
			node->name[names++] = node->name[i];
	node->names = (uint8_t)names;
	for (unsigned i = 0; i < node->args; i++)
		if ((node->arg[i].source == S_STEP || node->arg[i].source == S_STORED) &&
		    node->arg[i].index == n)
			node->arg[i].source = S_CONST;
	if (node->kind == K_LOOP && node->tested && node->test.step == n)
		node->tested = false;
}

/* Takes a node out, with all inside and all that cannot be without it. */
static void drop(struct program *program, unsigned n)
{
	const unsigned last = program->node[n].last;

	for (unsigned i = n; i <= last; i++)
		program->node[i].dropped = true;
	if (program->node[n].kind == K_READ)
		program->node[n + 1].dropped = true;
	if (program->node[n].kind == K_WRITE)
		drop(program, n - 1);
	if (program->node[n].kind == K_IF && last + 1u < program->count &&
	    program->node[last + 1].kind == K_ELSE &&
	    program->node[last + 1].parent == program->node[n].parent)
		drop(program, last + 1);
	for (unsigned i = 0; i < program->count; i++) {
		struct node *node = &program->node[i];

		if (node->dropped)
			continue;
		if ((node->kind == K_IF || node->kind == K_ELSE) &&
		    program->node[node->test.step].dropped)
			drop(program, i);
		for (unsigned k = 0; k < program->count; k++)
			if (program->node[k].dropped)
				drop_name(node, k);
	}
}

/* The subs of a copied pool are its own. */
static void own_subs(struct pool *pool, const struct pool *from)
{
	for (unsigned i = 0; i < pool->count; i++)
		for (unsigned n = 0; n < pool->program[i].count; n++) {
			struct node *node = &pool->program[i].node[n];

			if (node->kind == K_SUB)
				node->sub = &pool->program[node->sub - from->program];
		}
	lay_out(pool);
}

static void simplify(struct pool *pool, struct setup *setup)
{
	static struct pool smaller;
	bool changed = true;

	while (setup->sendings > 1) {
		setup->sendings--;
		if (fails_alone(pool, setup))
			continue;
		setup->sendings++;
		break;
	}
	while (changed) {
		changed = false;
		for (unsigned i = pool->count; i-- > 0;)
			for (unsigned n = pool->program[i].count; n-- > 0;) {
				if (pool->program[i].node[n].dropped)
					continue;
				smaller = *pool;
				own_subs(&smaller, pool);
				drop(&smaller.program[i], n);
				lay_out(&smaller);
				progress();
				if (!fails_alone(&smaller, setup))
					continue;
				*pool = smaller;
				own_subs(pool, &smaller);
				changed = true;
			}
	}
}

static void print_setup(const struct setup *setup)
{
	printf("engine %u, depth %u, flags %u, threads %u, fault %s, %u sendings%s%s\n",
	       setup->options.engine, setup->options.depth, setup->options.flags,
	       setup->options.threads, setup->options.fault ? setup->options.fault : "none",
	       setup->sendings, setup->sending[0].cancel ? ", the first is cancelled" : "",
	       setup->sending[0].deadline ? ", the first has a deadline" : "");
}

static void explain(struct pool *pool, struct setup *setup, uint64_t seed)
{
	printf("seed %llu: %s\n", (unsigned long long)seed, why);
	print_setup(setup);
	pool_print(pool);
	if (!fails_alone(pool, setup)) {
		printf("It did not fail in 10 more runs.\n");
		return;
	}
	simplify(pool, setup);
	fails_alone(pool, setup);
	printf("Smaller: %s\n", why);
	for (unsigned i = PARAM_FIRST; i < 6; i++)
		printf("p%u = %lld ", i, (long long)setup->sending[0].param[i]);
	for (unsigned i = 0; i < INPUTS; i++)
		printf("input %u = %lld ", i, (long long)setup->sending[0].input[i]);
	printf("\n");
	pool_print(pool);
}

/* ---- main ----------------------------------------------------------------------------------- */

static unsigned long long option(int argc, char **argv, const char *name, unsigned long long usual)
{
	for (int i = 1; i + 1 < argc; i++)
		if (!strcmp(argv[i], name))
			return strtoull(argv[i + 1], NULL, 0);
	return usual;
}

static bool flag(int argc, char **argv, const char *name)
{
	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], name))
			return true;
	return false;
}

/* The chain of one seed; false if it fails. */
static bool run_seed(uint64_t seed, bool print, struct asys_queue **queue, unsigned *compared)
{
	static struct pool pool;
	static struct setup setup;
	struct random random = { .state = seed * UINT64_C(0xd1342543de82ef95) };
	struct random of_queue = { .state = seed / CHAINS_PER_QUEUE };

	memset(&setup, 0, sizeof(setup));
	generate(&random, &pool);
	choose_queue(&of_queue, &setup);
	choose_sendings(&random, &setup);
	interpret(&pool, &setup);
	if (print) {
		print_setup(&setup);
		pool_print(&pool);
	}
	if (!fit(&setup))
		return true;
	if (!in_children && !*queue)
		*queue = open_with(&setup.options);
	(*compared)++;
	if (in_children ? !fails_alone(&pool, &setup) : run_in(*queue, &pool, &setup))
		return true;
	explain(&pool, &setup, seed);
	return false;
}

int main(int argc, char **argv)
{
	const uint64_t seed = option(argc, argv, "--seed", 1);
	const uint64_t chains = option(argc, argv, "--chains", iterations(CHAINS));
	struct sigaction action = { .sa_handler = on_alarm };
	struct asys_queue *queue = NULL;
	unsigned compared = 0;

	if (getenv("ASYS_FAULT")) {
		printf("The environment's faults would change results.\n");
		return SKIPPED;
	}
	in_children = flag(argc, argv, "--fork");
	calm = flag(argc, argv, "--calm");
	setvbuf(stdout, NULL, _IOLBF, 0);
	sigaction(SIGALRM, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	printf("seed %llu, %llu chains\n", (unsigned long long)seed, (unsigned long long)chains);
	for (uint64_t i = 0; i < chains; i++) {
		snprintf(now_running, sizeof(now_running),
			 "nothing moved for 20 s: --seed %llu --chains 1\n",
			 (unsigned long long)seed + i);
		progress();
		if (!run_seed(seed + i, flag(argc, argv, "--print"), &queue, &compared))
			return 1;
		if ((seed + i + 1) % CHAINS_PER_QUEUE == 0) {
			asys_queue_close(queue);
			queue = NULL;
		}
	}
	asys_queue_close(queue);
	printf("%u compared, %u sendings cancelled, %u of them in time\n", compared,
	       compare_cancelled, compare_cut_short);
	return compared || !chains ? 0 : 1;
}
