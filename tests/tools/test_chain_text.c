/* SPDX-License-Identifier: MIT */
/* Chains as text: what is understood, and what is refused with line and reason. */
#include "chain_text.h"
#include "constants.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct chain_text text;

static int parse(const char *source)
{
	return chain_parse(&text, "f", source, strlen(source));
}

static int forget(void **state)
{
	(void)state;
	chain_text_free(&text);
	memset(&text, 0, sizeof text);
	return 0;
}

static void understand(const char *source)
{
	forget(NULL);
	if (parse(source) != 0)
		fail_msg("refused: %s", text.error);
	assert_string_equal(text.error, "");
}

static const struct value *arg(size_t step, unsigned index)
{
	assert_true(step < text.step_count);
	assert_true(index < text.steps[step].nargs);
	return &text.steps[step].arg[index];
}

static void steps(void **state)
{
	(void)state;
	understand("# a comment\n\n"
		   "  in = openat AT_FDCWD $1 O_RDONLY|O_CLOEXEC 0 # and another\r\n"
		   "close\tin");
	assert_int_equal(text.step_count, 2);
	assert_int_equal(text.params, 1);
	assert_int_equal(text.param_use[0], PARAM_STRING);
	assert_string_equal(text.steps[0].name, "in");
	assert_int_equal(text.steps[0].line, 3);
	assert_int_equal(text.steps[0].call->nr, ASYS_NR_openat);
	assert_int_equal(arg(0, 0)->number, AT_FDCWD);
	assert_int_equal(arg(0, 1)->kind, VALUE_PARAM);
	assert_int_equal(arg(0, 2)->number, O_RDONLY | O_CLOEXEC);
	assert_int_equal(text.steps[1].line, 4);
	assert_null(text.steps[1].name);
	assert_int_equal(arg(1, 0)->kind, VALUE_STEP);
	assert_int_equal(arg(1, 0)->index, 0);
	assert_int_equal(chain_find_step(&text, "in"), 0);
	assert_int_equal(chain_find_step(&text, "out"), -1);
}

