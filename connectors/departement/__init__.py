"""The département's system: WebRSA-ALI exports and positionings come in, entrants, changes and answers go out as CSV."""
