// jwks
