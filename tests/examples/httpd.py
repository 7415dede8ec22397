#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Asks the file server what browsers, and others, ask.  Usage: httpd.py PROGRAM"""
import hashlib
import http.client
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

FILES = {"index.html": b"<p>top", "sub/index.html": b"<p>sub", "empty.txt": b"", "a b.txt": b"blank",
         "one.txt": b"1", "page.css": b"p {}", "unknown": b"\0\1\2",
         "edge.bin": os.urandom(64 << 10), "edge1.bin": os.urandom((64 << 10) + 1),
         "large.bin": os.urandom(10_000_000)}
# The engine `threads` has a thread for each receive that waits, and not more than twelve.
MANY = 8 if os.environ.get("ASYS_ENGINE") == "threads" else 300
failures = []


def check(what, held):
    if not held:
        failures.append(what)
        print(f"FAILED: {what}")


def make_files(folder):
    top = os.path.join(folder, "www")
    for name in ("sub", "empty/deep", "odd/index.html", "a\r\nSet-Cookie: b", "back\\slash"):
        os.makedirs(os.path.join(top, name))
    for name, data in FILES.items():
        with open(os.path.join(top, name), "wb") as file:
            file.write(data)
    with open(os.path.join(folder, "secret.txt"), "wb") as file:
        file.write(b"secret")
    os.symlink("../secret.txt", os.path.join(top, "out.txt"))
    os.symlink("one.txt", os.path.join(top, "in.txt"))
    os.mkfifo(os.path.join(top, "fifo"))
    return top


def start(program, top, **more):
    server = subprocess.Popen([program, "-p", "0", top], stdout=subprocess.PIPE, **more)
    line = server.stdout.readline().decode()
    return server, int(line.rstrip("/\n").rsplit(":", 1)[1])


def ask(connection, path, method="GET", **headers):
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    return answer, answer.read()


def raw(port, *parts, pause=0.05):
    """Sends the parts, then all that comes until the server closes, or says nothing for a while."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(pause)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := connection.recv(1 << 16):
            answer += piece
        return answer


def check_files(port):
    """All over one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.connect()
    sock = connection.sock
    for _ in range(3):
        for name, data in FILES.items():
            path = "/" + name.replace(" ", "%20")
            answer, body = ask(connection, path)
            check(f"{path}: {answer.status}, {len(body)} bytes", answer.status == 200 and
                  hashlib.sha256(body).digest() == hashlib.sha256(data).digest())
            answer, body = ask(connection, path, "HEAD")
            check(f"HEAD {path}", answer.status == 200 and not body and
                  answer.getheader("Content-Length") == str(len(data)))
    for path, wanted in (("/", b"<p>top"), ("/sub/", b"<p>sub"), ("/one.txt?query=/../x", b"1"),
                         ("//one.txt", b"1"), ("/%6fne.txt", b"1"), ("/in.txt", b"1"),
                         ("/sub/../one.txt", b"1"), ("http://host/one.txt", b"1")):
        answer, body = ask(connection, path)
        check(f"{path}: {answer.status} {body}", answer.status == 200 and body == wanted)
    for path, status in (("/none", 404), ("/sub/none", 404), ("/one.txt/", 404), ("/out.txt", 404),
                         ("/../secret.txt", 404), ("/sub/../../secret.txt", 404),
                         ("/%2e%2e/secret.txt", 404), ("/..%2fsecret.txt", 404),
                         ("/sub/sub", 404), ("/empty/", 404), ("/fifo", 403), ("/" + "x" * 300, 404)):
        answer, body = ask(connection, path)
        check(f"{path[:40]}: {answer.status}", answer.status == status and b"secret" not in body)
    check("one connection for all", connection.sock is sock)
    for path, wanted in (("/", "text/html"), ("/page.css", "text/css"), ("/one.txt", "text/plain"),
                         ("/unknown", "application/octet-stream")):
        answer, _ = ask(connection, path)
        check(f"type of {path}", answer.getheader("Content-Type").startswith(wanted))
        check("a date", answer.getheader("Date").endswith("GMT"))
    answer, _ = ask(connection, "/one.txt", Connection="close")
    check("close", answer.getheader("Connection") == "close" and answer.will_close)
    connection.close()


