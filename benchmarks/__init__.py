"""What this server does beside others and under stress, measured: run as modules, from the root of the checkout."""
