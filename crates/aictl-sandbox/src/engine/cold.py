__import__('sys').stdout.reconfigure(line_buffering=True)
_run(globals(), __import__('sys').argv[:])
