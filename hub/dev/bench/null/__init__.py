"""A connector whose partner takes everything at once: what the hub itself costs, without anybody's network."""
