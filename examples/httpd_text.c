/* SPDX-License-Identifier: MIT */
/* HTTP/1.1 as far as a server of files needs it: RFC 9110 and 9112. */
#include "httpd.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Requests */

static int hex(char ch)
{
	const char *digits = "0123456789abcdef", *at = ch ? strchr(digits, ch | 0x20) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* The path of a request's target, without what means nothing to the file system. 0 or a status. */
static int take_path(struct exchange *x, const char *at, const char *end)
{
	char *to = x->path;

	if (end - at > 7 && !strncasecmp(at, "http://", 7))
		for (at += 7; at < end && *at != '/'; at++)
			;
	if (at == end || *at != '/')
		return 400;
	while (at < end && *at == '/')
		at++;
	for (; at < end && *at != '?'; at++) {
		int high = *at == '%' && end - at > 2 ? hex(at[1]) : -1;
		int low = high >= 0 ? hex(at[2]) : -1;

		if (*at == '%' && low < 0)
			return 400;
		*to = low < 0 ? *at : (char)(high << 4 | low);
		at += low < 0 ? 0 : 2;
		if (!*to++)
			return 400;
	}
	if (to == x->path || to[-1] == '/')
		to = stpcpy(to, "index.html");
	*to = '\0';
	return 0;
}

static bool is_header(const char *line, const char *end, const char *name, const char **ret_value)
{
	size_t length = strlen(name);

	if ((size_t)(end - line) <= length || strncasecmp(line, name, length) ||
	    line[length] != ':')
		return false;
	for (line += length + 1; line < end && (*line == ' ' || *line == '\t'); line++)
		;
	*ret_value = line;
	return true;
}

/* What matters of the lines after the first one. 0 or a status. */
static int take_headers(struct exchange *x, const char *line, const char *end, bool new)
{
	const char *value = NULL;
	bool host = false;

	for (const char *stop; line < end; line = stop + 2) {
		stop = memchr(line, '\r', (size_t)(end - line));
		if (!stop)
			stop = end;
		if (is_header(line, stop, "Host", &value))
			host = true;
		else if (is_header(line, stop, "Connection", &value))
			x->keep = new ? strncasecmp(value, "close", 5) != 0 :
					strncasecmp(value, "keep-alive", 10) == 0;
		else if (is_header(line, stop, "Transfer-Encoding", &value) ||
			 (is_header(line, stop, "Content-Length", &value) &&
			  (*value != '0' || value + 1 != stop)))
			return 413; /* nothing here wants a body */
	}
	return host || !new ? 0 : 400;
}

static int take(struct exchange *x, const char *text)
{
	const char *end = text + x->size - 2, *target, *version;
	const char *stop = memchr(text, '\r', x->size);
	bool new;
	int status;

	target = memchr(text, ' ', (size_t)(stop - text));
	version = target ? memchr(target + 1, ' ', (size_t)(stop - target - 1)) : NULL;
	if (!version || stop - version != 9 || memcmp(version, " HTTP/1.", 8))
		return 400;
	new = version[8] != '0';
	x->keep = new;
	x->head = !memcmp(text, "HEAD ", 5);
	status = take_headers(x, stop + 2, end, new);
	if (!status && !x->head && memcmp(text, "GET ", 4))
		status = 405;
	return status ? status : take_path(x, target + 1, version);
}

void exchange_take(struct exchange *x, const char *text)
{
	x->keep = x->head = false;
	x->status = take(x, text);
	if (x->status)
		x->keep = false;
}

/* Answers */

static const char *text_of(int status)
{
	static const struct {
		int status;
		const char *text;
	} texts[] = { { 200, "OK" },
		      { 400, "Bad Request" },
		      { 403, "Forbidden" },
		      { 404, "Not Found" },
		      { 405, "Method Not Allowed" },
		      { 413, "Content Too Large" },
		      { 431, "Header Too Large" } };

	for (size_t n = 0; n < sizeof(texts) / sizeof(*texts); n++)
		if (texts[n].status == status)
			return texts[n].text;
	return "Internal Server Error";
}

static const char *type_of(const char *path)
{
	static const char *const types[][2] = {
		{ ".html", "text/html; charset=utf-8" },
		{ ".css", "text/css" },
		{ ".js", "text/javascript" },
		{ ".json", "application/json" },
		{ ".txt", "text/plain; charset=utf-8" },
		{ ".xml", "text/xml" },
		{ ".svg", "image/svg+xml" },
		{ ".png", "image/png" },
		{ ".jpg", "image/jpeg" },
		{ ".gif", "image/gif" },
		{ ".webp", "image/webp" },
		{ ".ico", "image/x-icon" },
		{ ".pdf", "application/pdf" },
		{ ".wasm", "application/wasm" },
		{ ".woff2", "font/woff2" },
		{ ".mp4", "video/mp4" },
	};
	const char *dot = strrchr(path, '.');

	for (size_t n = 0; dot && n < sizeof(types) / sizeof(*types); n++)
		if (!strcasecmp(dot, types[n][0]))
			return types[n][1];
	return "application/octet-stream";
}

void file_lines(char *ret_lines, const char *path, const struct stat *st)
{
	snprintf(ret_lines, LINES_SIZE, "Content-Type: %s\r\nContent-Length: %lld\r\n",
		 type_of(path), (long long)st->st_size);
}

static const char *date_now(struct exchange *x)
{
	time_t now = time(NULL);
	struct tm tm;

	if (now != x->date)
		strftime(x->date_text, sizeof(x->date_text), "%a, %d %b %Y %H:%M:%S GMT",
			 gmtime_r(&now, &tm));
	x->date = now;
	return x->date_text;
}

size_t exchange_head(struct exchange *x, const char *lines, char *ret_head)
{
	const char *date = date_now(x), *text = text_of(x->status);
	char *end = ret_head;

	/* What is sent a hundred thousand times a second is put together by hand. */
	if (x->status == 200) {
		end = stpcpy(end, "HTTP/1.1 200 OK\r\nServer: asys-httpd\r\nDate: ");
		end = stpcpy(stpcpy(end, date), "\r\n");
		end = stpcpy(end, lines);
		end = stpcpy(end, x->keep ? "Connection: keep-alive\r\n\r\n" :
					    "Connection: close\r\n\r\n");
		return (size_t)(end - ret_head);
	}
	return (size_t)snprintf(ret_head, HEAD_SIZE,
				"HTTP/1.1 %d %s\r\nServer: asys-httpd\r\nDate: %s\r\n%s"
				"Content-Type: text/plain\r\nContent-Length: %zu\r\n"
				"Connection: %s\r\n\r\n%s%s",
				x->status, text, date,
				x->status == 405 ? "Allow: GET, HEAD\r\n" : "", strlen(text) + 1,
				x->keep ? "keep-alive" : "close", x->head ? "" : text,
				x->head ? "" : "\n");
}
