/* SPDX-License-Identifier: MIT */
/*
 * Requests, as RFC 9110 and 9112 want them read. A server that guesses where a request ends is one that
 * others can be deceived through: whoever stands before it must see the same requests. So whatever is not
 * as it must be gets 400 and the end of the connection; a line ends with CR LF and nothing else does.
 */
#include "httpd.h"

#include <string.h>
#include <strings.h>

/* Part of a request: begin .. end. */
struct span {
	const char *begin, *end;
};

/* What the lines after the first one say. */
struct fields {
	unsigned hosts, lengths, codings; /* how many of each */
	bool close, keep_alive;
	bool body;
	bool other_coding; /* than "chunked" */
};

static bool is_alphanumeric(unsigned char ch)
{
	return (ch >= '0' && ch <= '9') || ((ch | 0x20) >= 'a' && (ch | 0x20) <= 'z');
}

static bool is_one_of(unsigned char ch, const char *others)
{
	return is_alphanumeric(ch) || (ch && strchr(others, ch));
}

/* Not empty, and nothing in it but letters, digits and these. */
static bool consists_of(struct span s, const char *others)
{
	const char *at = s.begin;

	while (at < s.end && is_one_of((unsigned char)*at, others))
		at++;
	return at == s.end && at > s.begin;
}

static bool is_token(struct span s)
{
	return consists_of(s, "!#$%&'*+-.^_`|~");
}

static bool is_control(unsigned char ch)
{
	return ch < ' ' || ch == 0x7f;
}

static bool equals(struct span s, const char *text)
{
	size_t length = strlen(text);

	return (size_t)(s.end - s.begin) == length && !memcmp(s.begin, text, length);
}

static bool equals_anyhow(struct span s, const char *text)
{
	size_t length = strlen(text);

	return (size_t)(s.end - s.begin) == length && !strncasecmp(s.begin, text, length);
}

/* Takes what comes before `ch`, and `ch`, from the rest; all of it if there is no `ch`. */
static struct span cut(struct span *rest, char ch)
{
	const char *at = rest->begin < rest->end ?
				 memchr(rest->begin, ch, (size_t)(rest->end - rest->begin)) :
				 NULL;
	struct span s = { rest->begin, at ? at : rest->end };

	rest->begin = at ? at + 1 : rest->end;
	return s;
}

static struct span without_blanks(struct span s)
{
	while (s.begin < s.end && (*s.begin == ' ' || *s.begin == '\t'))
		s.begin++;
	while (s.end > s.begin && (s.end[-1] == ' ' || s.end[-1] == '\t'))
		s.end--;
	return s;
}

/* Targets */

