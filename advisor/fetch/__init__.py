"""The only rooms that ask the network, and only when a user says so: live prices, models of the hub."""
