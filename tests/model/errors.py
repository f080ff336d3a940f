"""Error codes, as far as one server without limits can give them."""

MARSHALLING, BAD_ARGUMENTS, NO_NODE, NO_AUTH, BAD_VERSION = -5, -8, -101, -102, -103
NO_CHILDREN_FOR_EPHEMERALS, NODE_EXISTS, NOT_EMPTY, INVALID_ACL, NO_WATCHER = -108, -110, -111, -114, -121
NOT_TRIED = -2  # RuntimeInconsistency: what stands behind the culprit in a multi.


class Refused(Exception):
    """A request is answered with an error."""

    def __init__(self, code):
        super().__init__(code)
        self.code = code
