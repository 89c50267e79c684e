"""WebRSA's files, read and checked; nothing here decides."""
