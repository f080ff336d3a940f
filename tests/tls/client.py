"""A client of raw frames that speaks TLS."""

from harness.wire import Connection, Reader, Session, WHO_AM_I, EXISTS, GET_DATA, Writer


class TlsConnection(Connection):
    """A connection over TLS, by the context of whoever is made of it, and what it has kept of an earlier one."""

    kept = None

    def __init__(self, port, timeout=20, host="127.0.0.1"):
        super().__init__(port, timeout, host)
        try:
            self.socket = self.context.wrap_socket(self.socket, server_hostname="localhost", session=self.kept)
        except BaseException:
            self.socket.close()
            raise


class TlsSession(Session, TlsConnection):
    """A session over TLS."""

    def __init__(self, port, context, kept=None, **arguments):
        self.context, self.kept = context, kept
        super().__init__(port, **arguments)

    def who_am_i(self):
        """The identities of this connection, those of addresses left out."""
        reader = self.call(WHO_AM_I).reader()
        found = reader.vector(lambda: (reader.ustring(), reader.ustring()))
        return sorted(identity for identity in found if identity[0] != "ip")

    def get(self, path):
        """Error and data of a node."""
        reply = self.call(GET_DATA, Writer().ustring(path).boolean(False).bytes)
        return reply.err, Reader(reply.body).buffer() if reply.err == 0 else None

    def exists(self, path):
        return self.call(EXISTS, Writer().ustring(path).boolean(False).bytes).err == 0
