# SPDX-License-Identifier: MIT
"""A TCP proxy in front of a Redis, which can hold back what passes.

Each connection has two ways, "requests" and "replies".  What is held on one of
them stays here, in order, until it is released, or lost with the connection.
"""
import contextlib
import socket
import threading

WAYS = ("requests", "replies")


class _Link:
    """One connection through the proxy."""

    def __init__(self, proxy, client, server):
        self.proxy = proxy
        self.ends = {"requests": (client, server), "replies": (server, client)}
        self.held = set()       # ways that are held on this connection alone
        self.closed = False
        for way in WAYS:
            threading.Thread(target=self._pump, args=(way,),
                             daemon=True).start()

    def _pump(self, way):
        source, target = self.ends[way]
        tail = b""
        with contextlib.suppress(OSError):
            while True:
                data = source.recv(1 << 16)
                if not data:
                    break
                # A mark may be cut in two.
                lost = self.proxy._look(self, way, tail + data)
                tail = data[-100:]
                if not self.proxy._pass(self, way):
                    break
                if not lost:
                    target.sendall(data)
        self.close()

    def orphan(self):
        """The client sees the end of it; what is held is not lost."""
        with contextlib.suppress(OSError):
            self.ends["requests"][0].shutdown(socket.SHUT_RDWR)

    def close(self):
        with self.proxy.changed:
            self.closed = True
            self.proxy.changed.notify_all()
        for end in self.ends["requests"]:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class Proxy:
    def __init__(self, path):
        """path: the unix socket of the Redis."""
        self.path = str(path)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.uri = f"redis://127.0.0.1:{self.port}"
        self.changed = threading.Condition()
        self.links = []
        self.orphans = []       # links whose clients have gone
        self.held = set()       # ways that are held on all connections
        self.traps = []         # [way of the mark, mark, way to hold, sprung]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.socket(socket.AF_UNIX)
                try:
                    server.connect(self.path)
                except OSError:
                    client.close()
                    continue
                with self.changed:
                    self.links.append(_Link(self, client, server))

    def _look(self, link, way, data):
        """True: these bytes are to be lost."""
        lost = False
        with self.changed:
            for trap in self.traps:
                if trap[0] == way and not trap[3].is_set() and trap[1] in data:
                    lost = lost or trap[2] is None
                    link.held.update(trap[2:3] if trap[2] else ())
                    trap[3].set()
        return lost

    def _pass(self, link, way):
        """Waits while that way is held; False: the connection is over."""
        with self.changed:
            while (way in self.held or way in link.held) and not link.closed:
                self.changed.wait()
            return not link.closed

    def hold(self, *ways):
        """From now on, on all connections."""
        with self.changed:
            self.held.update(ways)

    def trap(self, way, mark, hold):
        """When these bytes come along one way of a connection, `hold` is held
        on it (they too, if it is the same way); None: they alone are lost,
        with whatever comes in the same piece.  An Event: it has happened."""
        sprung = threading.Event()
        with self.changed:
            self.traps.append((way, mark, hold, sprung))
        return sprung

    def release(self, *ways):
        """All that is held goes on its way (or what is held on these)."""
        with self.changed:
            self.held.difference_update(ways or WAYS)
            for link in self.links + self.orphans:
                link.held.difference_update(ways or WAYS)
            self.changed.notify_all()

    def orphan(self):
        """All connections end for their clients.  What is held may still reach
        Redis, when it is released: late.  New ones may come."""
        with self.changed:
            links, self.orphans = self.links, self.links
            self.links = []
            for link in links:
                link.held.update(self.held)
            self.held.clear()
        for link in links:
            link.orphan()

    def cut(self):
        """Breaks all connections; what was held is lost.  New ones may come."""
        with self.changed:
            links, self.links = self.links + self.orphans, []
            self.orphans = []
            self.held.clear()
        for link in links:
            link.close()

    def close(self):
        self.listener.close()
        self.cut()
