#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Asks the file server what browsers, and others, ask.  Usage: httpd.py PROGRAM"""
import hashlib
import http.client
import os
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
    os.makedirs(os.path.join(top, "sub"))
    for name, data in FILES.items():
        with open(os.path.join(top, name), "wb") as file:
            file.write(data)
    with open(os.path.join(folder, "secret.txt"), "wb") as file:
        file.write(b"secret")
    os.symlink("../secret.txt", os.path.join(top, "out.txt"))
    os.symlink("one.txt", os.path.join(top, "in.txt"))
    os.mkfifo(os.path.join(top, "fifo"))
    return top


def start(program, top):
    server = subprocess.Popen([program, "-p", "0", top], stdout=subprocess.PIPE)
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
                         ("/sub", 403), ("/fifo", 403), ("/" + "x" * 300, 404)):
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
    for text, status in ((b"nonsense\r\n\r\n", 400), (b"GET /\r\n\r\n", 400), (b"\r\n\r\n", 400),
                         (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 400),
                         (b"GET one.txt HTTP/1.1\r\nHost: x\r\n\r\n", 400),
                         (b"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400),
                         (b"GET /a%00b HTTP/1.1\r\nHost: x\r\n\r\n", 400),
                         (b"GET / HTTP/1.1\r\n\r\n", 400),
                         (b"POST / HTTP/1.1\r\nHost: x\r\n\r\n", 405),
                         (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nGET /", 413),
                         (b"GET / HTTP/1.1\r\nX: " + b"x" * 8000, 0),
                         (b"GET / HTTP/1.1\r\nX: " + b"x" * 9000, 431)):
        answer = raw(port, text)
        check(f"{text[:40]}: {answer[:40]}",
              answer.startswith(b"HTTP/1.1 %d " % status) and answer.count(b"HTTP/1.1") == 1
              if status else not answer)
    answer = raw(port, b"GET /one.txt HTTP/1.0\r\n\r\n" * 2)
    check("HTTP/1.0 closes", answer.count(b"HTTP/1.1 200") == 1)
    answer = raw(port, b"GET /one.txt HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" * 2)
    check("HTTP/1.0 may stay", answer.count(b"HTTP/1.1 200") == 2)


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
    check("no folder", subprocess.run([program, "/none"], stderr=subprocess.DEVNULL).returncode == 1)
    with tempfile.TemporaryDirectory(prefix="asys-httpd-") as folder:
        top = make_files(folder)
        server, port = start(program, top)
        try:
            check_files(port)
            check_requests(port)
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
