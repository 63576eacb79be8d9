"""Several processes that answer at one address, and the overseer that starts and replaces them."""
