"""Networks, which compute scores of items from histories."""
