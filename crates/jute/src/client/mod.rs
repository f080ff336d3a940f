//! What clients and servers say to each other on the client port.
