"""The SPIE hub: events about people who enter RSA, are oriented and offered measures, to each partner what it may know."""
