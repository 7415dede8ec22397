/* SPDX-License-Identifier: MIT */
/* Answers. */
#include "httpd.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char *text_of(int status)
{
	static const struct {
		int status;
		const char *text;
	} texts[] = { { 200, "OK" },
		      { 301, "Moved Permanently" },
		      { 400, "Bad Request" },
		      { 403, "Forbidden" },
		      { 404, "Not Found" },
		      { 405, "Method Not Allowed" },
		      { 413, "Content Too Large" },
		      { 414, "URI Too Long" },
		      { 431, "Request Header Fields Too Large" },
		      { 501, "Not Implemented" },
		      { 503, "Service Unavailable" },
		      { 505, "HTTP Version Not Supported" } };

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

void file_lines(char *ret_lines, const char *path, int64_t size)
{
	snprintf(ret_lines, LINES_SIZE, "Content-Type: %s\r\nContent-Length: %lld\r\n",
		 type_of(path), (long long)size);
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

/* A folder's address ends with a slash: else what its page names would be looked for beside it. */
static char *add_location(char *to, const struct exchange *x)
{
	const char *const never = "\"<>\\^`{|}";

	/* One slash: two would be followed by a host. What came is without CR and LF. */
	to = stpcpy(to, "Location: /");
	for (size_t n = 0; n < x->target_size; n++) {
		unsigned char ch = (unsigned char)x->target[n];

		if (n == x->path_size)
			*to++ = '/';
		if (ch >= 0x80 || strchr(never, ch))
			to += sprintf(to, "%%%02X", ch);
		else
			*to++ = (char)ch;
	}
	return stpcpy(to, x->path_size == x->target_size ? "/\r\n" : "\r\n");
}

static_assert(ANSWER_SIZE >= 3 * REQUEST_SIZE + HEAD_SIZE,
	      "a location may be three times a target");

size_t exchange_head(struct exchange *x, const char *lines, char *ret_head)
{
	const char *date = date_now(x), *text = text_of(x->status);
	const char *body = x->head || x->options ? "" : text;
	char *end = ret_head;

	/* What is sent a hundred thousand times a second is put together by hand. */
	if (lines) {
		end = stpcpy(end, "HTTP/1.1 200 OK\r\nServer: asys-httpd\r\nDate: ");
		end = stpcpy(stpcpy(end, date), "\r\n");
		end = stpcpy(end, lines);
		end = stpcpy(end, x->keep ? "Connection: keep-alive\r\n\r\n" :
					    "Connection: close\r\n\r\n");
		return (size_t)(end - ret_head);
	}
	end += sprintf(end, "HTTP/1.1 %d %s\r\nServer: asys-httpd\r\nDate: %s\r\n", x->status, text,
		       date);
	if (x->status == 301)
		end = add_location(end, x);
	if (x->status == 405 || x->options)
		end = stpcpy(end, "Allow: GET, HEAD, OPTIONS\r\n");
	if (x->status == 503)
		end = stpcpy(end, "Retry-After: 1\r\n");
	if (!x->options)
		end = stpcpy(end, "Content-Type: text/plain\r\n");
	end += sprintf(end, "Content-Length: %zu\r\nConnection: %s\r\n\r\n%s%s",
		       x->options ? 0 : strlen(text) + 1, x->keep ? "keep-alive" : "close", body,
		       *body ? "\n" : "");
	return (size_t)(end - ret_head);
}