static int hex(char ch)
{
	const char *digits = "0123456789abcdef", *at = ch ? strchr(digits, ch | 0x20) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* Where a host's name ends, or NULL if it is none. It may be empty. */
static const char *end_of_host(struct span s)
{
	const char *const others = "-._~!$&'()*+,;=";
	const char *at = s.begin;

	if (at < s.end && *at == '[') {
		at = memchr(at, ']', (size_t)(s.end - at));
		if (!at || !consists_of((struct span){ s.begin + 1, at }, ":-._~!$&'()*+,;="))
			return NULL;
		return at + 1;
	}
	for (; at < s.end && *at != ':'; at++) {
		if (*at == '%' ? s.end - at < 3 || hex(at[1]) < 0 || hex(at[2]) < 0 :
				 !is_one_of((unsigned char)*at, others))
			return NULL;
	}
	return at;
}

/* A host, and perhaps a port. No user before them: that is how links lie. */
static bool is_authority(struct span s)
{
	const char *at = end_of_host(s);

	if (!at || (at < s.end && *at != ':'))
		return false;
	for (at += at < s.end; at < s.end && *at >= '0' && *at <= '9'; at++)
		;
	return at == s.end;
}

/* Of http://HOST/PATH what is behind the host, if the target is of that form. 0 or a status. */
static int skip_authority(struct span *target)
{
	static const char prefix[] = "http://";
	const size_t length = sizeof(prefix) - 1;
	struct span host = { target->begin + length, target->begin + length };

	if ((size_t)(target->end - target->begin) < length ||
	    strncasecmp(target->begin, prefix, length))
		return *target->begin == '/' ? 0 : 400;
	while (host.end < target->end && *host.end != '/' && *host.end != '?')
		host.end++;
	target->begin = host.end;
	return host.begin < host.end && *host.begin != ':' && is_authority(host) ? 0 : 400;
}

/* The path, without what means nothing to the file system. 0 or a status. */
static int decode(struct exchange *x, struct span path)
{
	char *to = x->path;

	for (const char *at = path.begin; at < path.end; at++) {
		int high = *at == '%' && path.end - at > 2 ? hex(at[1]) : -1;
		int low = high >= 0 ? hex(at[2]) : -1;

		if (*at == '%' && low < 0)
			return 400;
		*to = low < 0 ? *at : (char)(high << 4 | low);
		at += low < 0 ? 0 : 2;
		if (!*to++)
			return 400;
	}
	x->folder = to == x->path || to[-1] == '/';
	if (x->folder)
		to = stpcpy(to, "index.html");
	*to = '\0';
	return 0;
}

/* 0 or a status. */
static int take_target(struct exchange *x, struct span target)
{
	struct span path;
	int status;

	for (const char *at = target.begin; at < target.end; at++)
		if (is_control((unsigned char)*at) || *at == '#')
			return 400;
	status = target.begin < target.end ? skip_authority(&target) : 400;
	if (status)
		return status;
	while (target.begin < target.end && *target.begin == '/')
		target.begin++;
	x->target = target.begin;
	x->target_size = (size_t)(target.end - target.begin);
	path = cut(&target, '?');
	x->path_size = (size_t)(path.end - path.begin);
	return decode(x, path);
}

/* Lines after the first one */

static void take_connection(struct fields *f, struct span value)
{
	while (value.begin < value.end) {
		struct span option = without_blanks(cut(&value, ','));

		f->close |= equals_anyhow(option, "close");
		f->keep_alive |= equals_anyhow(option, "keep-alive");
	}
}

/* Whether it is right alone; check_fields looks at all of them. */
static bool take_field(struct fields *f, struct span name, struct span value)
{
	const char *at = value.begin;

	if (equals_anyhow(name, "Host")) {
		f->hosts++;
		return is_authority(value);
	}
	if (equals_anyhow(name, "Connection")) {
		take_connection(f, value);
	} else if (equals_anyhow(name, "Transfer-Encoding")) {
		f->codings++;
		f->body = true;
		f->other_coding = !equals_anyhow(value, "chunked");
	} else if (equals_anyhow(name, "Content-Length")) {
		f->lengths++;
		for (; at < value.end && *at >= '0' && *at <= '9'; at++)
			f->body |= *at != '0';
		return at == value.end && at > value.begin;
	}
	return true;
}

/*
 * A name, a colon right behind it, and a value. So a line that goes on with the one before it, which
 * begins with a blank, is none.
 */
static bool take_line(struct fields *f, struct span line)
{
	struct span name, value = line;

	name = cut(&value, ':');
	if (name.end == line.end || !is_token(name))
		return false;
	value = without_blanks(value);
	for (const char *at = value.begin; at < value.end; at++)
		if (is_control((unsigned char)*at) && *at != '\t')
			return false;
	return take_field(f, name, value);
}

/* The next line without its end; false if that is not CR LF. */
static bool next_line(struct span *rest, struct span *ret_line)
{
	*ret_line = cut(rest, '\n');
	if (ret_line->end == ret_line->begin || ret_line->end[-1] != '\r')
		return false;
	ret_line->end--;
	return true;
}

/* 0 or a status. */
static int check_fields(const struct fields *f, bool new)
{
	if (f->hosts > 1 || (new && !f->hosts))
		return 400;
	if (f->lengths > 1 || f->codings > 1 || (f->codings && (f->lengths || !new)))
		return 400; /* where it ends is a matter of opinion */
	if (f->other_coding)
		return 501;
	return f->body ? 413 : 0; /* nothing here wants a body */
}

/* 0 or a status. */
static int take_fields(struct exchange *x, struct span rest, bool new)
{
	struct fields f = { 0 };
	struct span line;

	for (;;) {
		if (!next_line(&rest, &line))
			return 400;
		if (line.begin == line.end)
			break;
		if (!take_line(&f, line))
			return 400;
	}
	x->keep = !f.close && (new || f.keep_alive);
	return check_fields(&f, new);
}

/* The first line */

/* "HTTP/1.1" is new, and what comes after it; 1.0 is not. 0 or a status. */
static int take_version(struct span s, bool *ret_new)
{
	if (s.end - s.begin != 8 || memcmp(s.begin, "HTTP/", 5) || s.begin[6] != '.' ||
	    s.begin[5] < '0' || s.begin[5] > '9' || s.begin[7] < '0' || s.begin[7] > '9')
		return 400;
	*ret_new = s.begin[7] != '0';
	return s.begin[5] == '1' ? 0 : 505;
}

/* What others know, and this server does not, is refused otherwise than what nobody knows. */
static int take_method(struct exchange *x, struct span s)
{
	static const char *const known[] = { "POST", "PUT", "DELETE", "CONNECT", "TRACE", "PATCH" };

	if (!is_token(s))
		return 400;
	x->head = equals(s, "HEAD");
	x->options = equals(s, "OPTIONS");
	if (x->head || x->options || equals(s, "GET"))
		return 0;
	for (size_t n = 0; n < sizeof(known) / sizeof(*known); n++)
		if (equals(s, known[n]))
			return 405;
	return 501;
}

static int take(struct exchange *x, struct span rest)
{
	struct span method, target, line;
	int wrong, status;
	bool new;

	if (!next_line(&rest, &line))
		return 400;
	method = cut(&line, ' ');
	target = cut(&line, ' ');
	wrong = take_method(x, method);
	status = wrong == 400 ? wrong : take_version(line, &new);
	if (!status)
		status = take_fields(x, rest, new);
	if (!status)
		status = wrong;
	if (status || (x->options && equals(target, "*")))
		return status;
	return take_target(x, target);
}

void exchange_take(struct exchange *x, const char *text, size_t have)
{
	x->keep = x->head = x->options = false;
	if (x->size)
		x->status = take(x, (struct span){ text, text + x->size });
	else
		x->status = memchr(text, '\n', have) ? 431 : 414;
	if (x->status)
		x->keep = false;
	else if (x->options)
		x->status = 200;
}

/* Where requests begin and end */

size_t empty_lines(const char *text, size_t size)
{
	size_t n = 0;

	while (size - n >= 2 && text[n] == '\r' && text[n + 1] == '\n')
		n += 2;
	return n;
}

/* Lines that end with LF alone end too: then it is known that the request is wrong. */
size_t request_size(const char *text, size_t size)
{
	const char *end = text + size;

	for (const char *at = text; (at = memchr(at, '\n', (size_t)(end - at)));) {
		at++;
		if (at < end && *at == '\n')
			return (size_t)(at + 1 - text);
		if (end - at > 1 && at[0] == '\r' && at[1] == '\n')
			return (size_t)(at + 2 - text);
	}
	return 0;
}
