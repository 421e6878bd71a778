_go(None)
