// cookies
