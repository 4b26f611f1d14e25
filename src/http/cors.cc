// cors
