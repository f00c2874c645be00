"""Many runs: which, what they need first, and what they say together."""
