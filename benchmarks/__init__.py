"""What is measured: commands that print medians and ratios."""
