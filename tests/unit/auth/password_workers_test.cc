// password_workers
