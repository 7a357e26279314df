"""What was done with clients, and whether it helped: hold-out, effect, profit, actions."""
