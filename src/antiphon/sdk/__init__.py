"""The SDK: a client of this server and of the hosted API. `import antiphon` has what is public."""