def check_requests(port):
    get = b"GET /one.txt HTTP/1.1\r\nHost: x\r\n\r\n"
    css = b"GET /page.css HTTP/1.1\r\nHost: x\r\n\r\n"
    for parts in ([get + css], [get + css[:10], css[10:]], [get[:5], get[5:30], get[30:] + css],
                  [bytes([byte]) for byte in get + css]):
        answer = raw(port, *parts, pause=0.05 if len(parts) < 9 else 0.002)
        check(f"two requests in {len(parts)} parts: {answer}", answer.count(b"HTTP/1.1 200") == 2 and
              answer.endswith(b"p {}") and b"\r\n\r\n1HTTP" in answer)
    large = b"GET /large.bin HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = raw(port, get + large + css)
    check("a large file between two others", answer.count(b"HTTP/1.1 200") == 3 and
          FILES["large.bin"] in answer and answer.endswith(b"p {}"))
    answer = raw(port, get * 500)
    check("500 requests at once", answer.count(b"\r\n\r\n1") == 500)
    answer = raw(port, b"\r\n\r\n" + get + b"\r\n" + css)
    check("empty lines before requests", answer.count(b"HTTP/1.1 200") == 2)
    check("empty lines alone", raw(port, b"\r\n\r\n") == b"")
    check("an unfinished request", raw(port, b"GET / HTTP/1.1\r\nX: " + b"x" * 8000) == b"")
    host = b"GET /one.txt HTTP/1.1\r\nHost: x\r\n"
    for text, status in wrong_requests(host):
        answer = raw(port, text + get, pause=0.01)
        check(f"{text[:60]} {len(text)}: {answer[:40]}, not {status}",
              answer.startswith(b"HTTP/1.1 %d " % status) and answer.count(b"HTTP/1.1 ") == 1 and
              b"\r\nConnection: close\r\n" in answer)
    for text in right_requests(host):
        answer = raw(port, text + get, pause=0.01)
        check(f"{text[:80]}: {answer[:40]}", answer.count(b"HTTP/1.1 200") == 2)
    for lines, stays in ((b"Connection: close\r\n", False), (b"connection: foo, CLOSE\r\n", False),
                         (b"Connection: closed\r\n", True), (b"Connection: keep-alive\r\n", True),
                         (b"Connection: keep-alive\r\nConnection: close\r\n", False),
                         (b"Connection: close ,keep-alive\r\n", False)):
        answer = raw(port, host + lines + b"\r\n" + get, pause=0.01)
        check(f"{lines}: {answer}", answer.count(b"HTTP/1.1 200") == 1 + stays)
    for text in (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", b"OPTIONS / HTTP/1.1\r\nHost: x\r\n\r\n"):
        answer = raw(port, text + get)
        check(f"{text}: {answer}", answer.startswith(b"HTTP/1.1 200 OK\r\n") and
              b"\r\nAllow: GET, HEAD, OPTIONS\r\n" in answer and answer.count(b"HTTP/1.1 200") == 2)
    answer = raw(port, b"POST / HTTP/1.1\r\nHost: x\r\n\r\n")
    check("a method that is known, but not here", b"\r\nAllow: GET, HEAD, OPTIONS\r\n" in answer)
    answer = raw(port, b"HEAD /none HTTP/1.1\r\nHost: x\r\n\r\n")
    check(f"HEAD of nothing: {answer}", answer.startswith(b"HTTP/1.1 404") and
          answer.endswith(b"\r\n\r\n"))
    answer = raw(port, b"GET /one.txt HTTP/1.0\r\n\r\n" * 2)
    check("HTTP/1.0 closes", answer.count(b"HTTP/1.1 200") == 1)
    answer = raw(port, b"GET /one.txt HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" * 2)
    check("HTTP/1.0 may stay", answer.count(b"HTTP/1.1 200") == 2)


def wrong_requests(host):
    """What could be read in more than one way, or not at all. `host`: a good begin."""
    yield from ((text, 400) for text in (
        b"nonsense\r\n\r\n", b"GET /\r\n\r\n", b" GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", b"GET / HTTP/1.1 \r\nHost: x\r\n\r\n",
        b"GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n", b"GET / a HTTP/1.1\r\nHost: x\r\n\r\n",
        b"G(T / HTTP/1.1\r\nHost: x\r\n\r\n", b"GET one.txt HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET * HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /#a HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /a%00b HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /% HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /a\x01 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /a\rb HTTP/1.1\r\nHost: x\r\n\r\n", b"GET / http/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1.\r\nHost: x\r\n\r\n", b"GET / HTTP/1.10\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1\r\nHost: x\r\n\r\n", b"GET http:///one.txt HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://a@b/one.txt HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET ftp://a/one.txt HTTP/1.1\r\nHost: x\r\n\r\n"))
    # Lines that end otherwise, and lines that are none
    yield from ((text, 400) for text in (
        b"GET / HTTP/1.1\nHost: x\n\n", host[:-2] + b"\n\r\n", host + b"A: b\n\r\n",
        host + b"A: b\rC: d\r\n\r\n", host + b"A: b\r\r\n\r\n", host + b"A: b\0\r\n\r\n",
        host + b"A: \x0b\r\n\r\n", host + b" A: b\r\n\r\n", host + b"A: b\r\n c\r\n\r\n",
        host + b"A: b\r\n\tc\r\n\r\n", host + b"A\r\n\r\n", host + b": b\r\n\r\n",
        host + b"A : b\r\n\r\n", host + b"A\t: b\r\n\r\n", host + b"A b: c\r\n\r\n",
        host + b"Content-Length : 5\r\n\r\n12345",
        host + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\n Host: x\r\nHost: x\r\n\r\n"))
    yield from ((b"GET / HTTP/1.1\r\n" + text + b"\r\n", 400) for text in (
        b"", b"Host: x\r\nHost: x\r\n", b"Host: x\r\nhost: y\r\n", b"Host: x y\r\n",
        b"Host: x, y\r\n", b"Host: a@b\r\n", b"Host: x/y\r\n", b"Host: x:y\r\n", b"Host: [::1\r\n",
        b"Host: [::1]x\r\n", b"Host: []\r\n", b"Host: x%\r\n", b"Host: x:1:2\r\n"))
    # Where a body would end
    yield from ((host + text + b"\r\n", 400) for text in (
        b"Content-Length: 0\r\nContent-Length: 0\r\n", b"Content-Length: 5, 5\r\n",
        b"Content-Length: \r\n", b"Content-Length: +5\r\n", b"Content-Length: -1\r\n",
        b"Content-Length: 0x5\r\n", b"Content-Length: 5 5\r\n",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        b"Transfer-Encoding: \x0bchunked\r\n"))
    yield b"GET /one.txt HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400
    yield host + b"Transfer-Encoding: xchunked\r\n\r\n", 501
    yield host + b"Transfer-Encoding: chunked\r\n\r\n5\r\nGET /\r\n0\r\n\r\n", 413
    yield host + b"Content-Length: 5\r\n\r\nGET /", 413
    yield host + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n", 413
    yield host + b"Content-Length: 99999999999999999999999999\r\n\r\n", 413
    for method in (b"POST", b"PUT", b"DELETE", b"TRACE", b"PATCH", b"CONNECT"):
        yield method + b" / HTTP/1.1\r\nHost: x\r\n\r\n", 405
    yield b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n", 405
    yield b"get / HTTP/1.1\r\nHost: x\r\n\r\n", 501
    yield b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n", 501
    yield b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505
    yield b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505
    yield b"GET / HTTP/0.9\r\n\r\n", 505
    yield host + b"X: " + b"x" * 9000, 431
    yield b"GET /" + b"x" * 9000, 414


def right_requests(host):
    yield from (host + text + b"\r\n" for text in (
        b"Content-Length: 0\r\n", b"Content-Length:\t000 \r\n", b"Expect: 100-continue\r\n",
        b"Range: bytes=0-0\r\n", b"A:\r\n", b"A: b\tc\r\n", b"If-Modified-Since: x\r\n",
        b"Upgrade: websocket\r\nConnection: upgrade\r\n"))
    yield from (b"GET /one.txt HTTP/1.1\r\nHost:" + text + b"\r\n\r\n" for text in (
        b"", b" ", b"x:", b"x:80 ", b"[::1]", b"[::1]:80", b"a-b.c_d%20", b"127.0.0.1:8080"))
    yield from (b"GET " + text + b" HTTP/1.1\r\nHost: x\r\n\r\n" for text in (
        b"http://a", b"http://a?b/c", b"HTTP://a:80/one.txt", b"/%2e/one.txt", b"/?a=http://b/../c"))
    yield b"GET /one.txt HTTP/1.2\r\nHost: x\r\n\r\n"


def check_folders(port):
    """A folder's address ends with a slash, and where that is leads nowhere else."""
    for path, location in ((b"/sub", b"/sub/"), (b"/sub?a=/b&c", b"/sub/?a=/b&c"), (b"/sub?", b"/sub/?"),
                           (b"//sub", b"/sub/"), (b"/%73ub", b"/%73ub/"), (b"/empty", b"/empty/"),
                           (b"http://h/sub", b"/sub/"), (b"/sub/..", b"/sub/../"),
                           (b"/back\\slash", b"/back%5Cslash/"), (b"/empty%2fdeep", b"/empty%2fdeep/"),
                           (b"/a%0d%0aSet-Cookie:%20b", b"/a%0d%0aSet-Cookie:%20b/")):
        answer = raw(port, b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n", pause=0.01)
        check(f"{path}: {answer}", answer.startswith(b"HTTP/1.1 301 ") and
              b"\r\nLocation: " + location + b"\r\n" in answer and b"\r\nSet-Cookie" not in answer)
    answer = raw(port, b"GET /odd/ HTTP/1.1\r\nHost: x\r\n\r\n", pause=0.01)
    check(f"an index that is a folder: {answer}", answer.startswith(b"HTTP/1.1 404"))


def check_shorter(port, top):
    """A file that was looked at, and is shorter now, is served as it is."""
    path = os.path.join(top, "short.txt")
    for size in (5000, 100_000):
        with open(path, "wb") as file:
            file.write(b"x" * size)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        ask(connection, "/short.txt", "HEAD")
        os.truncate(path, 10)
        answer, body = ask(connection, "/short.txt")
        check(f"shorter: {answer.status} {len(body)}", answer.status == 200 and body == b"x" * 10)
        connection.close()
        time.sleep(1.1)


def check_many(port):
    """Many connections, of which none waits for another, and clients that go away."""
    connections = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(MANY)]
    for n, connection in enumerate(reversed(connections)):
        connection.sendall(b"GET /one.txt HTTP/1.1\r\nHost: x\r\n\r\n" if n % 3 else
                           b"GET /large.bin HTTP/1.1\r\nHost: x\r\n\r\n")
    for n, connection in enumerate(reversed(connections)):
        if n % 3:
            answer = b""
            while not answer.endswith(b"\r\n\r\n1"):
                answer += connection.recv(4096) or b"(closed)\r\n\r\n1"
            check(f"connection {n}: {answer}", b"(closed)" not in answer)
        connection.close()


def check_changes(port, top):
    """A file that changes is served as it is now, a second later at most."""
    path = os.path.join(top, "change.txt")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    for text in (b"before", b"after that", b""):
        with open(path + "~", "wb") as file:
            file.write(text)
        os.rename(path + "~", path)
        time.sleep(1.1)
        answer, body = ask(connection, "/change.txt")
        check(f"changed: {body}", answer.status == 200 and body == text)
    connection.close()


def few_descriptors():
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))


def get(port, name):
    return raw(port, b"GET /%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % name, pause=0)


def check_descriptors(program, top):
    """More files and clients than descriptors, and then fewer: it answers, also when all is over."""
    for n in range(100):
        with open(os.path.join(top, f"few{n}"), "wb") as file:
            file.write(b"%d" % n)
    server, port = start(program, top, preexec_fn=few_descriptors)
    idle = []
    try:
        for n in range(100):
            answer = get(port, b"few%d" % n)
            check(f"few descriptors, file {n}: {answer}", answer.endswith(b"\r\n\r\n%d" % n))
        download = socket.create_connection(("127.0.0.1", port), timeout=30)
        download.sendall(b"GET /large.bin HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        got = len(download.recv(1000))
        if MANY > 100:
            for n in range(100):  # of which some begin a request and never end it
                idle.append(socket.create_connection(("127.0.0.1", port), timeout=10))
                idle[-1].sendall(b"GET / HT" if n % 2 else b"\r\n")
                got += len(download.recv(30_000))
            check("a client after many that wait", get(port, b"one.txt").endswith(b"\r\n\r\n1"))
        while piece := download.recv(1 << 16):
            got += len(piece)
        check(f"a download that moves stays: {got} bytes", got > len(FILES["large.bin"]))
        download.close()
        for limit in (8, 64):  # none can be opened any more, for a while
            resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (limit, 64))
            if limit == 8:
                for connection in idle:
                    connection.close()
                idle = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(5)]
                time.sleep(0.3)
        check("a client after the limit", get(port, b"one.txt").endswith(b"\r\n\r\n1"))
        server.send_signal(signal.SIGTERM)
        check("few descriptors: a clean end", server.wait(20) == 0)
    finally:
        for connection in idle:
            connection.close()
        server.kill()
        server.wait()
        server.stdout.close()


def check_wrk(port):
    if not shutil.which("wrk") or MANY < 256:
        print("without wrk")
        return
    done = subprocess.run(["wrk", "-t1", "-c256", "-d1", f"http://127.0.0.1:{port}/one.txt"],
                          stdout=subprocess.PIPE, timeout=60)
    text = done.stdout.decode()
    requests = [line for line in text.splitlines() if "requests in" in line]
    check(f"wrk: {text}", done.returncode == 0 and requests and int(requests[0].split()[0]) > 0 and
          "Non-2xx" not in text and "Socket errors" not in text)


def main():
    program = sys.argv[1]
    check("usage", subprocess.run([program], stderr=subprocess.DEVNULL).returncode == 2)
    for port in ("", "abc", "80x0", "-5", "70000", " 80"):
        done = subprocess.run([program, "-p", port, "/"], stderr=subprocess.DEVNULL, timeout=60)
        check(f"port {port!r}", done.returncode == 2)
    done = subprocess.run([program, "-a", "nope", "/"], stderr=subprocess.PIPE, text=True, timeout=60)
    check("address", done.returncode == 1 and "nope: Invalid argument" in done.stderr)
    done = subprocess.run([program, "-p", "0", "/"], env={**os.environ, "ASYS_ENGINE": "none"},
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    check(f"no queue: {done.stdout + done.stderr}",
          (done.returncode, done.stdout) == (1, b"") and b"ASYS_ENGINE=none" in done.stderr)
    check("no folder", subprocess.run([program, "/none"], stderr=subprocess.DEVNULL).returncode == 1)
    with tempfile.TemporaryDirectory(prefix="asys-httpd-") as folder:
        top = make_files(folder)
        check_descriptors(program, top)
        server, port = start(program, top)
        try:
            check_files(port)
            check_requests(port)
            check_folders(port)
            check_shorter(port, top)
            check_many(port)
            check_changes(port, top)
            check_wrk(port)
            check("it still answers", b"200 OK" in raw(port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
            waiting = socket.create_connection(("127.0.0.1", port), timeout=10)
            time.sleep(0.1)
            server.send_signal(signal.SIGTERM)
            check("a clean end", server.wait(20) == 0)
            check("which closes connections", waiting.recv(1) == b"")
            waiting.close()
        finally:
            server.kill()
            server.wait()
            server.stdout.close()
    print(f"{len(failures)} failures")
    return 1 if failures else 0


sys.exit(main())
