"""What several tests share: servers, clients and platforms, all of them real."""