static void numbers(void **state)
{
	static const struct {
		const char *word;
		int64_t value;
	} words[] = {
		{ "0", 0 },
		{ "10", 10 },
		{ "0x1F", 31 },
		{ "0644", 0644 },
		{ "-1", -1 },
		{ "-9223372036854775808", INT64_MIN },
		{ "18446744073709551615", -1 },
		{ "O_RDWR|0x80|O_CREAT", O_RDWR | 0x80 | O_CREAT },
		{ "AT_FDCWD", AT_FDCWD },
		{ "NULL", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		char line[80];

		snprintf(line, sizeof line, "close %s", words[i].word);
		understand(line);
		assert_int_equal(arg(0, 0)->kind, VALUE_NUMBER);
		if (arg(0, 0)->number != words[i].value)
			fail_msg("%s is %lld", words[i].word, (long long)arg(0, 0)->number);
	}
}

static void arguments(void **state)
{
	(void)state;
	understand("&buf[64]\n&n[8]\n"
		   "r = getppid\n"
		   "write 1 \"a b\\t#\\x41\\101\\0\\\"\" 3\n"
		   "read r+1 &buf+8 sizeof(buf)\n"
		   "read r-1 &n load(&n)\n"
		   "pread64 number($2) $1+4 load_int(r) load_int($1)\n");
	assert_memory_equal(arg(1, 1)->string, "a b\t#AA\0\"", 10);
	assert_int_equal(arg(1, 1)->kind, VALUE_STRING);
	assert_int_equal(arg(2, 0)->kind, VALUE_STEP);
	assert_int_equal(arg(2, 0)->number, 1);
	assert_int_equal(arg(2, 1)->kind, VALUE_MEMORY);
	assert_int_equal(arg(2, 1)->number, 8);
	assert_int_equal(arg(2, 2)->kind, VALUE_NUMBER);
	assert_int_equal(arg(2, 2)->number, 64);
	assert_int_equal(arg(3, 0)->number, -1);
	assert_int_equal(arg(3, 1)->index, 1);
	assert_int_equal(arg(3, 2)->load, LOAD_WORD);
	assert_int_equal(arg(3, 2)->kind, VALUE_MEMORY);
	assert_int_equal(text.param_use[1], PARAM_NUMBER);
	assert_int_equal(arg(4, 1)->number, 4);
	assert_int_equal(arg(4, 2)->load, LOAD_INT);
	assert_int_equal(arg(4, 2)->kind, VALUE_STEP);
	assert_int_equal(arg(4, 3)->kind, VALUE_PARAM);
	assert_int_equal(text.params, 2);
}

static void memories(void **state)
{
	(void)state;
	understand("&a[1]\n&b[100]\n&iov[32] = &a 1 &b+8 \"text\"\nclose 0\n");
	assert_int_equal(text.memory_count, 3);
	assert_int_equal(text.memories[1].at, 64);
	assert_int_equal(text.memories[2].at, 192);
	assert_int_equal(text.memories[2].words, 4);
	assert_int_equal(text.words[2].number, 8);
	assert_int_equal(text.words[3].kind, VALUE_STRING);
	assert_true(text.bytes >= 224);
}

static void modifiers(void **state)
{
	const struct modifier *m;

	(void)state;
	understand("&n[8]\na = getppid\nb = getppid\n"
		   "c = when a positive after b after_ok a after_error b full may_fail store &n "
		   "label \"the c\" read 0 &n 8\n");
	assert_int_equal(text.steps[2].modifiers, 8);
	m = &text.modifiers[text.steps[2].modifier];
	assert_int_equal(m[0].kind, MODIFIER_WHEN);
	assert_int_equal(m[0].condition, ASYS_POSITIVE);
	assert_int_equal(m[0].value.index, 0);
	assert_int_equal(m[1].kind, MODIFIER_AFTER);
	assert_int_equal(m[1].value.index, 1);
	assert_int_equal(m[3].kind, MODIFIER_AFTER_ERROR);
	assert_int_equal(m[4].kind, MODIFIER_FULL);
	assert_int_equal(m[5].kind, MODIFIER_MAY_FAIL);
	assert_int_equal(m[6].kind, MODIFIER_STORE);
	assert_int_equal(m[6].value.kind, VALUE_MEMORY);
	assert_string_equal(m[7].value.string, "the c");
}

static void blocks(void **state)
{
	(void)state;
	understand("a = getppid\nx = loop 10\nif a zero\ntimer 10ms\nelse\ntimer a\nend\n"
		   "while a positive\nloop\nend\non_failure\nclose 0\nend\nfinally\nend\n"
		   "result a\n");
	assert_int_equal(text.steps[1].verb, VERB_LOOP);
	assert_int_equal(arg(3, 0)->number, 10000000);
	assert_int_equal(arg(5, 0)->kind, VALUE_STEP);
	assert_int_equal(text.steps[7].verb, VERB_WHILE);
	assert_int_equal(text.steps[7].condition, ASYS_POSITIVE);
	assert_int_equal(text.steps[8].arg[0].number, UINT32_MAX);
	assert_int_equal(text.steps[text.step_count - 1].verb, VERB_RESULT);
}

static const struct {
	const char *source, *place, *word;
} bad[] = {
	{ "", "f:1:", "no step" },
	{ "\n# only words\n", "f:3:", "no step" },
	{ "opemat 1", "f:1:", "openat" },
	{ "\n\nqqqqqqqqqqqqq", "f:3:", "asys info" },
	{ "close", "f:1:", "takes 1 arguments, here are 0" },
	{ "close 1 2", "f:1:", "here are 2" },
	{ "close 1 2 3 4 5 6 7 8 9", "f:1:", "here are 9" },
	{ "exit 0", "f:1:", "cannot be a step" },
	{ "close in", "f:1:", "unknown name 'in'" },
	{ "openat AT_FDCWD \"x\" O_RDONY 0", "f:1:", "O_RDONLY" },
	{ "close in+1", "f:1:", "unknown name 'in'" },
	{ "close 08", "f:1:", "no number" },
	{ "close 18446744073709551616", "f:1:", "64 bits" },
	{ "close -9223372036854775809", "f:1:", "64 bits" },
	{ "close 1+", "f:1:", "no number" },
	{ "close O_RDWR|", "f:1:", "missing beside '|'" },
	{ "&x[8]\nclose load(&x+100)", "f:2:", "outside of &x[8]" },
	{ "&x[8]\nclose load(&x-1)", "f:2:", "outside of &x[8]" },
	{ "&x[4]\nclose load(&x)", "f:2:", "&x has 4" },
	{ "&x[8]\nstore &x+8 getpid", "f:2:", "outside of &x[8]" },
	{ "close load(5)", "f:1:", "'load' needs an address" },
	{ "close load_int(O_RDWR)", "f:1:", "'load_int' needs an address" },
	{ "store 5 getpid", "f:1:", "'store' needs an address" },
	{ "close O_RDWR+1", "f:1:", "no number" },
	{ "a = getppid\nclose a*2", "f:2:", "+NUMBER" },
	{ "a = getppid\nclose a+-2", "f:2:", "+NUMBER" },
	{ "a = getppid\na = getppid", "f:2:", "line 1" },
	{ "O_RDWR = getppid", "f:1:", "constant" },
	{ "1a = getppid", "f:1:", "no name" },
	{ "\"a\" = getppid", "f:1:", "string" },
	{ "a = ", "f:1:", "missing" },
	{ "write 1 \"abc", "f:1:", "no end" },
	{ "write 1 \"a\\q\" 2", "f:1:", "escape" },
	{ "write 1 \"a\\", "f:1:", "escape" },
	{ "write 1 \"a\"b 2", "f:1:", "space" },
	{ "\"close\" 1", "f:1:", "string" },
	{ "read 0 &buf 1", "f:1:", "declare" },
	{ "read 0 & 1", "f:1:", "declare" },
	{ "&buf", "f:1:", "size" },
	{ "&buf[1", "f:1:", "]" },
	{ "&buf[1]x", "f:1:", "]" },
	{ "&buf[0]", "f:1:", "1 byte" },
	{ "&buf[-1]", "f:1:", "1 byte" },
	{ "&buf[2000000000]", "f:1:", "together" },
	{ "&a[1073741824]\n&b[1]", "f:2:", "together" },
	{ "&a[1]\n&a[1]", "f:2:", "twice" },
	{ "&1[1]", "f:1:", "no name" },
	{ "&a[8] 1", "f:1:", "too much" },
	{ "&a[8] = 1 2", "f:1:", "too many" },
	{ "&a[8] = $1", "f:1:", "addresses" },
	{ "close $0", "f:1:", "$1 to $6" },
	{ "close $7", "f:1:", "$1 to $6" },
	{ "close $", "f:1:", "$1 to $6" },
	{ "close $1x", "f:1:", "+NUMBER" },
	{ "close number($1)\nunlinkat 1 $1 0", "f:2:", "two parameters" },
	{ "close number(1)", "f:1:", "parameter" },
	{ "close size(1)", "f:1:", "sizeof" },
	{ "close sizeof(x)", "f:1:", "declare" },
	{ "&x[8]\nclose load(load(&x))", "f:2:", "of its own" },
	{ "close load(1", "f:1:", "')'" },
	{ "end", "f:1:", "no block" },
	{ "else", "f:1:", "no block" },
	{ "a = getppid\nwhile a zero", "f:2:", "no block" },
	{ "loop\nelse", "f:2:", "line 1" },
	{ "a = getppid\nif a ok\nwhile a ok", "f:3:", "line 2" },
	{ "a = getppid\nif a ok\nelse\nelse", "f:4:", "as an if" },
	{ "loop\ngetppid", "f:1:", "no end" },
	{ "loop 0\nend", "f:1:", "times" },
	{ "loop 4294967296\nend", "f:1:", "times" },
	{ "loop x\nend", "f:1:", "unknown name" },
	{ "if x ok\nend", "f:1:", "no line above" },
	{ "a = getppid\nif a maybe\nend", "f:2:", "condition" },
	{ "a = getppid\nif a\nend", "f:2:", "condition" },
	{ "a = getppid\nif a ok more\nend", "f:2:", "too much" },
	{ "when a ok getppid", "f:1:", "no line above" },
	{ "after\ngetppid", "f:1:", "name of a step" },
	{ "store getppid", "f:1:", "unknown name" },
	{ "store", "f:1:", "address" },
	{ "label", "f:1:", "text" },
	{ "full", "f:1:", "missing" },
	{ "loop\nx = end", "f:2:", "neither" },
	{ "loop\nfull end", "f:2:", "neither" },
	{ "timer", "f:1:", "time" },
	{ "timer 1h", "f:1:", "'h' is none of ns, us, ms and s" },
	{ "timer 10mm", "f:1:", "'mm' is none of" },
	{ "getppid\ntimer 10msec", "f:2:", "'msec' is none of" },
	{ "timer 10MS", "f:1:", "'MS' is none of" },
	{ "timer 0x10ms", "f:1:", "no number" },
	{ "timer 1.5s", "f:1:", "no number" },
	{ "timer 10 ms", "f:1:", "too much" },
	{ "timer ms", "f:1:", "unknown name" },
	{ "timer -5", "f:1:", "negative" },
	{ "timer -5ms", "f:1:", "negative" },
	{ "timer 99999999999s", "f:1:", "292" },
	{ "timer 1s 2s", "f:1:", "too much" },
	{ "result x", "f:1:", "no line above" },
	{ "getppid 5", "f:1:", "here are 1" },
	{ "x\x1b[31m 1", "f:1:", "x?[31m" },
};

static void refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		forget(NULL);
		if (parse(bad[i].source) != -EINVAL)
			fail_msg("understood: %s", bad[i].source);
		if (strncmp(text.error, bad[i].place, strlen(bad[i].place)) != 0 ||
		    strstr(text.error, bad[i].word) == NULL)
			fail_msg("%s\nsays: %s\nnot: %s ... %s", bad[i].source, text.error,
				 bad[i].place, bad[i].word);
	}
	forget(NULL);
	assert_int_equal(chain_parse(&text, "f", "a\0b", 3), -EINVAL);
	assert_non_null(strstr(text.error, "zero byte"));
}

