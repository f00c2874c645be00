"""What a user can choose: fields, defaults, rules, and how a configuration is read."""
