"""A connector for tests: partners live in this process, apply what they get once per key, and answer as they are told."""
