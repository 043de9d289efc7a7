"""A TCP proxy between one writer and the broker, which can refuse, cut, hold back and delay."""

import contextlib
import socket
import threading
import time


class Proxy:
    """Listens on a port of its own of 127.0.0.1; the broker's port behind it may be told later."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.upstream_port = None
        self.refuses = False
        self.delay_secs = 0.0
        # Cleared while bytes are held back, as by a peer that is there no more and never said so.
        self.flows = threading.Event()
        self.flows.set()
        self.sockets = set()
        self.lock = threading.Lock()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.connect, args=(client,), daemon=True).start()

    def connect(self, client):
        if self.refuses:
            client.close()
            return
        try:
            server = socket.create_connection(("127.0.0.1", self.upstream_port), timeout=5)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        with self.lock:
            self.sockets |= {client, server}
        for source, target in ((client, server), (server, client)):
            threading.Thread(target=self.pump, args=(source, target), daemon=True).start()

    def pump(self, source, target):
        try:
            while data := source.recv(1 << 16):
                if self.delay_secs:
                    time.sleep(self.delay_secs)
                self.flows.wait()
                target.sendall(data)
        except OSError:
            pass
        self.close({source, target})

    def close(self, sockets):
        with self.lock:
            self.sockets -= sockets
        for one in sockets:
            # Shut down first: a thread that waits in recv on it wakes up.
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def cut(self):
        """Ends every connection and takes no new one until `mend`."""
        self.refuses = True
        self.close(set(self.sockets))

    def hold(self):
        """Connections stay, and nothing passes any more."""
        self.flows.clear()

    def mend(self):
        self.refuses = False
        self.delay_secs = 0.0
        self.flows.set()

    def end(self):
        self.listener.close()
        self.mend()
        self.close(set(self.sockets))
