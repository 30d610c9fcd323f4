"""Our HTTP/1.1 client: keep-alive pools of connections whose bytes go straight to whoever forwards them."""
