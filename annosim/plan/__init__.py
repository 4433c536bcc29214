"""What a design costs, and which design is best."""
