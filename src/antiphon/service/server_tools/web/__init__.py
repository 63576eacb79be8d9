"""The tools that reach the web: `web_search` by a service of the operator's, and `web_fetch`."""
