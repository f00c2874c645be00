"""What every room may use: errors for people, files written whole, secrets, reading arguments."""
