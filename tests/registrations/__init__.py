"""A resident's registration, from kept to done."""
