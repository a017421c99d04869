#!/usr/bin/env python3
"""Keeps a listening socket and runs a gateway on it; SIGUSR2 puts another in its place without a lost request.

    overlapping.py 0.0.0.0:443 portcullis serve -c /etc/portcullis/gateway.toml

`[server] listen` says the same address, `drain = { goodbye = "2s" }` there keeps requests on kept connections, and `[state] wait`
is more than three seconds and all before *refusing*. SIGTERM ends both. Other files are taken over as ever: the gateway watches them.
"""
import signal
import socket
import subprocess
import sys
import time

# In which a new gateway finds what is wrong with its file, its sockets or its certificates, and ends.
TO_FAIL = 3

host, _, port = sys.argv[1].rpartition(":")
family = socket.AF_INET6 if ":" in host else socket.AF_INET
# `[::]` is every address of IPv4, too, as it is for the gateway.
both = host == "[::]"
door = socket.create_server((host.strip("[]"), int(port)), family=family, dualstack_ipv6=both, backlog=1024)


def start():
    # The socket becomes its file 3, which is what `LISTEN_FDS` speaks of; `LISTEN_PID` is the process itself.
    hand_over = 'exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"'
    return subprocess.Popen(["sh", "-c", hand_over, "sh", *sys.argv[2:]], stdin=door)


def followed(old):
    new = start()
    time.sleep(TO_FAIL)
    if new.poll() is not None:
        print("it did not start: the one before it goes on", file=sys.stderr, flush=True)
        return old
    old.terminate()
    leaving.append(old)
    return new


asked = []
# Gateways that answer what they have.
leaving = []
signal.signal(signal.SIGUSR2, lambda *_: asked.append(signal.SIGUSR2))
signal.signal(signal.SIGTERM, lambda *_: asked.append(signal.SIGTERM))
gateway = start()
while gateway.poll() is None:
    time.sleep(0.1)
    leaving = [one for one in leaving if one.poll() is None]
    while asked:
        if asked.pop(0) == signal.SIGUSR2:
            gateway = followed(gateway)
        else:
            gateway.terminate()
for one in leaving:
    one.wait()
sys.exit(gateway.returncode)
