"""Pure decisions: when to ping, whether to reconnect, which reply is which. Values in, values out; time is given."""
