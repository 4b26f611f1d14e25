// ip
