"""What is known of annotators whom a fit has not seen, and what to ask them next."""
