"""Several devices: collectives, compile modes, sharding rules."""
