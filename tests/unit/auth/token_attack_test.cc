// token_attack
