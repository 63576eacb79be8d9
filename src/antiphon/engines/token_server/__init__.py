"""What engines on servers of token arrays share: the tokenizer, the examination, the opening."""
