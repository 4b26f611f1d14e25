// token_maker
