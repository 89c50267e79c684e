"""A connector for fault tests: posts to a keyed partner that lives in a process of its own and remembers what it applied."""
