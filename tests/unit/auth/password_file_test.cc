// password_file
