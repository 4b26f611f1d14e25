// forwarded