/* Names in a tree, lines in arrays that grow. */
static void many(void **state)
{
	static char source[2000000];
	size_t at = 0;

	(void)state;
	for (unsigned i = 0; i < 20000; i++)
		at += (size_t)snprintf(source + at, sizeof source - at, "s%u = %s %s%u getppid\n",
				       i, i ? "after" : "label x", i ? "s" : "label y",
				       i ? i - 1 : 0);
	/* the first line has "label x label y0", which is two labels */
	understand(source);
	assert_int_equal(text.step_count, 20000);
	assert_int_equal(chain_find_step(&text, "s12345"), 12345);
}

/* Looked for one by one, so many names would last until the time-out. */
static void many_memories(void **state)
{
	enum { MEMORIES = 200000 };
	static char source[8000000];
	size_t at = (size_t)snprintf(source, sizeof source, "&m0[8]\n");

	(void)state;
	for (unsigned i = 1; i < MEMORIES; i++)
		at += (size_t)snprintf(source + at, sizeof source - at, "&m%u[8] = &m%u\n", i,
				       i - 1);
	snprintf(source + at, sizeof source - at, "getppid\n");
	understand(source);
	assert_int_equal(text.memory_count, MEMORIES);
	assert_int_equal(chain_find_memory(&text, "m123456"), 123456);
	assert_int_equal(chain_find_memory(&text, "m"), -1);
}

