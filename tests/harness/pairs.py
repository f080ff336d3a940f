"""Java's server beside ours, configured alike: what one answers the other must."""


class Pairs:
    """A pair for each set of properties that is asked for, which lives as long as this does."""

    def __init__(self, kind, make):
        """`make(kind, property=...)` is a server that has not been started."""
        self.kinds, self.make, self.pairs = ("java395", kind), make, {}

    def ask(self, ask, **properties):
        """What both answer, Java first."""
        name = tuple(sorted(properties.items()))
        if name not in self.pairs:
            self.pairs[name] = [self.make(each, **properties).start(wait=False) for each in self.kinds]
            for server in self.pairs[name]:
                server.await_serving()
        return [ask(server) for server in self.pairs[name]]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for server in (server for pair in self.pairs.values() for server in pair):
            server.kill()
