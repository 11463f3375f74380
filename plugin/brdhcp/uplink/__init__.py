"""Moving the node's NIC into a bridge without losing a packet, a route, a session, and always back again."""
