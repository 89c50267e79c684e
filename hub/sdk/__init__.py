"""What connectors import: ports, the manifest, code tables, transports, the base of twins. It imports nothing of the hub."""
