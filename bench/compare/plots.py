def write(folder, title, data):
    pass
