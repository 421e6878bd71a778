_run(globals(), _wait(None))
