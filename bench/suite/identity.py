"""What a server needs to ask for identity: its secret, tokens that it accepts, users with passwords."""

import base64
import hashlib
import hmac
import json
import secrets
import time

TOKENS_FILE, SECRET_FILE, USERS_FILE = "tokens", "jwt.secret", "users.htpasswd"
TOKEN_SECONDS = 3600
PASSWORD = "benchmark"
# Of that password, by `htpasswd -nbB -C 10`: bcrypt with cost 10. What it takes depends on the cost alone.
PASSWORD_HASH = "$2y$10$kczBrMyWFaiuQ1jFP6mW4OH44uZFXRGbuxiFf2j7ASgvPt8iDiGmG"


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def tokens(secret, count):
    """HS256 tokens of `count` users, all different and all of one length."""
    now = int(time.time())
    head = base64url(b'{"alg":"HS256","typ":"JWT"}')
    made = []
    for number in range(count):
        claims = {"sub": f"user{number:06}", "iat": now, "exp": now + TOKEN_SECONDS}
        signed = head + "." + base64url(json.dumps(claims, separators=(",", ":")).encode())
        signature = hmac.digest(secret.encode(), signed.encode(), hashlib.sha256)
        made.append(signed + "." + base64url(signature))
    return made


def sections():
    """Of a configuration: everybody with a token may read and publish everything, nothing limits sign-in."""
    return {
        "auth": {"required": True, "secret_file": SECRET_FILE, "users_file": USERS_FILE},
        'auth.grants."*"': {"subscribe": ["*"], "publish": ["*"]},
        "limits": {"login_per_minute_per_address": 0, "login_per_minute_per_user": 0},
    }


def user(number):
    return f"login{number:03}"


def files(token_count, user_count=1):
    """By name, for the server's folder. The tokens are for the clients."""
    secret = secrets.token_urlsafe(48)
    return {
        SECRET_FILE: secret + "\n",
        TOKENS_FILE: "".join(token + "\n" for token in tokens(secret, token_count)),
        USERS_FILE: "".join(f"{user(number)}:{PASSWORD_HASH}\n" for number in range(user_count)),
    }