static void nesting(void **state)
{
	char source[2000];

	(void)state;
	for (unsigned depth = ASYS_CHAIN_NEST_MAX; depth <= ASYS_CHAIN_NEST_MAX + 1; depth++) {
		size_t at = 0;

		for (unsigned i = 0; i < 2 * depth; i++)
			at += (size_t)snprintf(source + at, sizeof source - at, "%s",
					       i < depth ? "loop\n" : "end\n");
		forget(NULL);
		assert_int_equal(parse(source), depth > ASYS_CHAIN_NEST_MAX ? -EINVAL : 0);
	}
	assert_non_null(strstr(text.error, "in each other"));
}

static void near_constants(void **state)
{
	int64_t value;

	(void)state;
	assert_true(constant_find("SEEK_END", &value));
	assert_int_equal(value, SEEK_END);
	assert_false(constant_find("SEEK_EN", &value));
	assert_string_equal(constant_near("SEEK_EN"), "SEEK_END");
	assert_string_equal(constant_near("O_CLOEXE"), "O_CLOEXEC");
	assert_null(constant_near("nothing_like_it"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(steps, forget),
		cmocka_unit_test_teardown(numbers, forget),
		cmocka_unit_test_teardown(arguments, forget),
		cmocka_unit_test_teardown(memories, forget),
		cmocka_unit_test_teardown(modifiers, forget),
		cmocka_unit_test_teardown(blocks, forget),
		cmocka_unit_test_teardown(refused, forget),
		cmocka_unit_test_teardown(many, forget),
		cmocka_unit_test_teardown(many_memories, forget),
		cmocka_unit_test_teardown(nesting, forget),
		cmocka_unit_test(near_constants),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
