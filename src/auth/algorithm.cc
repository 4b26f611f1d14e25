// algorithm
