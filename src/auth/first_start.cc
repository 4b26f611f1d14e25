// first_start
