"""llama.cpp as a token machine, in a supervised child process or behind a URL."""
