// base64url
