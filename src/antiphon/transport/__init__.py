"""HTTP/1.1 from the side of the client: what the SDK and the engines for upstreams send with."""
