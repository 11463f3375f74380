"""Two small servers of the lab; started as ``python3 -I -S standins.py``, never imported: up in 40 ms.

    standins.py apiserver-standin PORT CERTIFICATE KEY    TLS; every answer says that it is no kube-apiserver
    standins.py internet PORT NAME                        HTTP; what is behind the router

Each listens, then goes to the background: when the command has returned, the server answers.
"""

import os
import socket
import sys
import threading
from collections.abc import Callable

TIMEOUT_S = 10.0
STANDIN = (
    '{"kind":"Status","apiVersion":"v1","standin":true,"status":"Failure","reason":"ServiceUnavailable",'
    '"message":"this is the lab\'s apiserver-standin, not a kube-apiserver","code":503}\n'
)
HEALTHY = '{"kind":"Status","apiVersion":"v1","standin":true,"status":"Success"}\n'
HEALTH = ("/healthz", "/livez", "/readyz")


def response(status: str, server: str, kind: str, body: str) -> bytes:
    """A whole HTTP response."""
    head = f"HTTP/1.1 {status}\r\nServer: {server}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Connection: close\r\n\r\n{body}".encode()


def apiserver_standin(path: str) -> bytes:
    """What the stand-in says to a request for ``path``."""
    healthy = path.partition("?")[0] in HEALTH
    status, body = ("200 OK", HEALTHY) if healthy else ("503 Service Unavailable", STANDIN)
    return response(status, "apiserver-standin", "application/json", body)


def serve(connection: socket.socket, wrap: Callable[[socket.socket], socket.socket],
          answer: Callable[[str], bytes]) -> None:  # fmt: skip
    """One request, one answer."""
    try:
        connection.settimeout(TIMEOUT_S)
        stream = wrap(connection)
        request = b""
        while b"\r\n\r\n" not in request and len(request) < 65536:
            chunk = stream.recv(4096)
            if not chunk:
                break
            request += chunk
        words = request.decode("latin-1").split()
        if len(words) > 1:
            stream.sendall(answer(words[1]))
        stream.close()
    except OSError:
        pass  # a client that went away, or did not speak TLS
    finally:
        connection.close()


def main(role: str, port: str, *rest: str) -> None:
    if role == "apiserver-standin":
        import ssl

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*rest)
        tls = context.wrap_socket

        def wrap(connection: socket.socket) -> socket.socket:
            return tls(connection, server_side=True)

        answer = apiserver_standin
    else:

        def wrap(connection: socket.socket) -> socket.socket:
            return connection

        def answer(path: str) -> bytes:
            return response("200 OK", "envctl-internet", "text/plain", f"{rest[0]}\n")

    listener = socket.create_server(("", int(port)), backlog=128)
    if os.fork():
        os._exit(0)
    os.setsid()
    null = os.open("/dev/null", os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0], wrap, answer), daemon=True).start()


main(*sys.argv[1:])
