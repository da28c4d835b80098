"""The nearest of many items, exactly or nearly."""
